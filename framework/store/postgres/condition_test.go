package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADatabaseIsInspectedWithoutChangingIt(t *testing.T) {
	t.Parallel()
	url := database(t)
	c, err := Inspect(t.Context(), url)
	require.NoError(t, err)
	require.Zero(t, c.Schema, "nothing is made by looking")
	require.Positive(t, c.Known)
	require.Less(t, c.Skew.Abs(), time.Minute)
	require.False(t, c.ReadOnly)
	require.Zero(t, c.Synchronous)
	require.True(t, c.Fsync)
	open(t, Options{URL: url})
	c, err = Inspect(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, c.Known, c.Schema)
	_, err = Inspect(t.Context(), "postgres://nobody@127.0.0.1:1/none")
	require.Error(t, err)
}

package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

func TestInspectTellsASoundFileFromADamagedOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := sqlite.Inspect(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, sqlite.Condition{}, c, "there is no store yet, and none is made")
	require.NoFileExists(t, filepath.Join(dir, "weir.db"))

	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err)
	_, err = db.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "shop", Connector: "test", Type: "source", Enabled: true})
	require.NoError(t, err)
	c, err = sqlite.Inspect(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, c.InUse)
	require.NoError(t, db.Close())

	c, err = sqlite.Inspect(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, c.Exists)
	require.False(t, c.InUse)
	require.Empty(t, c.Faults)
	require.Positive(t, c.Schema)
	require.Equal(t, c.Known, c.Schema)
	require.Positive(t, c.Bytes)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sqlite.Inspect(canceled, dir)
	require.ErrorIs(t, err, context.Canceled)

	file, err := os.OpenFile(filepath.Join(dir, "weir.db"), os.O_RDWR, 0)
	require.NoError(t, err)
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = 0xa5
	}
	for page := c.Bytes/4096 - 1; page > c.Bytes/8192; page-- { // not the schema, which is at the front
		_, err = file.WriteAt(garbage, page*4096)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
	c, err = sqlite.Inspect(t.Context(), dir)
	require.True(t, err != nil || len(c.Faults) > 0, "the damage was not seen")

	again, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "other")})
	require.NoError(t, err, "the lock of a folder that was looked at is free")
	require.NoError(t, again.Close())
}

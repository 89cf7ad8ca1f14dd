//go:build unix

package sqlite

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// A process killed before any statement of a page leaves the whole page or
// nothing of it, and whoever opens the store next goes on from there.
func TestKilledProcessLeavesAllOfAPageOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for statement := 1; ; statement++ {
		killed := spawn(t, dir, fmt.Sprint("page ", statement)).wait(t)
		after := agree(t, dir)
		if !killed {
			require.Equal(t, 1, after)
			require.Greater(t, statement, 10, "the failpoint is not called between statements")
			return
		}
		require.Zero(t, after, "killed before statement %d", statement)
	}
}

func agree(t *testing.T, dir string) int {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir, manual: true})
	require.NoError(t, err, "the killed process still holds the store")
	defer func() { require.NoError(t, s.Close()) }()
	con, err := s.EnsureConnection(t.Context(), benchConnection)
	require.NoError(t, err)
	return storetest.NewPages(s, con.ID).Agree(t)
}

func TestSecondOpenIsRefusedNamingTheHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := spawn(t, dir, "deliveries")
	for first.lines.Scan() && first.lines.Text() != "done" {
	}
	_, err := Open(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("process %d on ", first.cmd.Process.Pid))
	require.ErrorContains(t, err, " since 2")
	require.NoError(t, first.cmd.Process.Kill())
	require.True(t, first.wait(t))
	second := open(t, Options{Dir: dir})
	_, err = Open(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, store.ErrLocked, "a second open in one process")
	require.NoError(t, second.Close())
	open(t, Options{Dir: dir})
}

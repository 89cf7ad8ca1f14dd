//go:build unix

package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// After a failover every pooled connection is dead, and nobody has noticed yet.
func TestReadsAndChangesGoOnAfterTheirConnectionsDied(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	admin := dial(t, url)
	die := func() {
		t.Helper()
		held := make([]func(), 0, s.options.Readers+1)
		for range cap(held) { // as many as there can be
			conn, err := s.pool.Acquire(t.Context())
			require.NoError(t, err)
			var pid uint32
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
			_, err = admin.Exec(t.Context(), "SELECT pg_terminate_backend($1, 10000)", pid)
			require.NoError(t, err)
			held = append(held, conn.Release)
		}
		for _, release := range held {
			release()
		}
	}
	die()
	found, err := s.Connections(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.Connection{con}, found)
	die()
	require.NoError(t, s.SetPaused(t.Context(), con.ID, "s", true))
	die()
	_, err = s.Runs(t.Context(), con.ID, "s", "", 10)
	require.NoError(t, err)
}

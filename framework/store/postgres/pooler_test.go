//go:build unix

package postgres

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/internal/testneed"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// pooler starts PgBouncer in transaction mode before the shared cluster and
// returns a function from a database's URL to the one through it.
func pooler(t *testing.T) func(string) string {
	t.Helper()
	program := testneed.Tool(t, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer", "/usr/bin/pgbouncer")
	c := shared.started(t)
	port, err := freePort()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "weirpb") //nolint:usetesting // the folder of a test is not open to the other account
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	// Few server connections, so that each serves many clients in turn.
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=weir
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
server_lifetime = 2
logfile = %s
`, c.port, port, filepath.Join(dir, "log"))
	path := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o644))
	require.NoError(t, c.own(dir))
	require.NoError(t, c.own(path))
	cmd := exec.CommandContext(context.Background(), program, path) //nolint:usetesting // it ends after the stores of the test
	cmd.SysProcAttr = child(c.account.uid, c.account.gid, c.account.switchUser)
	cmd.Dir = dir
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait()
	})
	through := func(direct string) string {
		u, err := url.Parse(direct)
		require.NoError(t, err)
		u.Host = "127.0.0.1:" + strconv.Itoa(port)
		return u.String()
	}
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), through(c.url("postgres"))+"&default_query_exec_mode=exec")
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, time.Minute, 20*time.Millisecond)
	return through
}

func TestAStoreWorksThroughPgBouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	through := pooler(t)
	address := through(database(t))
	s := open(t, Options{URL: address})
	con := connection(t, s, "acme")
	const writers, units = 8, 25
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range units {
				_, err := s.Commit(t.Context(), unit(s, con, fact("s", fmt.Sprintf("%d-%d", w, i)), fact("s", strconv.Itoa(i))))
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				if _, err := s.Events(t.Context(), con.ID, "s", 0, 10); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	running.Wait()
	require.Len(t, distinct(t, s, con, "s"), writers*units+units)
	poisoned := fact("s", "poisoned")
	poisoned.Type = storetest.PoisonType
	poison(t, address)
	_, err := s.Commit(t.Context(), unit(s, con, poisoned))
	require.ErrorIs(t, err, store.ErrInvalid)
	pages := storetest.NewPages(s, con.ID)
	for range 5 {
		require.NoError(t, pages.Commit(t))
	}
	n, err := s.InterruptRuns(t.Context(), start)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, s.SetPaused(t.Context(), con.ID, "s", true))
	require.NoError(t, s.Ping(t.Context()))
	yieldAll(t, s)
	second := open(t, Options{URL: address})
	yieldAll(t, second)
	even(t, []*Store{s, second})
	require.NoError(t, second.Close())
	require.NoError(t, s.DeleteConnection(t.Context(), con.ID))
	require.NoError(t, s.Trim(t.Context()))
	require.NoError(t, s.Close())
	again := open(t, Options{URL: address})
	require.Greater(t, storetest.Epoch(again, con.ID), int64(1))
	require.Equal(t, store.ShardCount, count(again))
}

func TestTheWholeContractHoldsThroughPgBouncer(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	through := pooler(t)
	storetest.Run(t, harness(through))
}

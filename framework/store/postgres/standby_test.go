//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/internal/testneed"
	"github.com/weirhq/weir/framework/store"
)

// standby starts a streaming standby of c and makes c wait for it with every commit.
func (c *cluster) standby(t *testing.T) *cluster {
	t.Helper()
	s := &cluster{bin: c.bin, account: c.account}
	var err error
	s.dir, err = os.MkdirTemp("", "weirpg") //nolint:usetesting // the path of a socket has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(s.end)
	require.NoError(t, s.own(s.dir))
	copied := s.command("pg_basebackup", "-D", s.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=weir", c.port))
	out, err := copied.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, s.start())
	conn := dial(t, c.url("postgres"))
	_, err = conn.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = '*'", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&n)
		require.NoError(t, err)
		return n == 1
	}, time.Minute, 20*time.Millisecond)
	return s
}

// pauseReceiving stops the process of the standby that receives, and returns a
// function that has it go on.
func (c *cluster) pauseReceiving(t *testing.T) (goOn func()) {
	t.Helper()
	var pid int
	require.NoError(t, dial(t, c.url("postgres")).QueryRow(t.Context(), "SELECT pid FROM pg_stat_wal_receiver").Scan(&pid))
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	goOn = sync.OnceFunc(func() { require.NoError(t, syscall.Kill(pid, syscall.SIGCONT)) })
	t.Cleanup(goOn)
	return goOn
}

func TestACommitThatNoLongerWaitsForItsStandbyIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	primary := newCluster(t)
	standby := primary.standby(t)
	url := primary.database(t)
	told, err := Inspect(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{told.Synchronous, told.Standbys})
	told, err = Inspect(t.Context(), standby.url("postgres"))
	require.NoError(t, err)
	require.True(t, told.ReadOnly)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	watch := dial(t, primary.url("postgres"))
	goOn := standby.pauseReceiving(t)
	// waiting is a process of the server that waits for the standby.
	waiting := func(besides int) (pid int) {
		t.Helper()
		require.Eventually(t, func() bool {
			rows, err := watch.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> $1 AND query NOT LIKE '%nodes%'", besides)
			require.NoError(t, err)
			pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
			require.NoError(t, err)
			if len(pids) > 0 {
				pid = pids[0]
			}
			return len(pids) > 0
		}, time.Minute, 5*time.Millisecond, "no commit waits for the standby")
		return pid
	}
	committed := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), unit(s, con, fact("s", "1")))
		committed <- err
	}()
	first := waiting(0)
	_, err = watch.Exec(t.Context(), "SELECT pg_cancel_backend($1)", first)
	require.NoError(t, err)
	waiting(first) // what asks for the outcome
	require.Empty(t, committed, "it was answered although the standby does not have it")
	goOn()
	require.NoError(t, <-committed)
	require.Equal(t, map[string]bool{"e/1": true}, distinct(t, s, con, "s"))
}

// stopReceiving stops the process of the standby that receives, and returns a
// function that ends it, without what the network has brought since.
func (c *cluster) stopReceiving(t *testing.T) (end func()) {
	t.Helper()
	var pid int
	require.NoError(t, dial(t, c.url("postgres")).QueryRow(t.Context(), "SELECT pid FROM pg_stat_wal_receiver").Scan(&pid))
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	end = sync.OnceFunc(func() {
		require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	})
	t.Cleanup(end)
	return end
}

func TestAPromotedStandbyHasEverythingThatWasAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	primary := newCluster(t)
	primary.database(t)
	standby := primary.standby(t)
	both := fmt.Sprintf("postgres://weir@127.0.0.1:%d,127.0.0.1:%d/test_1?sslmode=disable", standby.port, primary.port)
	s := open(t, Options{URL: both})
	con := connection(t, s, "acme")

	const writers = 8
	var acknowledged atomic.Int64
	var stop atomic.Bool
	var running sync.WaitGroup
	acked := make([]map[string]bool, writers)
	for w := range writers {
		acked[w] = map[string]bool{}
		running.Go(func() {
			for i := 0; !stop.Load(); i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				for !stop.Load() {
					// The same key again and again, as a provider sends it.
					_, err := s.Commit(t.Context(), unit(s, con, fact("s", key)))
					if err == nil {
						acked[w]["e/"+key] = true
						acknowledged.Add(1)
						break
					}
					// The lease may run out while no server can be written.
					if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrFenced) {
						t.Errorf("commit: %v", err)
						return
					}
				}
			}
		})
	}
	grows := func(by int64, why string) {
		before := acknowledged.Load()
		require.Eventually(t, func() bool { return acknowledged.Load() > before+by }, 2*time.Minute, time.Millisecond, why)
	}
	grows(200, "nothing is acknowledged")

	// A commit that the standby does not have is not acknowledged, and dies with the primary.
	endReceiving := standby.stopReceiving(t)
	watch := dial(t, primary.url("postgres"))
	require.Eventually(t, func() bool {
		var n int
		err := watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		require.NoError(t, err)
		return n > 0
	}, time.Minute, 5*time.Millisecond, "no commit waits for the standby")
	require.NoError(t, watch.Close(t.Context()))
	primary.kill(t)
	killed := time.Now()
	endReceiving()
	_, err := dial(t, standby.url("postgres")).Exec(t.Context(), "SELECT pg_promote()")
	require.NoError(t, err)
	promoted := time.Now()
	grows(0, "the store does not find the promoted standby")
	t.Logf("promoted %s after the kill, first commit %s after that", promoted.Sub(killed).Round(time.Millisecond), time.Since(promoted).Round(time.Millisecond))
	grows(200, "the store does not go on")
	stop.Store(true)
	running.Wait()

	recorded := distinct(t, s, con, "s")
	for w := range writers {
		for key := range acked[w] {
			require.True(t, recorded[key], "acknowledged key %s is lost", key)
		}
	}
}

//go:build unix

package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// yieldAll does what a runtime does without any work: it yields at once.
func yieldAll(t testing.TB, s *Store) {
	t.Helper()
	all := make([]int, store.ShardCount)
	for i := range all {
		all[i] = i
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		for {
			held, changed := s.Shards()
			var idle []int
			for shard, epoch := range held {
				if epoch == 0 {
					idle = append(idle, shard)
				}
			}
			if err := s.Yield(ctx, idle); err != nil && ctx.Err() == nil {
				t.Logf("yield: %v", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// count is how many shards a store works on.
func count(s *Store) (n int) {
	held, _ := s.Shards()
	for _, epoch := range held {
		if epoch != 0 {
			n++
		}
	}
	return n
}

// expire makes a node look as if it had not been heard of in time.
func expire(t testing.TB, url string, s *Store) {
	t.Helper()
	_, err := dial(t, url).Exec(t.Context(), "UPDATE nodes SET expires_at = clock_timestamp() WHERE num = $1", s.node.held.Load())
	require.NoError(t, err)
}

// short is a lease that tests can wait for.
const short = 2 * time.Second

func TestNodesShareTheShardsEvenlyAndHandThemOver(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	nodes := []*Store{open(t, Options{URL: url, Node: "one", lease: short})}
	require.Equal(t, store.ShardCount, count(nodes[0]), "one node alone has all shards at once")
	yieldAll(t, nodes[0])
	for _, name := range []string{"two", "three"} {
		s := open(t, Options{URL: url, Node: name, lease: short})
		nodes = append(nodes, s)
		yieldAll(t, s)
		even(t, nodes)
	}
	// Whoever stops gives its shards back at once; the others share them.
	require.NoError(t, nodes[1].Close())
	even(t, []*Store{nodes[0], nodes[2]})
	require.Equal(t, 1, nodes[0].Peers())
}

// even waits until each of the nodes has its share, and each shard one node.
func even(t testing.TB, nodes []*Store) {
	t.Helper()
	var got []int
	require.Eventually(t, func() bool {
		got = got[:0]
		var owners [store.ShardCount]int
		for _, s := range nodes {
			n := count(s)
			got = append(got, n)
			if n < store.ShardCount/len(nodes) || n > store.ShardCount/len(nodes)+1 {
				return false
			}
			held, _ := s.Shards()
			for shard, epoch := range held {
				if epoch != 0 {
					owners[shard]++
				}
			}
		}
		for _, n := range owners {
			if n != 1 {
				return false
			}
		}
		return true
	}, 30*time.Second, 20*time.Millisecond, "shares: %v", &got)
}

func TestTheShardsOfASilentNodeAreTakenAndItStopsByItsOwnClock(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	p, through := newProxy(t, url)
	first := open(t, Options{URL: through, Node: "one", lease: short})
	con := connection(t, first, "acme")
	_, err := first.Commit(t.Context(), unit(first, con, fact("s", "1")))
	require.NoError(t, err)
	old, ok := first.Epoch(con.ID)
	require.True(t, ok)
	yieldAll(t, first)
	second := open(t, Options{URL: url, Node: "two", lease: short})
	even(t, []*Store{first, second})

	// The first process loses the network.
	p.close()
	require.Eventually(t, func() bool { return count(second) == store.ShardCount }, 30*time.Second, 5*time.Millisecond)
	require.Zero(t, count(first), "it believed in its leases for longer than the database")
	epoch, ok := first.Epoch(con.ID)
	require.False(t, ok)
	require.Zero(t, epoch)
	require.Greater(t, storetest.Epoch(second, con.ID), old)
	_, err = first.Commit(t.Context(), store.Unit{ID: store.NewCommitID(), ConnectionID: con.ID, Epoch: old, At: start})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Len(t, distinct(t, second, con, "s"), 1)
}

func TestACommitUnderAStaleEpochIsRefused(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	first := open(t, Options{URL: url, Node: "one", lease: time.Hour}) // it beats when it is told to
	con := connection(t, first, "acme")
	_, err := first.Commit(t.Context(), unit(first, con, fact("s", "1")))
	require.NoError(t, err)
	expire(t, url, first)
	second := open(t, Options{URL: url, Node: "two", lease: time.Hour})
	require.Equal(t, store.ShardCount, count(second))

	// The first process is alive, its clock says that it holds the leases, and its
	// connections are fine. Only the database knows.
	stale := unit(first, con, fact("s", "2"))
	require.Equal(t, store.ShardCount, count(first))
	late := unit(first, con, fact("s", "3"))
	late.Epoch = storetest.Epoch(second, con.ID)
	_, err = first.engine.Commit(t.Context(), late)
	require.ErrorIs(t, err, store.ErrFenced, "the next holder's epoch on a unit does not make this process the holder")
	_, err = first.Commit(t.Context(), stale)
	require.ErrorIs(t, err, store.ErrFenced)
	require.Len(t, distinct(t, second, con, "s"), 1)
	delivery := store.Unit{ID: store.NewCommitID(), ConnectionID: con.ID, At: start, Emissions: stale.Emissions}
	_, err = first.Commit(t.Context(), delivery)
	require.NoError(t, err, "a delivery needs no lease")

	// The refusal made the process ask, and it knows now.
	require.Eventually(t, func() bool { return count(first) == 0 }, time.Minute, 5*time.Millisecond)
	_, err = second.Commit(t.Context(), unit(second, con, fact("s", "3")))
	require.NoError(t, err)
	require.Len(t, distinct(t, second, con, "s"), 3)
}

func TestATakeoverPassesACommitUnderWayBy(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	reached, release := make(chan struct{}), make(chan struct{})
	var armed sync.Once
	first := open(t, Options{URL: url, lease: time.Hour, failpoint: func(what string) error {
		if what == "write marker" {
			armed.Do(func() {
				close(reached)
				<-release
			})
		}
		return nil
	}})
	// Also when the test has failed, so that the store can be closed.
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	con := connection(t, first, "acme")
	committed := make(chan error, 1)
	go func() {
		_, err := first.Commit(t.Context(), unit(first, con, fact("s", "1")))
		committed <- err
	}()
	<-reached
	expire(t, url, first)
	second := open(t, Options{URL: url, Node: "two", lease: time.Hour})
	require.Equal(t, store.ShardCount-1, count(second), "all but the shard that is being written for")
	_, ok := second.Epoch(con.ID)
	require.False(t, ok, "the shard was taken over below a commit")
	free()
	require.NoError(t, <-committed)
	require.NoError(t, second.node.beat(t.Context(), dial(t, url)))
	require.Equal(t, store.ShardCount, count(second))
	require.Len(t, distinct(t, second, con, "s"), 1)
}

func TestAHeartbeatDoesNotWaitForACommit(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url, lease: time.Hour})
	tx, err := dial(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT epoch FROM shards FOR KEY SHARE")
	require.NoError(t, err)
	conn := dial(t, url)
	_, err = conn.Exec(t.Context(), "SET lock_timeout = '200ms'")
	require.NoError(t, err)
	require.NoError(t, s.node.beat(t.Context(), conn))
	require.NoError(t, tx.Rollback(t.Context()))
}

func TestAnObserverTakesNothing(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url, Observe: true})
	require.Zero(t, count(s))
	con := connection(t, s, "acme")
	_, err := s.Commit(t.Context(), store.Unit{ID: store.NewCommitID(), ConnectionID: con.ID, At: start, Emissions: unit(s, con, fact("s", "1")).Emissions})
	require.NoError(t, err)
	node := open(t, Options{URL: url})
	require.Equal(t, store.ShardCount, count(node))
	require.Zero(t, node.Peers())
}

func TestAStoreThatAnOlderVersionHasToItselfIsRefused(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := dial(t, url)
	list, err := readMigrations()
	require.NoError(t, err)
	_, err = conn.PgConn().Exec(t.Context(), list[0].sql+`;
		CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
		INSERT INTO schema_migrations (version, name) VALUES (1, 'first');
		UPDATE leases SET epoch = 7, node = 'node-old', holder = 'process 1', expires_at = clock_timestamp() + interval '1 hour'`).ReadAll()
	require.NoError(t, err)
	_, err = Open(t.Context(), Options{URL: url})
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, "node-old, process 1")
	_, err = conn.Exec(t.Context(), "UPDATE leases SET expires_at = clock_timestamp()")
	require.NoError(t, err)
	s := open(t, Options{URL: url})
	require.Equal(t, int64(8), storetest.Epoch(s, "any"), "epochs go on")
	var epoch int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT epoch FROM leases").Scan(&epoch))
	require.Equal(t, int64(8), epoch, "a process of the older version is fenced")
}

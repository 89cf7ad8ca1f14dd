//go:build unix

package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// expire makes the lease look as if its holder had not been heard of in time.
func expire(t testing.TB, url string) {
	t.Helper()
	_, err := dial(t, url).Exec(t.Context(), "UPDATE leases SET expires_at = clock_timestamp()")
	require.NoError(t, err)
}

func TestAStoreInUseIsRefusedNamingTheHolder(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	first := open(t, Options{URL: url, Node: "node-one"})
	_, err := Open(t.Context(), Options{URL: url, Node: "node-two"})
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, "node-one, process ")
	require.Equal(t, int64(1), storetest.Epoch(first, ""))

	// A closed store is free at once.
	require.NoError(t, first.Close())
	second := open(t, Options{URL: url, Node: "node-two"})
	require.Equal(t, int64(2), storetest.Epoch(second, ""))
}

func TestALeaseThatIsNotRenewedIsTakenOver(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	p, through := newProxy(t, url)
	const lease = 2 * time.Second
	first := open(t, Options{URL: through, Node: "node-one", lease: lease})
	con := connection(t, first, "acme")
	_, err := first.Commit(t.Context(), unit(first, con, fact("s", "1")))
	require.NoError(t, err)

	// The lease is renewed: after its length it is still held.
	var renewed bool
	conn := dial(t, url)
	require.Eventually(t, func() bool {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT renewed_at > taken_at + interval '2 s' FROM leases").Scan(&renewed))
		return renewed
	}, 20*time.Second, 50*time.Millisecond)
	_, err = Open(t.Context(), Options{URL: url})
	require.ErrorIs(t, err, store.ErrLocked)

	// The first process loses the network, and the second waits for the expiry.
	p.close()
	var second *Store
	require.Eventually(t, func() bool {
		s, err := Open(t.Context(), Options{URL: url, Node: "node-two"})
		if errors.Is(err, store.ErrLocked) {
			return false
		}
		require.NoError(t, err)
		second = s
		return true
	}, 20*time.Second, 50*time.Millisecond)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	require.Equal(t, int64(2), storetest.Epoch(second, ""))
	require.False(t, first.lease.fresh(), "the holder believed in its lease for longer than the database")
	_, err = first.Commit(t.Context(), unit(first, con, fact("s", "2")))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Len(t, distinct(t, second, con, "s"), 1)
}

func TestACommitUnderAStaleEpochIsRefused(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	first := open(t, Options{URL: url, Node: "node-one"})
	con := connection(t, first, "acme")
	_, err := first.Commit(t.Context(), unit(first, con, fact("s", "1")))
	require.NoError(t, err)
	expire(t, url)
	second := open(t, Options{URL: url, Node: "node-two"})

	// The first process is alive, its clock says that it holds the lease, and its
	// connections are fine. Only the database knows.
	require.True(t, first.lease.fresh())
	_, err = first.Commit(t.Context(), unit(first, con, fact("s", "2")))
	require.ErrorIs(t, err, store.ErrFenced)
	late := unit(first, con, fact("s", "3"))
	late.Epoch = storetest.Epoch(second, "")
	_, err = first.Commit(t.Context(), late)
	require.ErrorIs(t, err, store.ErrFenced, "the next holder's epoch on a unit does not make this process the holder")
	require.ErrorIs(t, first.SetPaused(t.Context(), con.ID, "s", true), store.ErrFenced)
	require.ErrorIs(t, first.DeleteConnection(t.Context(), con.ID), store.ErrFenced)
	require.Len(t, distinct(t, second, con, "s"), 1)

	// The next heartbeat finds out, and then nobody has to ask the database.
	require.ErrorIs(t, first.lease.renew(t.Context(), dial(t, url)), store.ErrFenced)
	<-first.Lost()
	_, err = first.Commit(t.Context(), unit(first, con, fact("s", "4")))
	require.ErrorIs(t, err, store.ErrFenced)
	require.ErrorContains(t, err, "node-two")
	require.ErrorIs(t, first.Ping(t.Context()), store.ErrFenced)
	_, err = second.Commit(t.Context(), unit(second, con, fact("s", "2")))
	require.NoError(t, err)
}

func TestATakeoverWaitsForACommitUnderWay(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	reached, release := make(chan struct{}), make(chan struct{})
	var armed sync.Once
	first := open(t, Options{URL: url, failpoint: func(what string) error {
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
	expire(t, url)
	opened := make(chan error, 1)
	var second *Store
	go func() {
		s, err := Open(t.Context(), Options{URL: url, Node: "node-two"})
		second = s
		opened <- err
	}()
	waits(t, dial(t, url), 1)
	require.Empty(t, opened, "the store was taken over below a commit")
	free()
	require.NoError(t, <-committed)
	require.NoError(t, <-opened)
	defer func() { require.NoError(t, second.Close()) }()
	require.Len(t, distinct(t, second, con, "s"), 1)
}

func TestAnExpiredLeaseStopsTheWriterUntilItIsRenewed(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url})
	con := connection(t, s, "acme")
	past := time.Now().Add(-LeaseDuration + 2*time.Second)
	s.lease.renewed.Store(&past)
	_, err := s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorContains(t, err, "lease")
	require.NoError(t, s.lease.renew(t.Context(), dial(t, url)))
	_, err = s.Commit(t.Context(), unit(s, con, fact("s", "1")))
	require.NoError(t, err)
}

func TestAHeartbeatDoesNotWaitForACommit(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url})
	tx, err := dial(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT epoch FROM leases WHERE shard = 0 FOR KEY SHARE")
	require.NoError(t, err)
	conn := dial(t, url)
	_, err = conn.Exec(t.Context(), "SET lock_timeout = '200ms'")
	require.NoError(t, err)
	require.NoError(t, s.lease.renew(t.Context(), conn))
	require.NoError(t, tx.Rollback(t.Context()))
}

//go:build unix

package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// listens waits until n processes listen in the database of url.
func listens(t *testing.T, url string, n int) {
	t.Helper()
	conn := dial(t, url)
	require.Eventually(t, func() bool {
		var listening int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN "+hintChannel+"'").Scan(&listening)
		require.NoError(t, err)
		return listening == n
	}, 30*time.Second, 10*time.Millisecond, "nobody listens")
}

func TestNodesTellEachOtherWhatTheyRecord(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	one, two := open(t, Options{URL: url}), open(t, Options{URL: url})
	con := connection(t, one, "acme")
	listens(t, url, 2)
	require.Eventually(t, func() bool { return one.Peers() == 1 && two.Peers() == 1 }, 20*time.Second, 10*time.Millisecond)
	record := func(key string) {
		t.Helper()
		_, err := one.Commit(t.Context(), unit(one, con, fact("s", key)))
		require.NoError(t, err)
	}
	told := func(head int64) {
		t.Helper()
		select {
		case h := <-two.Hints():
			require.Equal(t, store.Hint{Source: store.Source{ConnectionID: con.ID, Stream: "s"}, Head: head}, h)
		case <-time.After(20 * time.Second):
			require.Fail(t, "the other node is told nothing")
		}
	}
	record("1")
	told(1)
	record("1") // a duplicate is no news
	record("2")
	told(2)
	require.Empty(t, one.Hints(), "who records needs no hint")

	// A listener that was cut off listens again.
	_, err := dial(t, url).Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "+hintChannel+"' AND datname = current_database()")
	require.NoError(t, err)
	listens(t, url, 2)
	record("3")
	told(3)
}

func TestBehindAPoolerNodesListenAtTheDirectAddress(t *testing.T) {
	t.Parallel()
	through := pooler(t)
	direct := database(t)
	one := open(t, Options{URL: through(direct)})
	two := open(t, Options{URL: through(direct), Direct: direct})
	con := connection(t, one, "acme")
	listens(t, direct, 1)
	require.Eventually(t, func() bool { return one.Peers() == 1 }, 20*time.Second, 10*time.Millisecond)
	_, err := one.Commit(t.Context(), unit(one, con, fact("s", "1")))
	require.NoError(t, err)
	select {
	case h := <-two.Hints():
		require.Equal(t, int64(1), h.Head)
	case <-time.After(20 * time.Second):
		require.Fail(t, "the other node is told nothing")
	}
	_, err = Open(t.Context(), Options{URL: direct, Direct: "postgres://:port"})
	require.ErrorIs(t, err, ErrURL)
}

//go:build unix

package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// A shard that one node refuses and another one wants is the other's, and stays
// there; both have their share. It comes back when there is no other.
func TestAShardGoesToTheNodeThatWantsItAndStaysThere(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	// The one that joins last has the last shards, which a node that has too many
	// gives up first: what the other one gets must not be those.
	newer := open(t, Options{URL: url, Node: "newer", lease: short})
	yieldAll(t, newer)
	older := open(t, Options{URL: url, Node: "older", lease: short})
	yieldAll(t, older)
	even(t, []*Store{older, newer})
	var mine []int
	held, _ := older.Shards()
	for shard, epoch := range slices.Backward(held[:]) {
		if epoch != 0 && len(mine) < 3 {
			mine = append(mine, shard)
		}
	}
	var p store.ShardPreference
	for _, shard := range mine {
		p.Refused[shard] = true
	}
	of := func(s *Store) (epochs []int64) {
		held, _ := s.Shards()
		for _, shard := range mine {
			epochs = append(epochs, held[shard])
		}
		return epochs
	}
	moved := func() []int64 { return of(newer) }
	// Refused, and wanted by nobody yet: they are free, and stay so.
	older.Prefer(p)
	none := []int64{0, 0, 0}
	require.Eventually(t, func() bool { return slices.Equal(of(older), none) }, 30*time.Second, 20*time.Millisecond)
	requireBeats(t, url, 3)
	require.Equal(t, none, of(older))
	require.Equal(t, none, moved())
	newer.Prefer(store.ShardPreference{Wanted: p.Refused})
	require.Eventually(t, func() bool { return !slices.Contains(moved(), 0) }, 30*time.Second, 20*time.Millisecond)
	even(t, []*Store{older, newer})

	// It is no back and forth: heartbeats of both change nothing of it.
	settled := moved()
	requireBeats(t, url, 4)
	require.Equal(t, settled, moved())
	even(t, []*Store{older, newer})

	require.NoError(t, newer.Close())
	require.Eventually(t, func() bool { return count(older) == store.ShardCount }, 30*time.Second, 20*time.Millisecond,
		"a node that is alone has everything, also what it would rather not have")
}

// requireBeats waits for so many heartbeats of every node.
func requireBeats(t testing.TB, url string, n int) {
	t.Helper()
	conn := dial(t, url)
	var last time.Time
	seen := 0
	require.Eventually(t, func() bool {
		var oldest time.Time
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT min(renewed_at) FROM nodes").Scan(&oldest))
		if oldest.After(last) {
			last = oldest
			seen++
		}
		return seen > n
	}, 60*time.Second, 20*time.Millisecond)
}

package runtime

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

var errTooNew = fmt.Errorf("read: %w", framework.ErrNewerConnector)

// acme says that every stream is of connector acme, but for those of con_gone, and
// that the sink con_sink reads what was renamed.
func acme(at behind) (connector string, connections []string, ok bool) {
	connections = []string{at.connection}
	if at.renamed {
		connections = append(connections, "con_sink")
	}
	return "acme", connections, at.connection != "con_gone"
}

func TestAnOlderProcessAsksForWhatItIsTooOldFor(t *testing.T) {
	t.Parallel()
	d := newDeference()
	d.read("con_1", "orders", 2, errTooNew)
	d.renamed("con_1", store.Rename{From: "events", To: "notices"})
	d.read("con_2", "orders", 3, errTooNew)
	d.read("con_2", "orders", 0, nil) // somebody has reset it
	d.read("con_3", "orders", 2, framework.ErrCursorUnreadable)
	d.read("con_gone", "orders", 2, errTooNew)
	needs := d.needs(acme)
	require.Len(t, needs, 2)
	require.Equal(t, []need{{"acme", "notices", 0}}, needs[store.Shard("con_sink")])
	require.ElementsMatch(t, []need{{"acme", "orders", 2}, {"acme", "notices", 0}}, needs[store.Shard("con_1")])
	require.Equal(t, []question{
		{need{"acme", "notices", 0}, slices.Sorted(slices.Values([]int{store.Shard("con_1"), store.Shard("con_sink")}))},
		{need{"acme", "orders", 2}, []int{store.Shard("con_1")}},
	}, questions(needs))
	require.NotContains(t, d.streams, behind{"con_gone", "orders", false}, "what is gone is forgotten")
}

func TestOneOfTwoProcessesWithoutTheOthersConnectorMoves(t *testing.T) {
	t.Parallel()
	d, now := newDeference(), time.Now()
	require.Equal(t, []int{7}, d.refuse([]int{7}, now))
	require.Empty(t, d.refuse([]int{7}, now), "it is news once")
	require.Equal(t, []int{8}, d.want([]int{7, 8}, now), "what is left to others is not taken back")
	p := d.preference(now.Add(deferFor))
	require.True(t, p.Refused[7])
	require.True(t, p.Wanted[8])
	require.False(t, p.Wanted[7])
	require.Equal(t, store.ShardPreference{}, d.preference(now.Add(deferFor+1)), "without a word of the others it is over")
	require.Equal(t, []int{7}, d.want([]int{7}, now))
}

func TestANewerProcessTakesTheShardsThatItCanServeWhole(t *testing.T) {
	t.Parallel()
	orders := catalog.Poll[struct{}, struct{}]("orders", catalog.PollSpec{Schedule: "@hourly", CursorVersion: 2})
	r := &Runtime{deference: newDeference(), options: Options{Plugins: []framework.Plugin{
		framework.Define[struct{}](catalog.Connector{Key: "acme", Streams: []catalog.Stream{orders}}, nil),
	}}}
	taken := r.newer([]question{
		{need{"acme", "orders", 2}, []int{1, 2, 3, 4, -1, store.ShardCount}},
		{need{"acme", "orders", 3}, []int{2, 5}},
		{need{"acme", "notices", 0}, []int{3}},
		{need{"other", "orders", 0}, []int{4, 6}},
	})
	require.Equal(t, []int{1}, taken)
	p := r.deference.preference(time.Now())
	require.Equal(t, 1, slices.Index(p.Wanted[:], true))
}

package runtime

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/store"
)

// offsetsOnly is a store of which only the offsets are asked for.
type offsetsOnly struct {
	store.Store

	list []store.Offset
}

func (o offsetsOnly) Offsets(context.Context, string) ([]store.Offset, error) { return o.list, nil }

func TestWhatDoesNotOpenHoldsBackWhatItHasNotDelivered(t *testing.T) {
	t.Parallel()
	source := func(id string) store.Source { return store.Source{ConnectionID: id, Stream: "orders"} }
	set := newSet()
	for _, id := range []string{"con_open", "con_left"} {
		set.byID[id] = &connection{
			Connection: store.Connection{ID: id, Project: "default", Name: id, Type: "source", Enabled: true},
			manifest:   catalog.Manifest{Streams: []catalog.StreamManifest{{Key: "orders"}}},
		}
	}
	set.byID["con_sink"] = &connection{
		Connection: store.Connection{ID: "con_sink", Project: "default", Name: "sink", Type: typeSink, Enabled: true},
		subscribed: []string{"con_open.orders"},
	}
	for _, id := range []string{"con_shut_source", "con_shut_sink", "con_sink"} {
		set.failed[id] = failure{2, "its secret is gone"}
	}
	r := &Runtime{}
	r.set.Store(set)
	r.store = offsetsOnly{list: []store.Offset{
		{ConnectionID: "con_sink", Source: source("con_open"), LowWater: 7},
		{ConnectionID: "con_sink", Source: source("con_left"), LowWater: 5},
		{ConnectionID: "con_sink", Source: source("con_shut_source"), LowWater: 4},
		{ConnectionID: "con_shut_sink", Source: source("con_open"), LowWater: 3},
		{ConnectionID: "con_gone", Source: source("con_open"), LowWater: 1},
	}}
	l := &lowWater{runtime: r}
	for id, want := range map[string]int64{"con_open": 3, "con_shut_source": 4, "con_left": 0} {
		got, err := l.needed(t.Context(), id, "orders")
		require.NoError(t, err)
		require.Equal(t, want, got, id)
	}
}

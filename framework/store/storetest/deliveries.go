package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/ingest"
)

func (b *bundle) delivery(key string, emissions ...ingest.Emission) store.Unit {
	u := b.unit(emissions...)
	u.Reserve = &store.DeliveryKey{Endpoint: "stripe", Key: key, DeliveryID: "dlv_" + key}
	return u
}

func (b *bundle) stored(t *testing.T, dead bool, due time.Time) []store.StoredDelivery {
	t.Helper()
	list, err := b.StoredDeliveries(t.Context(), b.con.ID, dead, due, 100)
	require.NoError(t, err)
	return list
}

var deliveries = []contract{
	{"SentTwiceWriteNothingAndNameTheFirstEvent", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		first, err := b.Commit(t.Context(), b.delivery("k", fact("s", "1")))
		require.NoError(t, err)
		require.False(t, first.DuplicateDelivery)
		for range 2 {
			second := b.delivery("k", fact("s", "2"))
			second.Keep = &store.StoredDelivery{ID: "dlv_k2", Endpoint: "stripe", NextAttemptAt: start}
			second.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "x"}}}
			r, err := b.Commit(t.Context(), second)
			require.NoError(t, err)
			require.True(t, r.DuplicateDelivery)
			require.Equal(t, first.Events[0].ID, r.First)
			require.Empty(t, r.Events)
			require.Len(t, b.events(t, "s"), 1)
			require.Zero(t, b.status(t, "s").ConsecutiveFailures)
			require.Empty(t, b.stored(t, false, start))
			b.reopen(t)
		}
	}},
	{"SentTwiceAtOnceWriteOnce", func(t *testing.T, h Harness) {
		g := newGate()
		b := setup(t, h, Settings{Failpoint: g.failpoint})
		var units []store.Unit
		for i := range 8 {
			units = append(units, b.delivery("k", fact("s", fmt.Sprint(i))))
		}
		firsts := map[string]int{}
		for _, r := range together(t, b, g, units) {
			require.NoError(t, r.err)
			if r.receipt.DuplicateDelivery {
				firsts[r.receipt.First]++
			}
		}
		events := b.events(t, "s")
		require.Len(t, events, 1)
		require.Equal(t, map[string]int{events[0].ID: 7}, firsts)
	}},
	{"HaveEventsAsLargeAsTheirBodies", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		large := fact("s", "1")
		large.Payload = []byte(`"` + strings.Repeat("x", 25<<20-2) + `"`)
		_, err := b.Commit(t.Context(), b.unit(large))
		require.ErrorIs(t, err, store.ErrInvalid, "a page can be asked for less")
		b.commit(t, b.delivery("k", large))
		events := b.events(t, "s")
		require.Len(t, events, 1)
		require.True(t, bytes.Equal(large.Payload, events[0].Payload), "the payload was changed")
	}},
	{"OfOtherEndpointsAndConnectionsAreOthers", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.delivery("k", fact("s", "1")))
		u := b.delivery("k", fact("s", "2"))
		u.Reserve.Endpoint = "other"
		require.False(t, b.commit(t, u).DuplicateDelivery)
		u = b.delivery("k", fact("s", "2"))
		u.ConnectionID = b.connection(t, "other").ID
		require.False(t, b.commit(t, u).DuplicateDelivery)
	}},
	{"AreRememberedForSevenDays", func(t *testing.T, h Harness) {
		var now atomic.Int64
		now.Store(start.UnixMicro())
		b := setup(t, h, Settings{Clock: func() time.Time { return time.UnixMicro(now.Load()) }})
		b.commit(t, b.delivery("k", fact("s", "1")))
		now.Add((groupcommit.DeliveryKeyAge - time.Second).Microseconds())
		require.NoError(t, h.Trim(t.Context(), b.Store))
		r, err := b.Commit(t.Context(), b.delivery("k"))
		require.NoError(t, err)
		require.True(t, r.DuplicateDelivery)
		now.Add((2 * time.Second).Microseconds())
		require.NoError(t, h.Trim(t.Context(), b.Store))
		r = b.commit(t, b.delivery("k", fact("s", "1")))
		require.False(t, r.DuplicateDelivery)
		require.Equal(t, 1, r.Duplicates, "the event's key must outlive the delivery's")
	}},
	{"StoredComeBackWhenDueInOrderOfReceipt", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for i, due := range []time.Duration{2 * time.Hour, time.Hour, time.Minute} {
			u := b.unit()
			u.Keep = &store.StoredDelivery{
				ID: fmt.Sprintf("dlv_%d", i), Endpoint: "stripe", Key: "k", ReceivedAt: start.Add(time.Duration(-i) * time.Second),
				Header: []byte(`{"A":["b"]}`), Body: []byte("\x00\xff\n"), Attempts: 1, NextAttemptAt: start.Add(due), LastError: "boom",
			}
			b.commit(t, u)
		}
		require.Empty(t, b.stored(t, false, start))
		list := b.stored(t, false, start.Add(time.Hour))
		require.Len(t, list, 2)
		require.Equal(t, []string{"dlv_2", "dlv_1"}, []string{list[0].ID, list[1].ID})
		require.Equal(t, store.StoredDelivery{
			ID: "dlv_1", ConnectionID: b.con.ID, Endpoint: "stripe", Key: "k", ReceivedAt: start.Add(-time.Second), Header: []byte(`{"A":["b"]}`),
			Body: []byte("\x00\xff\n"), Attempts: 1, NextAttemptAt: start.Add(time.Hour), LastError: "boom",
		}, list[1])
		all, err := b.StoredDeliveries(t.Context(), "", false, start.Add(24*time.Hour), 1)
		require.NoError(t, err)
		require.Len(t, all, 1, "the limit was not kept")
	}},
	{"StoredAreSettledWithTheirEvents", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.delivery("k")
		u.Keep = &store.StoredDelivery{ID: "dlv_k", Endpoint: "stripe", ReceivedAt: start, NextAttemptAt: start}
		b.commit(t, u)
		require.Len(t, b.stored(t, false, start), 1)
		u = b.unit(fact("s", "1"))
		u.Settle = "dlv_k"
		b.commit(t, u)
		require.Empty(t, b.stored(t, false, start))
		require.Len(t, b.events(t, "s"), 1)
		r, err := b.Commit(t.Context(), b.delivery("k", fact("s", "1")))
		require.NoError(t, err)
		require.True(t, r.DuplicateDelivery, "a settled delivery was forgotten")
	}},
	{"StoredBecomeDeadLetters", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		keep := store.StoredDelivery{ID: "dlv_k", Endpoint: "stripe", ReceivedAt: start, NextAttemptAt: start, Attempts: 1}
		u := b.unit()
		u.Keep = &keep
		b.commit(t, u)
		keep.Dead, keep.NextAttemptAt, keep.Attempts, keep.LastError = true, time.Time{}, 9, "gave up"
		u = b.unit()
		u.Keep = &keep
		b.commit(t, u)
		require.Empty(t, b.stored(t, false, start.Add(time.Hour)))
		dead := b.stored(t, true, time.Time{})
		require.Len(t, dead, 1)
		require.Equal(t, 9, dead[0].Attempts)
		require.True(t, dead[0].Dead)
		require.True(t, dead[0].NextAttemptAt.IsZero())
	}},
	{"StoredAreListedNewestFirstWithoutBodiesAndCounted", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.connection(t, "other")
		var want []store.DeliverySummary
		for i := range 5 {
			keep := store.StoredDelivery{
				ID: fmt.Sprintf("dlv_%d", i), Endpoint: "stripe", Key: "k", ReceivedAt: start.Add(time.Duration(i) * time.Second), Header: []byte("{}"),
				Body: make([]byte, i*10_000), Attempts: i + 1, NextAttemptAt: start.Add(time.Hour), LastError: "boom",
			}
			if i%2 == 1 {
				keep.Dead, keep.NextAttemptAt = true, time.Time{}
			}
			u := b.unit()
			u.Keep = &keep
			b.commit(t, u)
			want = append([]store.DeliverySummary{{
				ID: keep.ID, ConnectionID: b.con.ID, Endpoint: "stripe", Key: "k", ReceivedAt: keep.ReceivedAt, Attempts: keep.Attempts,
				NextAttemptAt: keep.NextAttemptAt, State: store.StateOf(keep.Dead, 0), LastError: "boom", BodyBytes: int64(len(keep.Body)),
			}}, want...)
		}
		u := b.unit()
		u.ConnectionID, u.Keep = other.ID, &store.StoredDelivery{ID: "dlv_x", Endpoint: "e", NextAttemptAt: start}
		b.commit(t, u)
		for _, c := range []struct {
			state  store.DeliveryState
			before string
			limit  int
			want   []store.DeliverySummary
		}{
			{"", "", 100, want},
			{"", "dlv_3", 2, want[2:4]},
			{store.DeliveryDead, "", 100, []store.DeliverySummary{want[1], want[3]}},
			{store.DeliveryDead, "dlv_3", 100, []store.DeliverySummary{want[3]}},
			{store.DeliveryWaiting, "", 1, want[:1]},
			{store.DeliveryWaiting, "dlv_0", 1, nil},
		} {
			got, err := b.Deliveries(t.Context(), b.con.ID, c.state, c.before, c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, got, c)
		}
		counts, err := b.DeliveryCounts(t.Context(), "")
		require.NoError(t, err)
		require.ElementsMatch(t, []store.DeliveryCount{{ConnectionID: b.con.ID, Waiting: 3, Dead: 2, Bytes: 100_010}, {ConnectionID: other.ID, Waiting: 1}}, counts)
		counts, err = b.DeliveryCounts(t.Context(), other.ID)
		require.NoError(t, err)
		require.Equal(t, []store.DeliveryCount{{ConnectionID: other.ID, Waiting: 1}}, counts)
	}},
}

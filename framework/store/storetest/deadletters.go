package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// give keeps n deliveries that were given up, one a minute from start on: dlv_0, dlv_1, …
func (b *bundle) give(t *testing.T, n int, change ...func(i int, d *store.StoredDelivery)) {
	t.Helper()
	for i := range n {
		u := b.unit()
		u.Keep = &store.StoredDelivery{
			ID: fmt.Sprintf("dlv_%d", i), Endpoint: []string{"stripe", "other"}[i%2], Key: "k", ReceivedAt: start.Add(time.Duration(i) * time.Minute),
			Header: []byte(`{}`), Body: []byte("12345678"), Attempts: 3, Dead: true, LastError: "boom", WrittenAt: start,
		}
		for _, f := range change {
			f(i, u.Keep)
		}
		b.commit(t, u)
	}
}

func kept(_ int, d *store.StoredDelivery) { d.Dead, d.Kept, d.LastError = false, true, "" }

// ids lists what is there in a state, oldest first.
func (b *bundle) ids(t *testing.T, state store.DeliveryState) []string {
	t.Helper()
	list, err := b.Deliveries(t.Context(), b.con.ID, state, "", 100)
	require.NoError(t, err)
	out := []string{}
	for _, d := range list {
		require.Equal(t, state, d.State)
		out = append([]string{d.ID}, out...)
	}
	return out
}

func (b *bundle) dead(id string) store.DeliveryRange {
	return store.DeliveryRange{ConnectionID: b.con.ID, State: store.DeliveryDead, ID: id}
}

var deadLetters = []contract{
	{"AreReadWhole", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 1, func(_ int, d *store.StoredDelivery) { d.Body = []byte("\x00\xff\n") })
		got, err := b.StoredDelivery(t.Context(), b.con.ID, "dlv_0")
		require.NoError(t, err)
		require.Equal(t, store.StoredDelivery{
			ID: "dlv_0", ConnectionID: b.con.ID, Endpoint: "stripe", Key: "k", ReceivedAt: start, Header: []byte(`{}`), Body: []byte("\x00\xff\n"),
			Attempts: 3, Dead: true, LastError: "boom", WrittenAt: start,
		}, got)
		_, err = b.StoredDelivery(t.Context(), b.con.ID, "dlv_1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = b.StoredDelivery(t.Context(), b.connection(t, "other").ID, "dlv_0")
		require.ErrorIs(t, err, store.ErrNotFound, "a connection read the delivery of another")
	}},
	{"WaitAgainOneAfterTheOther", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 5)
		other := b.connection(t, "other")
		u := b.unit()
		u.ConnectionID, u.Keep = other.ID, &store.StoredDelivery{ID: "dlv_0", Endpoint: "stripe", Header: []byte("{}"), Dead: true}
		b.commit(t, u)
		at := start.Add(time.Hour)
		n, err := b.Redeliver(t.Context(), b.dead(""), at, 0, time.Second, 3)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = b.Redeliver(t.Context(), b.dead(""), at, 3, time.Second, 3)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = b.ClampDeliveries(t.Context(), at)
		require.NoError(t, err)
		require.Zero(t, n, "the waits seem to begin in the future")
		require.Empty(t, b.stored(t, false, at.Add(-time.Microsecond)))
		for i, want := range []string{"dlv_0", "dlv_1", "dlv_2", "dlv_3", "dlv_4"} {
			list := b.stored(t, false, at.Add(time.Duration(i)*time.Second))
			require.Len(t, list, i+1)
			require.Equal(t, want, list[i].ID)
			require.Equal(t, at.Add(time.Duration(i)*time.Second), list[i].NextAttemptAt)
			require.Empty(t, list[i].LastError)
			require.Equal(t, 3, list[i].Attempts)
		}
		counts, err := b.DeliveryCounts(t.Context(), other.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, counts[0].Dead, "the delivery of another connection waits")
	}},
	{"AreSelectedByIDEndpointAndTime", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for _, c := range []struct {
			r    store.DeliveryRange
			want []string
		}{
			{store.DeliveryRange{ID: "dlv_2"}, []string{"dlv_2"}},
			{store.DeliveryRange{ID: "dlv_9"}, []string{}},
			{store.DeliveryRange{Endpoint: "other"}, []string{"dlv_1", "dlv_3"}},
			{store.DeliveryRange{From: start.Add(time.Minute), To: start.Add(3 * time.Minute)}, []string{"dlv_1", "dlv_2"}},
			{store.DeliveryRange{State: store.DeliveryKept}, []string{}},
			{store.DeliveryRange{}, []string{"dlv_0", "dlv_1", "dlv_2", "dlv_3"}},
		} {
			b.give(t, 4)
			c.r.ConnectionID = b.con.ID
			if c.r.State == "" {
				c.r.State = store.DeliveryDead
			}
			n, err := b.Redeliver(t.Context(), c.r, start, 0, 0, 100)
			require.NoError(t, err)
			require.Equal(t, len(c.want), n)
			require.Equal(t, c.want, b.ids(t, store.DeliveryWaiting))
			require.NoError(t, b.DeleteConnection(t.Context(), b.con.ID))
			b.con = b.connection(t, b.con.Name)
		}
	}},
	{"OneThatWaitsIsTakenAtOnceOrErased", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 3, func(i int, d *store.StoredDelivery) {
			if i < 2 {
				d.Dead, d.NextAttemptAt = false, start.Add(time.Hour)
			}
		})
		waiting := store.DeliveryRange{ConnectionID: b.con.ID, State: store.DeliveryWaiting, ID: "dlv_0"}
		n, err := b.Redeliver(t.Context(), waiting, start, 0, 0, 100)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		due := b.stored(t, false, start)
		require.Len(t, due, 1)
		require.Equal(t, "dlv_0", due[0].ID)
		n, err = b.Discard(t.Context(), waiting, "not wanted", start.Add(time.Hour), 100)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		waiting.ID = "dlv_2"
		n, err = b.Redeliver(t.Context(), waiting, start, 0, 0, 100)
		require.NoError(t, err)
		require.Zero(t, n, "a dead letter does not wait")
		require.Equal(t, []string{"dlv_1"}, b.ids(t, store.DeliveryWaiting))
		require.Equal(t, []string{"dlv_2"}, b.ids(t, store.DeliveryDead))
		list, err := b.Deliveries(t.Context(), b.con.ID, store.DeliveryDiscarded, "", 100)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "not wanted", list[0].Note)
		require.Zero(t, list[0].NextAttemptAt)
		counts, err := b.DeliveryCounts(t.Context(), b.con.ID)
		require.NoError(t, err)
		require.Equal(t, []store.DeliveryCount{{ConnectionID: b.con.ID, Waiting: 1, Dead: 1, Bytes: 20}}, counts)
	}},
	{"AreErasedWithTheReason", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 2)
		n, err := b.Discard(t.Context(), b.dead("dlv_0"), "asked for by the customer", start.Add(time.Hour), 100)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, []string{"dlv_1"}, b.ids(t, store.DeliveryDead))
		list, err := b.Deliveries(t.Context(), b.con.ID, store.DeliveryDiscarded, "", 100)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "asked for by the customer", list[0].Note)
		require.Zero(t, list[0].BodyBytes)
		_, err = b.StoredDelivery(t.Context(), b.con.ID, "dlv_0")
		require.ErrorIs(t, err, store.ErrNotFound)
		n, err = b.Redeliver(t.Context(), b.dead("dlv_0"), start, 0, 0, 100)
		require.NoError(t, err)
		require.Zero(t, n, "nothing is left to redeliver")
		bounds := store.DeliveryBounds{Rows: 100, Bytes: 1 << 20}
		n, err = b.TrimDeliveries(t.Context(), b.con.ID, start.Add(time.Hour-time.Microsecond), bounds, 100)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = b.TrimDeliveries(t.Context(), b.con.ID, start.Add(time.Hour), bounds, 100)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Empty(t, b.ids(t, store.DeliveryDiscarded))
		require.Equal(t, []string{"dlv_1"}, b.ids(t, store.DeliveryDead), "a dead letter was removed")
	}},
	{"HandledOnesAreKeptWithinTheirBounds", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 6, kept, func(i int, d *store.StoredDelivery) { d.ExpiresAt = start.Add(time.Duration(i+1) * time.Hour) })
		require.Empty(t, b.stored(t, true, start), "a handled delivery counts as given up")
		require.Empty(t, b.stored(t, false, start.Add(1000*time.Hour)), "a handled delivery waits")
		counts, err := b.DeliveryCounts(t.Context(), b.con.ID)
		require.NoError(t, err)
		require.Empty(t, counts)
		trim := func(at time.Time, rows, bytes int64, left ...string) {
			_, err := b.TrimDeliveries(t.Context(), b.con.ID, at, store.DeliveryBounds{Rows: rows, Bytes: bytes}, 100)
			require.NoError(t, err)
			require.Equal(t, left, b.ids(t, store.DeliveryKept))
		}
		trim(start.Add(time.Hour), 100, 1<<20, "dlv_1", "dlv_2", "dlv_3", "dlv_4", "dlv_5")
		trim(start, 4, 1<<20, "dlv_2", "dlv_3", "dlv_4", "dlv_5")
		trim(start, 100, 29, "dlv_4", "dlv_5")
		got, err := b.StoredDelivery(t.Context(), b.con.ID, "dlv_5")
		require.NoError(t, err)
		require.True(t, got.Kept)
		require.False(t, got.Dead)
		require.Equal(t, start.Add(6*time.Hour), got.ExpiresAt)
		n, err := b.Redeliver(t.Context(), store.DeliveryRange{ConnectionID: b.con.ID, State: store.DeliveryKept}, start, 0, 0, 100)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		waiting := b.stored(t, false, start)
		require.Len(t, waiting, 2)
		require.Equal(t, start.Add(5*time.Hour), waiting[0].ExpiresAt)
		// No bound of theirs removes what waits or was given up.
		b.give(t, 4, func(i int, d *store.StoredDelivery) { d.ID, d.Dead = fmt.Sprintf("dlv_0%d", i), i > 1 })
		trim(start.Add(time.Hour), 0, 0, []string{}...)
		require.Equal(t, []string{"dlv_00", "dlv_01", "dlv_4", "dlv_5"}, b.ids(t, store.DeliveryWaiting))
		require.Equal(t, []string{"dlv_02", "dlv_03"}, b.ids(t, store.DeliveryDead))
	}},
	{"AreCountedWithTheirBytes", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.give(t, 3, func(i int, d *store.StoredDelivery) { d.Dead = i > 0 })
		counts, err := b.DeliveryCounts(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, []store.DeliveryCount{{ConnectionID: b.con.ID, Waiting: 1, Dead: 2, Bytes: 30}}, counts)
	}},
	{"AWaitThatBeganInTheFutureBeginsAgain", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		// The clock was a day ahead when the first two were stored.
		b.give(t, 3, func(i int, d *store.StoredDelivery) {
			d.Dead, d.WrittenAt = false, start.Add(24*time.Hour)
			if i == 2 {
				d.WrittenAt = start
			}
			d.NextAttemptAt = d.WrittenAt.Add(time.Duration(i+1) * time.Minute)
		})
		n, err := b.ClampDeliveries(t.Context(), start)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		for i := range 3 {
			require.Empty(t, b.stored(t, false, start.Add(time.Duration(i+1)*time.Minute-time.Microsecond))[i:])
			require.Len(t, b.stored(t, false, start.Add(time.Duration(i+1)*time.Minute)), i+1)
		}
		n, err = b.ClampDeliveries(t.Context(), start)
		require.NoError(t, err)
		require.Zero(t, n)
	}},
}

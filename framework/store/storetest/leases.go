package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

var leases = []contract{
	{"AreNotNeededForADelivery", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.unit(fact("s", "1"))
		u.Epoch = 0
		u.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k1", DeliveryID: "dlv_1"}
		u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true}}
		require.False(t, u.NeedsLease())
		require.Equal(t, 1, b.commit(t, u).Appended)
		kept := b.unit()
		kept.Epoch = 0
		kept.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k2", DeliveryID: "dlv_2"}
		kept.Keep = &store.StoredDelivery{ID: "dlv_2", Endpoint: "e", Key: "k2", ReceivedAt: start, NextAttemptAt: start}
		kept.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "no", Class: "bug"}}}
		b.commit(t, kept)
		require.Equal(t, 1, b.status(t, "s").ConsecutiveFailures)
	}},
	{"AreNeededForWhatOnlyTheHolderDoes", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		due := start.Add(time.Minute)
		for name, change := range map[string]func(*store.Unit){
			"checkpoint": func(u *store.Unit) { u.Checkpoint = move("", "c1") },
			"run": func(u *store.Unit) {
				u.Run = &store.RunWrite{Run: store.Run{ID: "run_1", Stream: "s", State: store.RunRunning}}
			},
			"due time":  func(u *store.Unit) { u.Streams = []store.StreamWrite{{Stream: "s", NextRunAt: &due}} },
			"run count": func(u *store.Unit) { u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true, Runs: 1}} },
			"state":     func(u *store.Unit) { u.State = []store.StateWrite{{Name: "a/b", Value: []byte("1")}} },
			"settling":  func(u *store.Unit) { u.Settle = "dlv_1" },
			"keeping again": func(u *store.Unit) {
				u.Keep = &store.StoredDelivery{ID: "dlv_1", Endpoint: "e", Key: "k", ReceivedAt: start, NextAttemptAt: start}
			},
		} {
			u := b.unit(fact("s", "1"))
			u.Epoch = 0
			change(&u)
			_, err := b.Commit(t.Context(), u)
			require.ErrorIs(t, err, store.ErrFenced, name)
		}
		b.requireUntouched(t, "", 0)
	}},
	{"AreHeldForEveryConnection", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		held, _ := b.Shards()
		epoch, ok := b.Epoch(b.con.ID)
		require.True(t, ok)
		require.Positive(t, epoch)
		require.Equal(t, epoch, held.Of(b.con.ID))
		require.NotContains(t, held, int64(0), "one process alone has all shards")
	}},
}

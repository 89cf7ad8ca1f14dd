package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// A process that was asleep past its lease, in the middle of a request, sends
// nothing more and writes nothing; the next one sends the same event with its id.
func TestAProcessThatLostItsLeaseSendsNothingMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, slow, fast := newMemory(), &receiver{delay: time.Minute}, &receiver{}
		m.record(orders, "a", "b")
		old := startEngine(t, m, sink.Spec{Sender: slow, Policy: steady(), Timeout: time.Hour}, orders)
		settle(time.Second)
		m.mu.Lock()
		m.epoch++
		m.mu.Unlock()
		next := startEngine(t, m, sink.Spec{Sender: fast, Policy: steady()}, orders)
		settle(10 * time.Minute)
		require.Equal(t, []string{"a1", "b2"}, fast.received())
		require.Len(t, slow.batches(), 1, "one request was on its way, and no other followed")
		require.Equal(t, []int64{3, 2}, []int64{m.offset(orders).Next, m.offset(orders).Delivered})
		stop(t, old)
		stop(t, next)
	})
}

// A row that a clock far ahead has written does not wait for that day.
func TestAStoredWaitIsClampedWhenTheClockWasWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.record(orders, "a", "b")
		at := store.Position{Source: orders, Sequence: 1}
		m.parked[at] = store.ParkedEvent{Position: at, Attempts: 1, ParkedAt: time.Now(), NextAttemptAt: time.Now().Add(400 * 24 * time.Hour)}
		m.offsets[orders] = store.Offset{ConnectionID: sinkID, Source: orders, Next: 2}
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady(), Order: sink.Unordered}, orders)
		settle(time.Hour)
		require.Equal(t, []string{"b2"}, r.received())
		settle(24 * time.Hour)
		require.Equal(t, []string{"b2", "a1"}, r.received())
		stop(t, e)
	})
}

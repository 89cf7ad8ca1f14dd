package delivery

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

func TestARedeliveryThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 422} })
		m.record(orders, "a", "b")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		letters := m.letters()
		require.Len(t, letters, 2)
		// The entity of the second one was erased.
		m.mu.Lock()
		letters[1].Event, letters[1].Discarded, letters[1].Note = nil, true, "erased"
		m.dead[letters[1].ID] = letters[1]
		m.mu.Unlock()
		_, err := e.Redeliver(t.Context(), sinkID, []string{letters[0].ID, letters[1].ID}, 0, nil)
		require.ErrorIs(t, err, ErrState)
		require.ErrorContains(t, err, "erased")
		stop(t, e)
		require.Len(t, m.letters(), 2, "a dead letter is gone that nobody delivers")
		require.Zero(t, m.rows())
	})
}

func TestWhoAsksForAChangeHearsThatItWasNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.record(orders, "a")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		m.mu.Lock()
		m.epoch++ // another process has the sink now
		m.mu.Unlock()
		require.ErrorIs(t, e.Pause(t.Context(), sinkID), store.ErrFenced)
		require.Empty(t, m.states[StateName])
		stop(t, e)
	})
}

// A commit whose outcome is not known is made again, with what has come since: a
// letter that was redelivered meanwhile stays parked.
func TestWhatIsParkedSinceAFailedCommitStaysParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		status := 500
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: status} })
		m.record(orders, "a")
		e := startEngine(t, m, sink.Spec{Sender: r, Order: sink.Unordered, Policy: sink.Standard{Waits: []time.Duration{time.Minute}, Random: steady().Random}}, orders)
		settle(10 * time.Second)
		require.Equal(t, 1, m.rows())
		r.mu.Lock()
		status = 422
		r.mu.Unlock()
		m.mu.Lock()
		m.unsure, m.slow = errors.New("the connection was lost"), 10*time.Second
		m.mu.Unlock()
		for range 200 {
			if settle(time.Second / 2); len(m.letters()) > 0 {
				break
			}
		}
		letters := m.letters()
		require.Len(t, letters, 1, "it was given up, and the sink has not heard of it yet")
		require.Zero(t, m.rows())
		m.mu.Lock()
		m.unsure, m.slow = nil, 0
		m.mu.Unlock()
		r.mu.Lock()
		status = 500
		r.mu.Unlock()
		n, err := e.Redeliver(t.Context(), sinkID, []string{letters[0].ID}, 0, nil)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		stop(t, e)
		require.Empty(t, m.letters())
		require.Equal(t, 1, m.rows(), "the event is neither parked nor a dead letter")
	})
}

func TestASinkAsksForTheStreamsThatItReadsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		other := store.Source{ConnectionID: "con_other", Stream: "orders"}
		more := store.Source{ConnectionID: orders.ConnectionID, Stream: "more"}
		e := startEngine(t, m, sink.Spec{Sender: &receiver{}, Policy: steady()}, orders, other, more)
		stop(t, e)
		require.Equal(t, []store.Source{orders, other, more}, m.asked)
	})
}

func TestDeadLettersAreTakenBackAsFarAsMemoryIsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 400} })
		m.record(orders, "a", "b", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		var ids []string
		for _, letter := range m.letters() {
			ids = append(ids, letter.ID)
		}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 503} })
		large := func([]byte) []byte { return []byte(`"` + strings.Repeat("x", 30<<20) + `"`) }
		_, err := e.Redeliver(t.Context(), sinkID, ids, time.Hour, large)
		require.ErrorIs(t, err, ErrState)
		require.ErrorContains(t, err, "name fewer")
		require.Len(t, m.letters(), 3, "nothing has changed")
		n, err := e.Redeliver(t.Context(), sinkID, ids[:2], time.Hour, large)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		_, err = e.Redeliver(t.Context(), sinkID, ids[2:], 0, large)
		require.ErrorContains(t, err, "are on their way")
		r.answers(nil)
		settle(3 * time.Hour)
		n, err = e.Redeliver(t.Context(), sinkID, ids[2:], 0, large)
		require.NoError(t, err, "there is room again")
		require.Equal(t, 1, n)
		settle(time.Hour)
		stop(t, e)
		require.Zero(t, m.rows())
	})
}

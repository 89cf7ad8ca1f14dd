package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// bury gives a sink dead letters by refusing so many events, and returns its engine.
func bury(t *testing.T, m *memory, r *receiver, spec sink.Spec, count int) *Engine {
	t.Helper()
	r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 400} })
	for i := range count {
		m.record(orders, fmt.Sprint("e", i, "."))
	}
	e := startEngine(t, m, spec, orders)
	settle(time.Minute)
	require.Len(t, m.letters(), count)
	return e
}

// copies are how many bytes of events the store holds beside the log.
func (m *memory) copies() (n, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parked {
		n, bytes = n+1, bytes+len(p.Event)
	}
	return n, bytes
}

func TestAnyNumberOfDeadLettersIsRedeliveredInOrderAtARate(t *testing.T) {
	t.Parallel()
	for _, order := range []sink.Order{sink.Ordered, sink.PerKey, sink.Unordered} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const count = 1300
				m, r := newMemory(), &receiver{}
				// A batch that is given up makes many letters within a millisecond.
				spec := sink.Spec{Sender: r, Policy: steady(), Order: order, InFlight: 1, Batch: sink.Batch{MaxEvents: 100}}
				e := bury(t, m, r, spec, count)
				r.answers(nil)
				n, err := e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{}, 100*time.Millisecond)
				require.NoError(t, err)
				require.Equal(t, count, n)
				n, err = e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{}, 0)
				require.NoError(t, err, "it is going on")
				require.Equal(t, count, n)
				settle(30 * time.Second)
				require.InDelta(t, 300, len(r.received()), 2, "ten a second")
				held, _ := m.copies()
				require.LessOrEqual(t, held, 101, "what is not due within seconds stays a dead letter")
				s, err := e.Snapshot(t.Context(), sinkID)
				require.NoError(t, err)
				require.Len(t, s.Redeliveries, 1)
				require.InDelta(t, 400, s.Redeliveries[0].Taken, 5)

				// It goes on after a restart, with its rate and neither a gap nor a repetition.
				stop(t, e)
				settle(time.Hour)
				e = startEngine(t, m, spec, orders)
				settle(30 * time.Second)
				require.InDelta(t, 700, len(r.received()), 105, "what was due meanwhile, and ten a second")
				settle(2 * time.Minute)
				require.Empty(t, m.letters())
				want := make([]string, count)
				for i := range want {
					want[i] = fmt.Sprint("e", i, ".", i+1)
				}
				if order == sink.Ordered {
					require.Equal(t, want, r.received())
				} else {
					require.ElementsMatch(t, want, r.received())
				}
				s, err = e.Snapshot(t.Context(), sinkID)
				require.NoError(t, err)
				require.Empty(t, s.Redeliveries)
				stop(t, e)
				require.Zero(t, m.rows())
				states, err := m.States(t.Context(), sinkID, stateRedelivery)
				require.NoError(t, err)
				require.Empty(t, states)
			})
		})
	}
}

func TestLargeDeadLettersAreRedeliveredWithBoundedMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const count, each = 70, 1 << 20 // more than a sink takes back by their ids
		m, r := newMemory(), &receiver{delay: 10 * time.Millisecond}
		large := []byte(`"` + strings.Repeat("x", each) + `"`)
		for i := range count {
			m.record(orders, fmt.Sprint("e", i, "."))
			m.events[orders][i].Payload = large
		}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 400} })
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady(), Order: sink.Unordered}, orders)
		settle(time.Minute)
		require.Len(t, m.letters(), count)
		most := 0
		r.answers(func([]*sink.Message) sink.Answer {
			_, bytes := m.copies()
			most = max(most, bytes)
			return sink.Answer{Status: 200}
		})
		n, err := e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{}, 0)
		require.NoError(t, err)
		require.Equal(t, count, n)
		settle(10 * time.Minute)
		require.Len(t, r.received(), count)
		require.Empty(t, m.letters())
		require.Positive(t, most)
		require.LessOrEqual(t, most, raisedBytes+raisedBytes/2+2*each)
		stop(t, e)
		require.Zero(t, m.rows())
	})
}

func TestWhatFailsAgainIsNotRedeliveredForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		e := bury(t, m, r, sink.Spec{Sender: r, Policy: steady(), Order: sink.Unordered}, 600)
		tried := len(r.batches())
		r.mu.Lock()
		r.delay = 10 * time.Millisecond // so that letters come back while others are still to be taken
		r.mu.Unlock()
		_, err := e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{}, 0)
		require.NoError(t, err)
		settle(20 * time.Second)
		require.Len(t, r.batches(), tried+600, "once each")
		require.Len(t, m.letters(), 600, "and all are dead letters again")
		stop(t, e)
	})
}

func TestARedeliveryIsSelectedCanceledAndSkipsWhatIsSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		e := bury(t, m, r, sink.Spec{Sender: r, Policy: steady()}, 30)
		letters := m.letters()
		r.answers(nil)
		n, err := e.RedeliverAll(t.Context(), sinkID, "rdl_0", store.DeadEvents{Source: store.Source{ConnectionID: "con_other", Stream: "orders"}}, 0)
		require.NoError(t, err)
		require.Zero(t, n)
		_, err = e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{Source: orders}, time.Minute)
		require.NoError(t, err)
		settle(time.Second)
		require.NoError(t, e.Discard(t.Context(), sinkID, []string{letters[1].ID}, "a test"))
		m.mu.Lock()
		erased := m.dead[letters[2].ID]
		erased.Event = nil
		m.dead[letters[2].ID] = erased
		m.mu.Unlock()
		settle(3 * time.Minute)
		require.Equal(t, []string{"e0.1", "e3.4", "e4.5", "e5.6"}[:len(r.received())], r.received())
		require.GreaterOrEqual(t, len(r.received()), 3)
		require.NoError(t, e.CancelRedelivery(t.Context(), sinkID, "rdl_1"))
		require.ErrorIs(t, e.CancelRedelivery(t.Context(), sinkID, "rdl_1"), store.ErrNotFound)
		settle(time.Hour)
		got := len(r.received())
		require.Less(t, got, 6)
		require.Len(t, m.letters(), 30-got)
		for i := range maxRedeliveries + 1 {
			if _, err = e.RedeliverAll(t.Context(), sinkID, fmt.Sprint("rdl_m", i), store.DeadEvents{}, time.Hour); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, ErrState, "there is a limit")
		stop(t, e)
	})
}

func TestARedeliveryGoesOnAfterACommitThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		e := bury(t, m, r, sink.Spec{Sender: r, Policy: steady(), Order: sink.Unordered}, 700)
		r.answers(nil)
		_, err := e.RedeliverAll(t.Context(), sinkID, "rdl_1", store.DeadEvents{}, time.Millisecond)
		require.NoError(t, err)
		m.mu.Lock()
		m.refuse = errors.New("disk is full")
		m.mu.Unlock()
		settle(10 * time.Second)
		m.mu.Lock()
		m.refuse = nil
		m.mu.Unlock()
		settle(time.Minute)
		require.Len(t, r.received(), 700)
		require.Empty(t, m.letters())
		stop(t, e)
		require.Zero(t, m.rows())
	})
}

func TestALetterHoldsNoMoreThanItsPartOfTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		head := "POST https://receiver.example/hook\nContent-Type: application/json\n"
		r.answers(func([]*sink.Message) sink.Answer {
			return sink.Answer{Status: 500, Request: []byte(head), Body: []byte(strings.Repeat("y", 1<<20))}
		})
		m.record(orders, "a", "b", "c")
		m.events[orders][2].Payload = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
		policy := sink.Standard{MaxAttempts: 1}
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: policy, Batch: sink.Batch{MaxEvents: 3, MaxBytes: 4 << 20}}, orders)
		settle(time.Minute)
		stop(t, e)
		letters := m.letters()
		require.Len(t, letters, 3)
		require.Equal(t, head+"\n(one of 3 events in the body; its part of it:)\n"+`{"n": 1}`, string(letters[0].Request))
		require.Less(t, len(letters[2].Request), store.MaxRequestBytes+100)
		require.Regexp(t, `x\n\(\d+ more bytes\)$`, string(letters[2].Request))
		require.Len(t, letters[2].Response, store.MaxResponseBytes)
		require.LessOrEqual(t, cap(letters[2].Response), 2*store.MaxResponseBytes, "the rest is not kept")
	})
}

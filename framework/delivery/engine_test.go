package delivery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// settle lets virtual time pass until nothing is left to do for a while.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func stop(t testing.TB, e *Engine) {
	t.Helper()
	require.NoError(t, e.Stop(t.Context()))
}

func has(batch []*sink.Message, subject string) bool {
	return slices.ContainsFunc(batch, func(m *sink.Message) bool { return m.Event.Subject == subject })
}

func TestEventsAreDeliveredInOrderAndTheOffsetFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.record(orders, "a", "b", "unwanted", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		require.Equal(t, []string{"a1", "b2", "c4"}, r.received())
		require.Equal(t, int64(5), m.offset(orders).Next)
		require.Equal(t, int64(3), m.offset(orders).Delivered)

		e.Wake(orders.ConnectionID, orders.Stream, m.record(orders, "d"))
		synctest.Wait()
		require.Equal(t, []string{"a1", "b2", "c4", "d5"}, r.received(), "no wait when something was recorded")
		stop(t, e)
		require.Equal(t, int64(6), m.offset(orders).Next, "the end commits")
	})
}

func TestAnOrderedStreamIsHeldByAFailingEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func(batch []*sink.Message) sink.Answer {
			if has(batch, "b") {
				return sink.Answer{Status: 500}
			}
			return sink.Answer{Status: 200}
		})
		m.record(orders, "a", "b", "c")
		other := store.Source{ConnectionID: "con_shop", Stream: "others"}
		m.record(other, "x")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Standard{Waits: []time.Duration{time.Hour}}}, orders, other)
		settle(time.Minute)
		require.ElementsMatch(t, []string{"a1", "x1"}, r.received(), "the other stream goes on")
		o := m.offset(orders)
		require.Equal(t, []any{int64(2), "500 Internal Server Error", 1}, []any{o.Next, o.LastError, o.ConsecutiveFailures})
		stop(t, e)

		// A new process waits as long as was left, and knows the attempts.
		attempts := len(r.batches())
		e = startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Standard{Waits: []time.Duration{time.Hour}}}, orders, other)
		settle(50 * time.Minute)
		require.Len(t, r.batches(), attempts)
		r.answers(nil)
		settle(20 * time.Minute)
		require.ElementsMatch(t, []string{"a1", "x1", "b2", "c3"}, r.received())
		require.Zero(t, m.rows(), "the row that held the stream is gone")
		stop(t, e)
	})
}

func TestGivenUpEventsBecomeDeadLettersAndTheStreamGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func(batch []*sink.Message) sink.Answer {
			if has(batch, "b") {
				return sink.Answer{Status: 503, Body: []byte("no " + strings.Repeat("x", 20<<10)), Request: []byte("POST /")}
			}
			return sink.Answer{Status: 200}
		})
		m.record(orders, "a", "b", "unreadable", "panics", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Strategy{Backoff: []time.Duration{time.Second, time.Minute}, Strategy: sink.DropMessage}}, orders)
		settle(30 * time.Second)
		require.Equal(t, []string{"a1"}, r.received(), "503 backs off whatever the strategy")
		stop(t, e)
		require.Equal(t, 1, m.rows())

		r.answers(func(batch []*sink.Message) sink.Answer {
			if has(batch, "b") {
				return sink.Answer{Status: 200, Body: []byte(`{"retry":"true"}`), Request: []byte("POST /")}
			}
			return sink.Answer{Status: 200, Body: []byte(`{"retry":false}`)}
		})
		e = startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Strategy{Backoff: []time.Duration{time.Second, time.Minute}, Strategy: sink.DropMessage}}, orders)
		settle(2 * time.Minute)
		stop(t, e)
		require.Equal(t, []string{"a1", "b2", "c5"}, r.received())
		letters := m.letters()
		require.Len(t, letters, 3)
		require.Equal(t, []any{int64(2), 3, 200, "POST /\n" + `{"n": 2}`}, []any{letters[0].Sequence, letters[0].Attempts, letters[0].Status, string(letters[0].Request)})
		require.Contains(t, letters[1].Reason, "no such field")
		require.Contains(t, letters[2].Reason, "panic: prepare")
		event, err := DecodeEvent(letters[0].Event)
		require.NoError(t, err)
		require.Equal(t, `{"n": 2}`, string(event.Payload))
		require.Equal(t, []int64{6, 2, 3}, []int64{m.offset(orders).Next, m.offset(orders).Delivered, m.offset(orders).Dead})
		require.Zero(t, m.rows())
	})
}

func TestAPoisonedEventIsFoundAndTheRestOfItsBatchDelivered(t *testing.T) {
	t.Parallel()
	for _, order := range []sink.Order{sink.Ordered, sink.PerKey, sink.Unordered} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, r := newMemory(), &receiver{}
				r.answers(func(batch []*sink.Message) sink.Answer {
					if has(batch, "poison") {
						return sink.Answer{Status: 422}
					}
					return sink.Answer{Status: 200}
				})
				for i := range 500 {
					if i == 123 {
						m.record(orders, "poison")
					} else {
						m.record(orders, fmt.Sprint("e", i))
					}
				}
				e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady(), Order: order, Batch: sink.Batch{MaxEvents: 500}}, orders)
				settle(5 * time.Second)
				stop(t, e)
				require.Len(t, r.received(), 499)
				require.Len(t, m.letters(), 1)
				require.Equal(t, int64(124), m.letters()[0].Sequence)
				require.Equal(t, int64(501), m.offset(orders).Next)
				if order == sink.Ordered {
					require.True(t, slices.IsSortedFunc(r.received(), func(a, b string) int { return len(a) - len(b) }) || slices.Contains(r.received(), "e499500"))
				}
			})
		})
	}
}

func TestPerKeyHoldsOnlyTheEntityThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func(batch []*sink.Message) sink.Answer {
			if has(batch, "bad") {
				return sink.Answer{Status: 500}
			}
			return sink.Answer{Status: 200}
		})
		m.record(orders, "a", "bad", "bad", "b", "bad", "a")
		spec := sink.Spec{Sender: r, Policy: sink.Standard{Waits: []time.Duration{time.Minute}, MaxAttempts: 100}, Order: sink.PerKey}
		e := startEngine(t, m, spec, orders)
		settle(10 * time.Second)
		require.ElementsMatch(t, []string{"a1", "b4", "a6"}, r.received())
		require.Equal(t, int64(7), m.offset(orders).Next)
		require.Equal(t, 3, m.rows())
		require.Len(t, r.batches(), 4, "what waits behind a parked event is not tried")
		stop(t, e)

		e = startEngine(t, m, spec, orders)
		e.Wake(orders.ConnectionID, orders.Stream, m.record(orders, "bad", "c"))
		settle(10 * time.Second)
		require.ElementsMatch(t, []string{"a1", "b4", "a6", "c8"}, r.received(), "also after a restart")
		r.answers(nil)
		settle(2 * time.Minute)
		stop(t, e)
		require.Equal(t, []string{"bad2", "bad3", "bad5", "bad7"}, r.received()[4:], "in their order")
		require.Zero(t, m.rows())
	})
}

func TestAStoppedSinkKeepsItsOffsetUntilItIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Err: errors.New("connection refused")} })
		m.record(orders, "a", "b")
		spec := sink.Spec{Sender: r, Policy: sink.Strategy{Strategy: sink.StopTask}}
		e := startEngine(t, m, spec, orders)
		settle(time.Second)
		snapshot, err := e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.Equal(t, StateFailed, snapshot.State.Condition)
		require.Contains(t, snapshot.State.Reason, "connection refused")
		require.Len(t, snapshot.Recent, 1)
		require.ErrorIs(t, e.Seek(t.Context(), sinkID, orders, 1), ErrState)
		stop(t, e)

		r.answers(nil)
		e = startEngine(t, m, spec, orders)
		settle(time.Hour)
		require.Empty(t, r.received(), "a failed sink stays failed after a restart of the process")
		require.NoError(t, e.Resume(t.Context(), sinkID))
		settle(time.Second)
		require.Equal(t, []string{"a1", "b2"}, r.received())

		require.NoError(t, e.Halt(t.Context(), sinkID))
		require.NoError(t, e.Seek(t.Context(), sinkID, orders, 2))
		require.NoError(t, e.Resume(t.Context(), sinkID))
		settle(time.Second)
		require.Equal(t, []string{"a1", "b2", "b2"}, r.received())
		require.Zero(t, m.rows())
		stop(t, e)
	})
}

func TestAGoneReceiverAndAnEndlessFailureDisable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 410} })
		m.record(orders, "a")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		snapshot, err := e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.Equal(t, StateDisabled, snapshot.State.Condition)

		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 500} })
		require.NoError(t, e.Resume(t.Context(), sinkID))
		require.NoError(t, e.Remove(t.Context(), sinkID))
		e = startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Standard{MaxAttempts: 1e6}}, orders)
		settle(4 * 24 * time.Hour)
		snapshot, err = e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.Equal(t, StateRunning, snapshot.State.Condition)
		settle(25 * time.Hour)
		snapshot, err = e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.Equal(t, StateDisabled, snapshot.State.Condition)
		stop(t, e)
	})
}

func TestTheBreakerProbesOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{delay: 10 * time.Millisecond}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 503} })
		for i := range 300 {
			m.record(orders, fmt.Sprint(i))
		}
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: sink.Standard{MaxAttempts: 1000}, Order: sink.Unordered, InFlight: 4}, orders)
		settle(10 * time.Minute)
		require.Less(t, len(r.batches()), 30, "a dead endpoint is left alone")
		r.answers(nil)
		settle(3 * time.Hour)
		require.Len(t, r.received(), 300)
		require.LessOrEqual(t, r.most, 4)
		stop(t, e)
		require.Zero(t, m.rows())
	})
}

func TestDeadLettersAreRedeliveredEditedAndDiscarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 400} })
		m.record(orders, "a", "b", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		letters := m.letters()
		require.Len(t, letters, 3)
		var bodies []string
		r.answers(func(batch []*sink.Message) sink.Answer {
			bodies = append(bodies, string(batch[0].Body))
			return sink.Answer{Status: 200}
		})
		n, err := e.Redeliver(t.Context(), sinkID, []string{letters[0].ID, "dlt_settled_meanwhile", letters[1].ID}, time.Minute, func([]byte) []byte { return []byte(`"mended"`) })
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, 2, m.rows())
		require.Len(t, m.letters(), 1)
		_, err = e.Redeliver(t.Context(), sinkID, []string{letters[0].ID}, 0, nil)
		require.ErrorIs(t, err, store.ErrNotFound, "the one that was asked for is gone")
		settle(time.Second)
		require.Equal(t, []string{`"mended"`}, bodies, "one after the other")
		require.Error(t, e.Discard(t.Context(), sinkID, []string{letters[2].ID}, ""))
		require.NoError(t, e.Discard(t.Context(), sinkID, []string{letters[2].ID}, "test data"))
		settle(2 * time.Minute)
		stop(t, e)
		require.Equal(t, []string{"a1", "b2"}, r.received())
		require.Zero(t, m.rows())
		require.Equal(t, "test data", m.letters()[0].Note)
		require.Equal(t, int64(2), m.offset(orders).Delivered)
	})
}

func TestASinkThatRetentionOvertakesFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		stop(t, startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)) // before there were events
		m.record(orders, "a", "b", "c")
		m.trimmed[orders] = 2
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		snapshot, err := e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.Equal(t, StateFailed, snapshot.State.Condition)
		require.Contains(t, snapshot.State.Reason, "data lost")
		require.Contains(t, snapshot.State.Reason, "1 to 2")
		require.Empty(t, r.received())
		stop(t, e)
	})
}

func TestASinkThatIsNewBeginsWithWhatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.record(orders, "a", "b", "c")
		m.trimmed[orders] = 2
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		stop(t, e)
		require.Len(t, r.received(), 1, "c is all that is left")
		require.Equal(t, int64(4), m.offset(orders).Next)
	})
}

func TestLatestBeginsAtTheEndAndMissesNothingThatCameLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		fresh := store.Source{ConnectionID: "con_shop", Stream: "fresh"}
		m.record(orders, "old")
		spec := sink.Spec{Sender: r, Policy: steady(), Start: sink.Latest}
		e := startEngine(t, m, spec, orders, fresh)
		settle(time.Second)
		stop(t, e)
		delete(m.offsets, fresh) // as a real store: a stream without events has no row
		m.record(orders, "new")
		m.record(fresh, "first")
		e = startEngine(t, m, spec, orders, fresh)
		settle(time.Second)
		stop(t, e)
		require.ElementsMatch(t, []string{"new2", "first1"}, r.received())
	})
}

func TestEventsWaitForTheirDelayAndForABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.record(orders, "a", "b", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady(), Delay: time.Minute, Batch: sink.Batch{MaxEvents: 2, Wait: 5 * time.Minute}}, orders)
		settle(59 * time.Second)
		require.Empty(t, r.batches())
		settle(2 * time.Second)
		require.Equal(t, [][]string{{"a1", "b2"}}, r.batches())
		settle(5 * time.Minute)
		require.Equal(t, [][]string{{"a1", "b2"}, {"c3"}}, r.batches())
		stop(t, e)
	})
}

func TestTheDelayCountsFromTheTimeOfTheRecordAndOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		time func(now time.Time) time.Time
		wait time.Duration
	}{
		"now":              {func(now time.Time) time.Time { return now }, time.Minute},
		"half a delay ago": {func(now time.Time) time.Time { return now.Add(-30 * time.Second) }, 30 * time.Second},
		"long ago":         {func(now time.Time) time.Time { return now.Add(-time.Hour) }, 0},
		"none":             {func(time.Time) time.Time { return time.Time{} }, time.Minute},
		"not yet":          {func(now time.Time) time.Time { return now.AddDate(1, 0, 0) }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, r := newMemory(), &receiver{}
				m.record(orders, "a")
				m.events[orders][0].Time = c.time(time.Now())
				var at []time.Duration
				begun := time.Now()
				r.answer = func([]*sink.Message) sink.Answer {
					at = append(at, time.Since(begun).Truncate(time.Second))
					return sink.Answer{Status: map[bool]int{true: 500, false: 200}[len(at) == 1]}
				}
				policy := sink.Strategy{Backoff: []time.Duration{5 * time.Second}}
				e := startEngine(t, m, sink.Spec{Sender: r, Policy: policy, Delay: time.Minute}, orders)
				settle(3 * time.Minute)
				stop(t, e)
				require.Equal(t, []time.Duration{c.wait, c.wait + 5*time.Second}, at, "the delay, and then only the list's wait")
			})
		})
	}
}

func TestAFailingStoreHoldsNothingUpAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.refuse = store.ErrUnavailable
		m.record(orders, "a", "b")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(10 * time.Second)
		require.Equal(t, []string{"a1", "b2"}, r.received())
		require.Less(t, m.commits, 20)
		m.mu.Lock()
		m.refuse = nil
		m.mu.Unlock()
		settle(2 * time.Second)
		require.Equal(t, []int64{3, 2}, []int64{m.offset(orders).Next, m.offset(orders).Delivered})

		m.mu.Lock()
		m.epoch++
		m.mu.Unlock()
		e.Wake(orders.ConnectionID, orders.Stream, m.record(orders, "c"))
		settle(time.Second)
		_, err := e.Snapshot(t.Context(), sinkID)
		require.ErrorIs(t, err, ErrUnknownSink, "a fenced sink ends here")
		require.Equal(t, int64(3), m.offset(orders).Next)
		stop(t, e)
	})
}

func TestAReadThatBringsLessThanWasAskedIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, head := range []int64{0, 1} { // of an old status, the head is less than there is
		synctest.Test(t, func(t *testing.T) {
			m, r := newMemory(), &receiver{}
			m.most, m.head = 2, head
			m.record(orders, "a", "b", "c", "d", "e", "f", "g")
			e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
			settle(time.Second)
			stop(t, e)
			require.Equal(t, []string{"a1", "b2", "c3", "d4", "e5", "f6", "g7"}, r.received())
		})
	}
}

package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

func TestAReplayDeliversARangeAgainAndLeavesTheOffset(t *testing.T) {
	t.Parallel()
	for _, order := range []sink.Order{sink.Ordered, sink.PerKey, sink.Unordered} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, r := newMemory(), &receiver{}
				m.record(orders, "a", "b", "c", "b", "e")
				spec := sink.Spec{Sender: r, Policy: steady(), Order: order, InFlight: 1}
				e := startEngine(t, m, spec, orders)
				settle(time.Second)
				first := len(r.received())
				_, err := e.Replay(t.Context(), sinkID, orders, 6, 9)
				require.ErrorIs(t, err, ErrState, "what is not delivered yet cannot be replayed")

				// One that fails holds the replay of an ordered sink, over a restart too.
				r.answers(func(batch []*sink.Message) sink.Answer {
					if has(batch, "c") {
						return sink.Answer{Status: 500}
					}
					return sink.Answer{Status: 200}
				})
				replay, err := e.Replay(t.Context(), sinkID, orders, 2, 99)
				require.NoError(t, err)
				require.Equal(t, []int64{2, 5}, []int64{replay.From, replay.To})
				settle(time.Second)
				stop(t, e)
				r.answers(nil)
				e = startEngine(t, m, spec, orders)
				settle(time.Hour)
				got := r.received()[first:]
				if order == sink.Ordered {
					require.Equal(t, []string{"b2", "c3", "b4", "e5"}, got)
				} else {
					require.ElementsMatch(t, []string{"b2", "c3", "b4", "e5"}, got)
				}
				require.Equal(t, []int64{6, 9}, []int64{m.offset(orders).Next, m.offset(orders).Delivered})
				s, err := e.Snapshot(t.Context(), sinkID)
				require.NoError(t, err)
				require.Empty(t, s.Replays)
				stop(t, e)
				require.Zero(t, m.rows())
				states, err := m.States(t.Context(), sinkID, stateReplay)
				require.NoError(t, err)
				require.Empty(t, states)
			})
		})
	}
}

func TestAReplayMayBeCanceledAndStopsAtWhatRetentionKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		for i := range 200 {
			m.record(orders, fmt.Sprint("x", i))
		}
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		require.Len(t, r.received(), 200)
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 500} })
		replay, err := e.Replay(t.Context(), sinkID, orders, 1, 200)
		require.NoError(t, err)
		settle(time.Second)
		require.NoError(t, e.CancelReplay(t.Context(), sinkID, replay.ID))
		require.ErrorIs(t, e.CancelReplay(t.Context(), sinkID, replay.ID), store.ErrNotFound)
		r.answers(nil)
		settle(time.Hour)
		require.Len(t, r.received(), 200)

		m.trim(orders, 198)
		_, err = e.Replay(t.Context(), sinkID, orders, 1, 200)
		require.NoError(t, err)
		settle(time.Minute)
		require.Equal(t, []string{"x198199", "x199200"}, r.received()[200:])
		stop(t, e)
	})
}

func TestDeadLettersOfAnOrderedSinkComeAgainInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 422} })
		m.record(orders, "a", "b", "c")
		e := startEngine(t, m, sink.Spec{Sender: r, Policy: steady()}, orders)
		settle(time.Second)
		letters := m.letters()
		failing := 2
		r.answers(func(batch []*sink.Message) sink.Answer {
			if failing--; failing >= 0 {
				return sink.Answer{Status: 500}
			}
			return sink.Answer{Status: 200}
		})
		_, err := e.Redeliver(t.Context(), sinkID, []string{letters[2].ID, letters[0].ID, letters[1].ID}, 0, nil)
		require.NoError(t, err)
		settle(24 * time.Hour)
		stop(t, e)
		require.Empty(t, m.letters())
		require.Equal(t, []string{"a1", "b2", "c3"}, r.received(), "whatever the order they were asked for in")
	})
}

func TestAnOpenBreakerStaysOpenOverARestartAndIsHeardOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		r.answers(func([]*sink.Message) sink.Answer { return sink.Answer{Status: 503} })
		for i := range 100 {
			m.record(orders, fmt.Sprint(i))
		}
		var heard []Happening
		attempts := 0
		begin := func() *Engine {
			e, err := New(Config{
				Store: m, Notice: func(n Notice) { heard = append(heard, n.Happening) }, Attempted: func(Identity, Recent) { attempts++ },
			})
			require.NoError(t, err)
			spec := sink.Spec{Sender: r, Policy: sink.Standard{MaxAttempts: 1000}, Order: sink.Unordered, InFlight: 4}
			require.NoError(t, e.Add(t.Context(), Identity{"default", "out", sinkID}, spec, []store.Source{orders}))
			return e
		}
		e := begin()
		settle(2 * time.Minute)
		before, err := e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.False(t, before.BreakerUntil.IsZero())
		stop(t, e)
		tried := len(r.batches())
		require.Equal(t, tried, attempts)
		e = begin()
		after, err := e.Snapshot(t.Context(), sinkID)
		require.NoError(t, err)
		require.WithinDuration(t, before.BreakerUntil, after.BreakerUntil, 0)
		settle(time.Until(before.BreakerUntil) - time.Millisecond)
		require.Len(t, r.batches(), tried, "no new process asks before the time")
		require.Equal(t, []Happening{BreakerOpened}, heard, "once an outage, also over a restart")
		r.answers(nil)
		settle(3 * time.Hour)
		require.Len(t, r.received(), 100)
		require.Equal(t, []Happening{BreakerOpened, SinkRecovered}, heard)
		stop(t, e)
		states, err := m.States(t.Context(), sinkID, stateBreaker)
		require.NoError(t, err)
		require.Empty(t, states)
	})
}

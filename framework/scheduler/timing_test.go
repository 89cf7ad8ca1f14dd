package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// moments are when something happened.
type moments struct {
	mu sync.Mutex
	at []time.Time
}

func (m *moments) all() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.at)
}

// starts records when a route is called.
func starts(times *moments, then route) route {
	return func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
		times.mu.Lock()
		times.at = append(times.at, time.Now())
		times.mu.Unlock()
		return then(ctx, in, out)
	}
}

func failing(err error) route {
	return func(context.Context, request, *ingest.Buffer) (result, error) { return result{}, err }
}

func TestRunsEveryIntervalFromStartToStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		r.add(r.stream("@every 1m", starts(&calls, func(context.Context, request, *ingest.Buffer) (result, error) {
			<-time.After(20 * time.Second)
			return result{}, nil
		})))
		r.start()
		pass(time.Hour)
		times := calls.all()
		require.Len(t, times, 60)
		for i := 2; i < len(times); i++ { // the first comes at once, without its spread
			require.Equal(t, time.Minute, times[i].Sub(times[i-1]))
		}
	})
}

func TestRunsAtEachTickOfItsCronWithItsSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		in := r.stream("*/15 * * * *", starts(&calls, idle))
		spread := in.Schedule.Spread("con_1.s", time.Now())
		require.NotZero(t, spread)
		in.Status = store.StreamStatus{LastSuccessAt: time.Now().Add(-time.Minute), NextRunAt: time.Now().Add(15*time.Minute + spread)}
		r.add(in)
		r.start()
		pass(24*time.Hour + time.Minute)
		times := calls.all()
		require.Len(t, times, 96)
		for i, at := range times[1:] {
			require.Equal(t, time.Date(2000, 1, 1, 0, 15*(i+2), 0, 0, time.UTC).Add(spread), at.UTC())
		}
	})
}

func TestSpreadsWhatWasMissedWhileDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{Limits: Limits{RunsPerConnection: 1000, Runs: 1000}})
		begun := time.Now()
		var latest atomic.Int64
		for i := range 100 {
			in := r.streamOf("con_1", fmt.Sprintf("s%d", i), "*/15 * * * *", func(context.Context, request, *ingest.Buffer) (result, error) {
				latest.Store(max(latest.Load(), int64(time.Since(begun))))
				return result{}, nil
			})
			in.Status = store.StreamStatus{LastSuccessAt: begun.Add(-10 * time.Hour), NextRunAt: begun.Add(-9 * time.Hour)}
			r.add(in)
		}
		r.start()
		synctest.Wait()
		require.Less(t, len(r.finished()), 10, "they do not all start at once")
		pass(time.Minute)
		require.Len(t, r.finished(), 100, "one run makes up for all missed ticks")
		require.Greater(t, time.Duration(latest.Load()), 30*time.Second)
		require.Equal(t, "start", r.finished()[0].Trigger)
	})
}

func TestGoesOnWithTheStoredDueTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := &stream{Stream: Stream{Schedule: at(t, "0 * * * *")}, key: "con_1.s"}
	spread := e.Schedule.Spread(e.key, now)
	tick := time.Hour + spread
	for name, c := range map[string]struct {
		status  store.StreamStatus
		wait    time.Duration
		trigger string
	}{
		"new":     {store.StreamStatus{}, 0, "start"},
		"in time": {store.StreamStatus{LastSuccessAt: now.Add(-time.Minute), NextRunAt: now.Add(30 * time.Minute)}, 30 * time.Minute, "schedule"},
		"missed":  {store.StreamStatus{LastSuccessAt: now.Add(-2 * time.Hour), NextRunAt: now.Add(-time.Hour)}, spread, "start"},
		"none":    {store.StreamStatus{LastSuccessAt: now.Add(-2 * time.Hour)}, spread, "start"},
		"clock set back a day": {
			store.StreamStatus{LastSuccessAt: now.Add(24 * time.Hour), NextRunAt: now.Add(24*time.Hour + 20*time.Minute)},
			20 * time.Minute, "schedule",
		},
		"schedule was monthly": {store.StreamStatus{LastSuccessAt: now.Add(-time.Hour), NextRunAt: now.Add(500 * time.Hour)}, tick, "schedule"},
		"backoff": {
			store.StreamStatus{LastErrorAt: now.Add(-time.Minute), NextRunAt: now.Add(9 * time.Minute), ConsecutiveFailures: 5, LastErrorClass: "transient"},
			9 * time.Minute, "retry",
		},
		"backoff, clock set back": {
			store.StreamStatus{LastErrorAt: now.Add(300 * time.Hour), NextRunAt: now.Add(300*time.Hour + 10*time.Minute), ConsecutiveFailures: 5, LastErrorClass: "transient"},
			10 * time.Minute, "retry",
		},
		"retry-after longer than the tick, no idea of its start": {
			store.StreamStatus{NextRunAt: now.Add(300 * time.Hour), ConsecutiveFailures: 5, LastErrorClass: "transient"},
			max(tick, framework.MaxRetryAfter+retryAfterJitter), "retry",
		},
		"failed for good": {
			store.StreamStatus{LastErrorAt: now.Add(-time.Minute), NextRunAt: now.Add(40 * time.Minute), ConsecutiveFailures: 5, LastErrorClass: "permanent"},
			40 * time.Minute, "schedule",
		},
		"quarantined": {
			store.StreamStatus{LastErrorAt: now.Add(-time.Minute), ConsecutiveFailures: 3, LastErrorClass: "bug"}, spread, "start",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &stream{Stream: e.Stream, key: e.key}
			e.Status = c.status
			a := firstAppointment(e, now)
			require.Equal(t, c.wait, a.due.Sub(now))
			require.Equal(t, c.trigger, a.trigger)
		})
	}
}

func TestBacksOffTransientFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		r.add(r.stream("@every 24h", starts(&calls, failing(errors.New("down")))))
		r.start()
		pass(20 * time.Hour)
		times := calls.all()
		require.Greater(t, len(times), 20)
		var waits []time.Duration
		for i := 1; i < len(times); i++ {
			ceiling := 15 * time.Minute
			if i < 9 {
				ceiling = min(ceiling, 5*time.Second<<(i-1))
			}
			wait := times[i].Sub(times[i-1])
			require.LessOrEqual(t, wait, ceiling+time.Microsecond, "retry %d", i)
			require.GreaterOrEqual(t, wait, time.Second-time.Microsecond)
			waits = append(waits, wait)
		}
		require.Greater(t, slices.Max(waits), 5*time.Minute, "waits grow")
		status := r.store.status("con_1", "s")
		require.Equal(t, len(times), status.ConsecutiveFailures)
		require.Equal(t, r.state().RetryAt, status.NextRunAt)
		require.Equal(t, "retry", r.store.history()[1].Trigger)
	})
}

func TestARetryWaitsOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		first := newRig(t, m, Config{})
		var calls moments
		down := starts(&calls, failing(framework.RetryAfter(errors.New("slow down"), 30*time.Minute)))
		first.add(first.stream("@every 24h", down))
		first.start()
		pass(10 * time.Minute)
		require.Len(t, calls.all(), 1)
		due := m.status("con_1", "s").NextRunAt
		first.stop()

		m.reopen()
		second := newRig(t, m, Config{})
		second.add(second.stream("@every 24h", down))
		second.start()
		require.Equal(t, due, second.state().RetryAt)
		require.Equal(t, 1, second.state().Failures)
		pass(time.Until(due) - time.Millisecond)
		require.Len(t, calls.all(), 1)
		pass(2 * time.Millisecond)
		require.Len(t, calls.all(), 2)
	})
}

func TestARetryIsNeverLaterThanTheNextTick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		r.add(r.stream("*/5 * * * *", starts(&calls, failing(errors.New("down")))))
		r.start()
		pass(24 * time.Hour)
		times := calls.all()
		for i := 1; i < len(times); i++ {
			require.LessOrEqual(t, times[i].Sub(times[i-1]), 5*time.Minute+30*time.Second)
		}
		require.GreaterOrEqual(t, len(times), 24*12)
	})
}

func TestObeysRetryAfterBeyondTheNextTick(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]time.Duration{
		10 * time.Minute: 10 * time.Minute,
		100 * time.Hour:  time.Hour,
	} {
		t.Run(asked.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				var calls moments
				r.add(r.stream("@every 1m", starts(&calls, failing(framework.RetryAfter(errors.New("429"), asked)))))
				r.start()
				pass(want - time.Millisecond)
				require.Len(t, calls.all(), 1)
				pass(retryAfterJitter + 2*time.Millisecond)
				require.Len(t, calls.all(), 2)
			})
		})
	}
}

func TestOnlyTransientFailuresAreRetriedEarly(t *testing.T) {
	t.Parallel()
	for class, err := range map[framework.Class]error{
		framework.ClassAuth:      framework.Auth(errors.New("401")),
		framework.ClassPermanent: framework.Permanent(errors.New("404")),
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				var calls moments
				r.add(r.stream("@every 1h", starts(&calls, failing(err))))
				r.start()
				pass(time.Hour - time.Second)
				require.Len(t, calls.all(), 1)
				require.Zero(t, r.state().RetryAt)
				require.Equal(t, string(class), r.store.history()[0].ErrorClass)
				require.Equal(t, string(class), r.store.status("con_1", "s").LastErrorClass)
				pass(time.Minute + 2*time.Second)
				require.Len(t, calls.all(), 2)
			})
		})
	}
}

func TestASuccessEndsARowOfFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		calls := 0
		r.add(r.stream("@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
			if calls++; calls < 4 {
				return result{}, errors.New("down")
			}
			return result{}, nil
		}))
		r.start()
		pass(5 * time.Minute)
		require.Equal(t, 4, calls)
		require.Zero(t, r.state().Failures)
		require.Zero(t, r.store.status("con_1", "s").ConsecutiveFailures)
	})
}

// steppable lets a test set the wall clock of a scheduler that is not started.
func steppable(s *Scheduler) *atomic.Int64 {
	step := new(atomic.Int64)
	s.clock.step = func() time.Duration { return time.Duration(step.Load()) }
	return step
}

func TestAWaitIsNoLongerWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		step := steppable(r.s)
		var calls moments
		r.add(r.stream("@every 10m", starts(&calls, idle)))
		r.start()
		pass(time.Minute)
		require.Len(t, calls.all(), 1)
		step.Store(int64(-48 * time.Hour))
		pass(11 * time.Minute)
		require.Len(t, calls.all(), 2)
		pass(10 * time.Minute)
		require.Len(t, calls.all(), 3)
	})
}

func TestAClockSetBackDuringARunDoesNotDelayTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		step := steppable(r.s)
		var calls moments
		r.add(r.stream("@every 10m", starts(&calls, func(context.Context, request, *ingest.Buffer) (result, error) {
			<-time.After(20 * time.Second)
			return result{}, nil
		})))
		r.start()
		pass(10 * time.Second)
		step.Store(int64(-48 * time.Hour))
		pass(12 * time.Minute)
		require.Len(t, calls.all(), 2)
	})
}

func TestWhatIsDueRunsWhenTheClockLeaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		step := steppable(r.s)
		var calls moments
		r.add(r.stream("0 6 * * *", starts(&calls, idle)))
		r.start()
		pass(time.Minute)
		require.Len(t, calls.all(), 1)
		step.Store(int64(7 * time.Hour)) // as after a sleep of the machine
		pass(longestSleep + time.Second)
		require.Len(t, calls.all(), 2)
		require.Equal(t, 2, r.state().Next.Day(), "the next run is tomorrow's")
	})
}

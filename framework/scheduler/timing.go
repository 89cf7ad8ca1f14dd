package scheduler

import (
	"math/rand/v2"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

const (
	// mostSkipped bounds the search for the next tick after a very long run.
	mostSkipped = 10_000
	// retryAfterJitter is the most that is added to a Retry-After, so that the
	// streams of a connection do not all come back at the same moment.
	retryAfterJitter = 10 * time.Second
)

// spreadAt is how long after its tick e runs.
func (e *stream) spreadAt(base time.Time) time.Duration {
	if e.exact {
		return 0
	}
	return e.Schedule.Spread(e.key, base)
}

// nextTick returns the first tick after a run's start that has not gone by yet.
// Counting from the start, and not from the end, keeps the distance of "@every"
// from start to start.
func nextTick(e *stream, trigger string, spreadOfStart time.Duration, started, now time.Time) appointment {
	base := started
	if base.After(now) { // the clock was set back meanwhile
		base = now
	}
	if trigger == triggerSchedule {
		// The run began its spread after the tick; the next tick is counted from
		// the tick, so that spreads do not add up.
		base = base.Add(-spreadOfStart)
	}
	a := appointment{trigger: triggerSchedule, spread: e.spreadAt(base)}
	tick := e.Schedule.Next(base)
	for !tick.Add(a.spread).After(now) {
		if a.skipped++; a.skipped == mostSkipped {
			tick = e.Schedule.Next(now)
			break
		}
		tick = e.Schedule.Next(tick)
	}
	a.due = tick.Add(a.spread)
	return a
}

// firstAppointment is when a stream first runs in this process.
func firstAppointment(e *stream, now time.Time) appointment {
	status := e.Status
	a := appointment{trigger: triggerSchedule, spread: e.spreadAt(now)}
	switch {
	case status.NextRunAt.IsZero() && status.LastSuccessAt.IsZero() && status.ConsecutiveFailures == 0:
		a.trigger, a.due = triggerStart, now
		return a
	case status.ConsecutiveFailures > 0 && framework.Class(status.LastErrorClass) == framework.ClassTransient:
		a.trigger = triggerRetry
	case !status.NextRunAt.After(now):
		a.trigger = triggerStart
	}
	if !status.NextRunAt.After(now) {
		a.due = now.Add(a.spread) // one run for all that was missed
		return a
	}
	a.due = now.Add(storedWait(status, now, e.Schedule.Next(now).Add(a.spread).Sub(now)))
	return a
}

// storedWait is how long a stored due time is waited for. The clock may have
// been set since it was stored, and the schedule may be another one: it is never
// longer than it was when it was stored, nor than any wait may be today.
func storedWait(status store.StreamStatus, now time.Time, untilTick time.Duration) time.Duration {
	wait, most := status.NextRunAt.Sub(now), untilTick
	if status.ConsecutiveFailures > 0 {
		most = max(most, framework.MaxRetryAfter+retryAfterJitter)
	}
	since := status.LastSuccessAt
	if status.LastErrorAt.After(since) {
		since = status.LastErrorAt
	}
	if length := status.NextRunAt.Sub(since); !since.IsZero() && length > 0 {
		most = min(most, length)
	}
	return min(wait, most)
}

// afterFailure is when a stream runs again after its failures-th failure in a
// row. tick is the next tick of its schedule.
func (l Limits) afterFailure(cause error, failures int, tick appointment, now time.Time) appointment {
	if classOf(cause) != framework.ClassTransient {
		return tick
	}
	retry := appointment{trigger: triggerRetry, spread: tick.spread, skipped: tick.skipped}
	if asked := min(framework.RetryDelay(cause), framework.MaxRetryAfter); asked > 0 {
		retry.due = now.Add(asked + rand.N(min(asked/10, retryAfterJitter)+1)) //nolint:gosec // spreads load, no secret
		return retry
	}
	retry.due = now.Add(l.backoff(failures))
	if retry.due.Before(tick.due) {
		return retry
	}
	return tick
}

// backoff draws a wait of full jitter, but never below a fifth of the base: an
// instant retry of what has just failed helps nobody.
func (l Limits) backoff(failures int) time.Duration {
	ceiling := l.BackoffCap
	if shift := failures - 1; shift < 30 {
		ceiling = min(ceiling, l.BackoffBase<<max(shift, 0))
	}
	floor := min(l.BackoffBase/5, ceiling)
	return floor + rand.N(ceiling-floor+1) //nolint:gosec // spreads load, no secret
}

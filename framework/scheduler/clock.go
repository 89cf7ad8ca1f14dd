package scheduler

import "time"

const (
	// longestSleep bounds how long a leap of the wall clock goes unseen.
	longestSleep = 30 * time.Second
	// clockTolerance is how far the clocks may drift apart before due times are
	// looked at again.
	clockTolerance = time.Second
)

// clock tells the two times apart that one time.Time mixes: waits are measured
// on the monotonic clock, and schedules are read on the wall clock.
type clock struct {
	birth time.Time
	// step is how far the wall clock was set since birth, beyond what time.Now
	// knows. Tests set it.
	step func() time.Duration
}

func newClock() clock { return clock{birth: time.Now()} }

// wall is the time of day in UTC, in the precision that stores keep.
func (c clock) wall() time.Time {
	now := time.Now().Round(0).UTC()
	if c.step != nil {
		now = now.Add(c.step())
	}
	return now.Truncate(time.Microsecond)
}

// elapsed is the time since birth, whatever was done to the wall clock.
func (c clock) elapsed() time.Duration { return time.Since(c.birth) }

// drift is how far the wall clock has moved against the monotonic one.
func (c clock) drift() time.Duration {
	return c.wall().Sub(c.birth.Round(0)) - c.elapsed()
}

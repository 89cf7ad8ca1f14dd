package schedule

import (
	"hash/fnv"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when a stream is due. Make one with Parse; the zero value is never due. It is
// immutable and safe for concurrent use.
type Schedule struct {
	spec  string
	zone  *time.Location
	delay time.Duration // of @every, else 0
	table *timetable    // of five fields, else nil
	clock cron.Schedule
}

// IsZero reports whether this is the zero Schedule, as a webhook stream has it.
func (s Schedule) IsZero() bool { return s.clock == nil }

// String is the spec as it was given to Parse.
func (s Schedule) String() string { return s.spec }

// Zone is the name of the zone that the fields are read in: "UTC" when the spec names none.
func (s Schedule) Zone() string {
	if s.zone == nil {
		return time.UTC.String()
	}
	return s.zone.String()
}

const (
	// searchYears is how far the cron library looks ahead before it gives up. February 29 is eight
	// years away around 2100, so one search is not enough.
	searchYears = 5
	// maxSearches bounds the search; two are enough for the calendar alone.
	maxSearches = 8
	// lastYear is the last that RFC 3339 can write; calendar arithmetic far beyond it overflows.
	lastYear = 9999
)

// Next returns the first firing strictly after the given time, in UTC. It is the zero time only for the
// zero Schedule. After the year 9999, which only a broken clock says, it is a day later.
//
// In a zone with daylight saving, a local time that is skipped does not fire that day, and one that is
// repeated fires twice. @every counts from the given time, cut to whole seconds.
func (s Schedule) Next(after time.Time) time.Time {
	if s.clock == nil {
		return time.Time{}
	}
	after = after.Round(0).UTC()
	if after.Year() > lastYear {
		return after.Add(24 * time.Hour)
	}
	if t, ok := search(s.clock, s.zone, after); ok {
		return t
	}
	// No known zone skips the same local time on every matching date for decades. If a zone file says
	// so, being due at that wall time in UTC is better than never.
	if c, ok := s.clock.(*cron.SpecSchedule); ok {
		plain := *c
		plain.Location = time.UTC
		if t, ok := search(&plain, time.UTC, after); ok {
			return t
		}
	}
	return after.Add(24 * time.Hour)
}

func search(c cron.Schedule, zone *time.Location, after time.Time) (time.Time, bool) {
	from := after
	for range maxSearches {
		t := c.Next(from)
		switch {
		case t.IsZero():
			from = time.Date(from.In(zone).Year()+searchYears, time.December, 31, 23, 59, 59, 0, zone).UTC()
		case !t.After(after):
			from = from.Add(time.Minute)
		default:
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// NextN returns the next n firings after the given time, in rising order; none when n is not positive.
// The caller bounds n.
func (s Schedule) NextN(after time.Time, n int) []time.Time {
	if s.clock == nil {
		return nil
	}
	var out []time.Time
	for range n {
		if after = s.Next(after); after.IsZero() {
			break
		}
		out = append(out, after)
	}
	return out
}

// Interval is the time between the next two firings after the given time; a success is late when it is
// overdue by more than that. It varies where the schedule's gaps do: across a weekend, at the end of a
// month, and on the days when the clocks change.
func (s Schedule) Interval(at time.Time) time.Duration {
	next := s.NextN(at, 2)
	if len(next) < 2 {
		return 0
	}
	return next[1].Sub(next[0])
}

const (
	spreadShare = 10          // a spread is below one tenth of the interval
	spreadMost  = time.Minute // and below this
)

// Spread is how long after a firing the stream of that key runs, so that streams with the same
// schedule do not all start at once. It is the same on every node and after every restart, at least 0,
// and less than 10 % of the interval and 60 s. Give it the time that Next was given, and add it to
// what Next returned.
func (s Schedule) Spread(key string, at time.Time) time.Duration {
	room := min(s.Interval(at)/spreadShare, spreadMost)
	if room <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // a hash never fails to write
	return time.Duration(mix(h.Sum64()) % uint64(room)).Truncate(time.Microsecond)
}

// mix lets every bit of the hash touch every other: FNV leaves keys that differ in their last letter
// close together. It is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

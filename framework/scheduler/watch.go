package scheduler

import (
	"math"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// A stream whose runs succeed may still have gone wrong: a filter at the
// provider, a cursor that stands still, a token that sees less. Its runs then
// bring nothing, where they used to bring something.
//
// An alarm is raised after as many runs in a row without a new event as would
// come by chance once in a million times, going by how often runs brought events
// before, and at least [alarmRunsLeast]. It ends with the first new event, so it
// does not come and go. A stream that has hardly ever had events raises none.

const (
	// alarmRunsLeast is the least runs in a row that raise an alarm.
	alarmRunsLeast = 10
	// alarmChance is the natural logarithm of a million, rounded up.
	alarmChance = 14
	// alarmUsualLeast is the part of runs with events below which nothing is
	// expected of a stream, and alarmKnown how many runs must have been seen.
	alarmUsualLeast = 0.05
	alarmKnown      = 10
	// watchMost is after how many runs older ones begin to count less.
	watchMost = 1000
)

// watch is what is known of the events of a stream's runs since the process
// began. It belongs to the runner.
type watch struct {
	runs, hits float64 // before the streak
	// streak counts the runs in a row without a new event since the time since,
	// duplicate those among them that brought known ones.
	streak, duplicate int
	since             time.Time
	raised            *store.Alarm
}

// see adds a run and says whether the alarm has changed.
func (w *watch) see(appended, duplicates int, at time.Time) (changed bool) {
	if appended > 0 {
		w.runs += float64(w.streak) + 1
		w.hits++
		if w.runs > watchMost {
			w.runs, w.hits = w.runs/2, w.hits/2
		}
		w.streak, w.duplicate = 0, 0
		changed, w.raised = w.raised != nil, nil
		return changed
	}
	if w.streak == 0 {
		w.since = at
	}
	w.streak++
	if duplicates > 0 {
		w.duplicate++
	}
	if w.raised != nil || w.runs < alarmKnown || w.hits/w.runs < alarmUsualLeast {
		return false
	}
	usual := w.hits / w.runs
	if w.streak < max(alarmRunsLeast, int(math.Ceil(alarmChance/usual))) {
		return false
	}
	w.raised = &store.Alarm{Kind: store.AlarmZeroEvents, Since: w.since, Runs: w.streak, Usual: usual}
	if w.duplicate == w.streak {
		w.raised.Kind = store.AlarmDuplicatesOnly
	}
	return true
}

func alarmOf(states []store.State, stream string) *store.Alarm {
	for _, s := range states {
		if key, a, ok := store.ReadAlarm(s); ok && key == stream {
			return &a
		}
	}
	return nil
}

// judge watches what a run that succeeded has brought. An alarm that is raised
// or ends is recorded by itself: both are rare.
func (s *Scheduler) judge(e *stream, r *run) {
	if !e.watch.see(r.appended, r.duplicates, r.StartedAt) {
		return
	}
	u := s.unit(e)
	u.State = []store.StateWrite{store.AlarmWrite(e.Key, e.watch.raised)}
	if a := e.watch.raised; a != nil {
		s.logger(e, r).Warn("stream brings nothing new any more", "alarm", a.Kind, "runs", a.Runs, "since", a.Since)
	} else {
		s.logger(e, r).Info("stream brings events again; its alarm ends")
	}
	if _, err := s.commit(e.conn.ctx, u); err != nil && e.conn.ctx.Err() == nil {
		s.logger(e, r).Error("alarm could not be recorded", "err", err)
	}
}

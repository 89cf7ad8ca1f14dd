package health

import (
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// AlarmLate says that a success is overdue. It goes with the state [Late].
const AlarmLate = "late"

// Alarm is what is wrong with the data of a stream, also when its runs succeed.
type Alarm struct {
	// Kind is "late", "zero_events" or "duplicates_only".
	Kind string `json:"kind"`
	// Since is when it began.
	Since *Time `json:"since"`
	// Detail says it for people.
	Detail string `json:"detail"`
}

// alarms lists the alarms of a stream. A stream that nothing runs in has none.
func alarms(f Facts, state State, kept *store.Alarm) []Alarm {
	out := []Alarm{}
	if state == Paused || state == Disabled {
		return out
	}
	if isLate(f) {
		due := f.Status.NextRunAt
		if !f.Status.LastSuccessAt.IsZero() {
			due = f.Schedule.Next(f.Status.LastSuccessAt)
		}
		out = append(out, Alarm{AlarmLate, TimeOrNil(due), fmt.Sprintf("no success since it was due at %s", due.UTC().Format(time.RFC3339))})
	}
	if kept == nil {
		return out
	}
	what := "brought no event"
	if kept.Kind == store.AlarmDuplicatesOnly {
		what = "brought only events that were recorded before"
	}
	return append(out, Alarm{kept.Kind, TimeOrNil(kept.Since), fmt.Sprintf(
		"%d runs in a row, and every one since, %s; before, %d %% of the runs brought new ones. Look whether the provider's filter, permissions or paging have changed",
		kept.Runs, what, int(kept.Usual*100+0.5))})
}

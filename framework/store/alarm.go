package store

import (
	"encoding/json"
	"strings"
	"time"
)

// Alarm says that the data of a stream is not as it used to be, while its runs
// succeed. It is kept among the connection's states.
type Alarm struct {
	// Kind is one of the Alarm constants.
	Kind string `json:"kind"`
	// Since is when the first of the runs was that raised it.
	Since time.Time `json:"since"`
	// Runs is how many runs raised it, and Usual the part of the runs before
	// them, from 0 to 1, that brought events.
	Runs  int     `json:"runs"`
	Usual float64 `json:"usual"`
}

// Kinds of alarms.
const (
	// AlarmZeroEvents says that runs bring nothing that used to bring events.
	AlarmZeroEvents = "zero_events"
	// AlarmDuplicatesOnly says that all that runs bring was recorded before.
	AlarmDuplicatesOnly = "duplicates_only"
)

// AlarmStates is the prefix of the names of alarms among the states.
const AlarmStates = "alarm/"

// AlarmWrite returns the state of a stream's alarm; nil ends it.
func AlarmWrite(stream string, a *Alarm) StateWrite {
	w := StateWrite{Name: AlarmStates + stream}
	if a != nil {
		w.Value, _ = json.Marshal(a) // there is nothing in it that JSON cannot say
	}
	return w
}

// ReadAlarm decodes the state of an alarm. ok is false for any other state.
func ReadAlarm(s State) (stream string, a Alarm, ok bool) {
	stream, ok = strings.CutPrefix(s.Name, AlarmStates)
	if !ok || json.Unmarshal(s.Value, &a) != nil || a.Kind == "" {
		return "", Alarm{}, false
	}
	return stream, a, true
}

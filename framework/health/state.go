package health

import (
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework/store"
)

// State is how a stream is doing.
type State string

// States of a stream. When several are true, the one that an operator must know
// first is the stream's state; [Of] says the order.
const (
	// NeverRun streams have not succeeded yet, and are not overdue.
	NeverRun State = "never_run"
	// Running streams are being read now.
	Running State = "running"
	// Healthy streams succeeded when they were last due.
	Healthy State = "healthy"
	// Late streams should have succeeded more than one interval ago.
	Late State = "late"
	// Failing streams have failed since their last success.
	Failing State = "failing"
	// Paused streams wait for an operator to resume them.
	Paused State = "paused"
	// Disabled streams belong to a connection that is switched off.
	Disabled State = "disabled"
)

// States lists every state.
func States() []State {
	return []State{NeverRun, Running, Healthy, Late, Failing, Paused, Disabled}
}

// Label returns the state in words for people: "never run".
func (s State) Label() string { return strings.ReplaceAll(string(s), "_", " ") }

// Facts are all that a stream's state depends on.
type Facts struct {
	// Mode is how the stream's records arrive. A webhook stream is never late:
	// nobody knows when its provider will next have something to say.
	Mode catalog.Mode
	// Schedule is when a poll stream is due, the zero value for a webhook stream.
	Schedule schedule.Schedule
	// Status is what the store keeps about the stream; the zero value for a
	// stream that nothing has happened to.
	Status store.StreamStatus
	// Running says that a run of the stream is going on.
	Running bool
	// Enabled says that the stream's connection is switched on.
	Enabled bool
	// Now is the time at which the question is asked.
	Now time.Time
}

// Of returns the state of a stream. The first that holds is the answer:
//
//  1. disabled, then paused: somebody decided that nothing should happen, so
//     nothing that fails to happen is news.
//  2. failing: it failed since its last success. This stands before running,
//     because a failing stream is tried again and again, and its state must not
//     flicker to "running" at each try.
//  3. late: a success is overdue by more than one interval. This stands before
//     running as well: a run that hangs, or cannot keep up, is what late is for.
//     A first run is the exception: it may take long, and is running.
//  4. running.
//  5. never run: there was no success yet.
//  6. healthy.
func Of(f Facts) State {
	switch {
	case !f.Enabled:
		return Disabled
	case f.Status.Paused:
		return Paused
	case f.Status.ConsecutiveFailures > 0:
		return Failing
	case isLate(f):
		return Late
	case f.Running:
		return Running
	case f.Status.LastSuccessAt.IsZero():
		return NeverRun
	default:
		return Healthy
	}
}

// isLate reports that a success is overdue by more than one interval: the
// schedule has fired twice since the last success, or, before any success,
// twice from when the first run was due.
func isLate(f Facts) bool {
	if f.Mode != catalog.ModePoll || f.Schedule.IsZero() {
		return false
	}
	var due time.Time
	switch {
	case !f.Status.LastSuccessAt.IsZero():
		due = f.Schedule.Next(f.Status.LastSuccessAt)
	case f.Running:
		return false
	default:
		due = f.Status.NextRunAt
	}
	if due.IsZero() {
		return false
	}
	return f.Now.After(f.Schedule.Next(due))
}

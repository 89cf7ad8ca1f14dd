package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept of a run of an action.
const (
	// MaxOutputBytes bounds its output.
	MaxOutputBytes = 1 << 20
	// MaxMessageBytes bounds a message of its progress; a longer one is cut.
	MaxMessageBytes = 1 << 10
	// maxActionError bounds its error, and its stack four times as much.
	maxActionError = 4 << 10
	// maxActionName bounds the other texts.
	maxActionName = 256
)

// ActionRun is one run of an action.
type ActionRun struct {
	// ID is "run_…".
	ID string
	// ConnectionID is the connection that was asked: a trigger, or the one that
	// has the action. TargetID is the one that the action belongs to, "" for none.
	ConnectionID, TargetID string
	// Action is its name: "shop.reindex", "sync".
	Action string
	// Origin says who asked: "trigger", "manual".
	Origin string
	State  RunState
	// Owner is the process that carries it out.
	Owner string
	// StartedAt and FinishedAt are on that process's clock.
	StartedAt, FinishedAt time.Time
	// Percent and Message are the last progress, and Events counts all of it.
	Percent int
	Message string
	Events  int64
	// Output is what it returned, as JSON, once it has succeeded.
	Output []byte
	// Error, ErrorClass and Stack say why it failed.
	Error, ErrorClass, Stack string
}

// ActionProgress is one report of the progress of a run.
type ActionProgress struct {
	// Sequence counts the reports of the run, from 1.
	Sequence int64
	At       time.Time
	Percent  int
	Message  string
}

// ActionWrite begins a run or changes it. A run that has ended, or that another
// process owns, is not changed: the write fails with [ErrFenced].
type ActionWrite struct {
	Run ActionRun
	// Begin says that the run is new.
	Begin bool
	// Progress is what has come since the last write.
	Progress []ActionProgress
}

// ActionRuns keeps the runs of actions. They need no lease: the process that was
// asked carries a run out and owns it for as long as it shows that it lives.
type ActionRuns interface {
	// WriteActions carries out writes in one transaction and returns the error of
	// each: nil, ErrFenced, ErrInvalid, or ErrNotFound for a run of an unknown
	// connection. err says that nothing was written. A repeated Begin of the same
	// owner changes nothing.
	WriteActions(ctx context.Context, writes []ActionWrite) (each []error, err error)
	// ActionRun returns one run, or ErrNotFound.
	ActionRun(ctx context.Context, id string) (ActionRun, error)
	// ActionRuns lists runs without their output and stack, newest first, before
	// the run with the given id ("" for the newest): those that were asked of the
	// connection or belong to it, or all for "".
	ActionRuns(ctx context.Context, connectionID, before string, limit int) ([]ActionRun, error)
	// ActionProgress lists the reports of a run after a sequence.
	ActionProgress(ctx context.Context, id string, after int64, limit int) ([]ActionProgress, error)
	// TouchActions shows that the owner lives, and returns the ids of its runs that
	// are to be canceled.
	TouchActions(ctx context.Context, owner string) (cancel []string, err error)
	// CancelAction asks the owner of a run to cancel it. ErrNotFound says that no
	// such run is going on.
	CancelAction(ctx context.Context, id string) error
	// InterruptActions ends the runs of other owners that have not shown for so
	// long that they live, and returns how many there were.
	InterruptActions(ctx context.Context, owner string, silence time.Duration) (int, error)
	// TrimActions removes runs that have ended: those that began before the given
	// time, and of each connection all but the newest keep. It removes at most
	// limit of them and returns how many.
	TrimActions(ctx context.Context, before time.Time, keep, limit int) (int, error)
}

// InterruptedAction is the error of a run whose process has ended.
const InterruptedAction = "interrupted: the process that carried it out has ended"

// Check returns what of w cannot be kept, as [ErrInvalid], and brings the rest
// into the form in which it is.
func (w *ActionWrite) Check() error {
	r := &w.Run
	var errs []error
	for _, text := range []struct {
		what, value string
		needed      bool
	}{
		{"id", r.ID, true},
		{"connection", r.ConnectionID, true},
		{"target", r.TargetID, false},
		{"action", r.Action, true},
		{"origin", r.Origin, true},
		{"owner", r.Owner, true},
		{"error class", r.ErrorClass, false},
	} {
		if text.needed && text.value == "" || len(text.value) > maxActionName || !utf8.ValidString(text.value) || strings.ContainsRune(text.value, 0) {
			errs = append(errs, fmt.Errorf("the %s of a run is missing, too long or no text", text.what))
		}
	}
	switch r.State {
	case RunRunning, RunSucceeded, RunFailed, RunCanceled, RunInterrupted:
	default:
		errs = append(errs, fmt.Errorf("a run cannot have the state %q", r.State))
	}
	if len(r.Output) > MaxOutputBytes {
		errs = append(errs, fmt.Errorf("the output of a run has %d bytes; the limit is %d", len(r.Output), MaxOutputBytes))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(errs...))
	}
	r.StartedAt, r.FinishedAt = storedTime(r.StartedAt), storedTime(r.FinishedAt)
	r.Message, r.Error, r.Stack = cutText(r.Message, MaxMessageBytes), cutText(r.Error, maxActionError), cutText(r.Stack, 4*maxActionError)
	r.Percent = min(max(r.Percent, 0), 100)
	for i := range w.Progress {
		p := &w.Progress[i]
		p.At, p.Message, p.Percent = storedTime(p.At), cutText(p.Message, MaxMessageBytes), min(max(p.Percent, 0), 100)
	}
	return nil
}

// storedTime is t as a store keeps it: UTC, in microseconds.
func storedTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// cutText is s as a text column takes it, cut to so many bytes.
func cutText(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

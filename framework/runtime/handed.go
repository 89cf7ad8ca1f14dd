package runtime

import (
	"errors"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

// An error that another node answers with is what it was there: who asks must not
// see by the answer which node has the connection.

// handedKinds are the errors that are told apart, by what they are called on the
// way. A name stays: nodes of two versions work together.
var handedKinds = []struct {
	name string
	err  error
}{
	{"disk low", store.ErrDiskLow}, // before what it is a case of
	{"not found", store.ErrNotFound},
	{"fenced", store.ErrFenced},
	{"busy", store.ErrBusy},
	{"unavailable", store.ErrUnavailable},
	{"conflict", store.ErrConflict},
	{"reset", scheduler.ErrResetTo},
	{"backfill spec", scheduler.ErrBackfillSpec},
	{"unknown backfill", scheduler.ErrUnknownBackfill},
	{"cursor unreadable", framework.ErrCursorUnreadable},
}

// kindCursor is a [framework.CursorError], whose reason is the text.
const kindCursor = "cursor"

// handedError is an error of another node.
type handedError struct {
	text string
	is   error
}

// Error is what the other node said.
func (e *handedError) Error() string { return e.text }

// Unwrap returns the error that it was there.
func (e *handedError) Unwrap() error { return e.is }

// handOver fills in what the answer says of an error.
func (a *reply) handOver(err error) {
	a.Error = err.Error()
	if unfit, ok := errors.AsType[*framework.CursorError](err); ok {
		a.Kind, a.Error = kindCursor, unfit.Reason.Error()
		return
	}
	for _, kind := range handedKinds {
		if errors.Is(err, kind.err) {
			a.Kind = kind.name
			return
		}
	}
}

// handed is the error of the answer.
func (a *reply) handed() error {
	if a.Kind == kindCursor {
		return &framework.CursorError{Reason: errors.New(a.Error)}
	}
	for _, kind := range handedKinds {
		if a.Kind == kind.name {
			return &handedError{a.Error, kind.err}
		}
	}
	return errors.New(a.Error) // of no kind, or of one that a later version knows
}

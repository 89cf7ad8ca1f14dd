package scheduler

import (
	"errors"
	"fmt"

	"github.com/weirhq/weir/framework"
)

// Errors of the scheduler.
var (
	// ErrUnknownStream says that no such stream was added.
	ErrUnknownStream = errors.New("no such polled stream")
	// ErrExists says that the stream was added before, or that its connection is
	// still being removed.
	ErrExists = errors.New("stream is scheduled already")
	// ErrStopped says that the scheduler has stopped, or the connection was
	// removed.
	ErrStopped = errors.New("scheduler has stopped")
	// ErrStarted says that Start was called twice.
	ErrStarted = errors.New("scheduler was started before")
	// ErrPaused says that the stream is paused.
	ErrPaused = errors.New("stream is paused; resume it first")
	// ErrQuarantined says that handlers of the connection did not return several
	// times in a row, and that it is left alone until it is resumed.
	ErrQuarantined = errors.New("connection is quarantined because its handlers did not return; resume the stream or restart")
	// ErrCrashing says that the process ended several times in a row while a page
	// of the stream was read, and that the stream is left alone until it is resumed.
	ErrCrashing = errors.New("stream is quarantined because the process ended again and again while a page of it was read; mend the connector, then resume the stream")
	// ErrCursorStuck says that a sync route asked for more without moving on. It
	// is of class bug.
	ErrCursorStuck = errors.New("cursor did not advance while hasMore is true")
)

// BusyError says that a stream is being read already.
type BusyError struct {
	ConnectionID, Stream string
	// RunID is the run that reads it, or "" for a page on demand.
	RunID string
}

// Error says what is busy, and with what.
func (e *BusyError) Error() string {
	if e.RunID == "" {
		return fmt.Sprintf("stream %q of connection %s is busy with a page on demand; try again when it is done", e.Stream, e.ConnectionID)
	}
	return fmt.Sprintf("stream %q of connection %s is busy with run %s; try again when it is done", e.Stream, e.ConnectionID, e.RunID)
}

func classOf(err error) framework.Class {
	if errors.Is(err, ErrCursorStuck) || errors.Is(err, ErrQuarantined) || errors.Is(err, ErrCrashing) {
		return framework.ClassBug
	}
	return framework.ClassOf(err)
}

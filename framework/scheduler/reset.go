package scheduler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// ResetTo says where a stream goes on after a reset; the zero value is the
// beginning. Only one field may be set.
type ResetTo struct {
	// Cursor is an encoded cursor of the stream.
	Cursor []byte
	// Since is where the next window begins, less the stream's lookback. Only
	// streams that read windows have it.
	Since time.Time
}

// ErrResetTo says that a stream cannot be reset to what was asked for.
var ErrResetTo = errors.New("stream cannot be reset to this")

// Reset moves the live checkpoint of a stream, so that its next run reads from
// the beginning, or from elsewhere. Events and keys stay: what was recorded is
// not recorded again. It works on a paused stream too. Errors:
// [ErrUnknownStream], [ErrQuarantined], [ErrStopped], [ErrResetTo] (with a
// *framework.CursorError for a cursor of another type), a [*BusyError] when the
// stream is being read, or the store's.
func (s *Scheduler) Reset(ctx context.Context, connectionID, key string, to ResetTo) error {
	e, err := s.reserve(connectionID, key)
	if err != nil {
		return err
	}
	defer s.unreserve(e)
	if err := to.check(e); err != nil {
		return err
	}
	saved, ok, err := s.store.Checkpoint(ctx, connectionID, key, store.LaneLive)
	if err != nil {
		return fmt.Errorf("read checkpoint of stream %q: %w", key, err)
	}
	if bytes.Equal(saved.Cursor, to.Cursor) && to.Since.IsZero() && saved.To.IsZero() && saved.WindowDone.IsZero() && (ok || to.Cursor == nil) {
		return nil
	}
	kind := e.Binding.CursorType(key)
	u := s.unit(e)
	u.Checkpoint = &store.CheckpointWrite{
		Stream: key, Lane: store.LaneLive, Previous: saved.CommitID, Cursor: to.Cursor, WindowDone: to.Since,
		CursorVersion: kind.Version, CursorDigest: kind.Digest,
	}
	if _, err := s.commit(ctx, u); err != nil {
		return fmt.Errorf("reset stream %q: %w", key, err)
	}
	return nil
}

func (to ResetTo) check(e *stream) error {
	switch {
	case to.Cursor != nil && !to.Since.IsZero():
		return fmt.Errorf("%w: give a cursor or a date, not both", ErrResetTo)
	case !to.Since.IsZero() && !e.Window:
		return fmt.Errorf("%w: stream %q reads no windows, so no date moves its cursor; give a cursor, or read the range with a backfill", ErrResetTo, e.Key)
	case to.Cursor == nil:
		return nil
	}
	if checker, ok := e.Binding.(interface {
		CheckCursor(stream string, cursor []byte) error
	}); ok {
		if err := checker.CheckCursor(e.Key, to.Cursor); err != nil {
			return fmt.Errorf("%w: %w", ErrResetTo, err)
		}
	}
	return nil
}

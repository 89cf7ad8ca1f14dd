package runtime

import (
	"context"
	"errors"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/scheduler"
)

// operations is what an operator may ask of the streams, whichever node has them.
type operations struct{ runtime *Runtime }

var _ api.Operations = operations{}

// Page runs one page of a poll stream.
func (o operations) Page(ctx context.Context, call api.PageCall) (api.PageResult, error) {
	return ask[api.PageResult](ctx, o.runtime, command{Kind: kindPage, Connection: call.ConnectionID, Stream: call.Stream, Page: call})
}

// RunNow starts a live run of a poll stream.
func (o operations) RunNow(ctx context.Context, connectionID, stream string) error {
	_, err := ask[nothing](ctx, o.runtime, command{Kind: kindRun, Connection: connectionID, Stream: stream})
	return err
}

// SetPaused pauses the polls of a stream, or resumes them.
func (o operations) SetPaused(ctx context.Context, connectionID, stream string, paused bool) error {
	c := command{Kind: kindResume, Connection: connectionID, Stream: stream}
	if paused {
		c.Kind = kindPause
	}
	_, err := ask[nothing](ctx, o.runtime, c)
	return err
}

// Reset moves the checkpoint of a poll stream.
func (o operations) Reset(ctx context.Context, connectionID, stream string, to scheduler.ResetTo) error {
	_, err := ask[nothing](ctx, o.runtime, command{Kind: kindReset, Connection: connectionID, Stream: stream, Reset: to})
	return err
}

// Backfills lists the backfills of a connection.
func (o operations) Backfills(ctx context.Context, connectionID string) ([]scheduler.Backfill, error) {
	return ask[[]scheduler.Backfill](ctx, o.runtime, command{Kind: kindBackfills, Connection: connectionID})
}

// Backfill starts a backfill.
func (o operations) Backfill(ctx context.Context, connectionID, stream string, spec scheduler.BackfillSpec) (scheduler.Backfill, error) {
	return ask[scheduler.Backfill](ctx, o.runtime, command{Kind: kindBackfill, Connection: connectionID, Stream: stream, Backfill: spec})
}

// CancelBackfill ends a backfill.
func (o operations) CancelBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error) {
	return ask[scheduler.Backfill](ctx, o.runtime, command{Kind: kindCancelBackfill, Connection: connectionID, ID: id})
}

// ResumeBackfill has a backfill go on.
func (o operations) ResumeBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error) {
	return ask[scheduler.Backfill](ctx, o.runtime, command{Kind: kindResumeBackfill, Connection: connectionID, ID: id})
}

// local is what an operator may ask of this process's scheduler.
type local struct{ runtime *Runtime }

var _ api.Operations = local{}

// Page runs one page of a poll stream.
func (o local) Page(ctx context.Context, call api.PageCall) (api.PageResult, error) {
	options := scheduler.PageOptions{From: call.From, To: call.To, Cursor: call.Cursor}
	if call.Explicit && options.From.IsZero() && options.To.IsZero() && options.Cursor == nil {
		options.Cursor = []byte("null")
	}
	result, err := o.runtime.scheduler.Page(ctx, call.ConnectionID, call.Stream, options)
	if err != nil {
		return api.PageResult{}, conflict(err)
	}
	return api.PageResult{Cursor: result.Cursor, HasMore: result.HasMore, Emitted: result.Emitted, Duplicates: result.Duplicates}, nil
}

// RunNow starts a live run of a poll stream.
func (o local) RunNow(_ context.Context, connectionID, stream string) error {
	_, err := o.runtime.scheduler.RunNow(connectionID, stream)
	return conflict(err)
}

// SetPaused pauses the polls of a stream, or resumes them.
func (o local) SetPaused(ctx context.Context, connectionID, stream string, paused bool) error {
	if paused {
		return conflict(o.runtime.scheduler.Pause(ctx, connectionID, stream))
	}
	return conflict(o.runtime.scheduler.Resume(ctx, connectionID, stream))
}

// Reset moves the checkpoint of a poll stream.
func (o local) Reset(ctx context.Context, connectionID, stream string, to scheduler.ResetTo) error {
	return conflict(o.runtime.scheduler.Reset(ctx, connectionID, stream, to))
}

// Backfills lists the backfills of a connection.
func (o local) Backfills(ctx context.Context, connectionID string) ([]scheduler.Backfill, error) {
	return o.runtime.scheduler.Backfills(ctx, connectionID)
}

// Backfill starts a backfill.
func (o local) Backfill(ctx context.Context, connectionID, stream string, spec scheduler.BackfillSpec) (scheduler.Backfill, error) {
	b, err := o.runtime.scheduler.Backfill(ctx, connectionID, stream, spec)
	return b, conflict(err)
}

// CancelBackfill ends a backfill.
func (o local) CancelBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error) {
	b, err := o.runtime.scheduler.CancelBackfill(ctx, connectionID, id)
	return b, conflict(err)
}

// ResumeBackfill has a backfill go on.
func (o local) ResumeBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error) {
	b, err := o.runtime.scheduler.ResumeBackfill(ctx, connectionID, id)
	return b, conflict(err)
}

// conflict turns what the state of a stream forbids into the API's error.
func conflict(err error) error {
	for _, known := range []error{scheduler.ErrPaused, scheduler.ErrQuarantined, scheduler.ErrCrashing, scheduler.ErrStopped, scheduler.ErrUnknownStream} {
		if errors.Is(err, known) {
			return &api.ConflictError{Err: known}
		}
	}
	for _, known := range []error{scheduler.ErrOverlap, scheduler.ErrTooManyBackfills, scheduler.ErrBackfillOver} {
		if errors.Is(err, known) {
			return &api.ConflictError{Err: err}
		}
	}
	if busy, ok := errors.AsType[*scheduler.BusyError](err); ok {
		return &api.ConflictError{Err: busy, Busy: true}
	}
	return err
}

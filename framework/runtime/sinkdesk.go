package runtime

import (
	"context"
	"errors"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

// sinkDesk is what an operator may do with sinks, whichever node has them.
type sinkDesk struct {
	store.Sinks

	runtime *Runtime
}

var _ api.Sinks = sinkDesk{}

// Head is the last sequence of a stream.
func (d sinkDesk) Head(ctx context.Context, source store.Source) (int64, error) {
	statuses, err := d.runtime.store.Statuses(ctx, source.ConnectionID)
	for _, s := range statuses {
		if s.Stream == source.Stream {
			return s.Head, err
		}
	}
	return 0, err
}

// Snapshot says what a running sink is doing.
func (d sinkDesk) Snapshot(ctx context.Context, connectionID string) (delivery.Snapshot, error) {
	return ask[delivery.Snapshot](ctx, d.runtime, command{Kind: kindSinkState, Connection: connectionID})
}

// Change carries out what an operator asks of a sink.
func (d sinkDesk) Change(ctx context.Context, connectionID string, c api.SinkChange) (int, error) {
	return ask[int](ctx, d.runtime, command{Kind: kindSink, Connection: connectionID, Sink: &c})
}

// sinkState says what a sink of this process is doing.
func (o local) sinkState(ctx context.Context, connectionID string) (delivery.Snapshot, error) {
	var s delivery.Snapshot
	err := o.begun(ctx, connectionID, func() (err error) {
		s, err = o.runtime.engine.Snapshot(ctx, connectionID)
		return err
	})
	return s, sinkConflict(err)
}

// changeSink carries c out by this process's engine.
func (o local) changeSink(ctx context.Context, connectionID string, c *api.SinkChange) (int, error) {
	if c == nil {
		return 0, errors.New("nothing was asked of the sink")
	}
	var n int
	err := o.begun(ctx, connectionID, func() (err error) {
		n, err = o.change(ctx, connectionID, c)
		return err
	})
	return n, sinkConflict(err)
}

// change asks this process's engine once.
func (o local) change(ctx context.Context, connectionID string, c *api.SinkChange) (int, error) {
	e := o.runtime.engine
	var err error
	n := len(c.IDs)
	switch c.Action {
	case api.SinkPause:
		err = e.Pause(ctx, connectionID)
	case api.SinkResume:
		err = e.Resume(ctx, connectionID)
	case api.SinkStop:
		err = e.Halt(ctx, connectionID)
	case api.SinkSeek:
		err = e.Seek(ctx, connectionID, c.Source, c.Next)
	case api.SinkReplay:
		_, err = e.Replay(ctx, connectionID, c.Source, c.Next, c.To)
	case api.SinkCancel:
		if c.Redelivery != "" {
			return 0, e.CancelRedelivery(ctx, connectionID, c.Redelivery)
		}
		err = e.CancelReplay(ctx, connectionID, c.Replay)
	case api.SinkRedeliverAll:
		if c.Letters == nil {
			return 0, errors.New("redeliver: nothing says which dead letters are meant")
		}
		n, err = e.RedeliverAll(ctx, connectionID, c.Redelivery, *c.Letters, c.Every)
	case api.SinkRedeliver:
		var edit func([]byte) []byte
		if c.Payload != nil {
			edit = func([]byte) []byte { return c.Payload }
		}
		n, err = e.Redeliver(ctx, connectionID, c.IDs, c.Every, edit)
	case api.SinkDiscard:
		err = e.Discard(ctx, connectionID, c.IDs, c.Reason)
	default:
		err = errors.New("this version does not know " + string(c.Action))
	}
	return n, err
}

// sinkConflict turns what the state of a sink forbids into the API's error.
func sinkConflict(err error) error {
	for _, known := range []error{delivery.ErrState, delivery.ErrUnknownSink, delivery.ErrStopped} {
		if errors.Is(err, known) {
			return &api.ConflictError{Err: err}
		}
	}
	return err
}

package dashboardtest

import (
	"context"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

// noSinks is an office that delivers nothing.
type noSinks struct{}

var _ api.Sinks = noSinks{}

// Offsets lists none.
func (noSinks) Offsets(context.Context, string) ([]store.Offset, error) { return nil, nil }

// DeadEvents lists none.
func (noSinks) DeadEvents(context.Context, store.DeadEvents, int) ([]store.DeadEvent, error) {
	return nil, nil
}

// DeadEvent finds none.
func (noSinks) DeadEvent(context.Context, string, string) (store.DeadEvent, error) {
	return store.DeadEvent{}, store.ErrNotFound
}

// Head knows no stream.
func (noSinks) Head(context.Context, store.Source) (int64, error) { return 0, nil }

// Snapshot knows no sink.
func (noSinks) Snapshot(context.Context, string) (delivery.Snapshot, error) {
	return delivery.Snapshot{}, delivery.ErrUnknownSink
}

// Change knows no sink.
func (noSinks) Change(context.Context, string, api.SinkChange) (int, error) {
	return 0, &api.ConflictError{Err: delivery.ErrUnknownSink}
}

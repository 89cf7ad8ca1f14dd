package runtime

import (
	"context"
	"net/http"
)

// StopScheduler stops the scheduler alone.
func (r *Runtime) StopScheduler(ctx context.Context) error { return r.scheduler.Stop(ctx) }

// Parts are the routers behind the gate.
func (r *Runtime) Parts() []http.Handler { return r.parts }

// Scheduled reports that this process polls a stream.
func (r *Runtime) Scheduled(connectionID, stream string) bool {
	_, ok := r.scheduler.State(connectionID, stream)
	return ok
}

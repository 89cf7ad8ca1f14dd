package runtime

import "context"

// StopScheduler stops the scheduler alone.
func (r *Runtime) StopScheduler(ctx context.Context) error { return r.scheduler.Stop(ctx) }

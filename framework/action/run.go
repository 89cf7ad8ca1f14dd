package action

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// run is one run of this process.
type run struct {
	engine *Engine
	slot   slot
	ctx    context.Context
	cancel context.CancelCauseFunc
	// begun gets what became of the first write; the writer sends once.
	begun chan<- error

	mu sync.Mutex
	// row is the run as it is to be written; pending is the progress that is to be
	// written with it.
	row     store.ActionRun
	pending []store.ActionProgress
	// written says that the row exists, queued that the writer knows of the run.
	written, queued bool
	// latest is a report that waits for its turn; timer ends the wait.
	latest *report
	timer  *time.Timer
	last   time.Time
	// over says that nothing is reported any more, ended that this is durable.
	over, ended bool
	// shown is the run as it is durable, with its progress.
	shown    store.ActionRun
	progress []store.ActionProgress
	changed  chan struct{}
}

type report struct {
	percent int
	message string
}

// carryOut calls the action and records how it ended.
func (r *run) carryOut(c Call) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, c.Timeout, errTimeout)
	defer cancel()
	output, err := c.Do(ctx, r.report)
	cause := context.Cause(ctx)
	defer r.log(context.WithoutCancel(ctx), c)
	switch {
	case err == nil && len(output) > store.MaxOutputBytes:
		r.end(store.RunFailed, nil, framework.Permanent(errors.New("the output is larger than 1 MiB; return less")))
	case err == nil:
		r.end(store.RunSucceeded, output, nil)
	case errors.Is(cause, ErrCanceled):
		r.end(store.RunCanceled, nil, ErrCanceled)
	case errors.Is(cause, ErrStopping):
		r.end(store.RunInterrupted, nil, errors.New("interrupted: the process that carried it out was stopped"))
	case errors.Is(cause, errTimeout):
		r.end(store.RunFailed, nil, fmt.Errorf("%w: %w", errTimeout, err))
	default:
		r.end(store.RunFailed, nil, err)
	}
}

// log says why a run has not succeeded.
func (r *run) log(ctx context.Context, c Call) {
	r.mu.Lock()
	state, class, why := r.row.State, r.row.ErrorClass, r.row.Error
	r.mu.Unlock()
	if state == store.RunFailed {
		r.engine.cfg.Log.WarnContext(ctx, "an action failed", "project", c.Project, "connection", c.Connection, "action", c.Action, "run", r.row.ID, "class", class, "err", why)
	}
}

// report is the run's [framework.Progress].
func (r *run) report(percent int, message string) {
	now := time.Now()
	r.mu.Lock()
	percent = min(max(percent, 0), 100)
	if r.over || percent == r.row.Percent && message == r.row.Message && r.latest == nil {
		r.mu.Unlock()
		return
	}
	r.latest = &report{percent, message}
	wait := r.interval(now) - now.Sub(r.last)
	if wait <= 0 {
		r.take(now)
		r.mu.Unlock()
		r.engine.write(r)
		return
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(wait, r.due)
	}
	r.mu.Unlock()
}

// due takes the report that has waited.
func (r *run) due() {
	r.mu.Lock()
	r.timer = nil
	if r.over || r.latest == nil {
		r.mu.Unlock()
		return
	}
	r.take(time.Now())
	r.mu.Unlock()
	r.engine.write(r)
}

// interval is how far reports are apart at least. It grows with the run, so that
// what is kept of one that takes a day is bounded.
func (r *run) interval(now time.Time) time.Duration {
	return max(r.engine.cfg.Coalesce, now.Sub(r.row.StartedAt)/intervalParts)
}

const intervalParts = 200

// take makes the latest report one that is written. The caller has the lock.
func (r *run) take(now time.Time) {
	r.row.Percent, r.row.Message = r.latest.percent, r.latest.message
	r.latest, r.last = nil, now
	r.row.Events++
	r.pending = append(r.pending, store.ActionProgress{
		Sequence: r.row.Events, At: now.UTC().Truncate(time.Microsecond), Percent: r.row.Percent, Message: r.row.Message,
	})
}

// end records how the run ended.
func (r *run) end(state store.RunState, output []byte, err error) {
	r.mu.Lock()
	now := time.Now()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.latest != nil {
		r.take(now)
	}
	r.over = true
	r.row.State, r.row.FinishedAt, r.row.Output = state, now.UTC().Truncate(time.Microsecond), output
	if state == store.RunSucceeded {
		r.row.Percent = 100
	}
	if err != nil {
		r.row.Error, r.row.ErrorClass = err.Error(), string(framework.ClassOf(err))
		if p, ok := errors.AsType[*framework.PanicError](err); ok {
			r.row.Stack = p.Stack
		}
	}
	r.mu.Unlock()
	r.cancel(nil)
	r.engine.write(r)
}

// tell shows what is durable now. The caller has the lock.
func (r *run) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// lose ends a run that another process has ended.
func (r *run) lose() {
	r.mu.Lock()
	r.over, r.ended = true, true
	r.shown.State = "" // whoever watches asks the store
	r.tell()
	r.mu.Unlock()
	r.cancel(errLost)
	r.engine.forget(r)
}

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Engine runs actions. Make one with [New], let [Engine.Run] work, and end with
// [Engine.Stop].
type Engine struct {
	cfg   Config
	owner string

	mu      sync.Mutex
	runs    map[string]*run
	running map[slot]int
	stopped bool
	// dirty are the runs that have something to write.
	dirty []*run

	work   sync.WaitGroup
	wake   chan struct{}
	closed chan struct{}
	once   sync.Once
}

// slot is what [Call.Limit] counts.
type slot struct{ connection, target, action string }

// New returns an engine, or every error of its configuration.
func New(cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure the runs of actions: %w", err)
	}
	return &Engine{
		cfg: cfg, owner: store.NewID("own_", time.Now()), runs: map[string]*run{}, running: map[slot]int{},
		wake: make(chan struct{}, 1), closed: make(chan struct{}),
	}, nil
}

// Start begins a run and returns its id once its row is durable. The run goes on
// whatever becomes of ctx. Errors: [ErrTooMany], [ErrStopping], or what the store
// says.
func (e *Engine) Start(ctx context.Context, c Call) (id string, err error) {
	r, err := e.admit(c)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	begun := make(chan error, 1)
	r.begun = begun
	e.write(r)
	select {
	case err = <-begun:
	case <-ctx.Done():
		err = fmt.Errorf("begin run: %w", context.Cause(ctx))
	}
	if err != nil {
		e.abandon(r)
		return "", err
	}
	e.cfg.Changed(c.ConnectionID)
	go func() { //nolint:contextcheck // a run outlives the request that began it
		defer e.work.Done()
		r.carryOut(c)
		e.free(r)
	}()
	return r.row.ID, nil
}

// admit makes the run, if there is room for it.
func (e *Engine) admit(c Call) (*run, error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	key := slot{c.ConnectionID, c.TargetID, c.Action}
	switch {
	case e.stopped:
		return nil, ErrStopping
	case len(e.runs) >= e.cfg.MaxRunning || e.running[key] >= c.Limit:
		return nil, ErrTooMany
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &run{
		engine: e, slot: key, ctx: ctx, cancel: cancel, changed: make(chan struct{}),
		row: store.ActionRun{
			ID: store.NewID("run_", now), ConnectionID: c.ConnectionID, TargetID: c.TargetID, Action: c.Action, Origin: c.Origin,
			State: store.RunRunning, Owner: e.owner, StartedAt: now.UTC().Truncate(time.Microsecond), Events: 1,
		},
	}
	r.pending = []store.ActionProgress{{Sequence: 1, At: r.row.StartedAt}}
	e.runs[r.row.ID] = r
	e.running[key]++
	e.work.Add(1)
	return r, nil
}

// abandon ends a run that was never carried out. It may have a row.
func (e *Engine) abandon(r *run) {
	defer e.work.Done()
	r.end(store.RunFailed, nil, errors.New("the run could not be started"))
	e.free(r)
}

// free makes room for the next run. The run stays known until its end is durable.
func (e *Engine) free(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[r.slot]--; e.running[r.slot] == 0 {
		delete(e.running, r.slot)
	}
}

// forget drops a run whose end is durable, or that another process has ended.
func (e *Engine) forget(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.runs, r.row.ID)
}

// find returns a run of this process that is not over.
func (e *Engine) find(id string) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[id]
}

// Working is how many runs of this process are not over.
func (e *Engine) Working() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.runs)
}

// Cancel ends a run, on whichever node it is. It does not wait for the end. Errors:
// store.ErrNotFound, [ErrEnded], or what the store says.
func (e *Engine) Cancel(ctx context.Context, id string) error {
	if r := e.find(id); r != nil {
		r.cancel(ErrCanceled)
		return nil
	}
	err := e.cfg.Store.CancelAction(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, err := e.cfg.Store.ActionRun(ctx, id); err != nil {
		return err
	}
	return ErrEnded
}

// Run writes what the runs have to say, shows that this process lives and removes
// old runs, until ctx ends. End it after [Engine.Stop].
func (e *Engine) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { e.writeLoop(ctx) })
	e.interrupt(ctx)
	beat, tidy := time.NewTicker(e.cfg.Beat), time.NewTicker(tidyEvery)
	defer beat.Stop()
	defer tidy.Stop()
	e.tidy(ctx)
	beats := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			e.beat(ctx)
			if beats++; beats%interruptBeats == 0 && e.cfg.Silence > 0 {
				e.interrupt(ctx)
			}
		case <-tidy.C:
			e.tidy(ctx)
		}
	}
}

const (
	tidyEvery = 10 * time.Minute
	tidyRows  = 500
	// interruptBeats is how many beats pass between two looks for processes that
	// are gone.
	interruptBeats = 5
)

// beat shows that this process lives, if it has a run.
func (e *Engine) beat(ctx context.Context) {
	if e.Working() == 0 {
		return
	}
	canceled, err := e.cfg.Store.TouchActions(ctx, e.owner)
	if err != nil {
		e.warn(ctx, "show that this process carries out runs", err)
		return
	}
	for _, id := range canceled {
		if r := e.find(id); r != nil {
			r.cancel(ErrCanceled)
		}
	}
}

func (e *Engine) interrupt(ctx context.Context) {
	n, err := e.cfg.Store.InterruptActions(ctx, e.owner, e.cfg.Silence)
	if err != nil {
		e.warn(ctx, "end the runs of processes that are gone", err)
	} else if n > 0 {
		e.cfg.Log.WarnContext(ctx, "a process ended in the middle of actions; they are interrupted", "runs", n)
		e.cfg.Changed("")
	}
}

func (e *Engine) tidy(ctx context.Context) {
	for {
		n, err := e.cfg.Store.TrimActions(ctx, time.Now().Add(-e.cfg.KeepFor), e.cfg.KeepRuns, tidyRows)
		if err != nil {
			e.warn(ctx, "remove old runs of actions", err)
		}
		if err != nil || n < tidyRows {
			return
		}
	}
}

func (e *Engine) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
		e.cfg.Log.WarnContext(ctx, what, "err", err)
	}
}

// CloseWatchers ends every wait for news of a run, so that a stopping server does
// not wait for them: whoever watches comes back.
func (e *Engine) CloseWatchers() { e.once.Do(func() { close(e.closed) }) }

// Stop begins no run any more and waits for those that go on. When ctx ends they
// are canceled and end as interrupted. It returns when all ends are durable, or
// soon after ctx has ended.
func (e *Engine) Stop(ctx context.Context) error {
	e.CloseWatchers()
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		e.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		e.mu.Lock()
		left := slices.Collect(maps.Values(e.runs))
		e.mu.Unlock()
		for _, r := range left {
			r.cancel(ErrStopping)
		}
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	for {
		select {
		case <-done:
			if e.Working() == 0 {
				return nil
			}
		default:
		}
		select {
		case <-grace.C:
			return fmt.Errorf("stop the runs of actions: %d did not end", e.Working())
		case <-time.After(stopLook):
		}
	}
}

const (
	// stopGrace is how long the ends of canceled runs may take: a handler that does
	// not return is left behind after less.
	stopGrace = 4 * time.Second
	stopLook  = 5 * time.Millisecond
)

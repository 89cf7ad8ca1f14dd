package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Frame is one piece of news of a run: a report of its progress, or its end.
type Frame struct {
	// Sequence counts the frames of the run, from 1.
	Sequence int64
	// Progress is the report, and zero in the last frame.
	Progress store.ActionProgress
	// End is the run, in the last frame; nil in all others.
	End *store.ActionRun
}

// Watcher reads the frames of a run, one after the other.
type Watcher struct {
	engine *Engine
	id     string
	after  int64
	// local is the run while it is one of this process.
	local *run
	// frames were read and not yet returned; done says that the last one was.
	frames []Frame
	done   bool
}

var (
	// ErrClosed says that the process is stopping: the run may be watched elsewhere,
	// or later.
	ErrClosed = fmt.Errorf("nobody can watch a run here any more: %w", ErrStopping)
	// ErrQuiet says that there was no news for as long as was asked for.
	ErrQuiet = errors.New("there is no news of the run yet")
)

// progressPage is how many reports of a run of another process are read at once.
const progressPage = 500

// Watch reads the frames of a run after a sequence, wherever it is carried out. An
// unknown run is store.ErrNotFound.
func (e *Engine) Watch(ctx context.Context, id string, after int64) (*Watcher, error) {
	w := &Watcher{engine: e, id: id, after: max(after, 0), local: e.find(id)}
	if w.local == nil {
		if _, err := e.cfg.Store.ActionRun(ctx, id); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Next returns the next frame. ok is false when there is none any more. It waits
// for news until ctx ends or, as [ErrQuiet], until quiet sends, which may be nil;
// [ErrClosed] says that this process is stopping.
func (w *Watcher) Next(ctx context.Context, quiet <-chan time.Time) (f Frame, ok bool, err error) {
	for {
		if len(w.frames) > 0 {
			f, w.frames = w.frames[0], w.frames[1:]
			w.after, w.done = f.Sequence, f.End != nil
			return f, true, nil
		}
		if w.done {
			return Frame{}, false, nil
		}
		wait, err := w.read(ctx)
		if err != nil {
			return Frame{}, false, err
		}
		if len(w.frames) > 0 || w.done {
			continue
		}
		select {
		case <-ctx.Done():
			return Frame{}, false, context.Cause(ctx)
		case <-quiet:
			return Frame{}, false, ErrQuiet
		case <-w.engine.closed:
			return Frame{}, false, ErrClosed
		case <-wait:
		}
	}
}

// read looks for frames and returns what says that there may be more.
func (w *Watcher) read(ctx context.Context) (<-chan struct{}, error) {
	if w.local != nil {
		if changed, known := w.readLocal(); known {
			return changed, nil
		}
		w.local = nil
	}
	return w.readStored(ctx)
}

// readLocal reads a run of this process; known is false for one that another
// process has ended.
func (w *Watcher) readLocal() (changed <-chan struct{}, known bool) {
	r := w.local
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended && r.shown.State == "" {
		return nil, false
	}
	// Their sequences count from 1 without a gap.
	w.take(r.progress[min(int(w.after), len(r.progress)):], r.shown, r.ended)
	return r.changed, true
}

func (w *Watcher) readStored(ctx context.Context) (<-chan struct{}, error) {
	// The row is read first: what its end counts is there by then.
	row, err := w.engine.cfg.Store.ActionRun(ctx, w.id)
	if err != nil {
		return nil, err
	}
	progress, err := w.engine.cfg.Store.ActionProgress(ctx, w.id, w.after, progressPage)
	if err != nil {
		return nil, err
	}
	w.take(progress, row, row.State != store.RunRunning && len(progress) < progressPage)
	wait := make(chan struct{})
	time.AfterFunc(w.engine.cfg.Poll, func() { close(wait) })
	return wait, nil
}

// take makes frames of what is new.
func (w *Watcher) take(progress []store.ActionProgress, row store.ActionRun, ended bool) {
	last := w.after
	for _, p := range progress {
		if p.Sequence > last {
			w.frames, last = append(w.frames, Frame{Sequence: p.Sequence, Progress: p}), p.Sequence
		}
	}
	if !ended {
		return
	}
	if end := row.Events + 1; end > last {
		w.frames = append(w.frames, Frame{Sequence: end, End: &row})
		return
	}
	w.done = len(w.frames) == 0
}

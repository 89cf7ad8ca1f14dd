package action

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
)

const (
	// maxBatch bounds the runs of one transaction. Those who watch the first hear of
	// them while the next are being written.
	maxBatch = 128
	// retryLeast and retryMost bound the wait after a write that has failed.
	retryLeast, retryMost = 50 * time.Millisecond, 2 * time.Second
)

// write has the writer look at r.
func (e *Engine) write(r *run) {
	r.mu.Lock()
	queue := !r.queued
	r.queued = true
	r.mu.Unlock()
	if queue {
		e.enqueue(r)
	}
}

func (e *Engine) enqueue(runs ...*run) {
	e.mu.Lock()
	e.dirty = append(e.dirty, runs...)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// writeLoop writes whatever waits, as long as ctx goes on.
func (e *Engine) writeLoop(ctx context.Context) {
	wait := retryLeast
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		}
		e.mu.Lock()
		all := e.dirty
		e.dirty = nil
		e.mu.Unlock()
		// In the order in which they are stored, a transaction touches few pages.
		slices.SortFunc(all, func(a, b *run) int { return cmp.Compare(a.row.ID, b.row.ID) })
		for batch := range slices.Chunk(all, maxBatch) {
			if err := e.writeBatch(ctx, batch); err == nil {
				wait = retryLeast
				continue
			} else if wait == retryMost {
				e.warn(ctx, "keep the progress of actions; trying again", err)
			}
			pause := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
			if wait = min(2*wait, retryMost); ctx.Err() != nil {
				return
			}
		}
	}
}

// writeBatch writes what runs have to say. After an error those that have begun
// are written again; those that have not are told.
func (e *Engine) writeBatch(ctx context.Context, batch []*run) error {
	writes := make([]store.ActionWrite, 0, len(batch))
	for _, r := range batch {
		r.mu.Lock()
		writes = append(writes, store.ActionWrite{Run: r.row, Begin: !r.written && !r.over, Progress: slices.Clone(r.pending)})
		r.queued = false
		r.mu.Unlock()
	}
	each, err := e.cfg.Store.WriteActions(ctx, writes)
	if err != nil {
		var again []*run
		for i, r := range batch {
			if writes[i].Begin {
				r.tried(err)
				continue
			}
			r.mu.Lock()
			if !r.queued {
				r.queued = true
				again = append(again, r)
			}
			r.mu.Unlock()
		}
		e.enqueue(again...)
		return err
	}
	told := map[string]bool{}
	for i, r := range batch {
		e.wrote(r, &writes[i], each[i])
		if c := r.row.ConnectionID; !told[c] {
			told[c] = true
			e.cfg.Changed(c)
		}
	}
	return nil
}

// tried tells who waits for the first write what became of it.
func (r *run) tried(err error) {
	select {
	case r.begun <- err:
	default:
	}
}

// wrote takes over what a write of r has made durable.
func (e *Engine) wrote(r *run, w *store.ActionWrite, err error) {
	switch {
	case err != nil && w.Begin:
		r.tried(err)
		return
	case err != nil && !errors.Is(err, store.ErrFenced):
		// What cannot be kept was made here: the run says so instead.
		r.mu.Lock()
		invalid := r.over && r.row.State == store.RunFailed && r.row.Output == nil && r.row.ErrorClass == classKept
		r.mu.Unlock()
		if invalid {
			r.lose()
			return
		}
		r.mu.Lock()
		r.over, r.pending = true, nil
		r.row.State, r.row.Output, r.row.Error, r.row.ErrorClass = store.RunFailed, nil, err.Error(), classKept
		r.row.FinishedAt = time.Now().UTC().Truncate(time.Microsecond)
		r.mu.Unlock()
		e.write(r)
		return
	case err != nil:
		r.lose()
		return
	}
	r.mu.Lock()
	r.written = true
	r.shown = w.Run
	r.progress = append(r.progress, w.Progress...)
	r.pending = r.pending[len(w.Progress):]
	r.ended = w.Run.State != store.RunRunning
	r.tell()
	ended := r.ended
	r.mu.Unlock()
	if w.Begin {
		r.tried(nil)
	}
	if ended {
		e.forget(r)
	}
}

// classKept is the class of the error of a run that could not be kept as it was.
const classKept = "bug"

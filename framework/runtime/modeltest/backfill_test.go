package modeltest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/scheduler"
)

// backfill reads a range of a stream beside its live polls until it is over or
// has failed. during, among others, may read live pages in its midst.
func (w *world) backfill(stream string, spec scheduler.BackfillSpec, f fault, skip int) {
	w.t.Helper()
	w.store.arm(f, false, skip)
	made, err := w.scheduler.Backfill(context.Background(), w.connection.ID, stream, spec)
	switch {
	case errors.Is(err, scheduler.ErrOverlap): // one that has failed is in the way
	case err != nil && w.store.struckNow() == faultNone:
		w.complain("a backfill of %s was refused without a cause: %w", stream, err)
	}
	w.awaitBackfills()
	for _, b := range w.backfills() {
		if b.ID == made.ID && b.State == scheduler.BackfillFailed && b.ErrorClass != "bug" && w.store.struckNow() == faultNone {
			w.complain("a backfill of %s failed without a cause: %s", stream, b.Error)
		}
	}
	w.settle()
}

func (w *world) backfills() []scheduler.Backfill {
	w.t.Helper()
	list, err := w.scheduler.Backfills(context.Background(), w.connection.ID)
	require.NoError(w.t, err)
	return list
}

// awaitBackfills waits until none is being read.
func (w *world) awaitBackfills() {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		running := false
		for _, b := range w.backfills() {
			running = running || b.State == scheduler.BackfillRunning
		}
		if w.store.isDead() || !running && w.filling.none() {
			return
		}
		select {
		case <-w.filled:
		case <-time.After(10 * time.Millisecond): // it waits to try again, or the last one was told before
		case <-deadline:
			w.t.Fatal("a backfill did not end")
		}
	}
}

// runs are those that have begun a page and not ended. A run that ends before its
// first page never began.
type runs struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (r *runs) began(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = map[string]bool{}
	}
	r.ids[id] = true
}

func (r *runs) finished(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

func (r *runs) none() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids) == 0
}

// resumeBackfills has those go on that have failed.
func (w *world) resumeBackfills() {
	w.t.Helper()
	for _, b := range w.backfills() {
		if b.State != scheduler.BackfillFailed {
			continue
		}
		if _, err := w.scheduler.ResumeBackfill(context.Background(), w.connection.ID, b.ID); err != nil && !errors.Is(err, scheduler.ErrOverlap) {
			w.complain("backfill %s cannot be resumed: %w", b.ID, err)
		}
		w.awaitBackfills()
	}
	w.check()
}

// live reads a live page in the middle of something else.
func (w *world) live(stream string) {
	during := w.swap(nil)
	_, err := w.scheduler.Page(context.Background(), w.connection.ID, stream, scheduler.PageOptions{})
	if err == nil {
		w.seen[seenBeside]++
	} else if busy := (*scheduler.BusyError)(nil); !errors.As(err, &busy) && w.store.struckNow() == faultNone {
		w.complain("a live page of %s beside a backfill failed without a cause: %w", stream, err)
	}
	w.swap(during)
}

// reset has the live polls of a stream begin anew.
func (w *world) reset(stream string, f fault) {
	w.t.Helper()
	w.store.arm(f, false, 0)
	err := w.scheduler.Reset(context.Background(), w.connection.ID, stream, scheduler.ResetTo{})
	if err != nil && w.store.struckNow() == faultNone {
		w.complain("stream %s was not reset, without a cause: %w", stream, err)
	}
	if err == nil {
		w.seen[seenReset]++
	}
	w.settle()
}

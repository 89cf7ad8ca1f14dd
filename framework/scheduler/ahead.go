package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// A page depends on the cursor, the window and the provider alone, so the next
// one is read while one is committed: at most one ahead, within one turn, and
// thrown away unless the commit succeeds. Nothing of it is recorded before.

// read is a page that was read, or is being read.
type read struct {
	started   time.Time
	result    framework.PageReturn
	emissions []ingest.Emission
	err       error

	cancel context.CancelFunc
	done   chan struct{} // nil when it was read at once
}

var errNotNeeded = errors.New("page is not needed")

// readPage returns the page at r's checkpoint: the one that was read ahead, or
// one that is read now.
func (s *Scheduler) readPage(e *stream, r *run) *read {
	if ahead := r.ahead; ahead != nil {
		r.ahead = nil
		<-ahead.done
		ahead.cancel()
		return ahead
	}
	p := &read{started: s.clock.wall()}
	p.result, p.emissions, p.err = s.call(e.conn.ctx, e, pageCall(r))
	return p
}

// readAhead begins to read the page after the one that is being committed.
func (s *Scheduler) readAhead(e *stream, r *run, next framework.PageCall) {
	ctx, cancel := context.WithCancelCause(e.conn.ctx)
	p := &read{started: s.clock.wall(), done: make(chan struct{}), cancel: func() { cancel(errNotNeeded) }}
	r.ahead = p
	go func() {
		defer close(p.done)
		p.result, p.emissions, p.err = s.call(ctx, e, next)
	}()
}

// drop throws away what was read ahead, and waits for its handler.
func (r *run) drop() {
	if r.ahead != nil {
		r.ahead.cancel()
		<-r.ahead.done
		r.ahead = nil
	}
}

func pageCall(r *run) framework.PageCall {
	return framework.PageCall{Cursor: r.checkpoint.Cursor, From: r.checkpoint.From, To: r.checkpoint.To}
}

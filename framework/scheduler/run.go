package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/internal/ending"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// begin makes the run of a stream whose turn has come, unless something keeps it
// from running. The lock is held.
func (s *Scheduler) begin(e *stream) bool {
	switch {
	case s.phase != phaseRunning, e.conn.closing, e.gone:
		e.place = placeParked
		return false
	case e.held():
		e.place, e.asked = placeParked, ""
		return false
	case e.paging:
		e.place, e.deferred = placeParked, true
		return false
	}
	e.run = s.newRun(e, e.asked)
	e.asked = ""
	if e.backfill != nil {
		e.run.Trigger = triggerBackfill
		e.backfill.began(e.run)
	} else {
		e.next = nextTick(e, e.run.Trigger, e.run.spread, e.run.StartedAt, e.run.StartedAt)
	}
	s.active.Add(1)
	e.conn.active.Add(1)
	return true
}

// newRun returns a run of e with the given id, or, for "", one that its schedule
// asked for.
func (s *Scheduler) newRun(e *stream, id string) *run {
	now := s.clock.wall()
	r := &run{Run: store.Run{
		ID: id, ConnectionID: e.ConnectionID, Stream: e.Key, Trigger: triggerManual,
		State: store.RunRunning, StartedAt: now,
	}}
	if id == "" {
		r.ID, r.Trigger, r.spread = store.NewID("run_", now), e.next.trigger, e.next.spread
	}
	return r
}

// work gives e's run its turn.
func (s *Scheduler) work(e *stream) {
	again := s.contained(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.turns[e.rank()].count(e.conn, -1)
	switch {
	case again && s.paced(e):
		s.arm(e)
	case again:
		s.enqueue(e)
	default:
		e.run = nil
		e.conn.active.Done()
		s.active.Done()
		s.settle(e)
	}
	s.offer(e.conn)
	if s.phase == phaseStopping || e.conn.closing {
		s.endWaitingRuns(func(yield func(*connection) bool) { yield(e.conn) })
	}
	s.dispatch()
}

// contained is turn with panics turned into a failed run: they are ours, since
// the binding contains its handlers', and still must not end the process.
func (s *Scheduler) contained(e *stream) (again bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		again = false
		err := panicError(v)
		s.logger(e, e.run).Error("scheduler panicked; the run fails", "err", err.Error(), "stack", err.Stack)
		defer func() {
			if v := recover(); v != nil { // the store itself, most likely
				s.logger(e, e.run).Error("scheduler panicked again; the run is left to the next start", "err", fmt.Sprint(v))
			}
		}()
		s.fail(e, e.run, err, nil)
	}()
	return s.turn(e)
}

func panicError(v any) *framework.PanicError {
	return &framework.PanicError{Value: fmt.Sprint(v), Stack: string(debug.Stack())}
}

// turn reads some pages of e's run and reports whether it wants another turn.
func (s *Scheduler) turn(e *stream) (again bool) {
	r := e.run
	defer r.drop()
	pages := e.pagesPerTurn(s.limits)
	for i := range pages {
		if state, err := s.halted(e); err != nil {
			s.fail(e, r, err, nil)
			return false
		} else if state != "" && r.ahead == nil { // a page in flight may still commit
			s.cut(e, r, state)
			return false
		}
		if !r.loaded {
			s.tell(e, Change{Kind: RunStarted, RunID: r.ID, Trigger: r.Trigger})
			err := s.load(e.conn.ctx, e, r)
			if err == nil {
				err = s.announce(e, r)
			}
			if err != nil {
				s.fail(e, r, err, nil)
				return false
			}
		}
		if !s.page(e, r, i == pages-1) {
			return false
		}
	}
	return true
}

// halted reports whether e's run must end without having failed, and in which
// state, or that its connection was quarantined.
func (s *Scheduler) halted(e *stream) (store.RunState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase == phaseStopping, e.conn.closing:
		return store.RunInterrupted, nil
	case e.held():
		return store.RunCanceled, nil
	case e.conn.quarantined:
		return "", ErrQuarantined
	}
	return "", nil
}

// load reads the checkpoint and settles the run's window.
func (s *Scheduler) load(ctx context.Context, e *stream, r *run) error {
	var saved store.Checkpoint
	var found bool
	err := s.ask(ctx, e.ConnectionID, "read checkpoint", func(ctx context.Context) (err error) {
		saved, found, err = s.store.Checkpoint(ctx, e.ConnectionID, e.Key, e.lane())
		return err
	})
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	r.kind = e.Binding.CursorType(e.Key)
	r.checkpoint = store.CheckpointWrite{}
	if found {
		r.checkpoint, r.saved = saved.CheckpointWrite, saved.CommitID
		was := framework.CursorType{Version: saved.CursorVersion, Digest: saved.CursorDigest}
		if r.checkpoint.Cursor, err = e.Binding.ReadCursor(e.Key, was, saved.Cursor); err != nil {
			return err
		}
		r.migrated = was != r.kind
	}
	c := &r.checkpoint
	c.Stream, c.Lane, c.RunID = e.Key, e.lane(), r.ID
	c.CursorVersion, c.CursorDigest = r.kind.Version, r.kind.Digest
	switch {
	case e.backfill != nil:
		e.backfill.window(c)
	case !e.Window:
		c.From, c.To = time.Time{}, time.Time{}
	case c.To.IsZero(): // else a window was left half read, and goes on
		c.To = r.StartedAt
		if !c.WindowDone.IsZero() {
			c.From = c.WindowDone.Add(-e.Lookback)
			if c.To.Before(c.WindowDone) { // the clock was set back
				c.To = c.WindowDone
			}
		}
	}
	r.loaded = true
	return nil
}

// call runs the sync route for one page.
func (s *Scheduler) call(ctx context.Context, e *stream, in framework.PageCall) (result framework.PageReturn, emissions []ingest.Emission, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.limits.PageTimeout, s.late)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
		overdue := context.Cause(ctx) == s.late //nolint:errorlint // this very error
		if overdue && err != nil && !errors.Is(err, framework.ErrAbandoned) {
			err = fmt.Errorf("%w: %w", s.late, err)
		}
		s.countAbandoned(e, err, overdue)
	}()
	if e.backfill != nil {
		ctx = budget.Yielding(ctx)
	}
	return e.Binding.Page(ending.With(ctx, e.conn.ending.Done()), e.Key, in)
}

// countAbandoned quarantines a connection whose handlers hang. Those that were
// canceled by us or by a caller, and not by their deadline, do not count. A
// stream whose handler returns says nothing about its neighbor's.
func (s *Scheduler) countAbandoned(e *stream, err error, overdue bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, framework.ErrHandlersHang): // none was called
		return
	case !errors.Is(err, framework.ErrAbandoned):
		e.abandoned = 0
		return
	case !overdue:
		return
	}
	e.abandoned++
	left := 0
	for neighbor := range e.conn.all() {
		left += neighbor.abandoned
	}
	e.conn.quarantined = e.conn.quarantined || left >= s.limits.AbandonedInARow
}

// page reads one page and commits it, and reports whether the run goes on. last
// says that it is the last of a turn.
func (s *Scheduler) page(e *stream, r *run, last bool) (more bool) {
	end := s.excuse(e, r)
	p := s.readPage(e, r)
	end()
	if p.err != nil {
		s.fail(e, r, p.err, nil)
		return false
	}
	result := p.result
	u := s.unit(e)
	u.Emissions, u.ObservedAt = p.emissions, p.started
	moved := r.moved(result)
	if err := r.stuck(result.Cursor, result.HasMore); err != nil {
		u.Checkpoint = &moved
		s.fail(e, r, err, &u)
		return false
	}
	if e.backfill != nil && e.backfill.lasts(&moved, result.HasMore, r) {
		result.HasMore = true
	}
	if result.HasMore {
		u.Checkpoint, u.Run = &moved, &store.RunWrite{Run: r.Run, Pages: 1}
		if state, err := s.halted(e); !last && state == "" && err == nil {
			s.readAhead(e, r, framework.PageCall{Cursor: moved.Cursor, From: moved.From, To: moved.To})
		}
		return s.commitPage(e, r, u)
	}
	s.finish(e, r, u, moved)
	return false
}

// moved returns the checkpoint as it is after a page.
func (r *run) moved(result framework.PageReturn) store.CheckpointWrite {
	c := r.checkpoint
	c.Previous, c.Cursor = r.saved, result.Cursor
	if !result.HasMore && !c.To.IsZero() {
		c.WindowDone, c.From, c.To = c.To, time.Time{}, time.Time{}
	}
	return c
}

// commitPage commits a page that is not the run's last.
func (s *Scheduler) commitPage(e *stream, r *run, u store.Unit) bool {
	s.note(e, r, &u, BackfillRunning)
	receipt, err := s.commit(e.conn.ctx, u)
	if err != nil {
		s.fail(e, r, fmt.Errorf("commit page: %w", refused(err)), nil)
		return false
	}
	s.counted(e, receipt)
	r.appended += receipt.Appended
	r.duplicates += receipt.Duplicates
	r.checkpoint, r.saved, r.recorded = *u.Checkpoint, u.ID, true
	r.Pages++
	s.tellPage(e, r, u, receipt)
	return true
}

func (s *Scheduler) tellPage(e *stream, r *run, u store.Unit, receipt store.Receipt) {
	s.tell(e, Change{
		Kind: PageCommitted, RunID: r.ID, Trigger: r.Trigger, Took: s.clock.wall().Sub(u.ObservedAt),
		Appended: receipt.Appended, Duplicates: receipt.Duplicates,
	})
}

func (s *Scheduler) logger(e *stream, r *run) *slog.Logger {
	return s.log.With("project", e.Project, "connection", e.Connection, "stream", e.Key, "run", r.ID)
}

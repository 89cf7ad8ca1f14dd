package scheduler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// nothingNew reports whether a run that is at its end needs no more than its
// success recorded.
func (s *Scheduler) nothingNew(e *stream, r *run, u store.Unit, to store.CheckpointWrite) bool {
	return len(u.Emissions) == 0 && !r.recorded && !r.migrated && r.saved != "" && r.checkpoint.To.IsZero() &&
		bytes.Equal(to.Cursor, r.checkpoint.Cursor) && r.Trigger != triggerManual && s.failuresOf(e) == 0
}

// finish commits a run's last page together with the run's end and the stream's
// next due time.
func (s *Scheduler) finish(e *stream, r *run, u store.Unit, to store.CheckpointWrite) {
	if e.backfill != nil {
		s.finishBackfill(e, r, u, to)
		return
	}
	next := nextTick(e, r.Trigger, r.spread, r.StartedAt, u.At)
	u.Streams = []store.StreamWrite{{Stream: e.Key, Succeeded: true, NextRunAt: &next.due}}
	done := r.Run
	done.State, done.FinishedAt = store.RunSucceeded, u.At
	quiet := s.nothingNew(e, r, u, to)
	if quiet && next.due.Sub(u.At) >= quietLeast {
		w := u.Streams[0]
		w.At = u.At
		s.keepBack(e, w)
		r.State, r.FinishedAt = done.State, done.FinishedAt
		r.Pages++
		s.tellPage(e, r, u, store.Receipt{})
		s.judge(e, r)
		s.conclude(e, r, next, "")
		return
	}
	u.Streams = s.withUnsaved(e, u.Streams[0])
	if quiet {
		u.Streams[len(u.Streams)-1].Runs = 1
	} else {
		u.Checkpoint, u.Run = &to, &store.RunWrite{Run: done, Pages: 1}
	}
	receipt, err := s.commit(e.conn.ctx, u)
	if err != nil {
		s.fail(e, r, fmt.Errorf("commit page: %w", refused(err)), nil)
		return
	}
	r.State, r.FinishedAt = done.State, done.FinishedAt
	r.Pages++
	r.appended += receipt.Appended
	r.duplicates += receipt.Duplicates
	s.tellPage(e, r, u, receipt)
	s.judge(e, r)
	s.conclude(e, r, next, "")
}

// fail ends a run that failed. page, if any, is a unit with a last page's events
// and checkpoint, to be recorded together with the failure. When the failure is
// our own cancellation, the run is interrupted and not failed.
func (s *Scheduler) fail(e *stream, r *run, cause error, page *store.Unit) {
	if e.conn.ctx.Err() != nil {
		s.cut(e, r, store.RunInterrupted)
		return
	}
	u := s.unit(e)
	if page != nil {
		u = *page
	}
	quarantined := s.isQuarantined(e)
	if quarantined && !errors.Is(cause, ErrQuarantined) {
		cause = fmt.Errorf("%w: %w", ErrQuarantined, cause)
	}
	if errors.Is(cause, framework.ErrRateLimited) && page == nil && !quarantined {
		s.postpone(e, r, cause)
		return
	}
	if e.backfill != nil {
		s.failBackfill(e, r, cause, page)
		return
	}
	class := classOf(cause)
	failures := s.failuresOf(e) + 1
	next := s.limits.afterFailure(cause, failures, nextTick(e, r.Trigger, r.spread, r.StartedAt, u.At), u.At)
	failed := r.Run
	failed.State, failed.FinishedAt, failed.ErrorClass = store.RunFailed, u.At, string(class)
	failed.Error, failed.Stack = describe(cause)
	nextRunAt := next.due
	if quarantined {
		nextRunAt = time.Time{} // none, until an operator resumes it or the process restarts
	}
	u.Run = &store.RunWrite{Run: failed}
	if page != nil {
		u.Run.Pages = 1
	}
	u.Streams = s.withUnsaved(e, store.StreamWrite{Stream: e.Key, Failure: &store.Failure{Error: failed.Error, Class: failed.ErrorClass}, NextRunAt: &nextRunAt})
	s.logger(e, r).Warn("run failed", "class", class, "next", nextRunAt, "err", failed.Error)
	receipt, err := s.commit(e.conn.ctx, u)
	switch {
	case err == nil && page != nil:
		s.tellPage(e, r, u, receipt)
	case err != nil && page != nil && e.conn.ctx.Err() == nil:
		// The page is what the store refuses; the failure is still to be told.
		s.fail(e, r, errors.Join(cause, fmt.Errorf("commit page: %w", err)), nil)
		return
	case errors.Is(err, store.ErrNotFound):
		s.mu.Lock()
		e.gone = true // deleted; nobody waits for it any more
		s.mu.Unlock()
	case err != nil && e.conn.ctx.Err() == nil:
		s.logger(e, r).Error("failure could not be recorded", "err", err)
	}
	r.State, r.FinishedAt = failed.State, failed.FinishedAt
	s.mu.Lock()
	e.failures = failures
	s.mu.Unlock()
	s.conclude(e, r, next, class)
}

// postpone ends a run that its rate budget allows no more calls. What it has
// read stays, and it goes on when the wait is over; it has not failed.
func (s *Scheduler) postpone(e *stream, r *run, cause error) {
	u := s.unit(e)
	next := appointment{due: u.At.Add(min(max(framework.RetryDelay(cause), time.Second), framework.MaxRetryAfter)), trigger: triggerRetry}
	ended := r.Run
	ended.State, ended.FinishedAt = store.RunInterrupted, u.At
	ended.Error, _ = describe(cause)
	u.Run = &store.RunWrite{Run: ended}
	if e.backfill == nil {
		u.Streams = s.withUnsaved(e, store.StreamWrite{Stream: e.Key, NextRunAt: &next.due})
	} else {
		s.mu.Lock()
		e.backfill.record.RetryAt = next.due
		s.mu.Unlock()
		s.note(e, r, &u, BackfillRunning)
	}
	if _, err := s.commit(e.conn.ctx, u); err != nil && e.conn.ctx.Err() == nil {
		s.logger(e, r).Error("wait for the rate budget could not be recorded", "err", err)
	}
	s.logger(e, r).Info("run waits for its rate budget", "next", next.due, "err", ended.Error)
	r.State, r.FinishedAt = ended.State, ended.FinishedAt
	s.conclude(e, r, next, "")
}

func (s *Scheduler) failuresOf(e *stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.failures
}

func (s *Scheduler) isQuarantined(e *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.conn.quarantined
}

// cut ends a run between two pages, or in the middle of one that was canceled,
// without a failure. The stream is due at once, to go on where the run was.
func (s *Scheduler) cut(e *stream, r *run, state store.RunState) {
	u := s.unit(e)
	next := appointment{due: u.At, trigger: triggerStart}
	r.State, r.FinishedAt = state, u.At
	ended := r.Run
	if state == store.RunInterrupted {
		ended.Error = stopped
	}
	u.Run = &store.RunWrite{Run: ended}
	if e.backfill == nil {
		u.Streams = s.withUnsaved(e, store.StreamWrite{Stream: e.Key, NextRunAt: &next.due})
	} else {
		s.note(e, r, &u, BackfillRunning)
	}
	// Without a row there is nothing to close, and the stored due time has
	// passed anyway.
	fenced := errors.Is(context.Cause(e.conn.ctx), store.ErrFenced)
	if !fenced && (r.recorded || r.Trigger == triggerManual) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.conn.ctx), farewell)
		defer cancel()
		if _, err := s.store.Commit(ctx, u); err != nil {
			// The next start finds the row and ends it.
			s.logger(e, r).Warn("end of a canceled run could not be recorded", "err", err)
		}
	}
	s.conclude(e, r, next, "")
}

// conclude notes what a run that has ended leaves behind.
func (s *Scheduler) conclude(e *stream, r *run, next appointment, class framework.Class) {
	s.mu.Lock()
	if r.State == store.RunSucceeded {
		e.failures = 0
	}
	e.next = next
	e.skipped += int64(next.skipped)
	s.mu.Unlock()
	took := r.FinishedAt.Sub(r.StartedAt)
	if s.log.Enabled(e.conn.ctx, slog.LevelDebug) {
		s.logger(e, r).Debug("run ended", "state", r.State, "pages", r.Pages, "took", took.Round(time.Millisecond))
	}
	s.tell(e, Change{
		Kind: RunFinished, RunID: r.ID, Trigger: r.Trigger, State: r.State, Class: class,
		Took: took, Skipped: next.skipped,
	})
}

package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// backfill is what a stream that is a backfill has beside other streams. record
// is guarded by Scheduler.mu.
type backfill struct {
	id     string
	record Backfill
	// since and from are when the run began and where, for the estimate.
	since time.Time
	from  time.Time
	// paced is when the next page may be read.
	paced time.Time
}

// newBackfill returns the stream that reads b. The lock is held.
func newBackfill(owner *stream, b Backfill) *stream {
	if owner.backfills == nil {
		owner.backfills = map[string]*stream{}
	}
	e := &stream{Stream: owner.Stream, key: owner.key, conn: owner.conn, index: -1, owner: owner, epoch: owner.epoch, failures: b.Failures}
	e.backfill = &backfill{id: b.ID, record: b}
	return e
}

// takeUp goes on with the backfills that the store has of a stream. The lock is
// held.
func (s *Scheduler) takeUp(owner *stream) {
	now := s.clock.wall()
	for _, b := range ReadBackfills(owner.States) {
		if b.Stream != owner.Key && !slices.Contains(owner.Former, b.Stream) {
			continue
		}
		b.Stream = owner.Key
		e := newBackfill(owner, b)
		owner.backfills[b.ID] = e
		e.next = appointment{due: now, trigger: triggerBackfill}
		if wait := b.RetryAt.Sub(now); wait > 0 {
			// A clock that was set since makes no wait longer than it can be.
			e.next.due = now.Add(min(wait, max(s.limits.BackoffCap, framework.MaxRetryAfter+retryAfterJitter)))
		}
		s.settle(e)
	}
	owner.watch.raised = alarmOf(owner.States, owner.Key)
	owner.States = nil
}

// held reports that an operator keeps e from running. The lock is held.
func (e *stream) held() bool {
	if e.backfill != nil {
		return e.owner.paused || e.owner.crashing || e.backfill.record.State != BackfillRunning
	}
	return e.paused
}

// withBackfills yields e and its backfills.
func (e *stream) withBackfills() iter.Seq[*stream] {
	return func(yield func(*stream) bool) {
		if !yield(e) {
			return
		}
		for _, b := range e.backfills {
			if !yield(b) {
				return
			}
		}
	}
}

// pagesPerTurn is one for a backfill: whatever is due meanwhile goes before it.
func (e *stream) pagesPerTurn(l Limits) int {
	if e.backfill != nil {
		return 1
	}
	return l.PagesPerTurn
}

// paced reports that e's run is to wait until its next page, and sets how long.
// The lock is held.
func (s *Scheduler) paced(e *stream) bool {
	if e.backfill == nil || e.backfill.record.Rate.IsZero() || e.held() || s.phase == phaseStopping || e.conn.closing {
		return false
	}
	now := s.clock.wall()
	every := e.backfill.record.Rate.Every()
	due := e.backfill.paced.Add(every)
	if due.Before(now) || due.After(now.Add(every)) { // it was slower, or the clock was set
		due = now
	}
	e.backfill.paced = due
	e.next = appointment{due: due.Add(every), trigger: triggerBackfill}
	return true
}

// began notes where a run begins.
func (b *backfill) began(r *run) {
	b.since, b.from = r.StartedAt, b.record.DoneTo
	b.record.RunID = r.ID
}

// window gives a checkpoint its window, unless one was left half read.
func (b *backfill) window(c *store.CheckpointWrite) {
	if !c.To.IsZero() {
		return
	}
	c.Cursor = nil
	c.From = b.record.From
	if c.WindowDone.After(c.From) {
		c.From = c.WindowDone
	}
	c.To = c.From.Add(b.record.Window)
	if c.To.After(b.record.To) {
		c.To = b.record.To
	}
}

// lasts reports that another page or window comes after a page, and opens that
// window in the checkpoint.
func (b *backfill) lasts(c *store.CheckpointWrite, hasMore bool, r *run) bool {
	if hasMore {
		return true
	}
	c.Cursor = nil
	r.loop = loopDetector{} // another window may have the same cursors
	if !c.WindowDone.Before(b.record.To) {
		return false
	}
	b.window(c)
	return true
}

// note puts what the backfill has done into a unit. It leaves other runs alone.
func (s *Scheduler) note(e *stream, r *run, u *store.Unit, state BackfillState) {
	if e.backfill == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &e.backfill.record
	if b.State == BackfillRunning { // else an operator ended it meanwhile
		b.State = state
	}
	b.RunID = r.ID
	if u.Checkpoint != nil {
		b.DoneTo = later(b.DoneTo, u.Checkpoint.WindowDone)
		b.Pages++
		if state == BackfillRunning || state == BackfillDone {
			b.Error, b.ErrorClass, b.Failures, b.RetryAt = "", "", 0, time.Time{}
			e.failures = 0
		}
	}
	if b.State != BackfillRunning {
		b.FinishedAt = cmp.Or(b.FinishedAt, u.At)
	}
	u.State = []store.StateWrite{b.stateOf()}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// counted adds what a committed page brought. It is stored with the next one.
func (s *Scheduler) counted(e *stream, receipt store.Receipt) {
	if e.backfill == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.backfill.record.Events += int64(receipt.Appended)
	e.backfill.record.Duplicates += int64(receipt.Duplicates)
}

// finishBackfill commits a backfill's last page.
func (s *Scheduler) finishBackfill(e *stream, r *run, u store.Unit, to store.CheckpointWrite) {
	done := r.Run
	done.State, done.FinishedAt = store.RunSucceeded, u.At
	u.Checkpoint, u.Run = &to, &store.RunWrite{Run: done, Pages: 1}
	s.note(e, r, &u, BackfillDone)
	receipt, err := s.commit(e.conn.ctx, u)
	if err != nil {
		s.reopen(e)
		s.fail(e, r, fmt.Errorf("commit page: %w", refused(err)), nil)
		return
	}
	s.counted(e, receipt)
	r.State, r.FinishedAt = done.State, done.FinishedAt
	r.Pages++
	s.tellPage(e, r, u, receipt)
	last := s.unit(e)
	s.note(e, r, &last, BackfillDone) // with the counts of the last page
	if _, err := s.commit(e.conn.ctx, last); err != nil {
		s.logger(e, r).Warn("counts of a backfill could not be recorded", "err", err)
	}
	s.conclude(e, r, e.next, "")
}

// reopen takes back that a backfill is done, which could not be recorded.
func (s *Scheduler) reopen(e *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &e.backfill.record
	if b.State == BackfillDone {
		b.State, b.FinishedAt = BackfillRunning, time.Time{}
	}
	b.Pages--
}

// failBackfill ends a backfill's run that failed. A transient failure is tried
// again by itself, anything else waits for an operator.
func (s *Scheduler) failBackfill(e *stream, r *run, cause error, page *store.Unit) {
	u := s.unit(e)
	if page != nil {
		u = *page
	}
	class := classOf(cause)
	failed := r.Run
	failed.State, failed.FinishedAt, failed.ErrorClass = store.RunFailed, u.At, string(class)
	failed.Error, failed.Stack = describe(cause)
	u.Run = &store.RunWrite{Run: failed}
	if page != nil {
		u.Run.Pages = 1
	}
	never := appointment{due: u.At.Add(time.Duration(1<<62) - 1)}
	s.mu.Lock()
	e.failures++
	b, state := &e.backfill.record, BackfillFailed
	next := s.limits.afterFailure(cause, e.failures, never, u.At)
	b.Error, b.ErrorClass, b.Failures, b.RetryAt = failed.Error, failed.ErrorClass, e.failures, time.Time{}
	if class == framework.ClassTransient {
		state, b.RetryAt = BackfillRunning, next.due
	}
	next.trigger = triggerBackfill
	s.mu.Unlock()
	if page == nil {
		s.note(e, r, &u, state)
	} else {
		// The page of a failure is no progress that ends a row of failures.
		s.note(e, r, &u, BackfillFailed)
	}
	s.logger(e, r).Warn("backfill failed", "backfill", e.backfill.id, "class", class, "err", failed.Error)
	_, err := s.commit(e.conn.ctx, u)
	switch {
	case err == nil:
	case page != nil && e.conn.ctx.Err() == nil:
		s.failBackfill(e, r, errors.Join(cause, fmt.Errorf("commit page: %w", err)), nil)
		return
	case errors.Is(err, store.ErrNotFound):
		s.mu.Lock()
		e.gone = true
		s.mu.Unlock()
	case e.conn.ctx.Err() == nil:
		s.logger(e, r).Error("failure could not be recorded", "err", err)
	}
	r.State, r.FinishedAt = failed.State, failed.FinishedAt
	s.conclude(e, r, next, class)
}

// shown is a backfill as it is listed. The lock is held.
func (s *Scheduler) shown(e *stream) Backfill {
	b := e.backfill.record
	b.ConnectionID = e.ConnectionID
	b.Paused = b.State == BackfillRunning && (e.owner.paused || e.owner.crashing || e.conn.quarantined)
	if done, left := b.DoneTo.Sub(e.backfill.from), b.To.Sub(b.DoneTo); e.run != nil && done > 0 && left > 0 {
		took := s.clock.wall().Sub(e.backfill.since)
		b.Remaining = time.Duration(float64(took) * float64(left) / float64(done)).Round(time.Second)
	}
	return b
}

package scheduler

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// A handler can end the whole process: os.Exit, a stack that overflows, maps
// that are written concurrently, memory that runs out. Nothing contains that,
// so it must be seen after the fact. The first run of a stream in a process has
// its row before its first page. When the process then ends, the next start
// finds the row; a stream with several such rows in a row is not run again
// until an operator resumes it. One that crashes later than in its first run of
// a process does so in the first run of the next.
//
// Streams that were read beside the one that crashed have such rows as well.
// They are told apart by starting one after another, those with fewer crashes
// first: whose page returns is cleared, and whose turn does not come any more
// is not counted again.

const (
	// suspectGap is the time between the starts of streams that may have crashed
	// the last process.
	suspectGap = 5 * time.Second
	// stopped is the error of runs that end because they were told to. It sets
	// them apart from those that ended with their process.
	stopped = "stopped with its process or connection; the stream goes on at its checkpoint"
)

// CountCrashes returns how many of a stream's last runs in a row ended with
// their process before a page of theirs was committed. runs are the newest
// first, after store.Store's InterruptRuns.
func CountCrashes(runs []store.Run) int {
	for i, r := range runs {
		if r.State != store.RunInterrupted || r.Pages > 0 || r.Error != "" {
			return i
		}
	}
	return len(runs)
}

// suspect postpones a stream that may have crashed the last process, or
// quarantines it and says so. The lock is not held.
func (s *Scheduler) suspect(e *stream, now time.Time) error {
	switch {
	case e.Crashes == 0:
		return nil
	case e.Crashes < s.limits.Crashes:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.suspects++
		if earliest := now.Add(time.Duration(s.suspects) * suspectGap); e.next.due.Before(earliest) {
			e.next.due = earliest
		}
		return nil
	}
	e.crashing = true
	text, _ := describe(ErrCrashing)
	u := s.unit(e)
	u.Streams = []store.StreamWrite{{
		Stream: e.Key, Failure: &store.Failure{Error: text, Class: string(classOf(ErrCrashing))}, NextRunAt: &time.Time{},
	}}
	e.failures++
	s.log.Error("stream is quarantined", "project", e.Project, "connection", e.Connection, "stream", e.Key, "crashes", e.Crashes, "err", text)
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.StoreTimeout)
	defer cancel()
	if _, err := s.commit(ctx, u); err != nil {
		return fmt.Errorf("record quarantine: %w", err)
	}
	return nil
}

// announce writes the run's row before its first page, unless the stream has
// shown in this process that it does not crash it.
func (s *Scheduler) announce(e *stream, r *run) error {
	s.mu.Lock()
	survived := e.survived
	s.mu.Unlock()
	if survived {
		return nil
	}
	u := s.unit(e)
	u.Run = &store.RunWrite{Run: r.Run}
	if _, err := s.commit(e.conn.ctx, u); err != nil {
		return fmt.Errorf("record run: %w", refused(err))
	}
	r.recorded, r.announced = true, true
	return nil
}

// excuse is called before the first page of an announced run, and the function
// that it returns after it. When the scheduler is told to stop in between, the
// run's row says so at once: whoever stops a process may not wait for the page,
// and that is no crash.
func (s *Scheduler) excuse(e *stream, r *run) (end func()) {
	if !r.announced {
		return func() {}
	}
	r.announced = false
	excused, done := r.Run, make(chan struct{})
	unhook := context.AfterFunc(s.stopping, func() {
		defer close(done)
		if s.ctx.Err() != nil {
			return // canceled at once: the run ends by itself
		}
		u := s.unit(e)
		excused.State, excused.FinishedAt, excused.Error = store.RunInterrupted, u.At, stopped
		u.Run = &store.RunWrite{Run: excused}
		ctx, cancel := context.WithTimeout(s.ctx, farewell)
		defer cancel()
		if _, err := s.store.Commit(ctx, u); err != nil {
			s.logger(e, r).Warn("stop of a run could not be recorded", "err", err)
		}
	})
	return func() {
		s.mu.Lock()
		e.survived = true
		s.mu.Unlock()
		if !unhook() {
			<-done // what the page writes comes after it
		}
	}
}

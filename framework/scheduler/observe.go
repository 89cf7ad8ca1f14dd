package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// ChangeKind says what happened to a stream.
type ChangeKind string

const (
	// RunStarted comes when a run begins its first page.
	RunStarted ChangeKind = "run_started"
	// PageCommitted comes after each page that was recorded.
	PageCommitted ChangeKind = "page_committed"
	// RunFinished comes when a run has ended, with its state.
	RunFinished ChangeKind = "run_finished"
	// StreamChanged comes when a stream was added, removed, paused or resumed.
	StreamChanged ChangeKind = "stream_changed"
)

// Change tells of one change of a stream, after it was recorded.
type Change struct {
	Kind                              ChangeKind
	Project, ConnectionID, Connection string
	Stream                            string
	// RunID and Trigger are those of the run, if the change is about one.
	RunID, Trigger string
	// State is the run's state, and Class why it failed, for RunFinished.
	State store.RunState
	Class framework.Class
	// Took is how long the page, or the run, took.
	Took time.Duration
	// Appended and Duplicates count the page's events, for PageCommitted.
	Appended, Duplicates int
	// Skipped counts the ticks that came while the run was going, for
	// RunFinished.
	Skipped int
}

// Subscribe has fn called for every change until the returned function is
// called. fn is called from several goroutines, in the middle of their work: it
// must return at once. It may ask for a State, but not wait for a run to end.
func (s *Scheduler) Subscribe(fn func(Change)) (unsubscribe func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	subscriber := &fn
	s.setSubscribers(append(slices.Clone(s.listeners()), subscriber))
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.setSubscribers(slices.DeleteFunc(slices.Clone(s.listeners()), func(f *func(Change)) bool { return f == subscriber }))
	}
}

func (s *Scheduler) listeners() []*func(Change) {
	if list := s.subscribers.Load(); list != nil {
		return *list
	}
	return nil
}

func (s *Scheduler) setSubscribers(list []*func(Change)) { s.subscribers.Store(&list) }

// tell calls the subscribers. It is called without the lock.
func (s *Scheduler) tell(e *stream, c Change) {
	list := s.listeners()
	if len(list) == 0 {
		return
	}
	c.Project, c.ConnectionID, c.Connection, c.Stream = e.Project, e.ConnectionID, e.Connection, e.Key
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("subscriber panicked", "err", fmt.Sprint(v))
		}
	}()
	for _, fn := range list {
		(*fn)(c)
	}
}

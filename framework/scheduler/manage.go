package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/weirhq/weir/framework/store"
)

// Add schedules a stream. It may be called before and after [Scheduler.Start].
func (s *Scheduler) Add(in Stream) error {
	if err := in.validate(); err != nil {
		return fmt.Errorf("schedule stream %q of connection %q: %w", in.Key, in.ConnectionID, err)
	}
	e := &stream{
		Stream: in, key: in.ConnectionID + "." + in.Key, exact: s.exact, index: -1,
		paused: in.Paused || in.Status.Paused, failures: in.Status.ConsecutiveFailures,
	}
	var held bool
	if e.epoch, held = s.store.Epoch(in.ConnectionID); !held {
		return fmt.Errorf("schedule stream %q of connection %q: %w", in.Key, in.ConnectionID, store.ErrFenced)
	}
	now := s.clock.wall()
	e.next = firstAppointment(e, now)
	if err := errors.Join(s.suspect(e, now), s.insert(e)); err != nil {
		return fmt.Errorf("schedule stream %q of connection %q: %w", in.Key, in.ConnectionID, err)
	}
	s.tell(e, Change{Kind: StreamChanged})
	return nil
}

func (s *Scheduler) insert(e *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseStopping {
		return ErrStopped
	}
	c := s.connections[e.ConnectionID]
	if c == nil {
		c = &connection{id: e.ConnectionID, streams: map[string]*stream{}}
		c.ctx, c.cancel = context.WithCancelCause(s.ctx)
		c.ending, c.end = context.WithCancel(s.stopping)
		s.connections[c.id] = c
	}
	if c.closing || c.streams[e.Key] != nil {
		return ErrExists
	}
	e.conn = c
	c.streams[e.Key] = e
	s.settle(e)
	s.takeUp(e)
	return nil
}

// Remove takes all streams of a connection off the schedule and waits for their
// runs. Pages in flight may finish and commit until ctx ends or the limit
// StopTimeout is over; what is left then is canceled, and an error says so. It
// is no error that there is no such connection. Afterwards the connection may be
// added again. A ctx that has ended with store.ErrFenced as its cause says that
// the connection's lease is lost: nothing more is written then.
func (s *Scheduler) Remove(ctx context.Context, connectionID string) error {
	s.mu.Lock()
	c := s.connections[connectionID]
	if c == nil {
		s.mu.Unlock()
		return nil
	}
	s.withdraw(c)
	s.mu.Unlock()

	err := wait(ctx, &c.active, s.limits.StopTimeout)
	end := endOf(ctx)
	if !errors.Is(end, store.ErrFenced) {
		s.flushLast(c)
	}
	c.cancel(end)
	c.active.Wait()

	s.mu.Lock()
	delete(s.unsaved, c)
	if s.connections[connectionID] == c {
		delete(s.connections, connectionID)
	}
	removed := slices.Collect(maps.Values(c.streams))
	s.mu.Unlock()
	for _, e := range removed {
		s.tell(e, Change{Kind: StreamChanged})
	}
	if err != nil {
		return fmt.Errorf("remove connection %s: %w", connectionID, err)
	}
	return nil
}

// endOf is the cause with which a connection ends that is removed under ctx.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, store.ErrFenced) {
		return cause
	}
	return ErrStopped
}

// find returns a stream. The lock is held.
func (s *Scheduler) find(connectionID, key string) (*stream, error) {
	if c := s.connections[connectionID]; c != nil {
		if e := c.streams[key]; e != nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("stream %q of connection %q: %w", key, connectionID, ErrUnknownStream)
}

// available says why nothing can be read from e now. The lock is held.
func (s *Scheduler) available(e *stream) error {
	busy := &BusyError{ConnectionID: e.ConnectionID, Stream: e.Key}
	switch {
	case s.phase == phaseStopping, e.conn.closing, e.gone:
		return ErrStopped
	case e.conn.quarantined:
		return ErrQuarantined
	case e.crashing:
		return ErrCrashing
	case e.run != nil:
		busy.RunID = e.run.ID
		return busy
	case e.asked != "":
		busy.RunID = e.asked
		return busy
	case e.paging:
		return busy
	}
	return nil
}

// RunNow has the stream run as soon as there is room, whatever its schedule and
// its last failure say, and returns the id that the run will have. Errors:
// [ErrUnknownStream], [ErrPaused], [ErrQuarantined], [ErrCrashing], [ErrStopped], and a
// [*BusyError] when the stream runs or waits to run for an operator already.
func (s *Scheduler) RunNow(connectionID, key string) (runID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(connectionID, key)
	if err != nil {
		return "", err
	}
	if err := s.available(e); err != nil {
		return "", err
	}
	if e.paused {
		return "", ErrPaused
	}
	runID = store.NewID("run_", s.clock.wall())
	e.asked = runID
	if e.place == placeWaiting {
		s.waiting.remove(e)
		s.enqueue(e)
		s.dispatch()
	}
	return runID, nil
}

// Pause keeps a stream from running, also after a restart. A run that is going
// ends after the page in flight, as canceled.
func (s *Scheduler) Pause(ctx context.Context, connectionID, key string) error {
	return s.setPaused(ctx, connectionID, key, true)
}

// Resume ends a pause, and the quarantine of the stream or its connection. What became
// due in the meantime runs at once.
func (s *Scheduler) Resume(ctx context.Context, connectionID, key string) error {
	return s.setPaused(ctx, connectionID, key, false)
}

func (s *Scheduler) setPaused(ctx context.Context, connectionID, key string, paused bool) error {
	s.mu.Lock()
	e, err := s.find(connectionID, key)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.StoreTimeout)
	defer cancel()
	if err := s.store.SetPaused(ctx, connectionID, key, paused); err != nil {
		return fmt.Errorf("set paused of stream %q of connection %s: %w", key, connectionID, err)
	}
	s.mu.Lock()
	e.paused = paused
	if paused {
		s.hold(e)
	} else {
		s.lift(e)
	}
	s.mu.Unlock()
	s.tell(e, Change{Kind: StreamChanged})
	return nil
}

// lift ends what keeps e, and with a quarantine its neighbors, from running.
// The lock is held.
func (s *Scheduler) lift(e *stream) {
	streams := []*stream{e}
	quarantined := e.conn.quarantined || e.crashing
	if e.conn.quarantined {
		e.conn.quarantined = false
		streams = slices.Collect(maps.Values(e.conn.streams))
	}
	e.crashing = false
	for _, e := range streams {
		e.abandoned = 0
		if quarantined && e.place == placeParked {
			// Whoever resumes wants to see whether it works now.
			e.next = appointment{due: s.clock.wall(), trigger: triggerStart}
		}
		if e.place == placeParked {
			s.settle(e)
		}
		for _, b := range e.backfills {
			if b.place == placeParked {
				s.settle(b)
			}
		}
	}
}

// hold takes a paused stream and its backfills off the schedule, unless they
// run: what runs sees it after its page. The lock is held.
func (s *Scheduler) hold(e *stream) {
	for b := range e.withBackfills() {
		if b.place != placeWaiting {
			continue
		}
		s.waiting.remove(b)
		if b.run != nil { // it waits for its pace, and is to record its end
			s.enqueue(b)
			s.dispatch()
			continue
		}
		b.place = placeParked
	}
}

// State returns what a stream is doing; ok is false if it was not added.
func (s *Scheduler) State(connectionID, key string) (state State, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(connectionID, key)
	if err != nil {
		return State{}, false
	}
	state = State{
		Running: e.run != nil, RunID: e.asked,
		Paused: e.paused, Quarantined: e.conn.quarantined || e.crashing, Failures: e.failures, Skipped: e.skipped,
	}
	if e.run != nil {
		state.RunID, state.Trigger = e.run.ID, e.run.Trigger
	}
	if e.place != placeParked {
		state.Next = e.next.due
		if e.next.trigger == triggerRetry {
			state.RetryAt = e.next.due
		}
	}
	return state, true
}

package scheduler

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

type phase int

const (
	phaseCreated phase = iota
	phaseRunning
	phaseStopping
)

// Scheduler runs polled streams when they are due. It is safe for concurrent
// use. Make one with [New].
type Scheduler struct {
	store  Store
	log    *slog.Logger
	limits Limits
	fenced func(connectionID string, err error)
	exact  bool
	clock  clock
	late   error // why the context of a page ends at its deadline

	// ctx is the parent of everything that runs.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// stopping ends when Stop is called; what runs may still go on.
	stopping    context.Context
	stop        context.CancelFunc
	active      sync.WaitGroup // live runs and pages on demand
	wake        chan struct{}
	loop        chan struct{} // closed when the loop has ended; nil before Start
	subscribers atomic.Pointer[[]*func(Change)]
	halting     sync.Once

	mu          sync.Mutex
	phase       phase
	connections map[string]*connection
	waiting     waiting
	turns       [ranks]turns
	running     int
	unsaved     map[*connection][]*stream
	suspects    int           // streams that start one after another
	drift       time.Duration // of the clocks, when due times were last set by it
}

// New returns a scheduler that does nothing until [Scheduler.Start].
func New(c Config) (*Scheduler, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("make scheduler: %w", err)
	}
	s := &Scheduler{
		store: c.Store, log: c.Logger, limits: c.Limits, fenced: c.Fenced, exact: c.NoSpread, clock: newClock(),
		wake: make(chan struct{}, 1), connections: map[string]*connection{}, unsaved: map[*connection][]*stream{},
		turns: newTurns(c.Limits),
		late:  fmt.Errorf("page took longer than %s", c.Limits.PageTimeout),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.stopping, s.stop = context.WithCancel(s.ctx)
	return s, nil
}

// Start begins to run what is due. When ctx ends, everything is canceled as by
// [Scheduler.Stop] without patience; Stop is to be called all the same.
func (s *Scheduler) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case phaseRunning:
		return ErrStarted
	case phaseStopping:
		return ErrStopped
	case phaseCreated:
	}
	s.phase = phaseRunning
	s.loop = make(chan struct{})
	unhook := context.AfterFunc(ctx, func() { s.close(context.Cause(ctx)) })
	go func() {
		defer close(s.loop)
		defer unhook()
		var flusher sync.WaitGroup
		flusher.Go(s.flushLoop)
		defer flusher.Wait()
		s.watch()
	}()
	s.dispatch()
	return nil
}

// Stop ends the scheduler: no run begins any more, and pages in flight may still
// finish and commit, until ctx ends or the limit StopTimeout is over. What is
// left then is canceled, and Stop returns when it has ended: an error says that
// it had to be. A run that was cut short ends as interrupted, and is due at once
// when the stream is next added. Stop may be called twice.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.phase = phaseStopping
	s.endWaitingRuns(maps.Values(s.connections))
	loop := s.loop
	s.mu.Unlock()
	s.stop()
	s.signal()

	err := wait(ctx, &s.active, s.limits.StopTimeout)
	s.flushLast(nil)
	s.cancel(ErrStopped)
	s.active.Wait()
	if loop != nil {
		<-loop
	}
	if err != nil {
		return fmt.Errorf("stop scheduler: %w", err)
	}
	return nil
}

var errPatience = errors.New("pages in flight took too long and were canceled")

// wait waits for group, but not longer than ctx and patience.
func wait(ctx context.Context, group *sync.WaitGroup, patience time.Duration) error {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		group.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return errors.Join(errPatience, context.Cause(ctx))
	case <-timer.C:
		return errPatience
	}
}

// close ends everything without patience.
func (s *Scheduler) close(cause error) {
	s.cancel(cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phaseStopping
	s.endWaitingRuns(maps.Values(s.connections))
}

// halt ends everything because the store no longer takes our writes.
func (s *Scheduler) halt(cause error) {
	s.halting.Do(func() {
		s.log.Error("scheduler stops: the store refuses this process", "err", cause)
		s.close(cause)
		if s.fenced != nil {
			go s.fenced("", cause)
		}
	})
}

// fence ends the work of a connection whose lease has moved.
func (s *Scheduler) fence(connectionID string, cause error) {
	s.mu.Lock()
	c := s.connections[connectionID]
	if c == nil || c.fenced {
		s.mu.Unlock()
		return
	}
	c.fenced = true
	delete(s.unsaved, c)
	s.withdraw(c)
	s.mu.Unlock()
	c.cancel(cause)
	s.log.Warn("the lease of a connection has moved to another process; its runs end here", "connection", connectionID, "err", cause)
	if s.fenced != nil {
		go s.fenced(connectionID, cause)
	}
}

// withdraw keeps runs of c from starting. The lock is held.
func (s *Scheduler) withdraw(c *connection) {
	c.closing = true
	c.end()
	for e := range c.all() {
		if e.place == placeWaiting && e.run == nil {
			s.waiting.remove(e)
			e.place = placeParked
		}
	}
	s.endWaitingRuns(func(yield func(*connection) bool) { yield(c) })
}

func (s *Scheduler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watch moves streams that become due from the heap to the line.
func (s *Scheduler) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		sleep, ok := s.advance()
		if !ok {
			return
		}
		timer.Reset(sleep)
	}
}

// advance starts what is due and returns how long nothing else is.
func (s *Scheduler) advance() (sleep time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseRunning {
		return 0, false
	}
	s.followClock()
	now := s.clock.elapsed()
	for e := s.waiting.due(now); e != nil; e = s.waiting.due(now) {
		s.enqueue(e)
	}
	s.dispatch()
	sleep = longestSleep
	if len(s.waiting) > 0 {
		sleep = min(sleep, s.waiting[0].at-now)
	}
	return sleep, true
}

// followClock looks at all due times again when the wall clock was set. After a
// leap forward they come nearer; a wait never becomes longer than it was.
func (s *Scheduler) followClock() {
	drift := s.clock.drift()
	moved := drift - s.drift
	if moved < clockTolerance && moved > -clockTolerance {
		return
	}
	s.drift = drift
	elapsed, wall := s.clock.elapsed(), s.clock.wall()
	for _, e := range s.waiting {
		e.at = min(e.at, elapsed+max(0, e.next.due.Sub(wall)))
		e.next.due = wall.Add(e.at - elapsed)
	}
	heap.Init(&s.waiting)
	s.log.Warn("wall clock was set; due times follow", "moved", moved.Round(time.Millisecond))
}

// arm puts e into the heap for its next appointment. The lock is held.
func (s *Scheduler) arm(e *stream) {
	e.place = placeWaiting
	e.at = s.clock.elapsed() + max(0, e.next.due.Sub(s.clock.wall()))
	s.waiting.add(e)
	if e.index == 0 {
		s.signal()
	}
}

// settle puts a stream that has nothing going where it belongs. The lock is
// held.
func (s *Scheduler) settle(e *stream) {
	if e.held() || e.crashing || e.gone || e.conn.closing || e.conn.quarantined || s.phase == phaseStopping {
		e.place = placeParked
		return
	}
	s.arm(e)
}

// dispatch hands streams to runners while there is room. The lock is held.
func (s *Scheduler) dispatch() {
	if s.phase == phaseCreated {
		return
	}
	for s.running < s.limits.Runs {
		e := s.turns[rankLive].next()
		if e == nil { // backfills give way
			e = s.turns[rankBackfill].next()
		}
		if e == nil {
			return
		}
		if e.run != nil || s.begin(e) {
			s.hand(e)
		}
		s.offer(e.conn)
	}
}

// enqueue puts e in the line. The lock is held.
func (s *Scheduler) enqueue(e *stream) { s.turns[e.rank()].enqueue(e) }

// offer puts c in the lines that it belongs in. The lock is held.
func (s *Scheduler) offer(c *connection) {
	for i := range s.turns {
		s.turns[i].offer(c)
	}
}

// hand gives e to a runner. The lock is held.
func (s *Scheduler) hand(e *stream) {
	e.place = placeRunning
	s.turns[e.rank()].count(e.conn, 1)
	s.running++
	go s.work(e)
}

// endWaitingRuns lets the runs that wait for their next turn have it now,
// whatever the limits say: with their connection closing or the scheduler
// stopping, they read nothing and only record their end. The lock is held.
func (s *Scheduler) endWaitingRuns(connections iter.Seq[*connection]) {
	for c := range connections {
		for e := range c.all() {
			switch {
			case e.run != nil && (e.place == placeReady || e.place == placeWaiting):
				s.waiting.remove(e)
				s.hand(e)
			case e.place == placeReady:
				e.place = placeParked
			}
		}
		for i := range c.ready {
			c.ready[i].streams = nil
		}
	}
}

package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// runner is a running sink. What stands below inbox belongs to the goroutine of run.
type runner struct {
	Identity
	sink.Spec
	engine *Engine
	store  Store
	log    *slog.Logger
	epoch  int64

	// reading ends reads and waits, sending ends attempts. The first ends before
	// the second, so that requests on their way may come back.
	reading     context.Context //nolint:containedctx // the life of the sink, not of a call
	stopReading context.CancelFunc
	sending     context.Context //nolint:containedctx // see reading
	stopSending context.CancelFunc
	beside      sync.WaitGroup
	// idle hands work to a goroutine of beside that waits for it.
	idle  chan func()
	ended chan struct{}

	inboxMu sync.Mutex
	inbox   []func()
	bell    chan struct{}

	lanes    []*lane
	bySource map[store.Source]*lane
	turn     int
	inFlight int
	// stepped is the time that the last step went by.
	stepped  time.Time
	busyKeys map[laneKey]bool
	// queued are entries that wait for the one of their key that is on its way.
	queued  map[laneKey][]*entry
	parked  *parkedSet
	breaker breaker
	state   State
	ending  bool

	// pending is what the next commit writes beside the offsets.
	pending    store.SinkWrite
	keeping    []store.StateWrite
	passed     int
	committing bool
	committed  time.Time
	// commitAgain delays a commit after one that failed.
	commitAgain time.Time
	failingFrom time.Time
	started     []store.Source
	recent      ring
	// begun are replays as they were stored, until the lanes are there.
	begun [][]byte
	// redeliveries are those that go on, the first at work; raising says that its
	// next letters are being read, raiseAgain delays that after a failure.
	redeliveries []*Redelivery
	raising      bool
	raiseAgain   time.Time
	// lettered is the time of the last dead letter's id, in milliseconds.
	lettered atomic.Int64
	// waiters hear what becomes of the next commit.
	waiters []chan error
}

// laneKey is an entity of a stream.
type laneKey struct {
	lane *lane
	key  string
}

func newRunner(e *Engine, id Identity, spec sink.Spec) *runner {
	s := &runner{
		Identity: id, Spec: spec, engine: e, store: e.config.Store,
		log:   e.config.Logger.With("project", id.Project, "connection", id.Connection),
		ended: make(chan struct{}), idle: make(chan func()), bell: make(chan struct{}, 1),
		bySource: map[store.Source]*lane{}, busyKeys: map[laneKey]bool{}, queued: map[laneKey][]*entry{}, parked: newParkedSet(spec.Order != sink.Unordered),
	}
	s.reading, s.stopReading = context.WithCancel(context.Background())
	s.sending, s.stopSending = context.WithCancel(context.Background())
	return s
}

// load reads where the sink was.
func (s *runner) load(ctx context.Context, sources []store.Source) error {
	epoch, ok := s.store.Epoch(s.ConnectionID)
	if !ok {
		return store.ErrFenced
	}
	s.epoch = epoch
	if err := s.loadState(ctx); err != nil {
		return err
	}
	offsets, err := s.store.Offsets(ctx, s.ConnectionID)
	if err != nil {
		return err
	}
	known, err := s.store.Heads(ctx, sources)
	if err != nil {
		return err
	}
	heads := map[store.Source]int64{}
	for _, h := range known {
		heads[h.Source] = h.Head
	}
	for _, source := range sources {
		l := &lane{source: source, next: 1, limit: chunkEvents, ahead: s.least(), head: heads[source], begun: slices.Contains(s.started, source)}
		at := slices.IndexFunc(offsets, func(o store.Offset) bool { return o.Source == source })
		switch {
		case at >= 0:
			l.next, l.begun = offsets[at].Next, true
		case s.Start == sink.Latest && !slices.Contains(s.started, source):
			l.next, l.dirty = l.head+1, true
		}
		l.read, l.fresh = l.next-1, true
		s.lanes = append(s.lanes, l)
		s.bySource[source] = l
	}
	for _, value := range s.begun {
		if err := s.loadReplay(value); err != nil {
			return fmt.Errorf("read a replay: %w", err)
		}
	}
	if !slices.Equal(s.started, sources) {
		// A stream without events has no row for an offset: when it gets its first
		// ones, they came after the start.
		s.started = slices.Clone(sources)
		s.keep(stateStarted, s.started)
	}
	return s.loadParked(ctx)
}

// loadParked reads the parked events, and the keys of those that hold others.
func (s *runner) loadParked(ctx context.Context) error {
	after := store.Position{}
	for {
		page, err := s.store.ParkedEvents(ctx, s.ConnectionID, after, 1000)
		if err != nil {
			return err
		}
		for _, one := range page {
			after = one.Position
			p := &parkedEntry{ParkedEvent: one}
			p.NextAttemptAt = s.resumed(p.NextAttemptAt)
			switch s.Order {
			case sink.Ordered:
				p.key = wholeStream
			case sink.PerKey:
				event, err := s.parkedEvent(ctx, p)
				if err != nil {
					return err
				}
				if event != nil {
					p.key = event.Subject
				}
			case sink.Unordered:
			}
			if l := s.laneOf(p.Source); s.Order == sink.Ordered && l != nil && p.Sequence >= l.next {
				// It holds its stream, which will come to it.
				s.parked.hold(p)
				continue
			}
			s.parked.add(p)
		}
		if len(page) < 1000 {
			return nil
		}
	}
}

// maxWait is the longest wait that a policy can ask for.
const maxWait = 24 * time.Hour

// resumed is a due time that was stored, clamped: after the clock was stepped
// back, nothing waits longer than it would have.
func (s *runner) resumed(due time.Time) time.Time {
	if latest := time.Now().Add(maxWait); due.After(latest) {
		return latest
	}
	return due
}

// message prepares an event; a panic of the sender is an error.
func (s *runner) message(e *ingest.Event) (m *sink.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return s.Sender.Prepare(s.sending, e)
}

// post hands f to the sink's goroutine.
func (s *runner) post(f func()) {
	s.inboxMu.Lock()
	s.inbox = append(s.inbox, f)
	s.inboxMu.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// aside runs f beside the sink's goroutine: on a goroutine that has nothing to do,
// whose stack has grown to what requests need, or on another one.
func (s *runner) aside(f func()) {
	select {
	case s.idle <- f:
		return
	default:
	}
	s.beside.Go(func() {
		f()
		rest := time.NewTimer(idleFor)
		defer rest.Stop()
		for {
			select {
			case f := <-s.idle:
				f()
				rest.Reset(idleFor)
			case <-rest.C:
				return
			case <-s.reading.Done():
				return
			}
		}
	})
}

// idleFor is how long a goroutine waits for the next request.
const idleFor = time.Second

// told hears that a stream has events up to head.
func (s *runner) told(source store.Source, head int64) {
	// Lanes are never added or removed while the sink runs.
	if l := s.laneOf(source); l != nil {
		s.post(func() { l.head = max(l.head, head) })
	}
}

// end asks the sink to end.
func (s *runner) end() { s.post(func() { s.ending = true }) }

// run is the sink's goroutine.
func (s *runner) run() {
	defer close(s.ended)
	defer s.engine.forget(s)
	defer func() { s.tell(ErrStopped) }()
	defer func() {
		if s.Close == nil {
			return
		}
		if err := s.Close(); err != nil {
			s.log.Error("close sink", "err", err)
		}
	}()
	defer s.stopSending()
	defer s.stopReading()
	defer func() {
		for _, l := range s.lanes {
			s.holds(l, -l.bytes)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var deadline <-chan time.Time
	for {
		s.drain()
		if s.ending && deadline == nil {
			s.stopReading()
			deadline = time.After(s.engine.config.StopTimeout)
		}
		s.step()
		if s.ending && s.inFlight == 0 && !s.committing && !s.unsaved() {
			s.beside.Wait()
			return
		}
		timer.Reset(s.nap())
		select {
		case <-s.bell:
		case <-timer.C:
		case <-deadline:
			// What is still on its way is sent again by whoever comes next.
			s.stopSending()
			s.beside.Wait()
			return
		}
	}
}

func (s *runner) drain() {
	s.inboxMu.Lock()
	calls := s.inbox
	s.inbox = nil
	s.inboxMu.Unlock()
	for _, call := range calls {
		call()
	}
}

// step starts what can be started.
func (s *runner) step() {
	s.stepped = time.Now()
	if !s.ending && s.state.Working() && s.leased() {
		for _, l := range s.lanes {
			if s.room(l) && s.parked.len() < maxParked {
				s.read(l)
			}
		}
		s.raise(s.stepped)
		s.dispatch()
	}
	s.commit()
	if !s.committing && !s.unsaved() {
		s.tell(nil) // what was asked for has changed nothing
	}
}

// leased reports whether work may begin: what another process is to do, or does
// already, must not be sent from here too.
func (s *runner) leased() bool {
	epoch, ok := s.store.Epoch(s.ConnectionID)
	if epoch != s.epoch {
		s.log.Warn("sink ends here", "err", errLease)
		s.abandon(errLease)
		return false
	}
	return ok
}

// tell tells those who wait for a commit what became of it.
func (s *runner) tell(err error) {
	answer(s.waiters, err)
	s.waiters = nil
}

func answer(waiters []chan error, err error) {
	for _, waiter := range waiters {
		waiter <- err // it has room for it
	}
}

// nap is how long nothing is due.
func (s *runner) nap() time.Duration {
	// As of the step: what has become due since is due at once.
	now := s.stepped
	next := now.Add(time.Minute)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if s.unsaved() && !s.committing {
		earlier(latest(s.committed.Add(commitEvery), s.commitAgain))
	}
	if !s.ending && s.state.Working() {
		if s.breaker.until.After(now) {
			earlier(s.breaker.until)
		}
		if due, ok := s.parked.due(); ok && due.After(now) {
			earlier(due)
		}
		if due := s.raiseDue(); due.After(now) {
			earlier(due)
		}
		for _, l := range s.lanes {
			earlier(s.laneDue(l, now))
		}
	}
	return max(time.Until(next), 0)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// errLease says that another process has the sink now.
var errLease = fmt.Errorf("the lease has moved to another process: %w", store.ErrFenced)

package intake

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// gate counts what is at work, so that Drain can wait for it.
type gate struct {
	mu      sync.Mutex
	closed  bool
	working int
	idle    chan struct{}
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.working++
	return true
}

// stay adds one to what is at work. Its caller has entered, and so the gate is
// not drained yet.
func (g *gate) stay() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working++
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working--
	if g.closed && g.working == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

func (g *gate) drain(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	if g.working == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// budget bounds the bytes of bodies in memory. A connection may hold as much as
// is left free after it has taken: alone half of all, beside another that is
// flooded a third, and so on. However many are flooded, some is left for the next.
type budget struct {
	mu    sync.Mutex
	total int64
	used  int64
	by    map[string]int64
}

func newBudget(total int64) *budget {
	return &budget{total: total, by: map[string]int64{}}
}

func (b *budget) take(connection string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by[connection]+n > b.total-b.used-n {
		return false
	}
	b.used += n
	b.by[connection] += n
	return true
}

func (b *budget) give(connection string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.by[connection] -= n; b.by[connection] == 0 {
		delete(b.by, connection)
	}
}

// hold is what one delivery has taken of the budget. A handler that is late
// shares it with the request: the last one to let go gives it back.
type hold struct {
	budget     *budget
	connection string
	bytes      int64
	holders    atomic.Int32
}

func (b *budget) hold(connection string) *hold {
	h := &hold{budget: b, connection: connection}
	h.holders.Store(1)
	return h
}

func (h *hold) grow(n int64) bool {
	if !h.budget.take(h.connection, n) {
		return false
	}
	h.bytes += n
	return true
}

func (h *hold) share() { h.holders.Add(1) }

func (h *hold) release() {
	if h.holders.Add(-1) == 0 && h.bytes > 0 {
		h.budget.give(h.connection, h.bytes)
	}
}

// endpointState is what is counted for one endpoint.
type endpointState struct {
	history history
	// mark is that of the endpoint.
	mark mark

	mu         sync.Mutex
	policy     Policy
	slots      chan struct{}
	limiter    *rate.Limiter
	loggedAt   time.Time
	suppressed int
}

// endpointStates has one entry for each endpoint that ever received something:
// at most as many as there were endpoints since the start.
type endpointStates struct {
	handlers int
	states   sync.Map
}

func (e *endpointStates) of(t Target) *endpointState {
	key := [2]string{t.ConnectionID, t.Endpoint}
	found, ok := e.states.Load(key)
	if !ok {
		found, _ = e.states.LoadOrStore(key, &endpointState{mark: endpointMark(t)})
	}
	s := found.(*endpointState) //nolint:errcheck // nothing else is stored there
	s.follow(t.Policy, e.handlers)
	return s
}

// follow begins with the policy, or with a changed one. Handlers that are at work
// keep the places that they took.
func (s *endpointState) follow(p Policy, handlers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots != nil && s.policy.equal(p) {
		return
	}
	s.policy, s.limiter = p, p.limiter()
	if p.MaxHandlers > 0 {
		handlers = p.MaxHandlers
	}
	if cap(s.slots) != handlers {
		s.slots = make(chan struct{}, handlers)
	}
}

func (s *endpointState) working() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots), cap(s.slots)
}

// allow takes one delivery of the rate, or says how long to wait for the next.
func (s *endpointState) allow(now time.Time) (wait time.Duration, ok bool) {
	s.mu.Lock()
	limiter := s.limiter
	s.mu.Unlock()
	if limiter == nil {
		return 0, true
	}
	r := limiter.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// acquire takes a place for a handler. ok is false when none was free for so long.
func (s *endpointState) acquire(wait time.Duration) (release func(), ok bool) {
	s.mu.Lock()
	slots := s.slots
	s.mu.Unlock()
	release = func() { <-slots }
	select {
	case slots <- struct{}{}:
		return release, true
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return release, true
	case <-timer.C:
		return nil, false
	}
}

// sample reports whether a refusal is logged, and how many were not since the
// last one that was.
func (s *endpointState) sample(now time.Time, every time.Duration) (suppressed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.loggedAt); age >= 0 && age < every {
		s.suppressed++
		return 0, false
	}
	suppressed, s.suppressed, s.loggedAt = s.suppressed, 0, now
	return suppressed, true
}

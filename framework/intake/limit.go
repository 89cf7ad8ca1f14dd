package intake

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
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

// budget bounds the bytes of bodies in memory, in all and for one connection.
type budget struct {
	mu          sync.Mutex
	total, each int64
	used        int64
	by          map[string]int64
}

func newBudget(total int64) *budget {
	return &budget{total: total, each: max(total/2, 1), by: map[string]int64{}}
}

func (b *budget) take(connection string, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.total || b.by[connection]+n > b.each {
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
	slots chan struct{}

	mu         sync.Mutex
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
	if s, ok := e.states.Load(key); ok {
		return s.(*endpointState) //nolint:errcheck // nothing else is stored there
	}
	s, _ := e.states.LoadOrStore(key, &endpointState{slots: make(chan struct{}, e.handlers)})
	return s.(*endpointState) //nolint:errcheck // nothing else is stored there
}

// acquire takes a slot for a handler, or reports that none was free for so long.
func (s *endpointState) acquire(wait time.Duration) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

func (s *endpointState) release() { <-s.slots }

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

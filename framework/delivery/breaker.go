package delivery

import "time"

// Bounds of a breaker.
const (
	// breakerOpens is how many failures of the endpoint in a row open it.
	breakerOpens = 5
	breakerBase  = time.Second
	breakerCap   = time.Minute
)

// breaker keeps a dead endpoint from being called for everything that waits.
// While it is open one request at a time is let through, after waits that double.
type breaker struct {
	failures int
	// until is when the next probe may leave; zero while it is closed.
	until   time.Time
	wait    time.Duration
	probing bool
}

// admits reports whether a request may leave now.
func (b *breaker) admits(now time.Time, inFlight int) bool {
	if b.until.IsZero() {
		return true
	}
	return !b.probing && inFlight == 0 && !now.Before(b.until)
}

// begins notes that a request leaves.
func (b *breaker) begins(time.Time) { b.probing = !b.until.IsZero() }

// forget notes that a request came back and says nothing of the endpoint.
func (b *breaker) forget() { b.probing = false }

// succeeded closes the breaker.
func (b *breaker) succeeded() { *b = breaker{} }

// failed counts a failure of the endpoint.
func (b *breaker) failed(now time.Time) {
	b.failures++
	b.probing = false
	if b.failures < breakerOpens {
		return
	}
	b.wait = min(max(2*b.wait, breakerBase), breakerCap)
	b.until = now.Add(b.wait)
}

package api

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// guessesAtOnce and guessEach bound the wrong admin tokens of one address: so
	// many at once, and one more after each such time.
	guessesAtOnce = 20
	guessEach     = 3 * time.Second
	// allGuessesAtOnce and allGuessEach bound those of all addresses together.
	allGuessesAtOnce = 500
	allGuessEach     = 100 * time.Millisecond
	// maxGuessers bounds the addresses that are remembered, and maxKnown those
	// that showed the right token.
	maxGuessers = 4096
	maxKnown    = 256
)

// throttle bounds how often somebody may guess the admin token of the
// configuration, which a person may have chosen. Tokens of the store are too long
// to be guessed and are not throttled, and neither are sessions: a flood of
// guesses keeps nobody out who has one. An address that showed the right token
// before is bound by its own wrong ones only.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	guessers map[netip.Prefix]*bucket
	known    map[netip.Prefix]time.Time
	all      bucket
}

// bucket holds what may still be done.
type bucket struct {
	left float64
	at   time.Time
}

func (b *bucket) fill(now time.Time, most float64, each time.Duration) {
	if b.at.IsZero() {
		b.left = most
	} else if passed := now.Sub(b.at); passed > 0 {
		b.left = min(most, b.left+passed.Seconds()/each.Seconds())
	}
	b.at = now
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, guessers: map[netip.Prefix]*bucket{}, known: map[netip.Prefix]time.Time{}}
}

// network is what counts as one address: a whole /64 is given to one customer.
func network(address netip.Addr) netip.Prefix {
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	p, _ := address.Prefix(bits)
	return p
}

// wait returns how long an address must wait before its next guess; 0 for not at
// all.
func (t *throttle) wait(address netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, from := t.now(), network(address)
	if b, ok := t.guessers[from]; ok {
		if b.fill(now, guessesAtOnce, guessEach); b.left < 1 {
			return guessEach
		}
	}
	if _, ok := t.known[from]; ok {
		return 0
	}
	if t.all.fill(now, allGuessesAtOnce, allGuessEach); t.all.left < 1 {
		return guessEach
	}
	return 0
}

// wrong counts a wrong guess.
func (t *throttle) wrong(address netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, from := t.now(), network(address)
	b, ok := t.guessers[from]
	if !ok {
		if len(t.guessers) >= maxGuessers {
			t.drop()
		}
		b = &bucket{}
		t.guessers[from] = b
	}
	b.fill(now, guessesAtOnce, guessEach)
	b.left--
	t.all.fill(now, allGuessesAtOnce, allGuessEach)
	t.all.left--
}

// drop forgets the address that guessed longest ago.
func (t *throttle) drop() {
	var oldest netip.Prefix
	for p, b := range t.guessers {
		if first, ok := t.guessers[oldest]; !ok || b.at.Before(first.at) {
			oldest = p
		}
	}
	delete(t.guessers, oldest)
}

// right remembers an address that showed the right token.
func (t *throttle) right(address netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := network(address)
	if _, ok := t.known[from]; !ok && len(t.known) >= maxKnown {
		var oldest netip.Prefix
		for p, at := range t.known {
			if first, ok := t.known[oldest]; !ok || at.Before(first) {
				oldest = p
			}
		}
		delete(t.known, oldest)
	}
	t.known[from] = t.now()
}

package budget

import (
	"context"
	"sync"
	"time"
)

const (
	// parts is into how many parts the length of a rate is divided. Calls are
	// counted by part, so a call is forgotten at most one part late.
	parts = 32
	// reserved is the part of a budget, one in so many, that yielding calls leave.
	reserved = 10
	// mostHosts bounds the hosts that something is known of.
	mostHosts = 16
	// longestWait bounds what a provider's answer can make a budget wait.
	longestWait = time.Hour
)

// Budget is how many calls may be made with one credential. It is safe for
// concurrent use.
type Budget struct {
	now func() time.Time
	// ledger is set when other nodes take from the same budget; the rest is not
	// used then, but rate.
	ledger *ledger

	mu    sync.Mutex
	rate  Rate
	used  [parts + 1]int // calls by part of the rate's length
	part  int64          // the number of the newest part, since 1970
	ahead advance
	// cover stores the budget with an advance. It is nil where nothing is stored.
	cover func(context.Context)
	hosts map[string]*learned
	dirty bool
}

// learned is what a host has said.
type learned struct {
	// Limit is 0 when it is not known.
	Limit     int `json:"limit,omitempty"`
	Remaining int `json:"remaining"`
	// Until is when Remaining is over, and Blocked when calls are allowed again.
	Until   time.Time `json:"until,omitzero"`
	Blocked time.Time `json:"blocked,omitzero"`
}

// New returns a budget with a declared rate, or one that only learns for the
// zero rate. now is its clock, time.Now for nil.
func New(rate Rate, now func() time.Time) *Budget {
	if now == nil {
		now = time.Now
	}
	return &Budget{now: now, rate: rate, hosts: map[string]*learned{}}
}

// Rate is the declared rate.
func (b *Budget) Rate() Rate {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate
}

// Take takes one call to a host if the budget allows it now, and else says how
// long to wait before asking again. Yielding calls leave a part to others.
func (b *Budget) Take(host string, yielding bool) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	wait = max(b.overRate(now, yielding), b.overLearned(host, now, yielding))
	if wait > 0 {
		return wait
	}
	if !b.rate.IsZero() {
		b.used[b.part%int64(len(b.used))]++
		b.ahead.take(b.part)
		b.dirty = true
	}
	if l := b.hosts[host]; l != nil && now.Before(l.Until) {
		l.Remaining--
		b.dirty = true
	}
	return 0
}

// overRate says how long the declared rate allows no call.
func (b *Budget) overRate(now time.Time, yielding bool) time.Duration {
	if b.rate.IsZero() {
		return 0
	}
	b.turn(now)
	limit := b.rate.Count
	if yielding && limit > 1 {
		limit -= max(1, limit/reserved)
	}
	sum := 0
	for _, n := range b.used {
		sum += n
	}
	if sum < limit {
		return 0
	}
	// Wait until enough of the oldest are forgotten.
	length := b.partLength()
	for age := int64(parts); age >= 0; age-- {
		part := b.part - age
		sum -= b.used[mod(part)]
		if sum < limit {
			return time.Unix(0, (part+int64(len(b.used)))*int64(length)).Sub(now) + time.Millisecond
		}
	}
	return b.rate.Per
}

func (b *Budget) partLength() time.Duration { return b.rate.Per / parts }

func mod(part int64) int64 { return ((part % (parts + 1)) + parts + 1) % (parts + 1) }

// turn forgets the parts that have gone by. A clock that was set back forgets
// nothing, and no call is forgotten later than the length of the rate from now.
func (b *Budget) turn(now time.Time) {
	part := now.UnixNano() / int64(b.partLength())
	if b.part-part > parts { // set back by more than the whole length
		sum := 0
		for i, n := range b.used {
			sum += n
			b.used[i] = 0
		}
		b.used[mod(part)], b.part = sum, part
		return
	}
	for n := 0; b.part < part && n <= parts; n++ {
		b.part++
		b.used[mod(b.part)] = 0
	}
	b.part = max(b.part, part)
}

// overLearned says how long a host allows no call, as far as it has said.
func (b *Budget) overLearned(host string, now time.Time, yielding bool) time.Duration {
	l := b.hosts[host]
	if l == nil {
		return 0
	}
	l.clamp(now)
	if wait := l.Blocked.Sub(now); wait > 0 {
		return wait
	}
	left := l.Remaining
	if yielding {
		left -= l.Limit / reserved
	}
	if wait := l.Until.Sub(now); wait > 0 && left <= 0 {
		return wait
	}
	return 0
}

// clamp keeps a clock that was set from making a wait longer than it can be.
func (l *learned) clamp(now time.Time) {
	for _, at := range []*time.Time{&l.Until, &l.Blocked} {
		if at.Sub(now) > longestWait {
			*at = now.Add(longestWait)
		}
	}
}

// host returns what is known of a host, making room for it. The lock is held.
func (b *Budget) host(name string, now time.Time) *learned {
	if l := b.hosts[name]; l != nil {
		return l
	}
	if len(b.hosts) >= mostHosts {
		for name, l := range b.hosts {
			if !now.Before(l.Until) && !now.Before(l.Blocked) {
				delete(b.hosts, name)
			}
		}
		if len(b.hosts) >= mostHosts {
			return nil
		}
	}
	l := &learned{}
	b.hosts[name] = l
	return l
}

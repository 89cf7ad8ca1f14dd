package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

const (
	// leastLag and mostLag bound how old a permission of the ledger may be when it
	// is used; between them it is a lagShare of the rate's length.
	leastLag, mostLag = 250 * time.Millisecond, 2 * time.Second
	lagShare          = 20
	// rateKept is how long the rate of a record stays in force after the last
	// process that is configured with it.
	rateKept = time.Minute
	// ledgerTimeout bounds one change of a record, ledgerPause is the wait before
	// one that failed is tried again.
	ledgerTimeout, ledgerPause = 5 * time.Second, time.Second
)

// ledger is the record of a budget that connections at several nodes share. Every
// call is entered there before it is made, those that wait together in one change
// of the record, so that all nodes together stay within the rate, whoever dies or
// joins.
//
// A call is made up to a lag after it was entered. It is therefore remembered for
// the length of the rate and that lag: whatever the delays are, no span of the
// rate's length holds more calls than it allows. A permission that comes later than
// that is thrown away.
type ledger struct {
	store store.Ledger
	name  string
	log   *slog.Logger

	// turn is held by the one who changes the record.
	turn chan struct{}

	mu      sync.Mutex
	claims  []*claim
	lessons []lesson
}

// claim is a call that waits to be entered.
type claim struct {
	host     string
	yielding bool
	// The rest is set before done is closed: the answer, and until when it may be used.
	wait  time.Duration
	until time.Time
	err   error
	done  chan struct{}
}

// lesson is a provider's answer that is not in the record yet.
type lesson struct {
	host   string
	status int
	header http.Header
}

// mostLessons bounds what is learnt between two changes of the record; the newest
// answers are those that count.
const mostLessons = 100

func newLedger(s store.Ledger, name string, log *slog.Logger) *ledger {
	return &ledger{store: s, name: name, log: log, turn: make(chan struct{}, 1)}
}

// lag is how old a permission under a rate may be.
func lag(r Rate) time.Duration { return min(max(r.Per/lagShare, leastLag), mostLag) }

// take is [Budget.Take] with the record of all nodes.
func (l *ledger) take(ctx context.Context, rate Rate, host string, yielding bool) (wait time.Duration, err error) {
	c := &claim{host: host, yielding: yielding, done: make(chan struct{})}
	l.mu.Lock()
	l.claims = append(l.claims, c)
	l.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	case l.turn <- struct{}{}:
		l.enter(ctx, rate)
		<-l.turn
		<-c.done // by this one or the one before
	}
	switch {
	case c.err != nil:
		l.log.Warn("shared rate budget cannot be read; calls wait", "budget", l.name, "err", c.err)
		return ledgerPause, nil
	case c.wait == 0 && time.Now().After(c.until):
		return time.Millisecond, nil // too late for it: ask again
	}
	return c.wait, nil
}

// learn notes a provider's answer for the next change of the record, and makes one
// when the answer forbids calls.
func (l *ledger) learn(ctx context.Context, rate Rate, host string, status int, header http.Header) {
	if !says(status, header) {
		return
	}
	l.mu.Lock()
	if l.lessons = append(l.lessons, lesson{host, status, header.Clone()}); len(l.lessons) > mostLessons {
		l.lessons = l.lessons[1:]
	}
	l.mu.Unlock()
	if status >= http.StatusBadRequest {
		l.flush(ctx, rate)
	}
}

// flush enters what was learnt.
func (l *ledger) flush(ctx context.Context, rate Rate) {
	l.mu.Lock()
	nothing := len(l.lessons) == 0
	l.mu.Unlock()
	if nothing {
		return
	}
	select {
	case l.turn <- struct{}{}:
		l.enter(ctx, rate)
		<-l.turn
	case <-ctx.Done():
	}
}

// enter changes the record by everything that waits.
func (l *ledger) enter(ctx context.Context, rate Rate) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	l.mu.Lock()
	claims, lessons := l.claims, l.lessons
	l.claims, l.lessons = nil, nil
	l.mu.Unlock()
	if len(claims) == 0 && len(lessons) == 0 {
		return // the one before has done it
	}
	sent := time.Now()
	err := l.store.Amend(ctx, l.name, func(now time.Time, kept []byte) ([]byte, error) {
		r := readRecord(kept, rate, now)
		for _, lesson := range lessons {
			r.budget.Learn(lesson.host, lesson.status, lesson.header)
		}
		for _, c := range claims {
			c.wait, c.until = r.budget.Take(c.host, c.yielding), sent.Add(lag(r.rate))
		}
		return r.write()
	})
	for _, c := range claims {
		c.err = err
		close(c.done)
	}
	if err != nil {
		l.mu.Lock()
		l.lessons = append(lessons, l.lessons...)
		l.mu.Unlock()
	}
}

// record is what the nodes keep together.
type record struct {
	budget *Budget
	// rate is the one in force, at when a process that is configured with it last
	// changed the record.
	rate Rate
	at   time.Time
}

// savedRecord is a record as it is stored.
type savedRecord struct {
	Count int             `json:"count,omitempty"`
	Per   time.Duration   `json:"per,omitempty"`
	At    time.Time       `json:"at"`
	Used  json.RawMessage `json:"used"`
}

// readRecord reads a record. Processes that are configured with different rates, as
// in the middle of a rolling restart, go by the one that it was begun with until
// nobody has that any more; then everything that it remembers counts as if it were now.
func readRecord(kept []byte, rate Rate, now time.Time) *record {
	var s savedRecord
	if json.Unmarshal(kept, &s) != nil { // nothing is kept, or what another version wrote
		s = savedRecord{Count: rate.Count, Per: rate.Per}
	}
	r := &record{rate: Rate{Count: s.Count, Per: s.Per}, at: s.At}
	r.open(now)
	if len(s.Used) > 0 {
		r.budget.merge(s.Used)
	}
	switch {
	case r.rate == rate:
		r.at = now
	case now.Sub(r.at) >= rateKept:
		old := r.budget
		r.rate, r.at = rate, now
		r.open(now)
		r.budget.hosts = old.hosts
		if !rate.IsZero() {
			r.budget.turn(now)
			for _, n := range old.used {
				r.budget.used[mod(r.budget.part)] += n
			}
		}
	}
	return r
}

// open makes the budget of the record's rate.
func (r *record) open(now time.Time) {
	stretched := r.rate
	if !stretched.IsZero() {
		stretched.Per += lag(r.rate)
	}
	r.budget = New(stretched, func() time.Time { return now })
}

func (r *record) write() ([]byte, error) {
	r.budget.dirty = true
	value, err := json.Marshal(savedRecord{Count: r.rate.Count, Per: r.rate.Per, At: r.at, Used: r.budget.changed()})
	if err != nil {
		return nil, fmt.Errorf("write rate budget: %w", err)
	}
	return value, nil
}

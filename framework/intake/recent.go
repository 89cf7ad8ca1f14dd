package intake

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// recentTaken and recentRefused are how many of the last deliveries of an
	// endpoint a process remembers. Refused ones have their own places, so that a
	// flood of them does not push the others out.
	recentTaken   = 100
	recentRefused = 20
)

// Recent is one of the last deliveries of an endpoint, or one later call of its
// handler.
type Recent struct {
	// ID is "dlv_…" of a delivery that was taken; First is the first event of the
	// delivery that a duplicate repeats.
	ID, First string
	// At is when the request came, or the handler was called again.
	At      time.Time
	Verdict Verdict
	// Status is what was answered; 0 for a later call.
	Status int
	// Bytes is the size of the body as far as it was read, Events counts what was appended.
	Bytes, Events int
	Took          time.Duration
	// Attempt counts the calls of the handler, from 1; 0 when it was not called.
	Attempt int
	// Why says why it was refused or its handler failed. It is for operators: the
	// sender is told less.
	Why string
}

// Report is what one or more processes know of an endpoint since their start.
type Report struct {
	// Processes is how many share the store, Answered how many of them this
	// report is of: one may be too busy, or just starting or stopping.
	Processes, Answered int
	// Counts are the deliveries by verdict.
	Counts map[Verdict]int64
	// Recent are the last deliveries, newest first.
	Recent []Recent
	// Working counts the handlers at work, MaxHandlers bounds them: in each
	// process, and here the sum of all.
	Working, MaxHandlers int
	// Quarantined says that a process does not call the handler because it ended
	// the process again and again; see [Handler.Resume].
	Quarantined bool
	Policy      Policy
}

// Add adds what other processes know. Of recent deliveries it keeps as many as
// one process remembers.
func (r *Report) Add(other Report) {
	if r.Counts == nil {
		r.Counts = map[Verdict]int64{}
	}
	for verdict, n := range other.Counts {
		r.Counts[verdict] += n
	}
	recent := slices.Concat(r.Recent, other.Recent)
	slices.SortStableFunc(recent, func(a, b Recent) int { return b.At.Compare(a.At) })
	left := map[bool]int{true: recentTaken, false: recentRefused}
	r.Recent = slices.DeleteFunc(recent, func(e Recent) bool {
		left[e.Verdict.taken()]--
		return left[e.Verdict.taken()] < 0
	})
	r.Processes += other.Processes
	r.Answered += other.Answered
	r.Working += other.Working
	r.MaxHandlers += other.MaxHandlers
	r.Quarantined = r.Quarantined || other.Quarantined
}

// ring keeps the last entries that were put into it.
type ring struct {
	entries []Recent
	next    int
}

func (r *ring) put(e Recent, size int) {
	if len(r.entries) < size {
		r.entries = append(r.entries, e)
		return
	}
	r.entries[r.next] = e
	r.next = (r.next + 1) % size
}

// history is what is remembered of an endpoint.
type history struct {
	mu             sync.Mutex
	counts         map[Verdict]int64
	taken, refused ring
}

func (h *history) add(e Recent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		h.counts = map[Verdict]int64{}
	}
	h.counts[e.Verdict]++
	if e.Verdict.taken() {
		h.taken.put(e, recentTaken)
	} else {
		h.refused.put(e, recentRefused)
	}
}

func (h *history) report() (counts map[Verdict]int64, recent []Recent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	recent = slices.Concat(h.taken.entries, h.refused.entries)
	slices.SortStableFunc(recent, func(a, b Recent) int { return b.At.Compare(a.At) })
	return maps.Clone(h.counts), recent
}

// Report returns what this process knows of an endpoint; ok is false for one
// that is not there.
func (h *Handler) Report(connectionID, endpoint string) (r Report, ok bool) {
	t, ok := h.config.Targets.ByID(connectionID, endpoint)
	if !ok {
		return Report{}, false
	}
	state := h.endpoints.of(t)
	r.Processes, r.Answered = 1, 1
	r.Counts, r.Recent = state.history.report()
	r.Policy = t.Policy
	r.Working, r.MaxHandlers = state.working()
	r.Quarantined = h.journal.quarantined(endpointMark(t))
	return r, true
}

// Resume lets the handler of a quarantined endpoint be called again, and reports
// whether it was quarantined.
func (h *Handler) Resume(connectionID, endpoint string) (bool, error) {
	return h.journal.resume(endpointMark(Target{ConnectionID: connectionID, Endpoint: endpoint}))
}

package delivery

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// parkedEntry is a parked event in memory: its row, without the event.
type parkedEntry struct {
	store.ParkedEvent
	// key is the entity, in an order per key, and wholeStream in an ordered sink.
	key string
	// index is its place in the heap, -1 when it is in none.
	index int
	out   bool
	// entry is what the offset has not passed yet, or has since the start; nil
	// for one that was parked before.
	entry *entry
}

// settled says that the event needs no row any more: the offset may pass it.
func (e *parkedEntry) settled() {
	if e.entry != nil {
		e.entry.park = nil
	}
}

// moved says that the row has changed.
func (e *parkedEntry) moved() {
	if e.entry != nil {
		row := e.ParkedEvent
		e.entry.park = &row
	}
}

// wholeStream is the key of every parked event of an ordered sink: what is sent
// again of a stream is sent in its order.
const wholeStream = "*"

// parkedSet holds the parked events of a sink. In an order per key only the
// first of an entity is due; those behind it wait for it. In an ordered sink all
// of a stream are such a row.
type parkedSet struct {
	keyed bool
	at    map[store.Position]*parkedEntry
	heap  parkedHeap
	// keys has the entries of each entity by sequence.
	keys map[sourceKey][]*parkedEntry
	// copies are the events that are held beside the log, bytes what they take.
	copies, bytes int
}

type sourceKey struct {
	source store.Source
	key    string
}

func newParkedSet(keyed bool) *parkedSet {
	return &parkedSet{keyed: keyed, at: map[store.Position]*parkedEntry{}, keys: map[sourceKey][]*parkedEntry{}}
}

func (p *parkedSet) len() int { return len(p.at) }

// add takes an event that was parked after all others of its entity.
func (p *parkedSet) add(e *parkedEntry) {
	p.hold(e)
	if p.keyed && e.key != "" {
		key := sourceKey{e.Source, e.key}
		p.keys[key] = append(p.keys[key], e)
		if p.keys[key][0] != e {
			return
		}
	}
	heap.Push(&p.heap, e)
}

// hold takes an event that is not tried by itself.
func (p *parkedSet) hold(e *parkedEntry) {
	e.index = -1
	p.at[e.Position] = e
	p.count(e, 1)
}

// count counts an event that comes or goes.
func (p *parkedSet) count(e *parkedEntry, by int) {
	if e.Event != nil {
		p.copies += by
		p.bytes += by * len(e.Event)
	}
}

// blocks reports whether an event of the entity must wait for a parked one.
func (p *parkedSet) blocks(source store.Source, key string) bool {
	return p.keyed && key != "" && len(p.keys[sourceKey{source, key}]) > 0
}

// next takes an event that is due.
func (p *parkedSet) next(now time.Time) *parkedEntry {
	if len(p.heap) == 0 || p.heap[0].NextAttemptAt.After(now) {
		return nil
	}
	e, _ := heap.Pop(&p.heap).(*parkedEntry)
	e.out = true
	return e
}

// due is when the next event is.
func (p *parkedSet) due() (time.Time, bool) {
	if len(p.heap) == 0 {
		return time.Time{}, false
	}
	return p.heap[0].NextAttemptAt, true
}

// again puts an event back that was tried.
func (p *parkedSet) again(e *parkedEntry) {
	e.out = false
	if p.at[e.Position] == e {
		heap.Push(&p.heap, e)
	}
}

// shelve leaves an event parked without a due time.
func (p *parkedSet) shelve(e *parkedEntry) { e.out = false }

// forget removes an event; the next of its entity is due as it says.
func (p *parkedSet) forget(e *parkedEntry) {
	if p.at[e.Position] == e {
		p.count(e, -1)
	}
	delete(p.at, e.Position)
	e.settled()
	if e.index >= 0 {
		heap.Remove(&p.heap, e.index)
	}
	if !p.keyed || e.key == "" {
		return
	}
	key := sourceKey{e.Source, e.key}
	queue := p.keys[key]
	switch i := slices.Index(queue, e); i {
	case -1:
		return // it was held, and stands in no row
	case 0:
		queue = queue[1:]
	default:
		queue = slices.Delete(queue, i, i+1)
	}
	if len(queue) == 0 {
		delete(p.keys, key)
		return
	}
	p.keys[key] = queue
	if first := queue[0]; first.index < 0 && !first.out {
		heap.Push(&p.heap, first)
	}
}

// parkedHeap orders by the next attempt. It implements [heap.Interface].
type parkedHeap []*parkedEntry

// Len is the number of entries.
func (h parkedHeap) Len() int { return len(h) }

// Less orders by the next attempt, then by sequence.
func (h parkedHeap) Less(i, j int) bool {
	if !h[i].NextAttemptAt.Equal(h[j].NextAttemptAt) {
		return h[i].NextAttemptAt.Before(h[j].NextAttemptAt)
	}
	return h[i].Sequence < h[j].Sequence
}

// Swap swaps two entries.
func (h parkedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds x.
func (h *parkedHeap) Push(x any) {
	e, _ := x.(*parkedEntry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop removes the last entry.
func (h *parkedHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}

// errGone says that a parked event is not in the log any more.
var errGone = errors.New("the event is not in the log any more")

// parkedEvent reads a parked event: its own copy, or the log's. Without an error
// it is nil when the log does not have it any more.
func (s *runner) parkedEvent(ctx context.Context, p *parkedEntry) (*ingest.Event, error) {
	if p.Event != nil {
		return DecodeEvent(p.Event)
	}
	events, err := s.store.Events(ctx, p.ConnectionID, p.Stream, p.Sequence-1, 1)
	var trimmed *ingest.TrimmedError
	switch {
	case errors.As(err, &trimmed), errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case len(events) == 0 || events[0].Sequence != p.Sequence:
		return nil, nil
	}
	return &events[0], nil
}

// reread makes a message of a parked event again.
func (s *runner) reread(p *parkedEntry) (*entry, error) {
	event, err := s.parkedEvent(s.sending, p)
	switch {
	case err != nil:
		return nil, err
	case event == nil:
		return nil, errGone
	}
	e := s.prepare(event, time.Now())
	e.position = p.Position
	return e, nil
}

// storedEvent is an event beside its payload, which keeps its bytes.
type storedEvent struct {
	ingest.Event
	HasPayload bool
}

// MarshalJSON writes the fields as they are; an Event by itself is written as a
// CloudEvent.
func (e storedEvent) MarshalJSON() ([]byte, error) {
	type plain ingest.Event
	return json.Marshal(struct {
		plain
		HasPayload bool
	}{plain(e.Event), e.HasPayload})
}

// EncodeEvent encodes an event as dead letters keep it: one line of JSON, and
// the payload byte for byte.
func EncodeEvent(e *ingest.Event) ([]byte, error) {
	head := storedEvent{Event: *e, HasPayload: e.Payload != nil}
	head.Payload = nil
	line, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return append(append(line, '\n'), e.Payload...), nil
}

// DecodeEvent reads what [EncodeEvent] has written.
func DecodeEvent(b []byte) (*ingest.Event, error) {
	line, payload, _ := bytes.Cut(b, []byte("\n"))
	type plain ingest.Event
	var head struct {
		plain
		HasPayload bool
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	e := ingest.Event(head.plain)
	e.Payload = nil
	if head.HasPayload {
		e.Payload = bytes.Clone(payload)
	}
	return &e, nil
}

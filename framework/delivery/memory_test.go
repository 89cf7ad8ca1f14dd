package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// memory is a store of one sink, for tests of the engine; package storetest
// holds the real ones to the same.
type memory struct {
	mu      sync.Mutex
	epoch   int64
	events  map[store.Source][]ingest.Event
	trimmed map[store.Source]int64
	offsets map[store.Source]store.Offset
	parked  map[store.Position]store.ParkedEvent
	dead    map[string]store.DeadEvent
	states  map[string][]byte
	// most bounds what one read brings, head is what statuses say of every stream;
	// 0 for no bound and the truth.
	most, head int64
	// refuse fails commits, and unsure those that were made all the same.
	refuse, unsure error
	// slow is how long it takes until one hears of a commit.
	slow    time.Duration
	commits int
	// asked are the streams whose heads were read.
	asked []store.Source
}

var _ Store = (*memory)(nil)

func newMemory() *memory {
	return &memory{
		epoch: 1, events: map[store.Source][]ingest.Event{}, trimmed: map[store.Source]int64{}, offsets: map[store.Source]store.Offset{},
		parked: map[store.Position]store.ParkedEvent{}, dead: map[string]store.DeadEvent{}, states: map[string][]byte{},
	}
}

const sinkID = "con_sink"

var orders = store.Source{ConnectionID: "con_shop", Stream: "orders"}

// record appends events of the entities.
func (m *memory) record(source store.Source, entities ...string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, entity := range entities {
		n := int64(len(m.events[source]) + 1)
		m.events[source] = append(m.events[source], ingest.Event{
			ID: fmt.Sprintf("evt_%s_%d", source.Stream, n), Project: "default", Connection: "shop", ConnectionID: source.ConnectionID, Stream: source.Stream,
			Sequence: n, Type: "order", Subject: entity, Operation: ingest.Upsert, Key: fmt.Sprint(n), Time: time.Now().UTC(), RecordedAt: time.Now().UTC(),
			Payload: json.RawMessage(fmt.Sprintf(`{"n": %d}`, n)),
		})
	}
	return int64(len(m.events[source]))
}

func (m *memory) Events(_ context.Context, connectionID, stream string, after int64, limit int) ([]ingest.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	source := store.Source{ConnectionID: connectionID, Stream: stream}
	if first := m.trimmed[source] + 1; after+1 < first {
		return nil, &ingest.TrimmedError{Stream: stream, After: after, First: first}
	}
	all := m.events[source]
	from := min(max(after, 0), int64(len(all)))
	if m.most > 0 {
		limit = min(limit, int(m.most))
	}
	return slices.Clone(all[from:min(from+int64(limit), int64(len(all)))]), nil
}

func (m *memory) Epoch(string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch, true
}

func (m *memory) Commit(_ context.Context, u store.Unit) (store.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	switch {
	case u.Epoch != m.epoch:
		return store.Receipt{}, store.ErrFenced
	case m.refuse != nil:
		return store.Receipt{}, m.refuse
	}
	for _, o := range u.Sink.Offsets {
		was := m.offsets[o.Source]
		was.ConnectionID, was.Source, was.Next = u.ConnectionID, o.Source, o.Next
		was.Delivered += o.Delivered
		was.Dead += o.Dead
		if !o.DeliveredAt.IsZero() {
			was.DeliveredAt, was.LastError, was.ConsecutiveFailures = o.DeliveredAt, "", 0
		}
		if o.Failure != nil {
			was.LastError = o.Failure.Error
			was.ConsecutiveFailures++
		}
		m.offsets[o.Source] = was
	}
	for _, p := range u.Sink.Park {
		m.parked[p.Position] = p
	}
	for _, at := range u.Sink.Unpark {
		delete(m.parked, at)
	}
	for _, d := range u.Sink.Bury {
		if _, known := m.dead[d.ID]; !known {
			m.dead[d.ID] = d
		}
	}
	for _, id := range u.Sink.Raise {
		delete(m.dead, id)
	}
	for _, d := range u.Sink.Discard {
		letter := m.dead[d.ID]
		letter.Discarded, letter.Note = true, d.Note
		m.dead[d.ID] = letter
	}
	for _, w := range u.State {
		if m.states[w.Name] = w.Value; w.Value == nil {
			delete(m.states, w.Name)
		}
	}
	unsure, slow := m.unsure, m.slow
	m.mu.Unlock()
	<-time.After(slow)
	m.mu.Lock()
	return store.Receipt{}, unsure
}

func (m *memory) Offsets(context.Context, string) ([]store.Offset, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.offsets)), nil
}

func comparePosition(a, b store.Position) int {
	return strings.Compare(fmt.Sprintf("%s %s %09d", a.ConnectionID, a.Stream, a.Sequence), fmt.Sprintf("%s %s %09d", b.ConnectionID, b.Stream, b.Sequence))
}

func (m *memory) ParkedEvents(_ context.Context, _ string, after store.Position, limit int) ([]store.ParkedEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.ParkedEvent
	for _, at := range slices.SortedFunc(maps.Keys(m.parked), comparePosition) {
		if comparePosition(at, after) > 0 && len(out) < limit {
			out = append(out, m.parked[at])
		}
	}
	return out, nil
}

func (m *memory) DeadEvents(_ context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.DeadEvent
	for _, id := range slices.Sorted(maps.Keys(m.dead)) {
		d := m.dead[id]
		meant := d.Discarded == which.Discarded && (which.Source == store.Source{} || which.Source == d.Source) && id > which.After &&
			(which.Before == "" || id < which.Before) && (which.From.IsZero() || !d.DeadAt.Before(which.From)) && (which.To.IsZero() || d.DeadAt.Before(which.To))
		if meant {
			d.Event, d.Request, d.Response = nil, nil, nil
			out = append(out, d)
		}
	}
	if !which.OldestFirst {
		slices.Reverse(out)
	}
	return out[:min(limit, len(out))], nil
}

func (m *memory) CountDeadEvents(ctx context.Context, which store.DeadEvents) (int, error) {
	all, err := m.DeadEvents(ctx, which, 1<<30)
	return len(all), err
}

func (m *memory) DeadEvent(_ context.Context, _, id string) (store.DeadEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	letter, ok := m.dead[id]
	if !ok {
		return letter, store.ErrNotFound
	}
	return letter, nil
}

func (m *memory) States(_ context.Context, _, prefix string) ([]store.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.State
	for name, value := range m.states {
		if strings.HasPrefix(name, prefix) {
			out = append(out, store.State{ConnectionID: sinkID, Name: name, Value: value})
		}
	}
	return out, nil
}

func (m *memory) Heads(_ context.Context, sources []store.Source) ([]store.Hint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, sources...)
	var out []store.Hint
	for _, source := range sources {
		if head := cmp.Or(m.head, int64(len(m.events[source]))); head > 0 {
			out = append(out, store.Hint{Source: source, Head: head})
		}
	}
	return out, nil
}

func (m *memory) offset(source store.Source) store.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offsets[source]
}

func (m *memory) letters() []store.DeadEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.dead), func(a, b store.DeadEvent) int { return comparePosition(a.Position, b.Position) })
}

func (m *memory) rows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.parked)
}

// receiver is a sender that notes what it was sent.
type receiver struct {
	mu sync.Mutex
	// answer says what comes back of a batch; nil means 200.
	answer func(batch []*sink.Message) sink.Answer
	got    []string
	took   [][]string
	// delay is how long an answer takes.
	delay time.Duration
	busy  int
	most  int
}

func (*receiver) Prepare(_ context.Context, e *ingest.Event) (*sink.Message, error) {
	switch e.Subject {
	case "unwanted":
		return nil, nil
	case "unreadable":
		return nil, fmt.Errorf("no such field")
	case "panics":
		panic("prepare")
	}
	return &sink.Message{Event: e, Body: e.Payload, Group: "POST /"}, nil
}

func (r *receiver) Send(ctx context.Context, batch []*sink.Message) sink.Answer {
	r.mu.Lock()
	r.busy++
	r.most = max(r.most, r.busy)
	var names []string
	for _, m := range batch {
		names = append(names, fmt.Sprintf("%s%d", m.Event.Subject, m.Event.Sequence))
	}
	r.took = append(r.took, names)
	answer := r.answer
	r.mu.Unlock()
	select {
	case <-time.After(r.delay):
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	if err := ctx.Err(); err != nil {
		return sink.Answer{Err: err}
	}
	a := sink.Answer{Status: 200}
	if answer != nil {
		a = answer(batch)
	}
	if a.Status/100 == 2 {
		r.got = append(r.got, names...)
	}
	return a
}

func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) batches() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.took)
}

func (r *receiver) answers(f func(batch []*sink.Message) sink.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// steady is a standard policy whose waits are not random.
func steady() sink.Standard { return sink.Standard{Random: func() float64 { return 0.999 }} }

func startEngine(t testing.TB, m *memory, spec sink.Spec, sources ...store.Source) *Engine {
	t.Helper()
	e, err := New(Config{Store: m})
	require.NoError(t, err)
	require.NoError(t, e.Add(t.Context(), Identity{"default", "out", sinkID}, spec, sources))
	return e
}

// trim removes the events of a stream up to a sequence.
func (m *memory) trim(source store.Source, through int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trimmed[source] = through
}

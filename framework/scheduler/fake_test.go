package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// memory is a store that keeps what the scheduler writes, with the rules of
// package store: atomic units, keys, compare-and-set, own commit ids, epochs.
type memory struct {
	mu          sync.Mutex
	epoch       int64
	checkpoints map[string]store.Checkpoint
	runs        map[string]store.Run
	runOrder    []string
	statuses    map[string]*store.StreamStatus
	keys        map[string]bool
	states      map[string]map[string][]byte
	log         map[string][]ingest.Emission
	units       []store.Unit
	// before refuses a commit with its error. after is asked when it was
	// written: its error makes the answer uncertain.
	before, after func(u store.Unit) error
	asked         int // calls of Commit
}

func newMemory() *memory {
	return &memory{
		epoch: 1, checkpoints: map[string]store.Checkpoint{}, runs: map[string]store.Run{},
		statuses: map[string]*store.StreamStatus{}, states: map[string]map[string][]byte{}, keys: map[string]bool{}, log: map[string][]ingest.Emission{},
	}
}

func (m *memory) Epoch(string) (epoch int64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch, true
}

func (m *memory) Checkpoint(ctx context.Context, connectionID, stream, lane string) (store.Checkpoint, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.checkpoints[connectionID+"/"+stream+"/"+lane]
	return c, ok, ctx.Err()
}

func (m *memory) SetPaused(_ context.Context, connectionID, stream string, paused bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statusOf(connectionID, stream).Paused = paused
	return nil
}

func (m *memory) statusOf(connectionID, stream string) *store.StreamStatus {
	key := connectionID + "/" + stream
	if m.statuses[key] == nil {
		m.statuses[key] = &store.StreamStatus{ConnectionID: connectionID, Stream: stream}
	}
	return m.statuses[key]
}

func (m *memory) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	if m.before != nil {
		if err := m.before(u); err != nil {
			return store.Receipt{}, err
		}
	}
	if u.Epoch != m.epoch {
		return store.Receipt{}, store.ErrFenced
	}
	if c := u.Checkpoint; c != nil {
		key := u.ConnectionID + "/" + c.Stream + "/" + c.Lane
		switch saved := m.checkpoints[key]; saved.CommitID {
		case u.ID:
			return store.Receipt{Duplicates: len(u.Emissions), AlreadyCommitted: true}, nil
		case c.Previous:
			m.checkpoints[key] = store.Checkpoint{CheckpointWrite: *c, CommitID: u.ID, UpdatedAt: u.At}
		default:
			return store.Receipt{}, fmt.Errorf("%w: %q is %q", store.ErrConflict, c.Previous, saved.CommitID)
		}
	}
	var receipt store.Receipt
	for _, e := range u.Emissions {
		stream := u.ConnectionID + "/" + e.Stream
		key := stream + "/" + e.Key.Text(0, ingest.PayloadHash(e.Operation, e.Payload))
		if m.keys[key] {
			receipt.Duplicates++
			m.statusOf(u.ConnectionID, e.Stream).Duplicates++
			continue
		}
		m.keys[key] = true
		m.log[stream] = append(m.log[stream], e)
		receipt.Appended++
	}
	if u.Run != nil {
		m.writeRun(*u.Run, receipt)
	}
	for _, w := range u.Streams {
		m.writeStream(m.statusOf(u.ConnectionID, w.Stream), w, u.At)
	}
	for _, w := range u.State {
		if m.states[u.ConnectionID] == nil {
			m.states[u.ConnectionID] = map[string][]byte{}
		}
		if m.states[u.ConnectionID][w.Name] = w.Value; w.Value == nil {
			delete(m.states[u.ConnectionID], w.Name)
		}
	}
	m.units = append(m.units, u)
	if m.after != nil {
		if err := m.after(u); err != nil {
			return store.Receipt{}, err
		}
	}
	return receipt, nil
}

func (m *memory) States(_ context.Context, connectionID, prefix string) ([]store.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.State
	for _, name := range slices.Sorted(maps.Keys(m.states[connectionID])) {
		if strings.HasPrefix(name, prefix) {
			out = append(out, store.State{ConnectionID: connectionID, Name: name, Value: m.states[connectionID][name]})
		}
	}
	return out, nil
}

func (m *memory) writeRun(w store.RunWrite, receipt store.Receipt) {
	old, known := m.runs[w.Run.ID]
	if !known {
		m.runOrder = append(m.runOrder, w.Run.ID)
	}
	r := w.Run
	r.Pages = old.Pages + w.Pages
	r.Events = old.Events + int64(receipt.Appended)
	r.Duplicates = old.Duplicates + int64(receipt.Duplicates)
	m.runs[r.ID] = r
}

func (m *memory) writeStream(s *store.StreamStatus, w store.StreamWrite, at time.Time) {
	if !w.At.IsZero() {
		at = w.At
	}
	if w.Succeeded {
		s.LastSuccessAt, s.LastError, s.LastErrorClass, s.ConsecutiveFailures = at, "", "", 0
	}
	if w.Failure != nil {
		s.LastError, s.LastErrorClass, s.LastErrorAt = w.Failure.Error, w.Failure.Class, at
		s.ConsecutiveFailures++
	}
	if w.NextRunAt != nil {
		s.NextRunAt = *w.NextRunAt
	}
}

// reopen is what the next process finds: its own lease, and no failpoints.
func (m *memory) reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.before, m.after = nil, nil
}

func (m *memory) status(connectionID, stream string) store.StreamStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.statusOf(connectionID, stream)
}

func (m *memory) checkpoint(connectionID, stream string) store.Checkpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checkpoints[connectionID+"/"+stream+"/live"]
}

// history lists all runs, oldest first.
func (m *memory) history() []store.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	var runs []store.Run
	for _, id := range m.runOrder {
		runs = append(runs, m.runs[id])
	}
	return runs
}

// recorded lists the subjects in a stream's log.
func (m *memory) recorded(connectionID, stream string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var subjects []string
	for _, e := range m.log[connectionID+"/"+stream] {
		subjects = append(subjects, e.Key.Subject())
	}
	return subjects
}

func (m *memory) committed() []store.Unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.units)
}

func (m *memory) failWith(before, after func(store.Unit) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

type (
	record  struct{ ID string }
	request = framework.SyncRequest[int]
	result  = framework.SyncResult[int]
	route   func(ctx context.Context, in request, out *ingest.Buffer) (result, error)
)

// emit puts records with the given ids into the stream's buffer.
func emit(out *ingest.Buffer, stream catalog.PollStream[record, int], ids ...string) error {
	for _, id := range ids {
		if err := ingest.Canonical(out, stream, "record", record{id}, ingest.Options{IdempotencyKey: ingest.EventKey(id)}); err != nil {
			return err
		}
	}
	return nil
}

// rig is a scheduler on a memory store.
type rig struct {
	t       testing.TB
	store   *memory
	s       *Scheduler
	mu      sync.Mutex
	changes []Change
}

func newRig(t testing.TB, m *memory, c Config) *rig {
	t.Helper()
	c.Store = m
	s, err := New(c)
	require.NoError(t, err)
	r := &rig{t: t, store: m, s: s}
	s.Subscribe(func(c Change) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changes = append(r.changes, c)
	})
	return r
}

// start starts the scheduler and stops it when the test ends.
func (r *rig) start() {
	r.t.Helper()
	require.NoError(r.t, r.s.Start(context.WithoutCancel(r.t.Context())))
	r.t.Cleanup(func() { _ = r.s.Stop(context.WithoutCancel(r.t.Context())) })
}

func (r *rig) stop() {
	r.t.Helper()
	require.NoError(r.t, r.s.Stop(r.t.Context()))
}

func (r *rig) finished() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.changes), func(c Change) bool { return c.Kind != RunFinished })
}

// binding opens a connector whose only streams are the given ones.
func binding(t testing.TB, routes map[string]route) *framework.Binding {
	t.Helper()
	b, err := openRoutes(t.Context(), routes)
	require.NoError(t, err)
	return b
}

func openRoutes(ctx context.Context, routes map[string]route) (*framework.Binding, error) {
	c := catalog.Connector{Key: "test"}
	var bound framework.Routes
	for _, key := range slices.Sorted(maps.Keys(routes)) {
		stream := pollStream(key)
		c.Streams = append(c.Streams, stream)
		bound = append(bound, framework.Sync(stream, routes[key]))
	}
	plugin := framework.Define(c, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) { return bound, nil })
	return plugin.Open(ctx, framework.OpenRequest{})
}

func pollStream(key string) catalog.PollStream[record, int] {
	return catalog.Poll[record, int](key, catalog.PollSpec{Schedule: "@every 1m"})
}

func at(t testing.TB, spec string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(spec)
	require.NoError(t, err)
	return s
}

// stream returns a stream "s" of connection "con_1" on the given schedule, with
// the status that the store has.
func (r *rig) stream(spec string, fn route) Stream {
	return r.streamOf("con_1", "s", spec, fn)
}

func (r *rig) streamOf(connection, key, spec string, fn route) Stream {
	r.t.Helper()
	return Stream{
		Project: "default", ConnectionID: connection, Connection: "name-of-" + connection, Key: key,
		Schedule: at(r.t, spec), Binding: binding(r.t, map[string]route{key: fn}), Status: r.store.status(connection, key),
	}
}

func (r *rig) add(streams ...Stream) {
	r.t.Helper()
	for _, s := range streams {
		require.NoError(r.t, r.s.Add(s))
	}
}

func (r *rig) state() State {
	r.t.Helper()
	state, ok := r.s.State("con_1", "s")
	require.True(r.t, ok)
	return state
}

// numbered returns a route of n pages with one record each, "1" to n, for a
// stream with the given key.
func numbered(key string, n int) route {
	return func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
		if in.Cursor >= n {
			return result{Cursor: in.Cursor}, nil
		}
		page := in.Cursor + 1
		return result{Cursor: page, HasMore: page < n}, emit(out, pollStream(key), fmt.Sprint(page))
	}
}

func idle(context.Context, request, *ingest.Buffer) (result, error) { return result{}, nil }

func numbers(from, to int) []string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// pass lets d go by in the bubble of a synctest, and all that happens by then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Package storetest is the suite that every backend of package store passes: the
// contract of store.Store as tests. A backend's own tests call [Run].
package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Settings are what a test asks of the store that it opens.
type Settings struct {
	// QueueUnits bounds what waits for the writer, when not 0.
	QueueUnits int
	// Clock is the store's clock, when not nil.
	Clock func() time.Time
	// Failpoint, when not nil, is called before every statement of the writer's
	// transactions (including BEGIN and COMMIT, not those that recover from a
	// failure). Its error is the statement's, of class groupcommit.Unavailable.
	Failpoint func(statement string) error
}

// Harness is one empty store for one test.
type Harness struct {
	// Open opens the store and has it closed at the end of the test. After Close
	// it is called again and opens the same store.
	Open func(t testing.TB, s Settings) store.Store
	// Poison makes the database itself refuse every event of [PoisonType], for
	// example by a trigger. The store is open.
	Poison func(t testing.TB)
	// Trim removes expired rows and those of deleted connections now.
	Trim func(ctx context.Context, s store.Store) error
}

// PoisonType is the type of events that a poisoned database refuses.
const PoisonType = "storetest.poison"

// Run runs the suite. newHarness is called once for every test.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	for _, group := range []struct {
		name  string
		tests []contract
	}{
		{"Sequences", sequences},
		{"Keys", keys},
		{"Partitions", partitions},
		{"Checkpoints", checkpoints},
		{"Batches", batches},
		{"Failpoints", failpoints},
		{"Deliveries", deliveries},
		{"DeadLetters", deadLetters},
		{"Connections", connections},
		{"Configurations", configurations},
		{"Renames", renames},
		{"Runs", runs},
		{"States", states},
		{"Sinks", sinks},
		{"Leases", leases},
		{"Exactness", exactness},
		{"Retention", retained},
		{"Erasures", erasures},
		{"Access", access},
		{"Actions", actions},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, newHarness(t))
				})
			}
		})
	}
}

type contract struct {
	name string
	test func(t *testing.T, h Harness)
}

// start is when tests begin. It has microseconds, which must survive.
var start = time.Date(2026, 11, 22, 10, 20, 30, 123456000, time.UTC)

// bundle is an open store with one connection.
type bundle struct {
	store.Store
	harness Harness
	con     store.Connection
}

func setup(t *testing.T, h Harness, s Settings) *bundle {
	t.Helper()
	b := &bundle{Store: h.Open(t, s), harness: h}
	b.con = b.connection(t, "acme")
	return b
}

func (b *bundle) connection(t *testing.T, name string) store.Connection {
	t.Helper()
	c, err := b.EnsureConnection(t.Context(), store.Connection{
		Project: "default", Name: name, Connector: "stripe", Type: "source", Enabled: true,
	})
	require.NoError(t, err)
	return c
}

// reopen closes the store and opens it again.
func (b *bundle) reopen(t *testing.T) {
	t.Helper()
	require.NoError(t, b.Close())
	b.Store = b.harness.Open(t, Settings{})
}

// unit is one of the connection with the given emissions.
func (b *bundle) unit(emissions ...ingest.Emission) store.Unit {
	return store.Unit{ID: store.NewCommitID(), ConnectionID: b.con.ID, Epoch: Epoch(b, b.con.ID), At: start, Emissions: emissions}
}

func (b *bundle) commit(t *testing.T, u store.Unit) store.Receipt {
	t.Helper()
	r, err := b.Commit(t.Context(), u)
	require.NoError(t, err)
	require.Len(t, r.Events, len(u.Emissions))
	return r
}

func (b *bundle) events(t *testing.T, stream string) []ingest.Event {
	t.Helper()
	events, err := b.Events(t.Context(), b.con.ID, stream, 0, 10_000)
	require.NoError(t, err)
	return events
}

func (b *bundle) status(t *testing.T, stream string) store.StreamStatus {
	t.Helper()
	all, err := b.Statuses(t.Context(), b.con.ID)
	require.NoError(t, err)
	for _, s := range all {
		if s.Stream == stream {
			return s
		}
	}
	return store.StreamStatus{}
}

// emit is an upsert with a version key.
func emit(stream, entity, version string) ingest.Emission {
	return ingest.Emission{
		Stream: stream, Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey(entity, version),
		Payload: fmt.Appendf(nil, `{"id":%q,"version":%q}`, entity, version),
	}
}

// latest is an upsert with a latest key.
func latest(stream, entity, payload string) ingest.Emission {
	return ingest.Emission{
		Stream: stream, Type: "customer", Operation: ingest.Upsert, Key: ingest.LatestKey(entity), Payload: []byte(payload),
	}
}

// fact is an event with an event key.
func fact(stream, id string) ingest.Emission {
	return ingest.Emission{Stream: stream, Type: "entry", Operation: ingest.Upsert, Key: ingest.EventKey(id), Payload: []byte(`{}`)}
}

func at(e ingest.Emission, d time.Duration) ingest.Emission {
	e.Time = start.Add(d)
	return e
}

// gate stops the writer before its next transaction while it is shut.
type gate struct {
	shut    atomic.Bool
	reached chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}, 1), open: make(chan struct{})} }

// failpoint is that of [Settings].
func (g *gate) failpoint(string) error {
	if g.shut.CompareAndSwap(true, false) {
		g.reached <- struct{}{}
		<-g.open
	}
	return nil
}

// hold shuts the gate and sends a unit into it. release lets it through and
// waits until it is committed.
func (g *gate) hold(t *testing.T, b *bundle, u store.Unit) (release func()) {
	t.Helper()
	g.shut.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := b.Commit(context.WithoutCancel(t.Context()), u)
		done <- err
	}()
	<-g.reached
	return func() {
		close(g.open)
		require.NoError(t, <-done)
	}
}

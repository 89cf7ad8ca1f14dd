//go:build unix

package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// guessing is a store that tells which statements its last transaction had.
type guessing struct {
	*Store
	con store.Connection

	mu         sync.Mutex
	statements []string
}

func openGuessing(t *testing.T, url string) *guessing {
	t.Helper()
	g := &guessing{}
	g.Store = open(t, Options{URL: url, failpoint: func(what string) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.statements = append(g.statements, what)
		return nil
	}})
	g.con = connection(t, g.Store, "hooks")
	return g
}

// deliver commits a delivery with one event, and says what was asked before it was written.
func (g *guessing) deliver(t *testing.T, delivery, entity, version, payload string) (r store.Receipt, guessed, asked bool) {
	t.Helper()
	g.mu.Lock()
	g.statements = nil
	g.mu.Unlock()
	r, err := g.Commit(t.Context(), store.Unit{
		ID: store.NewCommitID(), ConnectionID: g.con.ID, At: time.Now(),
		Emissions: []ingest.Emission{{Stream: "s", Type: "x", Operation: ingest.Upsert, Key: ingest.VersionKey(entity, version), Payload: []byte(payload)}},
		Reserve:   &store.DeliveryKey{Endpoint: "e", Key: delivery, DeliveryID: "dlv_" + delivery},
		Streams:   []store.StreamWrite{{Stream: "s", Succeeded: true}},
	})
	require.NoError(t, err)
	g.mu.Lock()
	defer g.mu.Unlock()
	return r, slices.Contains(g.statements, "lock known heads"), slices.Contains(g.statements, "read keys")
}

// entity is a new one each time.
var entities = func() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return "new" + strconv.Itoa(n)
	}
}()

// rested makes commits until the store guesses again.
func (g *guessing) rested(t *testing.T) {
	t.Helper()
	for range 2 * mostRest {
		id := entities()
		if _, guessed, asked := g.deliver(t, id, id, "1", "{}"); guessed && !asked {
			return
		}
	}
	t.Fatal("the store does not guess any more")
}

func TestWhatIsNewIsWrittenWithoutAsking(t *testing.T) {
	t.Parallel()
	g := openGuessing(t, usedDatabase(t))
	_, guessed, asked := g.deliver(t, "d1", "a", "1", "{}")
	require.False(t, guessed, "nothing is known of the stream")
	require.True(t, asked)
	for i := range 3 {
		r, guessed, asked := g.deliver(t, fmt.Sprint("e", i), fmt.Sprint("b", i), "1", "{}")
		require.True(t, guessed)
		require.False(t, asked)
		require.EqualValues(t, i+2, r.Events[0].Sequence)
	}
}

func TestAWrongGuessIsMadeAgainByAsking(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	g := openGuessing(t, url)
	first, _, _ := g.deliver(t, "d1", "a", "1", "{}")
	g.rested(t)

	r, guessed, asked := g.deliver(t, "d1", "other", "1", "{}")
	require.True(t, guessed && asked)
	require.True(t, r.DuplicateDelivery, "the delivery was there")
	require.Equal(t, first.Events[0].ID, r.First)

	g.rested(t)
	r, guessed, asked = g.deliver(t, "d2", "a", "1", "{}")
	require.True(t, guessed && asked)
	require.Equal(t, []int{0, 1}, []int{r.Appended, r.Duplicates}, "the key was there")

	g.rested(t)
	r, guessed, asked = g.deliver(t, "d3", "a", "2", `{"n":2}`)
	require.True(t, guessed && asked)
	require.Equal(t, 1, r.Appended, "the entity was there, and this is its second version")
	var revision int
	require.NoError(t, dial(t, url).QueryRow(t.Context(), "SELECT max(revision) FROM entities").Scan(&revision))
	require.Equal(t, 2, revision)
}

func TestAGuessSeesWhatAnotherProcessHasDoneToTheStream(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	g, other := openGuessing(t, url), openGuessing(t, url)
	var sequences []int64
	for i := range 5 {
		for _, s := range []*guessing{g, other} {
			r, _, _ := s.deliver(t, entities(), entities(), "1", "{}")
			sequences = append(sequences, r.Events[0].Sequence)
		}
		require.Len(t, sequences, 2*i+2)
	}
	for i, n := range sequences {
		require.EqualValues(t, i+1, n, "gapless, in the order of commits")
	}
	g.rested(t)
	// What is changed of the status is not written over.
	_, err := other.Commit(t.Context(), store.Unit{
		ID: store.NewCommitID(), ConnectionID: g.con.ID, At: time.Now(),
		Streams: []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "no", Class: "transient"}}},
	})
	require.NoError(t, err)
	r, err := g.Commit(t.Context(), store.Unit{
		ID: store.NewCommitID(), ConnectionID: g.con.ID, At: time.Now(),
		Emissions: []ingest.Emission{{Stream: "s", Type: "x", Operation: ingest.Upsert, Key: ingest.VersionKey(entities(), "1"), Payload: []byte("{}")}},
	})
	require.NoError(t, err)
	require.Equal(t, 1, r.Appended)
	statuses, err := g.Statuses(t.Context(), g.con.ID)
	require.NoError(t, err)
	require.Equal(t, "no", statuses[0].LastError)
	require.NoError(t, g.DeleteConnection(t.Context(), g.con.ID))
	_, err = other.Commit(t.Context(), store.Unit{
		ID: store.NewCommitID(), ConnectionID: g.con.ID, At: time.Now(),
		Emissions: []ingest.Emission{{Stream: "s", Type: "x", Operation: ingest.Upsert, Key: ingest.VersionKey(entities(), "1"), Payload: []byte("{}")}},
	})
	require.ErrorIs(t, err, store.ErrNotFound)
}

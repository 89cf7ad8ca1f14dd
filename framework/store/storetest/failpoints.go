package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// errFailpoint is the failure that tests inject.
var errFailpoint = errors.New("failpoint")

// trap springs once, at the given statement from when it is set.
type trap struct {
	left   atomic.Int64
	panics bool
}

func (p *trap) set(statement int64) { p.left.Store(statement) }

// sprung reports that the trap was reached.
func (p *trap) sprung() bool { return p.left.Load() <= 0 }

func (p *trap) failpoint(string) error {
	if p.left.Load() > 0 && p.left.Add(-1) == 0 {
		if p.panics {
			panic("failpoint")
		}
		return errFailpoint
	}
	return nil
}

var failpoints = []contract{
	{"ThatFailLeaveAllOfAPageOrNothing", func(t *testing.T, h Harness) { everyStatement(t, h, &trap{}) }},
	{"ThatPanicLeaveAllOfAPageOrNothing", func(t *testing.T, h Harness) { everyStatement(t, h, &trap{panics: true}) }},
	{"OfADeliveryLeaveItsKeyAndEventsOrNothing", deliveryFailpoints},
	{"HealWithoutReopening", func(t *testing.T, h Harness) {
		var down atomic.Bool
		b := setup(t, h, Settings{Failpoint: func(string) error {
			if down.Load() {
				return errFailpoint
			}
			return nil
		}})
		down.Store(true)
		for range 3 {
			_, err := b.Commit(t.Context(), b.unit(fact("s", "1")))
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, err, errFailpoint)
			require.ErrorIs(t, b.Ping(t.Context()), store.ErrUnavailable)
		}
		down.Store(false)
		require.NoError(t, b.Ping(t.Context()))
		require.Equal(t, int64(1), b.commit(t, b.unit(fact("s", "1"))).Events[0].Sequence)
	}},
}

// everyStatement commits pages of a provider that answers differently each time
// it is asked, with a failure at the first statement, then at the second, until
// a page passes untouched. After each the store must agree with itself.
func everyStatement(t *testing.T, h Harness, p *trap) {
	b := setup(t, h, Settings{Failpoint: p.failpoint})
	page := NewPages(b.Store, b.con.ID)
	require.NoError(t, page.Commit(t))
	for statement := int64(1); ; statement++ {
		before := page.Agree(t)
		p.set(statement)
		err := page.Commit(t)
		after := page.Agree(t)
		if err == nil && !p.sprung() {
			require.Greater(t, statement, int64(10), "the failpoint is not called between statements")
			p.set(0)
			break
		}
		if err == nil {
			require.Equal(t, before+1, after, "statement %d", statement)
		} else {
			require.Equal(t, before, after, "statement %d: %v", statement, err)
			p.set(0)
			require.NoError(t, page.Commit(t), "after the failure of statement %d", statement)
			require.Equal(t, before+1, page.Agree(t))
		}
	}
	b.reopen(t)
	page.Store = b.Store
	page.Agree(t)
}

// Pages commits pages of one stream, each with events, checkpoint, run and
// status, read from a provider whose answer changes with every call.
type Pages struct {
	Store        store.Store
	ConnectionID string
	calls        int
}

// NewPages returns pages of the stream "pages" of the connection.
func NewPages(s store.Store, connectionID string) *Pages {
	return &Pages{Store: s, ConnectionID: connectionID}
}

// pageRun is the run of all pages.
const pageRun = "run_pages"

// Commit reads the checkpoint, asks the provider and commits the page.
func (p *Pages) Commit(t testing.TB) error {
	t.Helper()
	saved, _, err := p.Store.Checkpoint(t.Context(), p.ConnectionID, "pages", store.LaneLive)
	require.NoError(t, err)
	p.calls++
	_, err = p.Store.Commit(t.Context(), p.Unit(saved, store.NewCommitID()))
	return err
}

// Unit is the page after the checkpoint. Salt makes its events new.
func (p *Pages) Unit(saved store.Checkpoint, salt string) store.Unit {
	number, _ := strconv.Atoi(string(saved.Cursor))
	u := store.Unit{
		ID: store.NewCommitID(), ConnectionID: p.ConnectionID, Epoch: Epoch(p.Store, p.ConnectionID), At: start,
		Checkpoint: &store.CheckpointWrite{
			Stream: "pages", Lane: store.LaneLive, Previous: saved.CommitID, Cursor: []byte(strconv.Itoa(number + 1)), RunID: pageRun,
		},
		Run:     &store.RunWrite{Run: store.Run{ID: pageRun, Stream: "pages", Trigger: "schedule", State: store.RunRunning, StartedAt: start}, Pages: 1},
		Streams: []store.StreamWrite{{Stream: "pages", Succeeded: true}},
	}
	for i := range 1 + (number+p.calls)%3 {
		u.Emissions = append(u.Emissions,
			emit("pages", fmt.Sprintf("e%d", i), salt),
			latest("pages", fmt.Sprintf("l%d", i), strconv.Quote(salt)))
	}
	u.Emissions = append(u.Emissions, u.Emissions[0])
	return u
}

// Agree checks that events, keys, checkpoint, run, head and counts tell the same
// story, and returns the number of pages that were committed.
func (p *Pages) Agree(t testing.TB) int {
	t.Helper()
	ctx := t.Context()
	saved, ok, err := p.Store.Checkpoint(ctx, p.ConnectionID, "pages", store.LaneLive)
	require.NoError(t, err)
	pages := 0
	if ok {
		pages, err = strconv.Atoi(string(saved.Cursor))
		require.NoError(t, err)
	}
	events, err := p.Store.Events(ctx, p.ConnectionID, "pages", 0, 10_000)
	require.NoError(t, err)
	for i, e := range events {
		require.Equal(t, int64(i+1), e.Sequence)
	}
	run, err := p.Store.Run(ctx, pageRun)
	if !ok {
		require.ErrorIs(t, err, store.ErrNotFound, "a run without its checkpoint")
		require.Empty(t, events, "events without their checkpoint")
		return 0
	}
	require.NoError(t, err)
	require.Equal(t, int64(pages), run.Pages, "pages of the run and of the checkpoint")
	require.Equal(t, int64(len(events)), run.Events, "events of the run and in the log")
	require.Equal(t, int64(pages), run.Duplicates, "each page has one duplicate")
	statuses, err := p.Store.Statuses(ctx, p.ConnectionID)
	require.NoError(t, err)
	require.Len(t, statuses, 1)
	require.Equal(t, int64(len(events)), statuses[0].Head, "head and events")
	require.Equal(t, run.Duplicates, statuses[0].Duplicates, "duplicates of the stream and of the run")
	hourly, err := p.Store.Hourly(ctx, p.ConnectionID, start.Add(-1))
	require.NoError(t, err)
	require.Len(t, hourly, 1)
	require.Equal(t, int64(len(events)), hourly[0].Events, "hourly count and events")
	require.Equal(t, run.Duplicates, hourly[0].Duplicates, "hourly count and duplicates")
	return pages
}

func deliveryFailpoints(t *testing.T, h Harness) {
	p := &trap{}
	b := setup(t, h, Settings{Failpoint: p.failpoint})
	for statement := int64(1); ; statement++ {
		id := strconv.FormatInt(statement, 10)
		u := b.unit(fact("s", id), fact("r", id))
		u.Reserve = &store.DeliveryKey{Endpoint: "e", Key: id, DeliveryID: "dlv_" + id}
		p.set(statement)
		_, err := b.Commit(t.Context(), u)
		passed := !p.sprung()
		p.set(0)
		if err != nil {
			// The provider sends it again: nothing of the first try may be there.
			again := b.commit(t, u)
			require.False(t, again.DuplicateDelivery, "statement %d left the key without the events", statement)
			require.Equal(t, 2, again.Appended, "statement %d left events without the key", statement)
		}
		again := b.commit(t, store.Unit{
			ID: u.ID, ConnectionID: u.ConnectionID, Epoch: u.Epoch, At: u.At, Reserve: u.Reserve,
		})
		require.True(t, again.DuplicateDelivery)
		require.Equal(t, ingest.EventID(b.con.ID, "s", "e/"+id), again.First)
		require.Len(t, b.events(t, "s"), int(statement))
		require.Len(t, b.events(t, "r"), int(statement))
		if passed {
			return
		}
	}
}

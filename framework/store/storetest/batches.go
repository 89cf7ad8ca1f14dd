package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

type outcome struct {
	unit    store.Unit
	receipt store.Receipt
	err     error
}

// together commits the units while the writer is held, so that they end up in
// one batch, and returns what became of them, by unit id.
func together(t *testing.T, b *bundle, g *gate, units []store.Unit) map[string]outcome {
	t.Helper()
	release := g.hold(t, b, b.unit(fact("gate", "1")))
	results := make(chan outcome, len(units))
	for _, u := range units {
		go func() {
			r, err := b.Commit(context.WithoutCancel(t.Context()), u)
			results <- outcome{u, r, err}
		}()
	}
	release()
	out := map[string]outcome{}
	for range units {
		r := <-results
		out[r.unit.ID] = r
	}
	return out
}

var batches = []contract{
	{"WithPoisonedUnitsCommitTheirNeighbours", poisoned},
	{"WithConflictsCommitTheirNeighbours", func(t *testing.T, h Harness) {
		g := newGate()
		b := setup(t, h, Settings{Failpoint: g.failpoint})
		var units []store.Unit
		for i := range 12 {
			u := b.unit(fact("s", fmt.Sprint(i)))
			switch i % 4 {
			case 1:
				u.Checkpoint = move("nobody", "c")
			case 2:
				u.Epoch = -1
			case 3:
				u.ConnectionID = "con_unknown"
			}
			units = append(units, u)
		}
		results := together(t, b, g, units)
		for i, u := range units {
			want := []error{nil, store.ErrConflict, store.ErrFenced, store.ErrNotFound}[i%4]
			require.ErrorIs(t, results[u.ID].err, want)
		}
		b.requireUntouched(t, "", 3)
	}},
	{"SpareUnitsWhoseCallerLeftTheQueue", func(t *testing.T, h Harness) {
		g := newGate()
		b := setup(t, h, Settings{Failpoint: g.failpoint})
		release := g.hold(t, b, b.unit(fact("gate", "1")))
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := b.Commit(ctx, b.unit(fact("s", "left")))
			left <- err
		}()
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		release()
		b.commit(t, b.unit(fact("s", "stayed")))
		events := b.events(t, "s")
		require.Len(t, events, 1)
		require.Equal(t, "stayed", events[0].Subject)
	}},
	{"CommitUnitsWhoseCallerLeftTheTransaction", func(t *testing.T, h Harness) {
		g := newGate()
		b := setup(t, h, Settings{Failpoint: g.failpoint})
		ctx, cancel := context.WithCancel(t.Context())
		g.shut.Store(true)
		left := make(chan error, 1)
		go func() {
			_, err := b.Commit(ctx, b.unit(fact("s", "left")))
			left <- err
		}()
		<-g.reached
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		close(g.open)
		b.commit(t, b.unit(fact("s", "stayed")))
		require.Len(t, b.events(t, "s"), 2)
	}},
	{"RefuseAContextThatHasEnded", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Commit(ctx, b.unit(fact("s", "1")))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, b.events(t, "s"))
	}},
	{"ThatDoNotFitTurnOffersAwayAndLetCommitsWait", full},
	{"AreFinishedByClose", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		require.NoError(t, b.Close())
		require.NoError(t, b.Close(), "Close must be safe to call twice")
		_, err := b.Commit(t.Context(), b.unit(fact("s", "1")))
		require.ErrorIs(t, err, store.ErrClosed)
		_, err = b.Offer(t.Context(), b.unit(fact("s", "1")))
		require.ErrorIs(t, err, store.ErrClosed)
		require.ErrorIs(t, b.Ping(t.Context()), store.ErrClosed)
		_, err = b.Events(t.Context(), b.con.ID, "s", 0, 1)
		require.ErrorIs(t, err, store.ErrClosed)
	}},
	{"AnswerAPing", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		require.NoError(t, b.Ping(t.Context()))
	}},
	{"NameEverythingThatIsWrongWithAUnit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		bad := ingest.Emission{Stream: "", Type: "t\x00", Operation: "rename", Payload: make([]byte, 1<<20+1), Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
		u := b.unit(fact("s", "1"), bad)
		u.Checkpoint = move("", strings.Repeat("c", 64<<10+1))
		u.Run = &store.RunWrite{Run: store.Run{ID: "run_1", Stream: "s", State: "resting"}}
		u.Reserve = &store.DeliveryKey{Endpoint: "e", DeliveryID: "dlv_1"}
		_, err := b.Commit(t.Context(), u)
		require.ErrorIs(t, err, store.ErrInvalid)
		for _, part := range []string{
			"event 2: stream is empty", "event 2: type", ingest.ErrNoKey.Error(), `operation "rename" is unknown`,
			"payload has 1048577 bytes; the limit is 1048576", "year 10000", "cursor has 65537 bytes", `state "resting"`, "key of the delivery is empty",
		} {
			require.ErrorContains(t, err, part)
		}
		b.requireUntouched(t, "", 0)
		_, err = b.Commit(t.Context(), store.Unit{})
		require.ErrorContains(t, err, "unit id is empty")
		require.ErrorContains(t, err, "connection id is empty")
	}},
}

func poisoned(t *testing.T, h Harness) {
	g := newGate()
	b := setup(t, h, Settings{Failpoint: g.failpoint})
	h.Poison(t)
	bad := map[string]bool{}
	var units []store.Unit
	for i := range 32 {
		u := b.unit(fact("s", fmt.Sprintf("u%d", i)), latest("s", "shared", fmt.Sprint(i)))
		if i == 3 || i == 4 || i == 31 {
			poison := fact("poisoned", fmt.Sprint(i))
			poison.Type = PoisonType
			u.Emissions = append(u.Emissions, poison)
			u.Reserve = &store.DeliveryKey{Endpoint: "e", Key: fmt.Sprint(i), DeliveryID: "dlv_1"}
			bad[u.ID] = true
		}
		units = append(units, u)
	}
	for id, r := range together(t, b, g, units) {
		if bad[id] {
			require.ErrorIs(t, r.err, store.ErrInvalid)
		} else {
			require.NoError(t, r.err)
		}
	}
	events := b.events(t, "s")
	require.Len(t, events, 2*29)
	for i, e := range events {
		require.Equal(t, int64(i+1), e.Sequence)
	}
	require.Equal(t, int64(58), b.status(t, "s").Head)
	require.Empty(t, b.status(t, "poisoned").Stream, "a poisoned unit left a stream behind")
	poison := fact("poisoned", "alone")
	poison.Type = PoisonType
	_, err := b.Commit(t.Context(), b.unit(poison))
	require.ErrorIs(t, err, store.ErrInvalid)
	b.commit(t, b.unit(fact("s", "after")))
}

func full(t *testing.T, h Harness) {
	g := newGate()
	b := setup(t, h, Settings{Failpoint: g.failpoint, QueueUnits: 2})
	release := g.hold(t, b, b.unit(fact("gate", "1")))
	results := make(chan error, 3)
	busy := 0
	// Offers queue in their own goroutines; the queue is full when one is turned away.
	ctx := context.WithoutCancel(t.Context())
	offered := 0
	for busy == 0 {
		offered++
		u := b.unit(fact("s", fmt.Sprint(offered)))
		answered := make(chan error, 1)
		go func() {
			_, err := b.Offer(ctx, u)
			if errors.Is(err, store.ErrBusy) {
				answered <- err
				return
			}
			answered <- nil
			results <- err
		}()
		select {
		case err := <-answered:
			require.ErrorIs(t, err, store.ErrBusy)
			busy++
		case <-time.After(20 * time.Millisecond):
		}
		require.LessOrEqual(t, offered, 3)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := b.Commit(short, b.unit(fact("s", "waits in vain")))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	waited := make(chan error, 1)
	go func() {
		_, err := b.Commit(ctx, b.unit(fact("s", "waits for room")))
		waited <- err
	}()
	release()
	require.NoError(t, <-waited)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	require.Len(t, b.events(t, "s"), 3)
}

package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func move(previous, cursor string) *store.CheckpointWrite {
	return &store.CheckpointWrite{Stream: "s", Lane: store.LaneLive, Previous: previous, Cursor: []byte(cursor), CursorVersion: 2, CursorDigest: "d", RunID: "run_1"}
}

func (b *bundle) page(c *store.CheckpointWrite, emissions ...ingest.Emission) store.Unit {
	u := b.unit(emissions...)
	u.Checkpoint = c
	return u
}

// requireUntouched checks that nothing of a refused unit was written.
func (b *bundle) requireUntouched(t *testing.T, commitID string, events int) {
	t.Helper()
	c, ok, err := b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
	require.NoError(t, err)
	require.Equal(t, commitID != "", ok)
	require.Equal(t, commitID, c.CommitID)
	require.Len(t, b.events(t, "s"), events)
	require.Equal(t, int64(events), b.status(t, "s").Head)
}

var checkpoints = []contract{
	{"AreReadAsTheyWereWritten", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		_, ok, err := b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
		require.NoError(t, err)
		require.False(t, ok)
		w := move("", "c1")
		w.From, w.To, w.WindowDone = time.Unix(0, 0).UTC(), start, start.Add(time.Microsecond)
		u := b.page(w, fact("s", "1"))
		b.commit(t, u)
		b.reopen(t)
		c, ok, err := b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, store.Checkpoint{CheckpointWrite: *w, CommitID: u.ID, UpdatedAt: start}, c)
	}},
	{"WithoutCursorOrWindowSayNone", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		w := move("", "")
		w.Cursor = nil
		b.commit(t, b.page(w))
		c, _, err := b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
		require.NoError(t, err)
		require.Nil(t, c.Cursor)
		require.True(t, c.From.IsZero() && c.To.IsZero() && c.WindowDone.IsZero())
	}},
	{"MovedBySomebodyElseRefuseTheWholeUnit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		first := b.page(move("", "c1"), fact("s", "1"))
		b.commit(t, first)
		for _, previous := range []string{"", "somebody"} {
			stale := b.page(move(previous, "c2"), fact("s", "2"), fact("fresh", "1"))
			stale.Run = &store.RunWrite{Run: store.Run{ID: "run_stale", Stream: "s", State: store.RunRunning}}
			stale.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k", DeliveryID: "dlv_1"}
			_, err := b.Commit(t.Context(), stale)
			require.ErrorIs(t, err, store.ErrConflict)
			b.requireUntouched(t, first.ID, 1)
			_, err = b.Run(t.Context(), "run_stale")
			require.ErrorIs(t, err, store.ErrNotFound)
			require.Empty(t, b.status(t, "fresh").Stream, "the refused unit left a stream behind")
		}
		second := b.page(move(first.ID, "c2"), fact("s", "2"))
		second.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k", DeliveryID: "dlv_1"}
		require.False(t, b.commit(t, second).DuplicateDelivery, "the refused unit reserved its delivery")
		b.requireUntouched(t, second.ID, 2)
	}},
	{"WithTheUnitsOwnIDAreSuccess", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		u := b.page(move("", "c1"), fact("s", "1"), latest("s", "x", `1`), latest("s", "x", `2`))
		u.Run = &store.RunWrite{Run: store.Run{ID: "run_1", Stream: "s", State: store.RunRunning, StartedAt: start}, Pages: 1}
		b.commit(t, u)
		before := b.status(t, "s")
		for range 2 {
			r := b.commit(t, u)
			require.True(t, r.AlreadyCommitted)
			require.Zero(t, r.Appended)
			require.Equal(t, int64(1), r.Events[0].Sequence)
			b.reopen(t)
			u.Epoch = Epoch(b, b.con.ID)
		}
		b.requireUntouched(t, u.ID, 3)
		require.Equal(t, before, b.status(t, "s"), "the repeated unit was counted")
		run, err := b.Run(t.Context(), "run_1")
		require.NoError(t, err)
		require.Equal(t, []int64{1, 3, 0}, []int64{run.Pages, run.Events, run.Duplicates})
	}},
	{"OfTwoRacingUnitsLetOneThrough", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		const racers = 8
		errs := make(chan error, racers)
		for range racers {
			u := b.page(move("", "c1"), fact("s", store.NewCommitID()))
			go func() {
				_, err := b.Commit(t.Context(), u)
				errs <- err
			}()
		}
		won := 0
		for range racers {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, store.ErrConflict)
			}
		}
		require.Equal(t, 1, won)
		require.Len(t, b.events(t, "s"), 1)
	}},
	{"OfLanesAreApart", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		live := b.page(move("", "live"))
		b.commit(t, live)
		lane := move("", "past")
		lane.Lane = "backfill_1"
		b.commit(t, b.page(lane))
		c, _, err := b.Checkpoint(t.Context(), b.con.ID, "s", store.LaneLive)
		require.NoError(t, err)
		require.Equal(t, "live", string(c.Cursor))
		c, _, err = b.Checkpoint(t.Context(), b.con.ID, "s", "backfill_1")
		require.NoError(t, err)
		require.Equal(t, "past", string(c.Cursor))
	}},
	{"OfAStaleEpochAreFenced", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		old := b.page(move("", "c1"), fact("s", "1"))
		before := Epoch(b, b.con.ID)
		b.reopen(t)
		require.Greater(t, Epoch(b, b.con.ID), before)
		old.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k", DeliveryID: "dlv_1"}
		_, err := b.Commit(t.Context(), old)
		require.ErrorIs(t, err, store.ErrFenced)
		b.requireUntouched(t, "", 0)
		old.Epoch = Epoch(b, b.con.ID)
		require.Equal(t, 1, b.commit(t, old).Appended)
	}},
}

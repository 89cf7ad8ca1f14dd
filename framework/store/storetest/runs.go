package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func (b *bundle) run(r store.Run, pages int64) store.Unit {
	u := b.unit()
	r.Stream = "s"
	u.Run = &store.RunWrite{Run: r, Pages: pages}
	return u
}

var runs = []contract{
	{"AreCountedAsTheirPagesCommit", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		r := store.Run{ID: "run_1", Trigger: "schedule", State: store.RunRunning, StartedAt: start}
		u := b.run(r, 1)
		u.Emissions = append(u.Emissions, fact("s", "1"), fact("s", "2"), fact("s", "1"))
		b.commit(t, u)
		r.State, r.FinishedAt = store.RunFailed, start.Add(time.Second)
		r.Error, r.ErrorClass, r.Stack = "boom\x00\xff", "provider", strings.Repeat("x", 1<<20)
		u = b.run(r, 2)
		u.Emissions = append(u.Emissions, fact("s", "2"), fact("s", "3"))
		b.commit(t, u)
		b.reopen(t)
		got, err := b.Run(t.Context(), "run_1")
		require.NoError(t, err)
		require.Equal(t, []int64{3, 3, 2}, []int64{got.Pages, got.Events, got.Duplicates})
		require.Equal(t, b.con.ID, got.ConnectionID)
		require.Equal(t, start, got.StartedAt)
		require.Equal(t, start.Add(time.Second), got.FinishedAt)
		require.Equal(t, "schedule", got.Trigger)
		require.Equal(t, "boom\uFFFD\uFFFD", got.Error)
		require.LessOrEqual(t, len(got.Stack), 64<<10)
		require.True(t, strings.HasSuffix(got.Stack, "(cut)"))
		_, err = b.Run(t.Context(), "run_unknown")
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
	{"ArePagedNewestFirst", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		var ids []string
		for i := range 7 {
			id := store.NewID("run_", start.Add(time.Duration(i)*time.Second))
			ids = append([]string{id}, ids...)
			b.commit(t, b.run(store.Run{ID: id, State: store.RunSucceeded}, 0))
		}
		var got []string
		for before := ""; ; before = got[len(got)-1] {
			page, err := b.Runs(t.Context(), b.con.ID, "s", before, 3)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				got = append(got, r.ID)
			}
		}
		require.Equal(t, ids, got)
		none, err := b.Runs(t.Context(), b.con.ID, "other", "", 3)
		require.NoError(t, err)
		require.Empty(t, none)
	}},
	{"OfADeadProcessAreInterrupted", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.run(store.Run{ID: "run_done", State: store.RunSucceeded, FinishedAt: start}, 0))
		b.commit(t, b.run(store.Run{ID: "run_dead", State: store.RunRunning}, 1))
		n, err := b.InterruptRuns(t.Context(), start)
		require.NoError(t, err)
		require.Zero(t, n, "this process is not dead")
		b.reopen(t)
		b.commit(t, b.run(store.Run{ID: "run_mine", State: store.RunRunning}, 0))
		n, err = b.InterruptRuns(t.Context(), start.Add(time.Minute))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		for id, want := range map[string]store.RunState{"run_done": store.RunSucceeded, "run_dead": store.RunInterrupted, "run_mine": store.RunRunning} {
			r, err := b.Run(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, r.State, id)
		}
		r, err := b.Run(t.Context(), "run_dead")
		require.NoError(t, err)
		require.Equal(t, start.Add(time.Minute), r.FinishedAt)
	}},
	{"AreCountedOnceAnHour", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for i, state := range []store.RunState{store.RunRunning, store.RunSucceeded, store.RunSucceeded, store.RunFailed} {
			u := b.run(store.Run{ID: fmt.Sprintf("run_%d", max(i, 1)), State: state}, 0)
			u.Emissions = append(u.Emissions, fact("s", fmt.Sprint(i)), fact("s", "0"))
			if i == 3 {
				u.At = start.Add(time.Hour)
			}
			b.commit(t, u)
		}
		// A run that has ended is not counted again when it is written again.
		b.commit(t, b.run(store.Run{ID: "run_3", State: store.RunFailed}, 0))
		hour := start.Truncate(time.Hour)
		got, err := b.Hourly(t.Context(), b.con.ID, start)
		require.NoError(t, err)
		require.Equal(t, []store.HourlyCount{
			{ConnectionID: b.con.ID, Stream: "s", Hour: hour, Events: 3, Duplicates: 3, Runs: 2},
			{ConnectionID: b.con.ID, Stream: "s", Hour: hour.Add(time.Hour), Events: 1, Duplicates: 1, Runs: 1, Failures: 1},
		}, got)
		got, err = b.Hourly(t.Context(), "", start.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, got, 1)
	}},
	{"MoveTheStatusOfTheirStream", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		next := start.Add(time.Minute)
		for i := range 2 {
			u := b.unit()
			u.At = start.Add(time.Duration(i) * time.Second)
			u.Streams = []store.StreamWrite{{Stream: "s", Failure: &store.Failure{Error: "boom", Class: "provider"}, NextRunAt: &next}}
			b.commit(t, u)
		}
		require.Equal(t, store.StreamStatus{
			ConnectionID: b.con.ID, Stream: "s", NextRunAt: next, LastError: "boom", LastErrorClass: "provider",
			LastErrorAt: start.Add(time.Second), ConsecutiveFailures: 2,
		}, b.status(t, "s"))
		u := b.unit(fact("s", "1"))
		u.Streams = []store.StreamWrite{{Stream: "s", Succeeded: true, NextRunAt: &time.Time{}}, {Stream: "r", Succeeded: true}}
		b.commit(t, u)
		require.Equal(t, store.StreamStatus{ConnectionID: b.con.ID, Stream: "s", Head: 1, LastSuccessAt: start}, b.status(t, "s"))
		require.Equal(t, start, b.status(t, "r").LastSuccessAt)
	}},
}

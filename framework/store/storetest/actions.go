package storetest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// acting is a run of the bundle's connection that has just begun.
func (b *bundle) acting(id string) store.ActionRun {
	return store.ActionRun{
		ID: id, ConnectionID: b.con.ID, TargetID: "con_target", Action: "shop.reindex", Origin: "trigger", State: store.RunRunning, Owner: "one", StartedAt: start, Events: 1,
	}
}

// act carries writes out, of which none may fail.
func (b *bundle) act(t *testing.T, writes ...store.ActionWrite) {
	t.Helper()
	for _, err := range b.actEach(t, writes...) {
		require.NoError(t, err)
	}
}

func (b *bundle) actEach(t *testing.T, writes ...store.ActionWrite) []error {
	t.Helper()
	each, err := b.WriteActions(t.Context(), writes)
	require.NoError(t, err)
	require.Len(t, each, len(writes))
	return each
}

func (b *bundle) action(t *testing.T, id string) store.ActionRun {
	t.Helper()
	r, err := b.ActionRun(t.Context(), id)
	require.NoError(t, err)
	return r
}

func report(sequence int64, percent int) store.ActionProgress {
	return store.ActionProgress{Sequence: sequence, At: start.Add(time.Duration(sequence) * time.Second), Percent: percent, Message: fmt.Sprint("at ", percent)}
}

var actions = []contract{
	{"KeepTheirProgressAndOutput", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		run := b.acting("run_1")
		b.act(t, store.ActionWrite{Run: run, Begin: true, Progress: []store.ActionProgress{report(1, 0)}})
		require.Equal(t, run, b.action(t, "run_1"))
		b.act(t, store.ActionWrite{Run: run, Begin: true}) // it was not known whether it was written
		run.Percent, run.Message, run.Events = 50, "half", 3
		b.act(t, store.ActionWrite{Run: run, Progress: []store.ActionProgress{report(2, 25), report(3, 50)}})
		b.reopen(t)
		require.Equal(t, run, b.action(t, "run_1"))
		run.State, run.FinishedAt, run.Percent, run.Output = store.RunSucceeded, start.Add(time.Minute), 100, []byte("{ \"n\": 9007199254740993 }\n")
		b.act(t, store.ActionWrite{Run: run})
		require.Equal(t, run, b.action(t, "run_1"))
		progress, err := b.ActionProgress(t.Context(), "run_1", 1, 10)
		require.NoError(t, err)
		require.Equal(t, []store.ActionProgress{report(2, 25), report(3, 50)}, progress)
		_, err = b.ActionRun(t.Context(), "run_2")
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
	{"AreListedByWhoWasAskedAndWhoActed", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.connection(t, "other")
		for i, con := range []string{b.con.ID, other.ID, b.con.ID} {
			run := b.acting(fmt.Sprint("run_", i+1))
			run.ConnectionID, run.TargetID = con, b.con.ID
			if i == 2 {
				run.TargetID = other.ID
			}
			b.act(t, store.ActionWrite{Run: run, Begin: true})
		}
		ids := func(connection, before string, limit int) (all []string) {
			list, err := b.ActionRuns(t.Context(), connection, before, limit)
			require.NoError(t, err)
			for _, r := range list {
				all = append(all, r.ID)
			}
			return all
		}
		require.Equal(t, []string{"run_3", "run_2", "run_1"}, ids("", "", 10))
		require.Equal(t, []string{"run_3", "run_2"}, ids(other.ID, "", 10))
		require.Equal(t, []string{"run_2"}, ids(b.con.ID, "run_3", 1))
		require.NoError(t, b.DeleteConnection(t.Context(), other.ID))
		require.Equal(t, []string{"run_3", "run_1"}, ids("", "", 10))
		require.NoError(t, b.harness.Trim(t.Context(), b.Store))
		require.Equal(t, []error{store.ErrNotFound}, unwrapped(b.actEach(t, store.ActionWrite{Run: func() store.ActionRun {
			r := b.acting("run_4")
			r.ConnectionID = other.ID
			return r
		}(), Begin: true})))
	}},
	{"BelongToTheirOwnerUntilTheyEnd", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		run := b.acting("run_1")
		b.act(t, store.ActionWrite{Run: run, Begin: true})
		foreign := run
		foreign.Owner, foreign.Percent = "two", 99
		done := run
		done.State = store.RunFailed
		late := run
		late.Percent = 50
		// One transaction: each write is refused by itself.
		each := unwrapped(b.actEach(t,
			store.ActionWrite{Run: foreign, Progress: []store.ActionProgress{report(9, 99)}}, store.ActionWrite{Run: foreign, Begin: true},
			store.ActionWrite{Run: done}, store.ActionWrite{Run: late}, store.ActionWrite{Run: b.acting("run_9")},
		))
		require.Equal(t, []error{store.ErrFenced, store.ErrNotFound, nil, store.ErrFenced, store.ErrFenced}, each)
		got := b.action(t, "run_1")
		require.Equal(t, []any{store.RunFailed, 0, "one"}, []any{got.State, got.Percent, got.Owner})
		progress, err := b.ActionProgress(t.Context(), "run_1", 0, 10)
		require.NoError(t, err)
		require.Empty(t, progress)
	}},
	{"OfADeadProcessAreInterrupted", func(t *testing.T, h Harness) {
		var now atomic.Pointer[time.Time]
		at := func(d time.Duration) { now.Store(new(start.Add(d))) }
		at(0)
		b := setup(t, h, Settings{Clock: func() time.Time { return *now.Load() }})
		mine, theirs := b.acting("run_1"), b.acting("run_2")
		theirs.Owner = "two"
		b.act(t, store.ActionWrite{Run: mine, Begin: true}, store.ActionWrite{Run: theirs, Begin: true})
		at(10 * time.Second)
		_, err := b.TouchActions(t.Context(), "two")
		require.NoError(t, err)
		at(20 * time.Second)
		interrupt := func() int {
			n, err := b.InterruptActions(t.Context(), "one", 15*time.Second)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, interrupt(), "it has shown that it lives")
		at(30 * time.Second)
		require.Equal(t, 1, interrupt())
		require.Zero(t, interrupt())
		got := b.action(t, "run_2")
		require.Equal(t, []any{store.RunInterrupted, store.InterruptedAction, start.Add(30 * time.Second)}, []any{got.State, got.Error, got.FinishedAt})
		require.Equal(t, store.RunRunning, b.action(t, "run_1").State, "the own runs are not touched")
		theirs.State = store.RunSucceeded
		require.Equal(t, []error{store.ErrFenced}, unwrapped(b.actEach(t, store.ActionWrite{Run: theirs})), "who comes back is late")
	}},
	{"AreCanceledByTheirOwner", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.act(t, store.ActionWrite{Run: b.acting("run_1"), Begin: true}, store.ActionWrite{Run: b.acting("run_2"), Begin: true})
		require.NoError(t, b.CancelAction(t.Context(), "run_2"))
		require.ErrorIs(t, b.CancelAction(t.Context(), "run_3"), store.ErrNotFound)
		cancel, err := b.TouchActions(t.Context(), "two")
		require.NoError(t, err)
		require.Empty(t, cancel)
		cancel, err = b.TouchActions(t.Context(), "one")
		require.NoError(t, err)
		require.Equal(t, []string{"run_2"}, cancel)
		run := b.acting("run_2")
		run.State = store.RunCanceled
		b.act(t, store.ActionWrite{Run: run})
		require.ErrorIs(t, b.CancelAction(t.Context(), "run_2"), store.ErrNotFound, "it has ended")
	}},
	{"AreTrimmedWhenTheyAreOldOrTooMany", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for i := range 5 {
			run := b.acting(fmt.Sprint("run_", i))
			run.StartedAt = start.Add(time.Duration(i) * time.Hour)
			b.act(t, store.ActionWrite{Run: run, Begin: true, Progress: []store.ActionProgress{report(1, 0)}})
			if i > 0 {
				run.State = store.RunSucceeded
				b.act(t, store.ActionWrite{Run: run})
			}
		}
		n, err := b.TrimActions(t.Context(), start.Add(90*time.Minute), 2, 100)
		require.NoError(t, err)
		require.Equal(t, 2, n, "the second by its age and its place, the third by its place")
		list, err := b.ActionRuns(t.Context(), "", "", 10)
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.Equal(t, "run_0", list[2].ID, "what goes on stays")
		progress, err := b.ActionProgress(t.Context(), "run_1", 0, 10)
		require.NoError(t, err)
		require.Empty(t, progress)
	}},
	{"KeepNoMoreThanTheirBounds", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		bad, large := b.acting(""), b.acting("run_2")
		bad.State = "odd"
		large.Output = make([]byte, store.MaxOutputBytes+1)
		odd := b.acting("run_3")
		odd.Message, odd.Error, odd.Percent = strings.Repeat("ü", store.MaxMessageBytes), "a\x00b\xff", 900
		each := b.actEach(t, store.ActionWrite{Run: bad, Begin: true}, store.ActionWrite{Run: large, Begin: true}, store.ActionWrite{Run: odd, Begin: true})
		require.ErrorIs(t, each[0], store.ErrInvalid)
		require.ErrorContains(t, each[0], "id of a run")
		require.ErrorContains(t, each[0], `state "odd"`)
		require.ErrorIs(t, each[1], store.ErrInvalid)
		require.NoError(t, each[2])
		got := b.action(t, "run_3")
		require.Equal(t, []any{"ab�", 100, store.MaxMessageBytes}, []any{got.Error, got.Percent, len(got.Message)})
	}},
}

// unwrapped reduces errors to what they say of a write.
func unwrapped(each []error) []error {
	out := make([]error, len(each))
	for i, err := range each {
		for _, known := range []error{store.ErrFenced, store.ErrNotFound, store.ErrInvalid} {
			if err != nil && strings.Contains(err.Error(), known.Error()) {
				out[i] = known
			}
		}
	}
	return out
}

package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// archive is a provider with a record every 6 hours, two a page. A page without
// a range has the records of the first two days, one a page.
type archive struct {
	mu    sync.Mutex
	calls []string
	// each is called before a page of a range is read.
	each func(in request) error
	// failure is what pages of a range fail with.
	failure error
}

func (a *archive) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
}

func (a *archive) page(_ context.Context, in request, out *ingest.Buffer) (result, error) {
	if in.From.IsZero() {
		return numbered("s", 8)(context.Background(), in, out)
	}
	a.mu.Lock()
	a.calls = append(a.calls, fmt.Sprintf("%d-%d@%d", in.From.Day(), in.To.Day(), in.Cursor))
	failure := a.failure
	a.mu.Unlock()
	if failure != nil {
		return result{}, failure
	}
	if a.each != nil {
		if err := a.each(in); err != nil {
			return result{}, err
		}
	}
	first := int(in.From.Sub(day(1)).Hours()/6) + 1 + in.Cursor
	last := int(in.To.Sub(day(1)).Hours() / 6)
	for n := first; n < first+2 && n <= last; n++ {
		if err := emit(out, pollStream("s"), fmt.Sprint(n)); err != nil {
			return result{}, err
		}
	}
	return result{Cursor: in.Cursor + 2, HasMore: first+2 <= last}, nil
}

func (a *archive) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (r *rig) backfill(from, to int, spec BackfillSpec) Backfill {
	r.t.Helper()
	spec.From, spec.To = day(from), day(to)
	b, err := r.s.Backfill(r.t.Context(), "con_1", "s", spec)
	require.NoError(r.t, err)
	return b
}

func got[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (r *rig) backfills() []Backfill {
	r.t.Helper()
	list, err := r.s.Backfills(r.t.Context(), "con_1")
	require.NoError(r.t, err)
	return list
}

// next is a scheduler on the same store, as the next process has it.
func (r *rig) nextLife(spec string, fn route) *rig {
	r.t.Helper()
	r.store.reopen()
	n := newRig(r.t, r.store, Config{Limits: r.s.limits})
	s := n.stream(spec, fn)
	var err error
	s.States, err = r.store.States(r.t.Context(), "con_1", "")
	require.NoError(r.t, err)
	n.add(s)
	n.start()
	return n
}

func TestABackfillReadsItsWindowsAndLeavesTheLiveCursorAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", a.page))
		r.start()
		pass(time.Minute)
		live := r.store.checkpoint("con_1", "s")
		require.Equal(t, numbers(1, 8), r.store.recorded("con_1", "s"), "the live polls have the first two days")

		b := r.backfill(1, 4, BackfillSpec{})
		pass(time.Minute)
		require.Equal(t, []string{"1-2@0", "1-2@2", "2-3@0", "2-3@2", "3-4@0", "3-4@2"}, a.asked(), "each window begins at its beginning")
		require.Equal(t, numbers(1, 12), r.store.recorded("con_1", "s"), "what the live polls have recorded is not recorded again")
		require.Equal(t, live, r.store.checkpoint("con_1", "s"), "the live checkpoint was not touched")
		require.Len(t, r.backfills(), 1)
		b1 := r.backfills()[0]
		require.Equal(t, b.ID, b1.ID)
		require.Equal(t, BackfillDone, b1.State)
		require.Equal(t, []int64{6, 4, 8}, []int64{b1.Pages, b1.Events, b1.Duplicates})
		require.InDelta(t, 1, b1.Progress(), 0)
		stored := ReadBackfills(got(r.store.States(t.Context(), "con_1", BackfillStates)))
		require.Equal(t, b1, stored[0], "what is shown is what is stored")
		runs := r.store.history()
		require.Equal(t, triggerBackfill, runs[len(runs)-1].Trigger)
		require.EqualValues(t, 6, runs[len(runs)-1].Pages)
		_, err := r.s.ResumeBackfill(t.Context(), "con_1", b.ID)
		require.ErrorIs(t, err, ErrBackfillOver)
		_, err = r.s.CancelBackfill(t.Context(), "con_1", "bfl_other")
		require.ErrorIs(t, err, ErrUnknownBackfill)
	})
}

func TestABackfillGoesOnWhereItWasAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{}
		a.each = func(request) error { <-time.After(time.Second); return nil }
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", a.page))
		r.start()
		r.backfill(1, 4, BackfillSpec{})
		pass(2500 * time.Millisecond)
		r.stop() // the third page may still commit
		require.Equal(t, []string{"1-2@0", "1-2@2", "2-3@0"}, a.asked())
		require.Equal(t, BackfillRunning, ReadBackfills(got(r.store.States(t.Context(), "con_1", BackfillStates)))[0].State)

		n := r.nextLife("@every 1h", a.page)
		pass(time.Minute)
		require.Equal(t, []string{"1-2@0", "1-2@2", "2-3@0", "2-3@2", "3-4@0", "3-4@2"}, a.asked(), "no page is read twice")
		require.Equal(t, BackfillDone, n.backfills()[0].State)
		require.ElementsMatch(t, numbers(1, 12), r.store.recorded("con_1", "s"))
	})
}

func TestBackfillsOfDifferentRangesRunTogetherAndOverlapsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{}
		a.each = func(request) error { <-time.After(time.Minute / 2); return nil }
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", a.page))
		r.start()
		first := r.backfill(1, 3, BackfillSpec{})
		pass(10 * time.Millisecond)
		r.backfill(3, 5, BackfillSpec{})
		_, err := r.s.Backfill(t.Context(), "con_1", "s", BackfillSpec{From: day(2), To: day(4)})
		require.ErrorIs(t, err, ErrOverlap)
		require.ErrorContains(t, err, first.ID)
		synctest.Wait()
		require.ElementsMatch(t, []string{"1-2@0", "3-4@0"}, a.asked(), "both are read at the same time")

		canceled, err := r.s.CancelBackfill(t.Context(), "con_1", first.ID)
		require.NoError(t, err)
		require.Equal(t, BackfillCanceled, canceled.State)
		pass(time.Minute)
		require.Len(t, a.asked(), 4, "a canceled backfill reads no further page")
		b := r.backfill(1, 2, BackfillSpec{})
		_, err = r.s.ResumeBackfill(t.Context(), "con_1", first.ID)
		require.ErrorIs(t, err, ErrOverlap, "a range is not read twice at once by way of a resume")
		pass(10 * time.Minute)
		resumed, err := r.s.ResumeBackfill(t.Context(), "con_1", first.ID)
		require.NoError(t, err)
		require.Equal(t, BackfillRunning, resumed.State)
		pass(10 * time.Minute)
		for _, b := range r.backfills() {
			require.Equal(t, BackfillDone, b.State)
		}
		require.Contains(t, a.asked(), "1-2@2", "it goes on within its window")
		require.NotEmpty(t, b.ID)
		_, err = r.s.Backfill(t.Context(), "con_1", "s", BackfillSpec{From: day(3), To: day(3), Window: time.Millisecond})
		require.ErrorIs(t, err, ErrBackfillSpec)
		require.ErrorContains(t, err, "is not after from")
		require.ErrorContains(t, err, "shorter than")
	})
}

func TestABackfillGivesWayToLivePolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		note := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
		a := &archive{each: func(request) error { note("backfill"); <-time.After(time.Second); return nil }}
		r := newRig(t, newMemory(), Config{Limits: Limits{Runs: 1}})
		r.add(r.stream("@every 1000h", a.page))
		r.start()
		pass(time.Minute)
		r.backfill(1, 20, BackfillSpec{})
		synctest.Wait()
		short := func(key string) route {
			return func(context.Context, request, *ingest.Buffer) (result, error) { note(key); return result{}, nil }
		}
		for i := range 5 { // all due at once while a page of the backfill is read
			r.add(r.streamOf(fmt.Sprintf("con_%d", i+2), "p", "@every 1000h", short("poll")))
		}
		pass(1500 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []string{"backfill", "poll", "poll", "poll", "poll", "poll", "backfill"}, order)
	})
}

func TestABackfillKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1000h", a.page))
		r.start()
		b := r.backfill(1, 11, BackfillSpec{Rate: budget.Rate{Count: 6, Per: time.Minute}})
		pass(35 * time.Second)
		require.Len(t, a.asked(), 4, "a page every 10 s")
		pass(5 * time.Second)
		require.InDelta(t, 0.2, r.backfills()[0].Progress(), 0.01)
		require.Greater(t, r.backfills()[0].Remaining, 2*time.Minute)
		require.Less(t, r.backfills()[0].Remaining, 4*time.Minute)
		require.NoError(t, r.s.Pause(t.Context(), "con_1", "s"))
		pass(time.Hour)
		require.Len(t, a.asked(), 5, "a paused stream's backfill waits")
		require.True(t, r.backfills()[0].Paused)
		require.NoError(t, r.s.Resume(t.Context(), "con_1", "s"))
		pass(time.Hour)
		require.Len(t, a.asked(), 20)
		require.Equal(t, BackfillDone, r.backfills()[0].State)
		require.Equal(t, b.Rate, r.backfills()[0].Rate)
	})
}

func TestAFailingBackfillWaitsAndAPermanentFailureWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{failure: framework.RetryAfter(errors.New("later"), 30*time.Minute)}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1000h", a.page))
		r.start()
		r.backfill(1, 2, BackfillSpec{})
		pass(time.Minute)
		b1 := r.backfills()[0]
		require.Equal(t, BackfillRunning, b1.State)
		require.Equal(t, "later", b1.Error)
		require.Zero(t, r.store.status("con_1", "s").ConsecutiveFailures, "the stream itself has not failed")
		r.stop()
		n := r.nextLife("@every 1000h", a.page)
		pass(20 * time.Minute)
		require.Len(t, a.asked(), 1, "the wait goes on after a restart")
		a.fail(framework.Permanent(errors.New("no such range")))
		pass(15 * time.Minute)
		require.Len(t, a.asked(), 2)
		require.Equal(t, BackfillFailed, n.backfills()[0].State)
		pass(100 * time.Hour)
		require.Len(t, a.asked(), 2, "nothing is tried until it is resumed")
		a.fail(nil)
		_, err := n.s.ResumeBackfill(t.Context(), "con_1", n.backfills()[0].ID)
		require.NoError(t, err)
		pass(time.Minute)
		require.Equal(t, BackfillDone, n.backfills()[0].State)
		require.Empty(t, n.backfills()[0].Error)
	})
}

func TestBackfillsEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1000h", a.page))
		r.start()
		r.backfill(1, 11, BackfillSpec{Rate: budget.Rate{Count: 1, Per: time.Minute}})
		pass(time.Second)
		require.NoError(t, r.s.Remove(t.Context(), "con_1"))
		pass(time.Hour)
		require.Len(t, a.asked(), 1)
		require.True(t, slices.ContainsFunc(r.store.history(), func(run store.Run) bool {
			return run.Trigger == triggerBackfill && run.State == store.RunInterrupted
		}))
	})
}

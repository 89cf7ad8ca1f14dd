package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestPageGoesOnFromTheCheckpointAndMovesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.statusOf("con_1", "s").Paused = true
		r.add(r.stream("@every 1h", numbered("s", 3)))
		for page := 1; page <= 3; page++ {
			got, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
			require.NoError(t, err)
			require.Equal(t, PageResult{Cursor: []byte(numbers(page, page)[0]), HasMore: page < 3, Emitted: 1}, got)
			require.Equal(t, got.Cursor, r.store.checkpoint("con_1", "s").Cursor)
			require.Equal(t, page == 3, !r.store.status("con_1", "s").LastSuccessAt.IsZero(), "it is a success when all is read")
		}
		require.Equal(t, numbers(1, 3), r.store.recorded("con_1", "s"))
		for _, run := range r.store.history() {
			require.Equal(t, "manual", run.Trigger)
			require.Equal(t, store.RunSucceeded, run.State)
			require.EqualValues(t, 1, run.Pages)
		}
		for _, u := range r.store.committed() {
			require.NotNil(t, u.Checkpoint)
			require.Len(t, u.Emissions, 1, "events and checkpoint are one unit")
		}
	})
}

func TestPageWithParametersLeavesTheCheckpoint(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for name, o := range map[string]PageOptions{
		"cursor": {Cursor: []byte("7")},
		"from":   {From: from},
		"to":     {To: to},
		"range":  {From: from, To: to},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				var got request
				r.add(r.stream("@every 24h", func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
					got = in
					return result{Cursor: in.Cursor + 1, HasMore: true}, errors.Join(emit(out, pollStream("s"), "a"), emit(out, pollStream("s"), "a"))
				}))
				page, err := r.s.Page(t.Context(), "con_1", "s", o)
				require.NoError(t, err)
				require.Equal(t, 1, page.Emitted)
				require.Equal(t, 1, page.Duplicates)
				require.True(t, page.HasMore)
				want := request{First: o.Cursor == nil, From: o.From, To: o.To}
				if o.Cursor != nil {
					want.Cursor = 7
				}
				require.Equal(t, want, got)
				require.Zero(t, r.store.checkpoint("con_1", "s"))
				require.Empty(t, r.store.history())
				require.Zero(t, r.store.status("con_1", "s").LastSuccessAt)
				require.Equal(t, []string{"a"}, r.store.recorded("con_1", "s"))
			})
		})
	}
}

func TestPageRefusesACursorThatStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		s := r.stream("@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
			return result{Cursor: 1, HasMore: true}, nil
		})
		s.Paused = true
		r.add(s)
		r.start()
		_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.NoError(t, err)
		_, err = r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.ErrorIs(t, err, ErrCursorStuck)
		_, err = r.s.Page(t.Context(), "con_1", "s", PageOptions{Cursor: []byte("1")})
		require.ErrorIs(t, err, ErrCursorStuck)
	})
}

func TestPageReportsWhatTheHandlerReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 24h", failing(framework.Auth(errors.New("401 from the provider")))))
		_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.ErrorContains(t, err, "401 from the provider")
		require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
		require.Empty(t, r.store.committed())
		_, err = r.s.Page(t.Context(), "con_1", "s", PageOptions{Cursor: []byte("nonsense")})
		require.ErrorIs(t, err, framework.ErrCursorUnreadable)
	})
}

func TestPageAndRunExcludeEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		live := 0
		r.add(r.stream("@every 1m", func(_ context.Context, in request, _ *ingest.Buffer) (result, error) {
			live++
			defer func() { live-- }()
			require.Equal(t, 1, live)
			<-time.After(20 * time.Second)
			return result{Cursor: in.Cursor + 1}, nil
		}))
		r.start()
		synctest.Wait()
		_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		var busy *BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, r.state().RunID, busy.RunID)
		require.ErrorContains(t, err, busy.RunID)

		<-time.After(55 * time.Second) // the run has ended, and the next tick is near
		answered := make(chan error, 1)
		go func() {
			_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
			answered <- err
		}()
		synctest.Wait()
		_, err = r.s.RunNow("con_1", "s")
		require.ErrorAs(t, err, &busy)
		require.Empty(t, busy.RunID)
		require.NoError(t, <-answered)
		synctest.Wait()
		require.True(t, r.state().Running, "the tick that came meanwhile is made up for")
	})
}

func TestPageEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		release := make(chan struct{})
		r.add(r.stream("@every 24h", func(context.Context, request, *ingest.Buffer) (result, error) {
			<-release
			return result{}, nil
		}))
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := r.s.Page(ctx, "con_1", "s", PageOptions{})
			require.ErrorIs(t, err, framework.ErrAbandoned)
			cancel()
		}
		require.False(t, r.state().Quarantined, "the caller left, the handler was not late")
		close(release)
		_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.NoError(t, err)
	})
}

package scheduler

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestAPanicFailsItsRunOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(
			r.stream("@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) { panic("boom") }),
			r.streamOf("con_2", "s", "@every 1h", numbered("s", 2)),
		)
		r.start()
		pass(time.Minute)
		require.Equal(t, numbers(1, 2), r.store.recorded("con_2", "s"))
		for _, run := range r.store.history() {
			if run.ConnectionID == "con_1" {
				require.Equal(t, store.RunFailed, run.State)
				require.Equal(t, "handler panicked: boom", run.Error)
				require.Contains(t, run.Stack, "TestAPanicFailsItsRunOnly")
				require.Equal(t, string(framework.ClassBug), run.ErrorClass)
			}
		}
		require.Equal(t, 1, r.state().Failures)
	})
}

// rudeBinding panics itself, as a binding never should.
type rudeBinding struct{}

func (rudeBinding) CursorType(string) framework.CursorType { panic("rude") }

func (rudeBinding) ReadCursor(string, framework.CursorType, []byte) ([]byte, error) { panic("rude") }

func (rudeBinding) Page(context.Context, string, framework.PageCall) (framework.PageReturn, []ingest.Emission, error) {
	panic("rude")
}

func TestAPanicOfTheBindingFailsItsRunOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		in := r.stream("@every 1h", idle)
		in.Binding = rudeBinding{}
		r.add(in)
		r.start()
		pass(time.Minute)
		require.Contains(t, r.store.history()[0].Error, "rude")
		require.False(t, r.state().Running)
	})
}

func TestQuarantinesAConnectionWhoseHandlersHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls atomic.Int64
		release := make(chan struct{})
		hang := func(context.Context, request, *ingest.Buffer) (result, error) {
			n := calls.Add(1)
			if n <= 3 {
				<-release
			}
			return result{Cursor: int(n)}, nil
		}
		r.add(r.stream("@every 5m", hang), r.streamOf("con_1", "other", "0 * * * *", numbered("other", 1)))
		r.start()
		pass(3 * time.Hour)
		require.EqualValues(t, 3, calls.Load(), "none is called any more")
		require.True(t, r.state().Quarantined)
		require.Zero(t, r.state().Next)
		status := r.store.status("con_1", "s")
		require.Contains(t, status.LastError, "quarantined")
		require.Contains(t, status.LastError, "abandoned")
		require.Contains(t, status.LastError, "page took longer than 1m0s")
		require.Contains(t, r.store.status("con_1", "other").LastError, "quarantined", "its neighbors say why they wait")
		require.True(t, status.NextRunAt.IsZero())
		_, err := r.s.RunNow("con_1", "s")
		require.ErrorIs(t, err, ErrQuarantined)
		_, err = r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.ErrorIs(t, err, ErrQuarantined)

		close(release)
		require.NoError(t, r.s.Resume(t.Context(), "con_1", "s"))
		pass(time.Hour)
		require.Greater(t, calls.Load(), int64(3))
		require.Empty(t, r.store.status("con_1", "s").LastError)
		require.Empty(t, r.store.status("con_1", "other").LastError)
	})
}

func TestAHandlerThatReturnsEndsARowOfAbandonedOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls atomic.Int64
		release := make(chan struct{})
		defer close(release)
		r.add(r.stream("@every 5m", func(context.Context, request, *ingest.Buffer) (result, error) {
			n := calls.Add(1)
			if n%3 != 0 {
				<-release
			}
			return result{Cursor: int(n)}, nil
		}))
		r.start()
		pass(2 * time.Hour)
		require.False(t, r.state().Quarantined)
		require.Greater(t, calls.Load(), int64(15))
	})
}

func TestANeighborThatReturnsDoesNotHideHandlersThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		release := make(chan struct{})
		defer close(release)
		r.add(r.stream("@every 5m", func(context.Context, request, *ingest.Buffer) (result, error) {
			<-release
			return result{}, nil
		}), r.streamOf("con_1", "fine", "@every 1m", numbered("fine", 1)))
		r.start()
		pass(30 * time.Minute)
		require.True(t, r.state().Quarantined)
	})
}

func TestALatePageIsTransientAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", func(ctx context.Context, _ request, _ *ingest.Buffer) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		}))
		r.start()
		pass(time.Minute + time.Millisecond)
		run := r.store.history()[0]
		require.Equal(t, string(framework.ClassTransient), run.ErrorClass)
		require.Contains(t, run.Error, "page took longer than 1m0s")
	})
}

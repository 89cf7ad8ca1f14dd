package scheduler

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/ingest"
)

func TestSuccessesAreKeptBackForAMomentOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		r.add(r.stream("@every 1m", starts(&calls, func(context.Context, request, *ingest.Buffer) (result, error) { return result{Cursor: 1}, nil })))
		r.start()
		last := func() time.Time { return r.store.status("con_1", "s").LastSuccessAt }
		for len(calls.all()) < 3 {
			pass(time.Until(r.state().Next))
		}
		ran := calls.all()[2].UTC()
		require.True(t, last().Before(ran), "it is not recorded at once")
		pass(flushEvery)
		require.Equal(t, ran, last(), "it is recorded with the time of the run, not of the flush")
		require.Equal(t, r.state().Next, r.store.status("con_1", "s").NextRunAt)

		pass(time.Until(r.state().Next))
		require.Len(t, calls.all(), 4)
		require.True(t, last().Before(calls.all()[3]))
		r.stop()
		require.Equal(t, calls.all()[3].UTC(), last(), "a stop records what is left")
	})
}

func TestAFailureIsNotTakenBackByASuccessThatIsRecordedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var calls moments
		var down atomic.Bool
		r.add(r.stream("@every 1m", starts(&calls, func(context.Context, request, *ingest.Buffer) (result, error) {
			if down.Load() {
				return result{}, errors.New("down")
			}
			return result{Cursor: 1}, nil
		})))
		r.start()
		for len(calls.all()) < 3 {
			pass(time.Until(r.state().Next))
		}
		down.Store(true)
		_, err := r.s.RunNow("con_1", "s") // within the moment
		require.NoError(t, err)
		synctest.Wait()
		units := r.store.committed()
		writes := units[len(units)-1].Streams
		require.Len(t, writes, 2, "the success is recorded with the failure")
		require.True(t, writes[0].Succeeded)
		require.NotNil(t, writes[1].Failure)
		pass(flushEvery + time.Millisecond)
		status := r.store.status("con_1", "s")
		require.Equal(t, calls.all()[2].UTC(), status.LastSuccessAt)
		require.Equal(t, len(calls.all())-3, status.ConsecutiveFailures)
		require.Equal(t, "down", status.LastError)
	})
}

package framework_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

func TestHandlersThatHangAreCountedAndAtSomeNumberNoOtherIsCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int64
		b := openWith(t, nil, func(context.Context, *framework.Delivery, *ingest.Buffer) error {
			calls.Add(1)
			<-release
			return nil
		})
		deliver := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := b.Deliver(ctx, "sky", &framework.Delivery{})
			return err
		}
		for n := range framework.MaxAbandoned {
			require.Equal(t, n, b.Abandoned())
			require.ErrorIs(t, deliver(), framework.ErrAbandoned)
		}
		err := deliver()
		require.ErrorIs(t, err, framework.ErrHandlersHang)
		require.Equal(t, framework.ClassBug, framework.ClassOf(err))
		require.EqualValues(t, framework.MaxAbandoned, calls.Load())

		close(release)
		synctest.Wait()
		require.Zero(t, b.Abandoned())
		require.NoError(t, deliver(), "it heals when the handlers have returned")
	})
}

func TestAHandlerThatEndsItsGoroutineFails(t *testing.T) {
	t.Parallel()
	b := openWith(t, nil, func(context.Context, *framework.Delivery, *ingest.Buffer) error {
		runtime.Goexit()
		return nil
	})
	_, err := b.Deliver(t.Context(), "sky", &framework.Delivery{})
	require.ErrorContains(t, err, "Goexit")
	require.Equal(t, framework.ClassBug, framework.ClassOf(err))
}

func TestWaitingForAGoroutineThatEndedItselfDoesNotHang(t *testing.T) {
	t.Parallel()
	wait := framework.Go(t.Context(), func(context.Context) error {
		runtime.Goexit()
		return nil
	})
	require.ErrorContains(t, wait(), "Goexit")
	require.ErrorContains(t, wait(), "Goexit")
}

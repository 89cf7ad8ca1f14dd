package intake

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

func TestAStepOfTheClockStretchesNoWait(t *testing.T) {
	t.Parallel()
	broken := true
	ahead := start.Add(365 * 24 * time.Hour)
	d := openOnDisk(t, t.TempDir(), func(ctx context.Context, del *framework.Delivery, out *ingest.Buffer) error {
		if broken {
			return errProvider
		}
		return emitOrder(ctx, del, out)
	}, func(c *Config) { c.Now = func() time.Time { return ahead } })
	r := request(t, "bearer", "d1", order("o1")) // a token knows no time
	require.Equal(t, "stored", said(t, serve(d, r)).Status)
	broken = false
	// The clock is set right: it was a year ahead.
	d.config.Now = func() time.Time { return start }
	_, err := d.RetryDue(t.Context(), start)
	require.NoError(t, err)
	require.Empty(t, d.events(t), "nobody waited")
	_, err = d.RetryDue(t.Context(), start.Add(d.config.RetryCap))
	require.NoError(t, err)
	require.Len(t, d.events(t), 1, "the delivery waits for the day on which the clock was ahead")
}

func TestStoredDeliveriesAreHandledWhereTheLeaseIs(t *testing.T) {
	t.Parallel()
	calls := 0
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error {
		calls++
		return errProvider
	})
	f.store.elsewhere = true
	require.Equal(t, "stored", said(t, serve(f, request(t, "github", "d1", order("o1")))).Status, "every process takes deliveries")
	for range 3 {
		_, err := f.RetryDue(t.Context(), f.advance(2*time.Hour))
		require.NoError(t, err)
	}
	require.Equal(t, 1, calls, "another process handles what is stored")
	f.store.mu.Lock()
	f.store.elsewhere = false
	f.store.mu.Unlock()
	_, err := f.RetryDue(t.Context(), f.advance(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, calls)
}

package intake

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestADeliveryThatEndsTheProcessAgainAndAgainIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		f := synced(t, func(ctx context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
			if d.Attempt == 1 {
				return errProvider
			}
			calls++
			<-ctx.Done() // here the process dies
			return ctx.Err()
		})
		serve(f, signedNow(t, "github", "d1"))
		for life := range mostEndings {
			time.Sleep(2 * time.Hour)
			require.Equal(t, life, endings(f.store.row(t).LastError))
			h, err := New(f.config)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = h.RetryDue(ctx, time.Now())
			}()
			synctest.Wait()
			dead := f.store.row(t)
			require.True(t, dead.NextAttemptAt.After(time.Now()), "the next start does not meet it at once")
			cancel()
			<-done
			require.Equal(t, life, endings(f.store.row(t).LastError), "a stop is no crash")
			f.store.mu.Lock()
			f.store.rows[dead.ID] = dead // a dead process takes nothing back
			f.store.mu.Unlock()
		}
		time.Sleep(2 * time.Hour)
		h, err := New(f.config)
		require.NoError(t, err)
		_, err = h.RetryDue(t.Context(), time.Now())
		require.NoError(t, err)
		row := f.store.row(t)
		require.True(t, row.Dead)
		require.Contains(t, row.LastError, "the process ended while its handler was called, 3 times")
		require.Equal(t, mostEndings, calls)
	})
}

func TestOnlyTheFirstStoredDeliveryOfAProcessIsClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := synced(t, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
			if d.Attempt == 1 {
				return errProvider
			}
			return nil
		})
		for _, id := range []string{"d1", "d2", "d3"} {
			serve(f, signedNow(t, "github", id))
		}
		before, _, _ := f.store.counts()
		time.Sleep(time.Hour)
		_, err := f.RetryDue(t.Context(), time.Now())
		require.NoError(t, err)
		after, _, rows := f.store.counts()
		require.Zero(t, rows)
		require.Equal(t, 4, after-before, "three deliveries and one claim")
	})
}

// A store that is away when a mark is written, or what became of the call, says
// nothing of the process.
func TestAStoreThatIsAwayAgainAndAgainGivesNothingUp(t *testing.T) {
	t.Parallel()
	marks := func(u store.Unit) bool { return u.Keep != nil && endings(u.Keep.LastError) > 0 }
	for name, arm := range map[string]func(*memory){
		"marks are lost": func(m *memory) {
			m.lose = func(u store.Unit) error {
				if marks(u) {
					return store.ErrUnavailable
				}
				return nil
			}
		},
		"outcomes are refused": func(m *memory) {
			m.fail = func(u store.Unit) error {
				if !marks(u) {
					return store.ErrUnavailable
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := synced(t, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
					if d.Attempt == 1 {
						return errProvider
					}
					return nil
				})
				serve(f, signedNow(t, "github", "d1"))
				arm(f.store)
				refused := 0
				for range 2 * mostEndings {
					time.Sleep(2 * time.Hour)
					if _, err := f.RetryDue(t.Context(), time.Now()); err != nil {
						require.ErrorIs(t, err, store.ErrUnavailable)
						refused++
					}
				}
				require.Positive(t, refused)
				f.store.lose, f.store.fail = nil, nil
				time.Sleep(2 * time.Hour)
				_, err := f.RetryDue(t.Context(), time.Now())
				require.NoError(t, err)
				_, _, rows := f.store.counts()
				require.Zero(t, rows, "it was handled")
			})
		})
	}
}

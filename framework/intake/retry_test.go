package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// synced is a fixture whose clock is that of the synctest bubble.
func synced(t *testing.T, fn framework.WebhookFunc, change ...func(*Config)) *fixture {
	return newFixture(t, fn, append([]func(*Config){func(c *Config) { c.Now = time.Now }}, change...)...)
}

// signedNow is a request that is signed with the bubble's clock.
func signedNow(t *testing.T, endpoint, id string) *http.Request {
	r := request(t, endpoint, id, order(id))
	h, err := webhook.Sign(endpoints[endpoint], secretOf(endpoint), time.Now(), id, order(id))
	require.NoError(t, err)
	r.Header = h
	return r
}

// failUntil is a handler that fails until ok, and then emits.
func failUntil(ok *atomic.Bool, fail func() error) framework.WebhookFunc {
	return func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		if !ok.Load() {
			return fail()
		}
		return emitOrder(ctx, d, out)
	}
}

func TestStoresADeliveryWhoseHandlerFailsAndHandlesItLater(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errProvider },
		"panic": func() error { panic("at the " + "disco") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var ok atomic.Bool
			f := synced(t, failUntil(&ok, fail))
			b := said(t, serve(f, signedNow(t, "standard", "d1")))
			require.Equal(t, "stored", b.Status, name)
			row := f.store.row(t)
			require.Equal(t, b.Delivery, row.ID)
			require.Equal(t, order("d1"), row.Body)
			require.Equal(t, 1, row.Attempts)
			require.JSONEq(t, fmt.Sprintf(`{"Webhook-Id":["d1"],"Webhook-Timestamp":["%d"]}`, time.Now().Unix()), string(row.Header))
			wait := time.Until(row.NextAttemptAt)
			require.True(t, wait >= time.Minute && wait <= 2*time.Minute, wait)
			require.Equal(t, "orders", f.store.lastUnit().Streams[0].Stream)
			require.NotEmpty(t, f.store.lastUnit().Streams[0].Failure.Error)

			// Sent again, it is known.
			require.Equal(t, "duplicate", said(t, serve(f, signedNow(t, "standard", "d1"))).Status)

			// Not due yet, then still failing, then healed.
			_, err := f.RetryDue(t.Context(), time.Now())
			require.NoError(t, err)
			require.Equal(t, 1, f.store.row(t).Attempts)
			time.Sleep(2 * time.Minute)
			_, err = f.RetryDue(t.Context(), time.Now())
			require.NoError(t, err)
			require.Equal(t, 2, f.store.row(t).Attempts)
			ok.Store(true)
			time.Sleep(4 * time.Minute)
			_, err = f.RetryDue(t.Context(), time.Now())
			require.NoError(t, err)
			u := f.store.lastUnit()
			require.Equal(t, row.ID, u.Settle)
			require.EqualValues(t, 7, u.Epoch, "a stored delivery is handled under the lease")
			require.Len(t, u.Emissions, 1)
			require.Equal(t, row.ReceivedAt, u.ObservedAt)
			require.Equal(t, []store.StreamWrite{{Stream: "orders", Succeeded: true}}, u.Streams)
			_, events, rows := f.store.counts()
			require.Equal(t, []int{1, 0}, []int{events, rows})
			require.Equal(t, []Verdict{Stored, Duplicate, Stored, Accepted}, f.seen())
		})
	}
}

func TestTheSameDeliveryReachesTheHandlerEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []framework.Delivery
		f := synced(t, func(ctx context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
			require.NoError(t, d.Verify(ctx), "what was verified once stays so")
			seen = append(seen, *d)
			return errProvider
		})
		serve(f, signedNow(t, "custom", "d1"))
		time.Sleep(time.Hour)
		_, err := f.RetryDue(t.Context(), time.Now())
		require.NoError(t, err)
		require.Len(t, seen, 2)
		require.Equal(t, []int{1, 2}, []int{seen[0].Attempt, seen[1].Attempt})
		for _, d := range seen[1:] {
			require.Equal(t, seen[0].ID, d.ID)
			require.Equal(t, seen[0].Key, d.Key)
			require.Equal(t, seen[0].Body, d.Body)
			require.Equal(t, seen[0].Header, d.Header)
			require.Equal(t, seen[0].ReceivedAt, d.ReceivedAt)
		}
	})
}

func TestAPermanentFailureIsADeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]framework.WebhookFunc{
		"permanent": func(context.Context, *framework.Delivery, *ingest.Buffer) error {
			return framework.Permanent(errors.New("unknown shape"))
		},
		"poisoned buffer": func(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			_ = ingest.Canonical(out, orders, "order", d.Body, ingest.Options{})
			return nil
		},
	} {
		f := newFixture(t, fn)
		require.Equal(t, "stored", said(t, serve(f, request(t, "github", "d1", order("o1")))).Status, name)
		row := f.store.row(t)
		require.True(t, row.Dead, name)
		require.Zero(t, row.NextAttemptAt)
		require.NotEmpty(t, row.LastError)
		require.Equal(t, []Verdict{Dead}, f.seen())
		_, err := f.RetryDue(t.Context(), start.Add(1000*time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, f.store.row(t).Attempts, "nobody asks it again")
	}
}

func TestKeepsErrorsShortAndStorable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error {
		return errors.New("a\x00b\xff" + strings.Repeat("é", maxErrorText))
	})
	serve(f, request(t, "github", "d1", order("o1")))
	text := f.store.row(t).LastError
	require.True(t, utf8.ValidString(text))
	require.True(t, strings.HasPrefix(text, "abé"))
	require.LessOrEqual(t, len(text), maxErrorText+3)
}

func TestGivesUpAfterThreeDaysAndTwelveCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		f := synced(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { calls++; return errProvider })
		began := time.Now()
		serve(f, signedNow(t, "standard", "d1"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx) }()
		time.Sleep(80 * time.Hour)
		synctest.Wait()
		row := f.store.row(t)
		require.True(t, row.Dead)
		require.Equal(t, calls, row.Attempts)
		require.Equal(t, errProvider.Error(), row.LastError)
		// About one call in 30 minutes: uniform between a minute and an hour.
		require.InDelta(t, 145, calls, 45)
		require.WithinRange(t, f.store.lastUnit().At, began.Add(72*time.Hour), began.Add(73*time.Hour+time.Minute))
		cancel()
		<-done
	})
}

func TestWaitsGrowFromAMinuteToAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for attempts, most := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		for _, r := range []float64{0, 0.5, 0.999999} {
			f.random = func() float64 { return r }
			wait := f.wait(attempts, 0)
			require.GreaterOrEqual(t, wait, time.Minute)
			require.LessOrEqual(t, wait, most*time.Minute)
			require.GreaterOrEqual(t, wait, time.Duration(r*float64(most))*time.Minute-time.Minute)
		}
	}
	f.random = func() float64 { return 0 }
	require.Equal(t, 20*time.Minute, f.wait(1, 20*time.Minute), "what the handler asks for")
	require.Equal(t, time.Hour, f.wait(1, 20*time.Hour), "but no more than an hour")
	require.Equal(t, time.Minute, f.wait(1_000_000, 0))
}

func TestDeliveriesThatFailTogetherComeBackApart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider })
	for i := range 200 {
		serve(f, request(t, "github", fmt.Sprint(i), order("o1")))
	}
	seconds := map[int64]int{}
	for _, row := range f.store.rows {
		seconds[row.NextAttemptAt.Unix()]++
	}
	require.Greater(t, len(seconds), 30, "of 60 seconds")
}

func TestAHangingHandlerIsAnsweredAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, late := make(chan struct{}), make(chan error, 1)
		f := synced(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			<-release // never looks at ctx
			late <- emitOrder(ctx, d, out)
			return nil
		})
		began := time.Now()
		b := said(t, serve(f, signedNow(t, "github", "d1")))
		require.Equal(t, "stored", b.Status)
		require.Equal(t, 9500*time.Millisecond, time.Since(began), "GitHub gives up at 10 s")
		require.Contains(t, f.store.row(t).LastError, "did not return within 9.5s")
		require.Len(t, f.endpoints.of(Target{ConnectionID: connectionID, Endpoint: "github"}).slots, 1, "the handler is still at work")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		f.mu.Lock()
		require.Equal(t, 1, strings.Count(f.log.String(), "was left behind"), "after its grace it is left behind")
		f.mu.Unlock()
		require.Zero(t, f.budget.used)
		close(release)
		require.ErrorIs(t, <-late, ingest.ErrSealed, "a late emit is refused")
		_, events, _ := f.store.counts()
		require.Zero(t, events)
		require.NoError(t, f.Drain(t.Context()))
	})
}

func TestALateResultIsNotRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := synced(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			time.Sleep(10 * time.Second) // half a second too late, but within the grace
			return emitOrder(ctx, d, out)
		})
		require.Equal(t, "stored", said(t, serve(f, signedNow(t, "github", "d1"))).Status)
		require.NoError(t, f.Drain(t.Context()), "waits for the handler")
		_, events, rows := f.store.counts()
		require.Equal(t, []int{0, 1}, []int{events, rows})
	})
}

func TestTheSendersPatienceDoesNotEndTheHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return emitOrder(ctx, d, out)
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	serve(f, request(t, "github", "d1", order("o1")).WithContext(gone))
	_, events, _ := f.store.counts()
	require.Equal(t, 1, events)
}

func TestStoresWhatNoHandlerIsFreeForAndHandlesItNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := synced(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			if d.Attempt == 1 && string(d.Body) == string(order("slow")) {
				<-release
			}
			return emitOrder(ctx, d, out)
		}, func(c *Config) { c.MaxHandlers = 1 })
		slow := make(chan string, 1)
		go func() { slow <- said(t, serve(f, signedNow(t, "github", "slow"))).Status }()
		synctest.Wait()
		began := time.Now()
		require.Equal(t, "stored", said(t, serve(f, signedNow(t, "github", "d2"))).Status)
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, "accepted", said(t, serve(f, signedNow(t, "standard", "d3"))).Status, "other endpoints go on")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx) }()
		synctest.Wait()
		_, events, rows := f.store.counts()
		require.Equal(t, []int{2, 0}, []int{events, rows})
		close(release)
		require.Equal(t, "accepted", <-slow)
		cancel()
		<-done
	})
}

func TestRetriesUseTheBindingOfToday(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := synced(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider })
		serve(f, signedNow(t, "github", "d1"))
		list := targets(t, bind(t, emitOrder))
		list = append(list, Target{ConnectionID: "con_other"})

		f.table.Replace(nil)
		time.Sleep(time.Hour)
		_, err := f.RetryDue(t.Context(), time.Now())
		require.NoError(t, err)
		require.Equal(t, 1, f.store.row(t).Attempts, "nothing runs for a connection that is not there")

		f.table.Replace(list)
		_, err = f.RetryDue(t.Context(), time.Now())
		require.NoError(t, err)
		_, events, rows := f.store.counts()
		require.Equal(t, []int{1, 0}, []int{events, rows})
	})
}

func TestAnEndpointThatIsGoneKeepsItsDeliveries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider })
	serve(f, request(t, "github", "d1", order("o1")))
	f.table.Replace([]Target{{ConnectionID: connectionID, Endpoint: "another"}})
	_, err := f.RetryDue(t.Context(), f.advance(time.Hour))
	require.NoError(t, err)
	row := f.store.row(t)
	require.Equal(t, 2, row.Attempts)
	require.Contains(t, row.LastError, `endpoint "github" is not declared any more`)
	require.False(t, row.Dead)
}

func TestAStoreThatFailsLeavesStoredDeliveriesDue(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	f := newFixture(t, failUntil(&ok, func() error { return errProvider }))
	serve(f, request(t, "github", "d1", order("o1")))
	ok.Store(true)
	f.store.failWith(store.ErrUnavailable)
	_, err := f.RetryDue(t.Context(), f.advance(time.Hour))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, 1, f.store.row(t).Attempts, "the call does not count")
	f.store.failWith(nil)
	_, err = f.RetryDue(t.Context(), f.clock())
	require.NoError(t, err)
	_, events, rows := f.store.counts()
	require.Equal(t, []int{1, 0}, []int{events, rows})
}

// One connection hangs on every delivery: the others are served meanwhile, and
// it gets no more than its turn.
func TestAHangingConnectionDoesNotDelayTheRetriesOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ok atomic.Bool
		f := synced(t, failUntil(&ok, func() error { return errProvider }))
		serve(f, signedNow(t, "github", "d1"))
		hangs := DelivererFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		v, err := webhook.New(catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "a test"}, nil)
		require.NoError(t, err)
		list := targets(t, bind(t, failUntil(&ok, nil)))
		f.table.Replace(append(list, Target{Project: "default", Connection: "stuck", ConnectionID: "con_stuck", Endpoint: "open", Verifier: v, Binding: hangs}))
		for i := range 50 {
			id := fmt.Sprint("dlv_stuck", i)
			f.store.rows[id] = store.StoredDelivery{ID: id, ConnectionID: "con_stuck", Endpoint: "open", Header: []byte("{}"), ReceivedAt: time.Now()}
		}
		ok.Store(true)
		time.Sleep(time.Hour)
		began := time.Now()
		next, err := f.RetryDue(t.Context(), began)
		require.NoError(t, err)
		_, events, _ := f.store.counts()
		require.Equal(t, 1, events)
		require.Less(t, time.Since(began), 25*time.Second)
		require.Equal(t, began, next, "there is more to do")
	})
}

// DelivererFunc is a Deliverer that emits nothing.
type DelivererFunc func(ctx context.Context) error

func (fn DelivererFunc) Receive(ctx context.Context, _ string, _ *framework.Delivery, ended func(hangs bool)) ([]ingest.Emission, error) {
	if ended != nil {
		defer ended(false)
	}
	return nil, fn(ctx)
}

func TestStoppingDuringARetryDoesNotCountTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := synced(t, func(ctx context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
			if d.Attempt == 1 {
				return errProvider
			}
			<-ctx.Done()
			return ctx.Err()
		})
		serve(f, signedNow(t, "github", "d1"))
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); f.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-done
		require.Equal(t, 1, f.store.row(t).Attempts)
	})
}

package intake

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// under gives every endpoint of the fixture a policy.
func (f *fixture) under(t testing.TB, fn framework.WebhookFunc, p Policy) {
	t.Helper()
	list := targets(t, bind(t, fn))
	for i := range list {
		list[i].Policy = p
	}
	f.table.Replace(list)
}

func TestDeliveriesOverTheRateAreToldWhenToComeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	f.under(t, emitOrder, Policy{RateLimit: 0.5, Burst: 3})
	for i := range 3 {
		require.Equal(t, http.StatusOK, serve(f, request(t, "github", fmt.Sprint(i), order(fmt.Sprint(i)))).Code)
	}
	// Whoever knows no secret takes nothing of the rate.
	for range 10 {
		r := request(t, "github", "x", order("x"))
		r.Header.Set("X-Hub-Signature-256", "sha256=0")
		require.Equal(t, http.StatusUnauthorized, serve(f, r).Code)
	}
	w := serve(f, request(t, "github", "3", order("3")))
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, serve(f, request(t, "stripe", "3", order("3"))).Code, "an endpoint has its own rate")
	f.advance(2 * time.Second)
	require.Equal(t, http.StatusOK, serve(f, request(t, "github", "3", order("3"))).Code, "what was refused has reserved nothing")
	r, _ := f.Report(connectionID, "github")
	require.EqualValues(t, 1, r.Counts[Limited])
}

func TestAnEndpointTakesOnlyItsContentTypes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	f.under(t, emitOrder, Policy{ContentTypes: []string{"application/json"}})
	for i, c := range []struct {
		types []string
		want  int
	}{
		{[]string{"application/json"}, http.StatusOK},
		{[]string{"Application/JSON; charset=utf-8"}, http.StatusOK},
		{[]string{"text/plain"}, http.StatusUnsupportedMediaType},
		{[]string{"application/json", "application/json"}, http.StatusUnsupportedMediaType},
		{[]string{"application/json;;;"}, http.StatusUnsupportedMediaType},
		{nil, http.StatusUnsupportedMediaType},
	} {
		r := request(t, "github", fmt.Sprint(i), order(fmt.Sprint(i)))
		r.Header["Content-Type"] = c.types
		w := serve(f, r)
		require.Equal(t, c.want, w.Code, c.types)
		if c.want != http.StatusOK {
			require.Equal(t, "application/json", w.Header().Get("Accept"))
		}
	}
}

func TestHandlersOfAnEndpointAreAsManyAsThePolicySays(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		entered <- struct{}{}
		<-leave
		return emitOrder(ctx, d, out)
	}
	f := newFixture(t, slow, func(c *Config) { c.HandlerWait = time.Millisecond })
	f.under(t, slow, Policy{MaxHandlers: 1})
	answered := make(chan int, 1)
	go func() { answered <- serve(f, request(t, "github", "1", order("1"))).Code }()
	<-entered
	require.Equal(t, "stored", said(t, serve(f, request(t, "github", "2", order("2")))).Status)
	r, _ := f.Report(connectionID, "github")
	require.Equal(t, 1, r.Working)
	require.Equal(t, 1, r.MaxHandlers)
	// A changed policy lets more work at once, beside the one that still does.
	f.under(t, slow, Policy{MaxHandlers: 2})
	go func() { answered <- serve(f, request(t, "github", "3", order("3"))).Code }()
	<-entered
	close(leave)
	require.Equal(t, http.StatusOK, <-answered)
	require.Equal(t, http.StatusOK, <-answered)
}

func TestAFullShelfRefusesAndForgetsNothing(t *testing.T) {
	t.Parallel()
	failing := true
	handler := func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		if failing {
			return framework.Permanent(errProvider)
		}
		return emitOrder(ctx, d, out)
	}
	f := newFixture(t, handler, func(c *Config) { c.MaxStored = 3 })
	for i := range 3 {
		require.Equal(t, "stored", said(t, serve(f, request(t, "github", fmt.Sprint(i), order(fmt.Sprint(i))))).Status)
	}
	w := serve(f, request(t, "github", "3", order("3")))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "60", w.Header().Get("Retry-After"))
	_, _, rows := f.store.counts()
	require.Equal(t, 3, rows, "what was acknowledged is kept, what was not is not")
	// A look into the store finds the same, and what is mended needs no place.
	_, err := f.RetryDue(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, serve(f, request(t, "github", "3", order("3"))).Code)
	failing = false
	require.Equal(t, "accepted", said(t, serve(f, request(t, "github", "3", order("3")))).Status)
	require.Contains(t, f.log.String(), "too many deliveries of the connection wait or were given up")
	// An operator who discards makes room.
	failing = true
	f.store.mu.Lock()
	clear(f.store.rows)
	f.store.mu.Unlock()
	_, err = f.RetryDue(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, "stored", said(t, serve(f, request(t, "github", "4", order("4")))).Status)
}

func TestTheShelfIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider },
		func(c *Config) { c.MaxStoredBytes = 20_000 })
	large := []byte(`{"id":"` + strings.Repeat("x", 15_000) + `"}`)
	require.Equal(t, http.StatusOK, serve(f, request(t, "github", "1", large)).Code)
	require.Equal(t, http.StatusServiceUnavailable, serve(f, request(t, "github", "2", large)).Code)
	require.Equal(t, http.StatusOK, serve(f, request(t, "github", "3", order("3"))).Code)
	// The same delivery again takes no second place.
	for range 5 {
		require.Equal(t, "duplicate", said(t, serve(f, request(t, "github", "3", order("3")))).Status)
	}
	require.Equal(t, http.StatusOK, serve(f, request(t, "github", "4", order("4"))).Code)
}

func TestEveryDeliveryIsKeptAndCanBeReplayed(t *testing.T) {
	t.Parallel()
	d := openOnDisk(t, t.TempDir(), emitOrder)
	list := targets(t, bind(t, emitOrder))
	for i := range list {
		list[i].ConnectionID, list[i].Policy.Keep = d.connection, 7*24*time.Hour
	}
	d.config.Targets.(*Table).Replace(list) //nolint:errcheck // openOnDisk made it
	first := said(t, serve(d, request(t, "github", "d1", order("o1"))))
	require.Equal(t, "accepted", first.Status)
	kept, err := d.store.StoredDelivery(t.Context(), d.connection, first.Delivery)
	require.NoError(t, err)
	require.True(t, kept.Kept)
	require.Equal(t, order("o1"), kept.Body)
	require.Equal(t, start.Add(7*24*time.Hour), kept.ExpiresAt)
	require.NotContains(t, string(kept.Header), "Signature")

	n, err := d.store.Redeliver(t.Context(), store.DeliveryRange{ConnectionID: d.connection, State: store.DeliveryKept}, start, 0, 0, 100)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = d.RetryDue(t.Context(), start)
	require.NoError(t, err)
	require.Len(t, d.events(t), 1, "a replay repeats no event")
	again, err := d.store.StoredDelivery(t.Context(), d.connection, first.Delivery)
	require.NoError(t, err)
	require.True(t, again.Kept, "a replayed delivery is kept until it expires")
	require.Equal(t, 2, again.Attempts)
	require.Equal(t, "duplicate", said(t, serve(d, request(t, "github", "d1", order("o1")))).Status)

	// After its days it is gone.
	d.config.Now = func() time.Time { return start.Add(8 * 24 * time.Hour) }
	_, err = d.RetryDue(t.Context(), start.Add(8*24*time.Hour))
	require.NoError(t, err)
	_, err = d.store.StoredDelivery(t.Context(), d.connection, first.Delivery)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestADeadLetterRunsThroughTheNewHandler(t *testing.T) {
	t.Parallel()
	broken := true
	d := openOnDisk(t, t.TempDir(), func(ctx context.Context, del *framework.Delivery, out *ingest.Buffer) error {
		if broken {
			return framework.Permanent(errProvider)
		}
		return emitOrder(ctx, del, out)
	})
	for i := range 3 {
		serve(d, request(t, "github", fmt.Sprint(i), order(fmt.Sprint(i))))
	}
	require.Len(t, d.stored(t, true), 3)
	broken = false
	n, err := d.store.Redeliver(t.Context(), store.DeliveryRange{ConnectionID: d.connection, State: store.DeliveryDead}, start, 0, time.Second, 100)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	for i := range 3 {
		_, err = d.RetryDue(t.Context(), start.Add(time.Duration(i)*time.Second))
		require.NoError(t, err)
		require.Len(t, d.events(t), i+1, "the rate was not kept")
	}
	require.Empty(t, d.stored(t, true))
	require.Empty(t, d.stored(t, false))
}

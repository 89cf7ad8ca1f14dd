package demo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stopped is a clock that stands still: changes must keep their order all the same.
func stopped() time.Time { return start }

// transport answers requests in the test's own process.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// api is a client of the provider's API.
func api(p *demo.Provider) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

func settings() map[string]any {
	return map[string]any{"base_url": "http://demo.test", "webhook_secret": secret}
}

var secret = demo.NewSecret()

// receiver takes the provider's webhooks: it verifies them and keeps what the
// connector emits.
type receiver struct {
	verifier *webhook.Verifier
	binding  *framework.Binding
	log      *connectortest.Log
	received []string
	fail     func() bool
}

func (r *receiver) client(t *testing.T) *http.Client {
	verifier, err := webhook.New(demo.Inbox.Spec(), []string{secret})
	require.NoError(t, err)
	r.verifier = verifier
	return &http.Client{Transport: transport(func(request *http.Request) (*http.Response, error) {
		if r.fail != nil && r.fail() {
			return nil, errors.New("the receiver is down")
		}
		status := http.StatusOK
		if err := r.take(request); err != nil {
			t.Error(err)
			status = http.StatusInternalServerError
		}
		return &http.Response{StatusCode: status, Body: http.NoBody, Request: request}, nil
	})}
}

func (r *receiver) take(request *http.Request) error {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	if err := r.verifier.Verify(start, webhook.Request{Header: request.Header, Body: body}); err != nil {
		return fmt.Errorf("%w: %s", err, webhook.ReasonOf(err))
	}
	r.received = append(r.received, r.verifier.DeliveryKey(request.Header, body))
	emissions, err := r.binding.Deliver(request.Context(), "orders", &framework.Delivery{Header: request.Header, Body: body, ReceivedAt: start})
	if err != nil {
		return err
	}
	r.log.Commit(emissions, start)
	return nil
}

func read(t *testing.T, b *framework.Binding, log *connectortest.Log, s connectortest.Sync) []byte {
	t.Helper()
	var cursor []byte
	for _, p := range connectortest.Run(t, b, s) {
		log.Commit(p.Emissions, p.At)
		cursor = p.Cursor
	}
	return cursor
}

func TestASeedGivesTheSameShop(t *testing.T) {
	t.Parallel()
	var states []map[string]map[string]string
	for _, seed := range []uint64{7, 7, 8} {
		p := demo.NewProvider(demo.Config{Seed: seed, Clock: stopped})
		for range 50 {
			require.NoError(t, p.Step(t.Context()))
		}
		states = append(states, p.State())
	}
	require.Equal(t, states[0], states[1])
	for id := range states[0]["customers"] {
		require.NotContains(t, states[2]["customers"], id, "shops of distinct seeds share no ids")
	}
}

func TestReadsEveryPageAndResumesAnywhere(t *testing.T) {
	t.Parallel()
	p := demo.NewProvider(demo.Config{Seed: 1, Clock: stopped, Customers: 170, Orders: 230})
	for range 100 {
		require.NoError(t, p.Step(t.Context()))
	}
	b := connectortest.Open(t, demo.Plugin, settings(), api(p))
	for _, stream := range []string{"customers", "orders"} {
		log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: stream})
		connectortest.RequireState(t, p.State()[stream], log.State(stream))
	}
}

func TestTheNextRunReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	p := demo.NewProvider(demo.Config{Seed: 1, Clock: stopped, Customers: 200, Changes: 5})
	b := connectortest.Open(t, demo.Plugin, settings(), api(p))
	log := connectortest.NewLog()
	cursor := read(t, b, log, connectortest.Sync{Stream: "customers"})
	require.NoError(t, p.Step(t.Context()))
	pages := connectortest.Run(t, b, connectortest.Sync{Stream: "customers", Cursor: cursor})
	require.Len(t, pages, 1)
	require.LessOrEqual(t, len(pages[0].Emissions), 5)
	log.Commit(pages[0].Emissions, start)
	connectortest.RequireState(t, p.State()["customers"], log.State("customers"))
}

// Objects are created, changed, reverted, deleted and re-created while they are
// read; webhooks come twice, late, out of order and not at all at first. The
// receiver ends with the provider's state.
func TestEndsWithTheProvidersState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 9))
			r := &receiver{log: connectortest.NewLog(), fail: func() bool { return random.IntN(10) == 0 }}
			p := demo.NewProvider(demo.Config{
				Seed: seed, Clock: stopped, Customers: 120, Orders: 120, MaxObjects: 160, Changes: 8,
				DoublePercent: 30, LatePercent: 40, Client: r.client(t),
			})
			require.NoError(t, p.SetWebhook("http://weir.test/webhooks/demo/orders", secret))
			r.binding = connectortest.Open(t, demo.Plugin, settings(), api(p))
			step := func(int) { _ = p.Step(t.Context()) } // a failed webhook comes again
			cursors := map[string][]byte{}
			for range 12 {
				for _, stream := range []string{"customers", "orders"} {
					cursors[stream] = read(t, r.binding, r.log, connectortest.Sync{Stream: stream, Cursor: cursors[stream], BeforePage: step})
				}
			}
			for r.fail = nil; p.Waiting() > 0; {
				require.NoError(t, p.Drain(t.Context()))
			}
			for _, stream := range []string{"customers", "orders"} {
				read(t, r.binding, r.log, connectortest.Sync{Stream: stream, Cursor: cursors[stream]})
				connectortest.RequireState(t, p.State()[stream], r.log.State(stream))
			}
			requireOneEventEach(t, r)
		})
	}
}

// requireOneEventEach holds what was recorded against what was sent: every
// webhook is one order event, however often it came.
func requireOneEventEach(t *testing.T, r *receiver) {
	t.Helper()
	sent := map[string]bool{}
	for _, id := range r.received {
		sent[id] = true
	}
	require.Greater(t, len(r.received), len(sent), "some webhooks are doubled")
	require.Len(t, r.log.Events("order_events"), len(sent))
	deletions, revived := 0, 0
	gone := map[string]bool{}
	for _, e := range r.log.Events("orders") {
		switch {
		case e.Operation == ingest.Deletion:
			deletions++
			gone[e.Key.Entity()] = true
		case gone[e.Key.Entity()]:
			revived++
		}
	}
	require.Positive(t, deletions, "orders are deleted by webhook alone")
	require.Positive(t, revived, "some are created again, or their events come late")
}

func TestAReceiverThatIsDownGetsEveryWebhookLater(t *testing.T) {
	t.Parallel()
	down := true
	r := &receiver{log: connectortest.NewLog(), fail: func() bool { return down }}
	p := demo.NewProvider(demo.Config{Seed: 3, Clock: stopped, Client: r.client(t)})
	r.binding = connectortest.Open(t, demo.Plugin, settings(), api(p))
	require.NoError(t, p.Step(t.Context()), "webhooks wait until it is known where they go")
	require.Error(t, p.SetWebhook("nowhere", secret))
	require.Error(t, p.SetWebhook("http://weir.test", "not base64!"))
	require.NoError(t, p.SetWebhook("http://weir.test", secret))
	for range 20 {
		_ = p.Step(t.Context())
	}
	waiting := p.Waiting()
	require.Positive(t, waiting)
	down = false
	require.NoError(t, p.Drain(t.Context()))
	require.Len(t, r.log.Events("order_events"), waiting)
}

func TestRefusesForGoodWhatIsNoOrderEvent(t *testing.T) {
	t.Parallel()
	b := connectortest.Open(t, demo.Plugin, settings(), nil)
	for _, body := range []string{``, `{}`, `{"id":"evt_1","type":"ping","data":{"id":"x"}}`, `{"id":"evt_1","type":"order.created","data":{}}`} {
		emissions, err := b.Deliver(t.Context(), "orders", &framework.Delivery{Body: []byte(body)})
		require.Equal(t, framework.ClassPermanent, framework.ClassOf(err), body)
		require.Empty(t, emissions)
	}
}

func TestTwoConnectionsKeepTheirKeysApart(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"first", "second"} {
		p := demo.NewProvider(demo.Config{Seed: 1, Clock: stopped, APIKey: key})
		for _, used := range []string{"first", "second", ""} {
			with := settings()
			with["api_key"] = used
			b := connectortest.Open(t, demo.Plugin, with, api(p))
			_, emissions, err := b.Page(t.Context(), "customers", framework.PageCall{})
			if used == key {
				require.NoError(t, err)
				require.Len(t, emissions, 25)
			} else {
				require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
			}
		}
	}
}

func TestServesOnLoopbackAndStops(t *testing.T) {
	t.Parallel()
	hooks := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hooks <- r.Header.Get("Webhook-Id") }))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running, err := demo.Serve(ctx, demo.ServeConfig{Interval: time.Millisecond, Provider: demo.Config{Seed: 5}})
	require.NoError(t, err)
	require.NoError(t, running.SetWebhook(server.URL, secret))
	first := <-hooks
	require.Contains(t, first, "evt_5_")
	with := settings()
	with["base_url"] = running.URL
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	b := connectortest.Open(t, demo.Plugin, with, client)
	require.NotEmpty(t, connectortest.Run(t, b, connectortest.Sync{Stream: "orders"}))
	require.NoError(t, running.Close())
	require.NoError(t, running.Close())
	_, _, err = b.Page(t.Context(), "orders", framework.PageCall{})
	require.Equal(t, framework.ClassTransient, framework.ClassOf(err))
}

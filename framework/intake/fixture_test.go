package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

const (
	secret       = "a secret of sufficient length"
	connectionID = "con_01hooks"
)

var (
	orders    = catalog.Webhook[json.RawMessage]("orders")
	customers = catalog.Poll[json.RawMessage, string]("customers", catalog.PollSpec{Schedule: "@hourly"})

	endpoints = map[string]catalog.EndpointSpec{
		"github":   {Auth: catalog.AuthGitHub},
		"stripe":   {Auth: catalog.AuthStripe},
		"standard": {Auth: catalog.AuthStandardWebhooks},
		"bearer":   {Auth: catalog.AuthBearer},
		"custom":   {Auth: catalog.AuthCustom, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}},
		"small":    {Auth: catalog.AuthGitHub, MaxBody: 1000},
		"open":     {Auth: catalog.AuthNone, Reason: "a test"},
	}

	// start is when the tests begin.
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// secretOf is the secret of an endpoint of the fixture.
func secretOf(endpoint string) string {
	if endpoint == "standard" {
		return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	}
	return secret
}

// bind opens a connector whose every endpoint is received by fn.
func bind(t testing.TB, fn framework.WebhookFunc) *framework.Binding {
	t.Helper()
	declared := make(map[string]catalog.Endpoint, len(endpoints))
	connector := catalog.Connector{Key: "acme", Streams: []catalog.Stream{orders, customers}}
	for path, spec := range endpoints {
		declared[path] = catalog.Receive(path, spec)
		connector.Endpoints = append(connector.Endpoints, declared[path])
	}
	plugin := framework.Define(connector, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
		routes := framework.Routes{framework.Sync(customers,
			func(context.Context, framework.SyncRequest[string], *ingest.Buffer) (framework.SyncResult[string], error) {
				return framework.SyncResult[string]{}, nil
			})}
		for endpoint := range maps.Values(declared) {
			routes = append(routes, framework.Webhook(endpoint, fn))
		}
		return routes, nil
	})
	binding, err := plugin.Open(t.Context(), framework.OpenRequest{Connection: "hooks"})
	require.NoError(t, err)
	return binding
}

// emitOrder is a handler that works: it emits the body as one order.
func emitOrder(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var order struct{ ID string }
	if err := d.Decode(&order); err != nil {
		return err
	}
	return ingest.Canonical(out, orders, "order", json.RawMessage(d.Body), ingest.Options{IdempotencyKey: ingest.EventKey(order.ID)})
}

// fixture is an intake with one connection "hooks" of project "default".
type fixture struct {
	*Handler
	store *memory
	table *Table
	log   *logBuffer

	mu       sync.Mutex
	now      time.Time
	verdicts []Verdict
}

func newFixture(t testing.TB, fn framework.WebhookFunc, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{store: newMemory(), table: &Table{}, log: &logBuffer{}, now: start}
	f.table.Replace(targets(t, bind(t, fn)))
	c := Config{
		Targets: f.table, Store: f.store, Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: f.clock,
		Observe: func(o Observation) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.verdicts = append(f.verdicts, o.Verdict)
		},
	}
	for _, set := range change {
		set(&c)
	}
	h, err := New(c)
	require.NoError(t, err)
	f.Handler = h
	return f
}

func targets(t testing.TB, binding Deliverer) []Target {
	t.Helper()
	var list []Target
	for path, spec := range endpoints {
		v, err := webhook.New(spec, []string{secretOf(path)})
		require.NoError(t, err)
		list = append(list, Target{
			Project: "default", Connection: "hooks", ConnectionID: connectionID, Endpoint: path, Verifier: v, Binding: binding,
			WebhookStreams: []string{orders.Key()},
		})
	}
	return list
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	return f.now
}

func (f *fixture) seen() []Verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Verdict{}, f.verdicts...)
}

// request is a signed request to an endpoint. It is signed at the start.
func request(t testing.TB, endpoint, id string, body []byte) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/"+endpoint, bytes.NewReader(body))
	h, err := webhook.Sign(endpoints[endpoint], secretOf(endpoint), start, id, body)
	require.NoError(t, err)
	r.Header = h
	return r
}

func order(id string) []byte { return fmt.Appendf(nil, `{"id":%q}`, id) }

// serve hands one request to h.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// said decodes an answer and checks what every answer has.
func said(t testing.TB, w *httptest.ResponseRecorder) answerBody {
	t.Helper()
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var b answerBody
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &b))
	return b
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var errProvider = errors.New("provider is down")

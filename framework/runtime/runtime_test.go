package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type record struct {
	ID string `json:"id"`
}

type position struct {
	Page int `json:"page"`
}

type settings struct {
	Key framework.Secret `json:"key"`
}

var (
	things  = catalog.Poll[record, position]("things", catalog.PollSpec{Schedule: "@every 1h"})
	others  = catalog.Poll[record, position]("others", catalog.PollSpec{Schedule: "@every 1h"})
	reports = catalog.Webhook[record]("reports")
	inbox   = catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})

	connector = catalog.Connector{
		Key: "test", Streams: []catalog.Stream{things, others, reports}, Endpoints: []catalog.Endpoint{inbox},
	}
)

// behaviour is what the routes of the test connector do.
type behaviour struct {
	page    func(ctx context.Context, in framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error)
	receive func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error
	open    error
	// opened is asked when the connector is opened, if it is set.
	opened func() error
	// sinkOpened is asked when the test connector is opened as a sink, if it is set.
	sinkOpened func() error
	// deliver makes an attempt of the test connector as a sink.
	deliver func(batch []*sink.Message) sink.Answer
}

func emit(out *ingest.Buffer, stream catalog.Of[record], id string) error {
	return ingest.Canonical(out, stream, "thing", record{id}, ingest.Options{IdempotencyKey: ingest.EventKey(id)})
}

func (b behaviour) plugin() framework.Plugin {
	if b.page == nil {
		b.page = func(_ context.Context, _ framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
			return framework.SyncResult[position]{Cursor: position{1}}, emit(out, things, "a")
		}
	}
	if b.receive == nil {
		b.receive = func(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			return errors.Join(emit(out, reports, d.Key), emit(out, things, "hook "+d.Key))
		}
	}
	return framework.Define(connector, func(context.Context, framework.Instance[settings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(things, b.page), framework.Sync(others, b.page), framework.Webhook(inbox, b.receive)}, b.openError()
	})
}

func (b behaviour) openError() error {
	if b.opened != nil {
		return b.opened()
	}
	return b.open
}

func connection(name string, streams ...string) config.Connection {
	return config.Connection{
		Project: "default", Name: name, Connector: "test", Type: "source", Enabled: true, Streams: streams,
		Settings: map[string]any{"webhook_secret": secret, "key": "canary-key-0123456789"},
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// weir is a running Weir.
type weir struct {
	*runtime.Runtime
	client *http.Client
	log    *lines
	stop   func() error
	// provider is the address of the provider of a leaky connection.
	provider string
}

func build(t *testing.T, dir string, b behaviour, connections ...config.Connection) (*runtime.Runtime, *lines, error) {
	t.Helper()
	log := &lines{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Connections: connections}, Plugins: []framework.Plugin{b.plugin(), b.outlet(), alertsPlugin()}, Listener: listener,
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	if err != nil {
		require.NoError(t, errors.Join(closeListener(listener)))
	}
	return r, log, err
}

func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func run(t *testing.T, dir string, b behaviour, connections ...config.Connection) *weir {
	t.Helper()
	r, log, err := build(t, dir, b, connections...)
	require.NoError(t, err)
	return serve(t, r, log)
}

// serve runs a runtime until the test ends, and waits until it is ready.
func serve(t testing.TB, r *runtime.Runtime, log *lines) *weir {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	w := &weir{Runtime: r, log: log, client: &http.Client{Timeout: 20 * time.Second}}
	w.stop = sync.OnceValue(func() error {
		cancel()
		defer w.client.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() { require.NoError(t, w.stop()) })
	require.Eventually(t, func() bool { status, _ := w.do(t, http.MethodGet, "/readyz", nil, nil); return status == http.StatusOK },
		time.Minute, 5*time.Millisecond)
	return w
}

func (w *weir) do(t testing.TB, method, path string, header http.Header, body []byte) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.URL()+path, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	response, err := w.client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, answer
}

// send delivers a signed webhook.
func (w *weir) send(t *testing.T, connection, id string) (int, []byte) {
	t.Helper()
	response, err := w.client.Do(w.signed(t, connection, id))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, answer
}

// signed is a delivery with the given id.
func (w *weir) signed(t *testing.T, connection, id string) *http.Request {
	t.Helper()
	body := []byte(`{"id":"` + id + `"}`)
	header, err := webhook.Sign(inbox.Spec(), secret, time.Now(), id, body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/webhooks/"+connection+"/in", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	return request
}

type row struct {
	Connection  string  `json:"connection"`
	Stream      string  `json:"stream"`
	State       string  `json:"state"`
	LastError   *string `json:"last_error"`
	EventsTotal int64   `json:"events_total"`
}

func (w *weir) stream(t *testing.T, connection, stream string) row {
	t.Helper()
	status, body := w.do(t, http.MethodGet, "/api/v1/streams", nil, nil)
	require.Equal(t, http.StatusOK, status, "%s", body)
	var list struct {
		Streams []row `json:"streams"`
	}
	require.NoError(t, json.Unmarshal(body, &list))
	for _, r := range list.Streams {
		if r.Connection == connection && r.Stream == stream {
			return r
		}
	}
	return row{}
}

func (w *weir) await(t *testing.T, connection, stream string, done func(row) bool) row {
	t.Helper()
	var last row
	require.Eventually(t, func() bool { last = w.stream(t, connection, stream); return done(last) }, time.Minute, 5*time.Millisecond, "%+v", &last)
	return last
}

func state(want string) func(row) bool { return func(r row) bool { return r.State == want } }

func TestPollsReceivesAndShows(t *testing.T) {
	t.Parallel()
	w := run(t, t.TempDir(), behaviour{}, connection("one"))
	w.await(t, "one", "things", state("healthy"))
	status, body := w.send(t, "one", "msg_1")
	require.Equal(t, http.StatusOK, status, "%s", body)
	status, body = w.send(t, "one", "msg_1")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(body), "duplicate")
	require.EqualValues(t, 1, w.stream(t, "one", "reports").EventsTotal)
	require.Equal(t, "healthy", w.stream(t, "one", "reports").State)

	status, body = w.do(t, http.MethodPost, "/webhooks/one/in", http.Header{}, []byte(`{}`))
	require.Equal(t, http.StatusUnauthorized, status, "%s", body)
	_, metrics := w.do(t, http.MethodGet, "/metrics", nil, nil)
	require.Contains(t, string(metrics), `weir_deliveries_total{connection="default/one",endpoint="in",verdict="unverified"} 1`)
	require.Contains(t, string(metrics), `weir_runs_total{connection="default/one",state="succeeded",stream="things"} 1`)
	require.Regexp(t, `weir_commit_units_total [1-9]`, string(metrics))
	require.Contains(t, string(metrics), `weir_events_total{connection="default/one",stream="reports"} 1`, "what webhooks bring is counted too")
	require.Contains(t, string(metrics), `weir_events_total{connection="default/one",stream="things"} 2`)
	require.Contains(t, string(metrics), `weir_handlers_abandoned{connection="default/one"} 0`)
	status, page := w.do(t, http.MethodGet, "/", http.Header{"Accept": {"text/html"}}, nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(page), "things")
}

func TestAConnectorIsOpenedWithTheIDOfItsConnection(t *testing.T) {
	t.Parallel()
	dir, seen := t.TempDir(), make(chan string, 2)
	plugin := framework.Define(catalog.Connector{Key: "test"}, func(_ context.Context, in framework.Instance[settings]) (framework.Routes, error) {
		seen <- in.ConnectionID
		return nil, nil
	})
	for range 2 {
		r, err := runtime.New(t.Context(), runtime.Options{
			Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{{Project: "default", Name: "one", Connector: "test", Type: "source", Enabled: true}}},
			Plugins: []framework.Plugin{plugin}, OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
		})
		require.NoError(t, err)
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, r.Run(stopped))
	}
	first := <-seen
	require.Regexp(t, `^con_[0-9a-z]{26}$`, first)
	require.Equal(t, first, <-seen, "the id stays over a restart")
}

func TestOnlySelectedStreamsAreRunAndRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := run(t, dir, behaviour{}, connection("one", "reports", "others"))
	w.await(t, "one", "others", state("healthy"))
	status, _ := w.send(t, "one", "msg_1")
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 1, w.stream(t, "one", "reports").EventsTotal)
	require.Zero(t, w.stream(t, "one", "things"), "the stream is not shown")
	require.Zero(t, w.stream(t, "one", "others").EventsTotal, "a page of others emits to things only")

	require.NoError(t, w.stop())
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	connections, err := s.Connections(t.Context())
	require.NoError(t, err)
	for stream, want := range map[string]int{"things": 0, "others": 0, "reports": 1} {
		events, err := s.Events(t.Context(), connections[0].ID, stream, 0, 10)
		require.NoError(t, err)
		require.Len(t, events, want, stream)
	}
}

func TestADisabledConnectionRunsNothingAndReceivesNothing(t *testing.T) {
	t.Parallel()
	off := connection("off")
	off.Enabled = false
	w := run(t, t.TempDir(), behaviour{}, off)
	require.Equal(t, "disabled", w.stream(t, "off", "things").State)
	status, _ := w.send(t, "off", "msg_1")
	require.Equal(t, http.StatusNotFound, status)
}

func TestAPanicFailsTheRunWithItsStackAndNothingElse(t *testing.T) {
	t.Parallel()
	w := run(t, t.TempDir(), behaviour{page: func(context.Context, framework.SyncRequest[position], *ingest.Buffer) (framework.SyncResult[position], error) {
		panic("canary-key-0123456789 fell over")
	}}, connection("one"))
	failed := w.await(t, "one", "things", state("failing"))
	require.Equal(t, "handler panicked: *** fell over", *failed.LastError)
	_, runs := w.do(t, http.MethodGet, "/api/v1/connections/one/streams/things/runs", nil, nil)
	require.Contains(t, string(runs), "runtime_test.go", "the run keeps the stack")
	status, _ := w.send(t, "one", "msg_1")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, w.log.String()+string(runs), "canary")
}

func TestACursorOfAnotherTypeIsFailingAndNeverStartsOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := run(t, dir, behaviour{}, connection("one"))
	w.await(t, "one", "things", state("healthy"))
	require.NoError(t, w.stop())

	type otherPosition struct {
		Token string `json:"token"`
	}
	changed := catalog.Poll[record, otherPosition]("things", catalog.PollSpec{Schedule: "@every 1h"})
	c := catalog.Connector{Key: "test", Streams: []catalog.Stream{changed}}
	called := make(chan struct{}, 1)
	plugin := framework.Define(c, func(context.Context, framework.Instance[settings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(changed, func(context.Context, framework.SyncRequest[otherPosition], *ingest.Buffer) (framework.SyncResult[otherPosition], error) {
			called <- struct{}{}
			return framework.SyncResult[otherPosition]{}, nil
		})}, nil
	})
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{{Project: "default", Name: "one", Connector: "test", Type: "source", Enabled: true}}},
		Plugins: []framework.Plugin{plugin}, OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	again := &weir{Runtime: r, client: &http.Client{}}
	defer again.client.CloseIdleConnections()
	status, body := again.do(t, http.MethodPost, "/api/v1/connections/one/streams/things/run", nil, nil)
	require.Equal(t, http.StatusAccepted, status, "%s", body)
	failing := again.await(t, "one", "things", state("failing"))
	require.Contains(t, *failing.LastError, "cursor unreadable")
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, called)
}

func TestAStartReportsEveryError(t *testing.T) {
	t.Parallel()
	short := connection("short")
	short.Settings["webhook_secret"] = "tiny"
	wrong := connection("wrong")
	wrong.Settings["kee"] = "x"
	unknown := connection("unknown")
	unknown.Connector = "nobody"
	_, _, err := build(t, t.TempDir(), behaviour{}, short, wrong, unknown)
	require.ErrorContains(t, err, `connection "short", endpoint "in"`)
	require.ErrorContains(t, err, `setting "kee" is unknown; did you mean "key"?`)
	require.ErrorContains(t, err, `no connector "nobody" is linked`)
}

func TestWhatIsGoingOnFinishesBeforeTheStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entered, release := make(chan string, 2), make(chan struct{})
	w := run(t, dir, behaviour{
		page: func(_ context.Context, _ framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
			entered <- "page"
			<-release
			return framework.SyncResult[position]{Cursor: position{1}}, emit(out, things, "slow")
		},
		receive: func(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			entered <- "delivery"
			<-release
			return emit(out, reports, d.Key)
		},
	}, connection("one", "things", "reports"))
	require.Equal(t, "page", <-entered)
	answered := make(chan int, 1)
	go func() {
		status, _ := w.send(t, "one", "msg_1")
		answered <- status
	}()
	require.Equal(t, "delivery", <-entered)
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	require.Eventually(t, func() bool {
		ready, _ := w.do(t, http.MethodGet, "/readyz", nil, nil)
		status, _ := w.send(t, "one", "msg_2")
		return ready == http.StatusServiceUnavailable && status == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond, "traffic is sent elsewhere and nothing new is taken")
	close(release)
	require.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-stopped)

	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	connections, err := s.Connections(t.Context())
	require.NoError(t, err)
	for _, stream := range []string{"things", "reports"} {
		events, err := s.Events(t.Context(), connections[0].ID, stream, 0, 10)
		require.NoError(t, err)
		require.Len(t, events, 1, stream)
	}
	_, ok, err := s.Checkpoint(t.Context(), connections[0].ID, "things", store.LaneLive)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestAConnectionKeepsItsConnector(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := run(t, dir, behaviour{}, connection("one"))
	require.NoError(t, w.stop())
	c := catalog.Connector{Key: "another"}
	plugin := framework.Define(c, func(context.Context, framework.Instance[settings]) (framework.Routes, error) { return nil, nil })
	_, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{{Project: "default", Name: "one", Connector: "another", Type: "source", Enabled: true}}},
		Plugins: []framework.Plugin{plugin}, OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.ErrorContains(t, err, "test", fmt.Sprint(err))
}

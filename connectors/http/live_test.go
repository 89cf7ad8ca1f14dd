package http_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
)

// gate is a running Weir, and what one connection of it is meant to take at each
// step of its life.
type gate struct {
	t    *testing.T
	base string
	// steps say who is let in; begun is the last whose change has begun, acknowledged
	// the last whose change was answered.
	steps               []map[string]bool
	begun, acknowledged atomic.Int64
	sent                atomic.Int64

	mu    sync.Mutex
	taken map[string]bool
}

// headers make what each sender proves itself with.
var headersOf = map[string]func(body []byte) (http.Header, error){
	"nobody": func([]byte) (http.Header, error) { return http.Header{}, nil },
	"bearer": func([]byte) (http.Header, error) {
		return http.Header{"Authorization": {"Bearer " + secretNamed("b")}}, nil
	},
	"a": signsAs("a"), "b": signsAs("b"), "c": signsAs("c"), "d": signsAs("d"),
}

func secretNamed(name string) string { return "a secret of some length: " + name }

func signsAs(name string) func([]byte) (http.Header, error) {
	return func(body []byte) (http.Header, error) {
		return webhook.Sign(catalog.EndpointSpec{Auth: catalog.AuthGitHub}, secretNamed(name), time.Now(), "", body)
	}
}

// judge holds an answer to what was meant from the moment at which the request was
// complete until its answer came.
func (g *gate) judge(sender, id string, from int64, status int) {
	allowed, required := false, true
	for _, step := range g.steps[from : g.begun.Load()+1] {
		allowed, required = allowed || step[sender], required && step[sender]
	}
	switch {
	case status == http.StatusOK:
		if !allowed {
			g.t.Errorf("%q was let in between step %d and %d", sender, from, g.begun.Load())
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.taken[id] = true
	case required:
		g.t.Errorf("%q was refused with %d in step %d", sender, status, from)
	case status != http.StatusUnauthorized && status != http.StatusNotFound && status != http.StatusServiceUnavailable:
		g.t.Errorf("%q got %d in step %d", sender, status, from)
	}
}

func (g *gate) next(sender string) (id string, body []byte) {
	id = fmt.Sprintf("%s-%d", sender, g.sent.Add(1))
	return id, fmt.Appendf(nil, `{"id":%q}`, id)
}

// send makes one whole request and holds its answer to what was meant.
func (g *gate) send(ctx context.Context, client *http.Client, sender string) {
	id, body := g.next(sender)
	header, err := headersOf[sender](body)
	if err != nil {
		g.t.Error(err)
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/webhooks/live/in", bytes.NewReader(body))
	if err != nil {
		g.t.Error(err)
		return
	}
	request.Header = header
	from := g.acknowledged.Load()
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() == nil {
			g.t.Error(err)
		}
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	g.judge(sender, id, from, response.StatusCode)
}

// hold sends all of a request but its last byte. The returned function sends it.
func (g *gate) hold(sender string) (end func()) {
	id, body := g.next(sender)
	header, err := headersOf[sender](body)
	require.NoError(g.t, err)
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(g.t.Context(), "tcp", strings.TrimPrefix(g.base, "http://"))
	require.NoError(g.t, err)
	g.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(g.t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST /webhooks/live/in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", len(body))
	require.NoError(g.t, header.Write(&text))
	text.WriteString("\r\n")
	_, err = conn.Write(text.Bytes())
	require.NoError(g.t, err)
	// The answer to Expect, or the last one: the endpoint was looked up.
	reader := bufio.NewReader(conn)
	line, err := reader.Peek(len("HTTP/1.1 100"))
	require.NoError(g.t, err)
	waits := bytes.HasSuffix(line, []byte("100"))
	if waits {
		response, err := http.ReadResponse(reader, nil)
		require.NoError(g.t, err)
		require.NoError(g.t, response.Body.Close())
		_, err = conn.Write(body[:len(body)-1])
		require.NoError(g.t, err)
	}
	return func() {
		from := g.acknowledged.Load()
		if waits {
			_, err := conn.Write(body[len(body)-1:])
			require.NoError(g.t, err)
		}
		response, err := http.ReadResponse(reader, nil)
		require.NoError(g.t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		require.NoError(g.t, response.Body.Close())
		require.NoError(g.t, conn.Close())
		if waits {
			g.judge(sender, id, from, response.StatusCode)
		} else {
			require.NotEqual(g.t, http.StatusOK, response.StatusCode)
		}
	}
}

func (g *gate) ask(method, path string, document any) []byte {
	g.t.Helper()
	status, answer := call(g.t, method, g.base+path, document)
	require.Equal(g.t, http.StatusOK, status, "%s", answer)
	return answer
}

// startWeir runs a Weir without a file until the test ends, and returns its address.
func startWeir(t *testing.T, dir string, log io.Writer) string {
	t.Helper()
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Listen: "127.0.0.1:0", Secrets: config.Secrets{Key: seal.NewKey()}}, Plugins: []framework.Plugin{connector.Plugin},
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return r.URL()
}

// call makes a request to the API.
func call(t *testing.T, method, address string, document any) (int, []byte) {
	t.Helper()
	var body []byte
	if document != nil {
		var err error
		body, err = json.Marshal(document)
		require.NoError(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, answer
}

// While a connection is changed in every way that there is, requests come without
// end, some of them slowly: none is let in by what was taken away before it was
// complete, and none is refused that was right all the time.
func TestChangesOfALiveConnectionNeverLetAnybodyIn(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/connections/live"
	secrets := func(names ...string) []any {
		list := make([]any, len(names))
		for i, name := range names {
			list[i] = secretNamed(name)
		}
		return list
	}
	live := func(secret ...string) map[string]any {
		return map[string]any{"name": "live", "type": "source", "connector": "http", "config": map[string]any{
			"mode": "push", "path": "in", "auth": "github", "webhook_secret": secrets(secret...),
		}}
	}
	g := &gate{t: t, base: startWeir(t, t.TempDir(), io.Discard), taken: map[string]bool{}}
	patch := func(change map[string]any) func() { return func() { g.ask(http.MethodPatch, path, change) } }
	configured := func(change map[string]any) func() { return patch(map[string]any{"config": change}) }
	changes := []struct {
		accepts string
		change  func()
	}{
		{"a", func() { g.ask(http.MethodPost, "/api/v1/connections", live("a")) }},
		{"a b", configured(map[string]any{"webhook_secret": secrets("a", "b")})},
		{"b", configured(map[string]any{"webhook_secret": secrets("b")})},
		{"bearer", configured(map[string]any{"auth": "bearer"})},
		{"b", configured(map[string]any{"auth": "github"})},
		{"c", func() { g.ask(http.MethodPut, path, live("c")) }},
		{"", configured(map[string]any{"webhook_secret": []any{map[string]any{"secret": secretNamed("c"), "until": time.Now().Add(-time.Second).UTC().Format(time.RFC3339)}}})},
		{"c", func() { g.ask(http.MethodPost, path+"/rollback?revision=6", nil) }},
		{"", patch(map[string]any{"enabled": false})},
		{"c", patch(map[string]any{"enabled": true})},
		{"", func() { g.ask(http.MethodDelete, path, nil) }},
		{"d", func() { g.ask(http.MethodPost, "/api/v1/connections", live("d")) }},
		{"", patch(map[string]any{"name": "moved"})},
		{"d", func() { g.ask(http.MethodPatch, "/api/v1/connections/moved", map[string]any{"name": "live"}) }},
	}
	for _, c := range changes {
		step := map[string]bool{}
		for sender := range strings.FieldsSeq(c.accepts) {
			step[sender] = true
		}
		g.steps = append(g.steps, step)
	}
	changes[0].change()

	var workers sync.WaitGroup
	var enough atomic.Bool
	t.Cleanup(func() {
		enough.Store(true)
		workers.Wait()
	})
	client := &http.Client{Timeout: 20 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	for range 2 {
		workers.Go(func() {
			for !enough.Load() {
				for sender := range headersOf {
					g.send(t.Context(), client, sender)
				}
			}
		})
	}
	for i, c := range changes[1:] {
		var held []func()
		for sender := range headersOf {
			held = append(held, g.hold(sender))
		}
		g.begun.Store(int64(i + 1))
		c.change()
		g.acknowledged.Store(int64(i + 1))
		for _, end := range held {
			end()
		}
		for sender := range headersOf {
			g.send(t.Context(), client, sender)
		}
	}
	enough.Store(true)
	workers.Wait()

	// What was refused left nothing: this connection has what it was sent and nothing else.
	var list struct {
		Events []struct {
			Data struct{ ID string }
		}
		Next *string
	}
	require.NoError(t, json.Unmarshal(g.ask(http.MethodGet, "/api/v1/connections/live/streams/events/events?limit=1000", nil), &list))
	require.NotEmpty(t, list.Events)
	for _, e := range list.Events {
		require.True(t, g.taken[e.Data.ID], "%q was refused and recorded", e.Data.ID)
	}
}

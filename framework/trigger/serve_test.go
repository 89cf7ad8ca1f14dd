package trigger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
)

const token = "a-secret-token-of-some-length"

// bench serves triggers on a real server, with a real store.
type bench struct {
	url    string
	client *http.Client
	store  *sqlite.Store
	engine *action.Engine
	con    store.Connection
	table  *Table
	// do is what the trigger carries out.
	do func(ctx context.Context, r Request, progress framework.Progress) ([]byte, error)
}

func setup(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	b := &bench{store: opened, do: func(_ context.Context, r Request, _ framework.Progress) ([]byte, error) { return r.Input.JSON, nil }}
	b.con, err = opened.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "hook", Connector: "http", Type: Type, Enabled: true})
	require.NoError(t, err)
	b.engine, err = action.New(action.Config{Store: opened, Coalesce: time.Nanosecond})
	require.NoError(t, err)
	table := &Table{}
	b.table = table
	cfg := Config{Targets: table, Runs: b.engine, Run: opened.ActionRun}
	if change != nil {
		change(&cfg)
	}
	handler, err := New(cfg)
	require.NoError(t, err)
	table.Replace([]Target{
		b.target(t, "/hook", http.MethodPost, map[string]any{"auth_token": token}),
		b.target(t, "/hook", http.MethodPut, map[string]any{"public": true}),
		b.target(t, "/any/ünï", AnyMethod, map[string]any{"public": true}),
		b.target(t, "/signed", http.MethodPost, map[string]any{"auth": "github", "webhook_secret": "It's a Secret to Everybody"}),
	})
	server := httptest.NewServer(handler)
	b.url, b.client = server.URL, server.Client()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var work sync.WaitGroup
	work.Go(func() { b.engine.Run(ctx) })
	t.Cleanup(func() {
		stopping, end := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer end()
		require.NoError(t, b.engine.Stop(stopping))
		server.Close()
		cancel()
		work.Wait()
		require.NoError(t, opened.Close())
	})
	return b
}

func (b *bench) target(t *testing.T, path, method string, settings map[string]any) Target {
	t.Helper()
	settings["path"], settings["method"], settings["action"] = path, method, "ingest"
	s, err := framework.DecodeSettings[Settings](settings)
	require.NoError(t, err)
	spec := s.Endpoint().Spec()
	secrets, err := webhook.ReadSecrets(spec, func(name string) any { return settings[name] })
	require.NoError(t, err)
	v, err := webhook.Open(spec, webhook.Config{Secrets: secrets})
	require.NoError(t, err)
	return Target{
		Project: "default", Connection: "hook", ConnectionID: b.con.ID, Path: path, Method: method, Verifier: v,
		Prepare: func(_ context.Context, r Request) (action.Call, error) {
			if strings.Contains(string(r.Input.JSON), "refuse") {
				return action.Call{}, fmt.Errorf("%w: %w", framework.ErrInput, framework.InputErrors{{Name: "refuse", Reason: "is unknown"}})
			}
			if strings.Contains(string(r.Input.JSON), "broken") {
				return action.Call{}, errors.New("the connection sk_inside is gone")
			}
			return action.Call{
				ConnectionID: b.con.ID, Action: "a", Origin: Type, Timeout: time.Minute, Limit: 2000,
				Do: func(ctx context.Context, progress framework.Progress) ([]byte, error) { return b.do(ctx, r, progress) },
			}, nil
		},
	}
}

type response struct {
	*http.Response
	body string
}

// send sends one request and reads the whole answer. header alternates names and values.
func (b *bench) send(t *testing.T, method, path, body string, header ...string) response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	a, err := b.client.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Body.Close()) }()
	text, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return response{a, string(text)}
}

const long = Prefix + "default"

// frame is one server-sent event as a client reads it.
type frame struct {
	id string
	message
}

func framesOf(t *testing.T, body string) (all []frame) {
	t.Helper()
	for block := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
		var f frame
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "id":
				f.id = value
			case "data":
				require.NoError(t, json.Unmarshal([]byte(value), &f.message))
			}
		}
		if f.Type != "" {
			all = append(all, f)
		}
	}
	return all
}

func TestATriggerAnswersWithTheProgressOfItsRun(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.do = func(_ context.Context, r Request, progress framework.Progress) ([]byte, error) {
		progress(25, "")
		progress(50, "half")
		return r.Input.JSON, nil
	}
	a := b.send(t, http.MethodPost, long+"/hook", `{"data": "payload"}`, "Authorization", "Bearer "+token, "Content-Type", "application/json", "Accept", "*/*")
	require.Equal(t, []any{200, "text/event-stream", "no-store"}, []any{a.StatusCode, a.Header.Get("Content-Type"), a.Header.Get("Cache-Control")})
	all := framesOf(t, a.body)
	require.Len(t, all, 4)
	id := all[0].RunID
	for i, f := range all {
		require.Equal(t, fmt.Sprintf("%s/%d", id, i+1), f.id, "every frame has an id")
		require.Equal(t, id, f.RunID)
	}
	require.Contains(t, a.body, `data: {"type":"progress","run_id":"`+id+`","progress":25}`)
	require.Contains(t, a.body, `data: {"type":"progress","run_id":"`+id+`","progress":50,"message":"half"}`)
	require.Equal(t, []string{"complete", `{"data":"payload"}`}, []string{all[3].Type, string(all[3].Output)})

	b.do = func(context.Context, Request, framework.Progress) ([]byte, error) {
		return nil, errors.New("the provider is away")
	}
	a = b.send(t, http.MethodPut, "/default/hook", "")
	last := framesOf(t, a.body)[1]
	require.Equal(t, []any{200, "error", store.RunFailed, "the provider is away"}, []any{a.StatusCode, last.Type, last.State, last.Error})
	b.do = func(context.Context, Request, framework.Progress) ([]byte, error) {
		return nil, &framework.PanicError{Value: "secret of the inside"}
	}
	a = b.send(t, http.MethodPut, "/default/hook", "")
	require.NotContains(t, a.body, "secret")
	require.Contains(t, a.body, insideError)
}

func TestWhoMayCallATriggerAndHow(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	bearer := "Bearer " + token
	for _, c := range []struct {
		method, path string
		status       int
		header       []string
	}{
		{http.MethodPost, long + "/hook", 401, nil},
		{http.MethodPost, long + "/hook", 401, []string{"Authorization", "Bearer " + token[1:]}},
		{http.MethodPost, long + "/hook", 401, []string{"Authorization", "Basic " + token}},
		{http.MethodPost, long + "/hook", 401, []string{"Authorization", bearer, "Authorization", bearer}},
		{http.MethodPost, long + "/hook", 200, []string{"Authorization", bearer}},
		{http.MethodPost, "/default/hook", 200, []string{"Authorization", bearer}},
		{http.MethodPut, long + "/hook", 200, nil},
		{http.MethodDelete, long + "/hook", 405, nil},
		{http.MethodPost, long + "/hook/", 404, []string{"Authorization", bearer}},
		{http.MethodPost, long + "//hook", 404, []string{"Authorization", bearer}},
		{http.MethodPost, long + "/Hook", 404, []string{"Authorization", bearer}},
		{http.MethodPost, long + "/%68ook", 200, []string{"Authorization", bearer}},
		{http.MethodPost, long + "/%2568ook", 404, []string{"Authorization", bearer}},
		{http.MethodPost, long + "/x/%2e%2e/hook", 404, []string{"Authorization", bearer}},
		{http.MethodPost, long + "/hook%00", 404, []string{"Authorization", bearer}},
		{http.MethodPost, Prefix + "other/hook", 404, []string{"Authorization", bearer}},
		{http.MethodPost, Prefix + "%64efault/hook", 404, []string{"Authorization", bearer}},
		{http.MethodOptions, long + "/any/%C3%BCn%C3%AF", 200, nil},
		{http.MethodPatch, long + "/any/ünï", 200, nil},
		{http.MethodPost, long + "/signed", 401, nil},
		{http.MethodPost, long + "/signed", 401, []string{"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18"}},
	} {
		a := b.send(t, c.method, c.path, "", c.header...)
		require.Equal(t, c.status, a.StatusCode, "%s %s %v: %s", c.method, c.path, c.header, a.body)
		switch c.status {
		case 401:
			require.NotContains(t, a.body, token)
		case 405:
			require.Equal(t, "POST, PUT", a.Header.Get("Allow"))
		}
	}
	require.Equal(t, "Bearer", b.send(t, http.MethodPost, long+"/hook", "").Header.Get("Www-Authenticate"))
	for _, method := range []string{http.MethodTrace, "PROPFIND"} {
		a := b.send(t, method, "/default/any/ünï", "")
		require.Equal(t, []any{405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"}, []any{a.StatusCode, a.Header.Get("Allow")}, "all are those that a trigger may have")
	}
	// The example of GitHub's documentation.
	a := b.send(t, http.MethodPost, long+"/signed", "Hello, World!", "X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	require.Equal(t, 415, a.StatusCode, "verified, and then no JSON: %s", a.body)
}

func TestTheInputIsTheBodyOrTheFormOrTheQuery(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(t, w.WriteField("name", "Ada"))
	file, err := w.CreateFormFile("cv", "cv.txt")
	require.NoError(t, err)
	_, err = file.Write([]byte{0, 1, 2})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, c := range []struct{ query, kind, body, want string }{
		{"", "application/json", `{"n": 1e400, "big": 9007199254740993}`, `{"n":1e400,"big":9007199254740993}`},
		{"?a=1", "application/json", `[1]`, `[1]`},
		{"?a=1&b=x&a=2", "", "", `{"a":["1","2"],"b":"x"}`},
		{"", "", "", `{}`},
		{"", "application/x-www-form-urlencoded", "a=1&b=%C3%BC", `{"a":"1","b":"ü"}`},
		{"", "application/x-www-form-urlencoded", `{"a": 1}`, `{"a":1}`},
		{"", w.FormDataContentType(), form.String(), `{"cv":{"content":"AAEC","name":"cv.txt","type":"application/octet-stream"},"name":"Ada"}`},
	} {
		a := b.send(t, http.MethodPut, long+"/hook"+c.query, c.body, "Content-Type", c.kind, "Accept", "application/json")
		require.Equal(t, 200, a.StatusCode, a.body)
		var m struct {
			Output json.RawMessage `json:"output"`
		}
		require.NoError(t, json.Unmarshal([]byte(a.body), &m))
		require.Equal(t, c.want, string(m.Output), "%s %s", c.query, c.kind)
	}
	for body, status := range map[string]int{`{"a":`: 422, `{"refuse":1}`: 422, `{"broken":1}`: 500, `"` + strings.Repeat("x", MaxBody) + `"`: 413} {
		a := b.send(t, http.MethodPut, long+"/hook", body, "Content-Type", "application/json")
		require.Equal(t, status, a.StatusCode, a.body)
		require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
		require.NotContains(t, a.body, "sk_inside")
	}
	require.Contains(t, b.send(t, http.MethodPut, long+"/hook", `{"refuse":1}`).body, `"errors":[{"parameter":"refuse","detail":"is unknown"}]`)
	require.Equal(t, 415, b.send(t, http.MethodPut, long+"/hook", "x", "Content-Encoding", "gzip").StatusCode)
	require.Equal(t, 415, b.send(t, http.MethodPut, long+"/hook", "<a/>", "Content-Type", "text/xml").StatusCode)
}

func TestAnswersWithoutEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	a := b.send(t, http.MethodPut, long+"/hook", `{"x":1}`, "Accept", "text/html, application/json;q=0.5")
	require.Equal(t, []any{200, "application/json"}, []any{a.StatusCode, a.Header.Get("Content-Type")})
	require.Contains(t, a.body, `"type":"complete"`)
	a = b.send(t, http.MethodPut, long+"/hook", `{"x":1}`, "Accept", "application/json, text/event-stream")
	require.Equal(t, "text/event-stream", a.Header.Get("Content-Type"))
	release := make(chan struct{})
	b.do = func(context.Context, Request, framework.Progress) ([]byte, error) {
		<-release
		return nil, errors.New("late")
	}
	a = b.send(t, http.MethodPut, long+"/hook", `{"x":1}`, "Prefer", "respond-async")
	require.Equal(t, 202, a.StatusCode)
	var m message
	require.NoError(t, json.Unmarshal([]byte(a.body), &m))
	require.Equal(t, "/api/v1/projects/default/runs/"+m.RunID, a.Header.Get("Location"))
	close(release)
	a = b.send(t, http.MethodPut, long+"/hook", "", "Accept", "application/json", "Last-Event-ID", m.RunID)
	require.Equal(t, 500, a.StatusCode)
	require.Contains(t, a.body, `"error":"late"`)
}

func TestALostCallerComesBackAndTheRunGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Streaming.Heartbeat = 20 * time.Millisecond })
	step := make(chan int)
	var calls sync.Map
	b.do = func(ctx context.Context, _ Request, progress framework.Progress) ([]byte, error) {
		calls.Store(ctx, true)
		for p := range step {
			progress(p, "")
		}
		return []byte(`"done"`), ctx.Err()
	}
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, b.url+long+"/hook", http.NoBody)
	require.NoError(t, err)
	a, err := b.client.Do(r)
	require.NoError(t, err)
	reader := bufio.NewReader(a.Body)
	line := func(prefix string) string {
		for {
			text, err := reader.ReadString('\n')
			require.NoError(t, err)
			if rest, ok := strings.CutPrefix(text, prefix); ok {
				return strings.TrimSpace(rest)
			}
		}
	}
	first := line("id: ")
	line(": still here") // a heartbeat, while there is no news
	step <- 30
	second := line("id: ")
	leave()
	require.NoError(t, a.Body.Close())
	step <- 60
	close(step)
	id, _, ok := ReadEventID(first)
	require.True(t, ok)
	back := b.send(t, http.MethodPut, long+"/hook", "", "Last-Event-ID", second)
	all := framesOf(t, back.body)
	require.Equal(t, []string{id + "/3", id + "/4"}, []string{all[0].id, all[1].id})
	require.Equal(t, `"done"`, string(all[1].Output), "it went on while nobody listened")
	require.Equal(t, 204, b.send(t, http.MethodPut, long+"/hook", "", "Last-Event-ID", id+"/4").StatusCode)
	for _, wrong := range []string{"run_unknown/1", "nonsense", id + "/x", ""} {
		require.Equal(t, 404, b.send(t, http.MethodPut, long+"/hook", "", "Last-Event-ID", wrong).StatusCode, wrong)
	}
	require.Equal(t, 401, b.send(t, http.MethodPost, long+"/hook", "", "Last-Event-ID", second).StatusCode, "the token is needed to come back too")
	n := 0
	calls.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n, "coming back starts nothing")
}

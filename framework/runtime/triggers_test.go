package runtime_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/trigger"
	"github.com/weirhq/weir/ingest"
)

const callToken = "a-token-of-callers-0123456789"

// history is a stream that can be read again from any time.
var history = catalog.Poll[record, position]("history", catalog.PollSpec{Schedule: "@every 1h", Backfill: true})

// provider is what the stream of the connector "archive" reads. A page waits for a
// word at go, and is then read with it: "" for one more record, "last" for the last
// one, anything else for an error.
type provider struct {
	say chan string
	// away ends what waits for a word when the test is over.
	away chan struct{}
}

func (p *provider) plugin() framework.Plugin {
	declared := catalog.Connector{Key: "archive", Streams: []catalog.Stream{history}}
	page := func(ctx context.Context, in framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
		next := framework.SyncResult[position]{Cursor: position{in.Cursor.Page + 1}}
		select {
		case <-ctx.Done():
			return next, context.Cause(ctx)
		case <-p.away:
			return next, errors.New("nobody says anything any more")
		case word := <-p.say:
			if word != "" && word != "last" {
				return next, framework.Permanent(errors.New(word))
			}
			next.HasMore = word == ""
			return next, emit(out, history, fmt.Sprint("r", in.Cursor.Page, " ", in.From.Unix()))
		}
	}
	return framework.Define(declared, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(history, page)}, nil
	})
}

// triggered is a trigger of a built-in action.
func triggered(name, action string, more ...string) config.Connection {
	settings := map[string]any{"path": "/" + name, "method": "POST", "auth_token": callToken, "action": action}
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return config.Connection{Project: "default", Name: name, Connector: trigger.Type, Type: trigger.Type, Enabled: true, Settings: settings}
}

// triggerBench runs Weir with a provider, a sink of its records that refuses
// everything at first, and a trigger of each built-in action.
func triggerBench(t *testing.T) (*weir, *provider, *receiver) {
	t.Helper()
	p, r := &provider{make(chan string), make(chan struct{})}, &receiver{}
	refusing := behaviour{deliver: func(batch []*sink.Message) sink.Answer {
		if answer := r.take(batch); answer.Err == nil {
			return answer
		}
		return sink.Answer{Status: http.StatusUnprocessableEntity}
	}}
	r.set(true)
	log := &lines{}
	opened, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{
			{Project: "default", Name: "old", Connector: "archive", Type: "source", Enabled: true, Settings: map[string]any{}},
			outlet("out", "old.history"),
			triggered("sync", "sync", "target", "old"), triggered("range", "backfill", "target", "old.history"),
			triggered("again", "redeliver", "target", "out"), triggered("in", "ingest"),
		}},
		Plugins: []framework.Plugin{p.plugin(), refusing.outlet()},
		Log:     slog.New(slog.NewTextHandler(log, nil)),
		OpenStore: func(ctx context.Context) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
		},
	})
	require.NoError(t, err)
	w := serve(t, opened, log)
	t.Cleanup(func() { close(p.away) })
	// The live poll that begins at the start is over before a trigger begins.
	p.say <- "last"
	w.await(t, "old", "history", func(r row) bool { return r.EventsTotal == 1 && r.State == "healthy" })
	return w, p, r
}

// call is a request at a trigger whose answer is read while it comes.
type call struct {
	t      *testing.T
	status int
	lines  *bufio.Scanner
	body   interface{ Close() error }
	last   string
}

func (w *weir) call(t *testing.T, path, body string, header ...string) *call {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/sink/trigger/http/default/"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+callToken)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := w.client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return &call{t: t, status: response.StatusCode, lines: bufio.NewScanner(response.Body), body: response.Body}
}

// frame is the next one; ok is false when there is none any more.
func (c *call) frame() (f map[string]any, ok bool) {
	c.t.Helper()
	for c.lines.Scan() {
		if id, is := strings.CutPrefix(c.lines.Text(), "id: "); is {
			c.last = id
		}
		if text, is := strings.CutPrefix(c.lines.Text(), "data: "); is {
			require.NoError(c.t, json.Unmarshal([]byte(text), &f))
			return f, true
		}
	}
	return nil, false
}

// until reads frames up to one of a type, which is the last one unless it is a
// progress, and returns it with how many were before it.
func (c *call) until(kind string) (f map[string]any, before int) {
	c.t.Helper()
	require.Equal(c.t, http.StatusOK, c.status)
	for {
		next, ok := c.frame()
		require.True(c.t, ok, "the answer ended before a frame %s; the last one was %v", kind, f)
		if f = next; f["type"] == kind {
			if kind != "progress" {
				_, more := c.frame()
				require.False(c.t, more, "nothing follows the last frame")
			}
			return f, before
		}
		require.Equal(c.t, "progress", f["type"], "%v", f)
		before++
	}
}

func (c *call) rest() string {
	var all strings.Builder
	for c.lines.Scan() {
		all.WriteString(c.lines.Text())
	}
	return all.String()
}

// cancel ends the run by the management API.
func (w *weir) cancel(t *testing.T, f map[string]any) {
	t.Helper()
	status, body := w.do(t, http.MethodDelete, fmt.Sprint("/api/v1/projects/default/runs/", f["run_id"]), nil, nil)
	require.Less(t, status, 300, "%s", body)
}

func TestASyncIsTriggeredAndTellsItsPages(t *testing.T) {
	t.Parallel()
	w, p, _ := triggerBench(t)
	c := w.call(t, "sync", "")
	p.say <- ""
	p.say <- "last"
	f, before := c.until("complete")
	require.Equal(t, map[string]any{"streams": []any{"history"}, "pages": 2.0, "emitted": 2.0, "duplicates": 0.0}, f["output"])
	require.GreaterOrEqual(t, before, 2, "the start and at least one page")

	c = w.call(t, "sync", "")
	p.say <- "the provider refuses"
	f, _ = c.until("error")
	require.Equal(t, "failed", f["state"])
	require.Contains(t, f["error"], "stream history: ")
	require.Contains(t, f["error"], "the provider refuses")

	c = w.call(t, "sync", "")
	f, _ = c.until("progress")
	w.cancel(t, f)
	f, _ = c.until("error")
	require.Equal(t, "canceled", f["state"])

	c = w.call(t, "sync", `{"pages": 3}`)
	require.Equal(t, http.StatusUnprocessableEntity, c.status)
	require.Contains(t, c.rest(), `"errors":[{"parameter":"pages","detail":"is unknown`)
}

func TestABackfillIsTriggeredAndTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	w, p, _ := triggerBench(t)
	const days = `{"from": "2026-01-01", "to": "2026-01-03", "window": "24h"}`
	c := w.call(t, "range", days)
	p.say <- "last"
	p.say <- "last"
	f, _ := c.until("complete")
	output, ok := f["output"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, "done", output["state"], "%v", output)
	require.EqualValues(t, 2, output["events"])

	c = w.call(t, "range", days)
	p.say <- "the provider has forgotten"
	f, _ = c.until("error")
	require.Equal(t, "failed", f["state"])
	require.Contains(t, f["error"], "the provider has forgotten")

	c = w.call(t, "range", `{"from": "2025-01-01", "to": "2025-02-01"}`)
	f, _ = c.until("progress")
	// Its backfill has begun when it asks the provider for a page; the word is for nobody.
	require.Eventually(t, func() bool {
		_, body := w.do(t, http.MethodGet, "/api/v1/connections/old/streams/history/backfills", nil, nil)
		return strings.Contains(string(body), `"running"`)
	}, time.Minute, 5*time.Millisecond)
	w.cancel(t, f)
	f, _ = c.until("error")
	require.Equal(t, "canceled", f["state"])
	_, body := w.do(t, http.MethodGet, "/api/v1/connections/old/streams/history/backfills", nil, nil)
	require.NotContains(t, string(body), `"running"`, "what the run has begun is taken back")

	c = w.call(t, "range", `{"to": "yesterday", "window": "a day", "rate": "fast", "form": 1}`)
	require.Equal(t, http.StatusUnprocessableEntity, c.status)
	all := c.rest()
	require.Contains(t, all, `"parameter":"form","detail":"is unknown; did you mean \"from\"?`)
	for _, name := range []string{"from", "to", "window", "rate"} {
		require.Contains(t, all, `{"parameter":"`+name+`"`, "all faults at once")
	}
}

func TestDeadLettersAreRedeliveredByATrigger(t *testing.T) {
	t.Parallel()
	w, _, r := triggerBench(t)
	letters := func() string {
		_, body := w.do(t, http.MethodGet, "/api/v1/connections/out/dead-letters", nil, nil)
		return string(body)
	}
	require.Eventually(t, func() bool { return strings.Contains(letters(), "old.history") }, time.Minute, 5*time.Millisecond)
	r.set(false)
	c := w.call(t, "again", `{"stream": "old.histori", "rate": 0}`)
	require.Equal(t, http.StatusUnprocessableEntity, c.status)
	all := c.rest()
	require.Contains(t, all, `"parameter":"rate"`)
	require.Contains(t, all, `did you mean \"old.history\"?`)
	f, _ := w.call(t, "again", `{"stream": "old.history", "rate": 50}`).until("complete")
	require.Equal(t, map[string]any{"redelivered": 1.0}, f["output"])
	require.Eventually(t, func() bool { return len(r.got()) == 1 }, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool { return !strings.Contains(letters(), "old.history") }, 20*time.Second, 5*time.Millisecond)
	f, _ = w.call(t, "again", "").until("complete")
	require.Equal(t, map[string]any{"redelivered": 0.0}, f["output"])
	status, body := w.do(t, http.MethodDelete, "/api/v1/connections/out?dead_letters=keep", nil, nil)
	require.Equal(t, http.StatusConflict, status, "the file has it: %s", body)
}

func TestATriggerRecordsWhatIsSentToItOnce(t *testing.T) {
	t.Parallel()
	w, _, _ := triggerBench(t)
	one, _ := w.call(t, "in", `{"n": 9007199254740993}`, "Idempotency-Key", "k1").until("complete")
	first, ok := one["output"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, []any{"in.events", 1.0, false}, []any{first["stream"], first["sequence"], first["duplicate"]})
	again, _ := w.call(t, "in", `{"n": 1}`, "Idempotency-Key", "k1").until("complete")
	second, ok := again["output"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, []any{first["id"], true}, []any{second["id"], second["duplicate"]})
	form, _ := w.call(t, "in", "a=1&b=2", "Content-Type", "application/x-www-form-urlencoded").until("complete")
	require.Contains(t, form["output"], "id")
	_, body := w.do(t, http.MethodGet, "/api/v1/connections/in/streams/events/events", nil, nil)
	require.Contains(t, string(body), `{"n": 9007199254740993}`)
	require.Contains(t, string(body), `"subject":"k1"`, "the sender's own id")
	require.Contains(t, string(body), `{"a":"1","b":"2"}`)
	require.Equal(t, http.StatusUnprocessableEntity, w.call(t, "in", `{"n":`, "Content-Type", "application/json").status)
	// A caller who does not wait finds the end where it is told to look.
	async := w.call(t, "in", `{"n": 2}`, "Prefer", "respond-async")
	require.Equal(t, http.StatusAccepted, async.status)
	var accepted struct {
		RunID string `json:"run_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(async.rest()), &accepted))
	require.Eventually(t, func() bool {
		_, body := w.do(t, http.MethodGet, "/api/v1/projects/default/runs/"+accepted.RunID, nil, nil)
		return strings.Contains(string(body), `"state":"succeeded"`)
	}, time.Minute, 5*time.Millisecond)
}

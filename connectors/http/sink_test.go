package http_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// got is a request as the receiver got it.
type got struct {
	*http.Request

	body string
}

// inbox is a receiver that keeps what it gets, and answers by respond or 200.
type inbox struct {
	url string

	mu   sync.Mutex
	list []got
}

func receive(t *testing.T, respond http.HandlerFunc) *inbox {
	t.Helper()
	in := &inbox{}
	in.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		in.mu.Lock()
		in.list = append(in.list, got{r, string(body)})
		in.mu.Unlock()
		if respond != nil {
			respond(w, r)
		}
	})
	return in
}

func (in *inbox) only(t *testing.T) got {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	require.Len(t, in.list, 1)
	return in.list[0]
}

// openSink opens a sink as the runtime does, with a guard that reaches loopback.
func openSink(t *testing.T, settings map[string]any) sink.Spec {
	t.Helper()
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	as, ok := connector.Plugin.AsSink()
	require.True(t, ok)
	settings, err := as.Canonical(settings)
	require.NoError(t, err)
	spec, err := as.OpenSink(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "out", ConnectionID: "con_out", Settings: settings, Client: guard.Client, NewClient: guard.NewClient,
	})
	require.NoError(t, err)
	return spec
}

// order is an event of the shop.
func order(n int, payload string) *ingest.Event {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &ingest.Event{
		ID: fmt.Sprintf("evt_%d", n), Project: "default", Connection: "shop", ConnectionID: "con_shop", Stream: "orders", Sequence: int64(n),
		Type: "order", Subject: fmt.Sprintf("o/%d ü", n), Operation: ingest.Upsert, Key: "k", Time: at, RecordedAt: at,
	}
	if payload == "" {
		e.Operation = ingest.Deletion
	} else {
		e.Payload = json.RawMessage(payload)
	}
	return e
}

// send sends events as one batch.
func send(t *testing.T, spec sink.Spec, events ...*ingest.Event) sink.Answer {
	t.Helper()
	var batch []*sink.Message
	for _, e := range events {
		m, err := spec.Sender.Prepare(t.Context(), e)
		require.NoError(t, err)
		if m != nil {
			batch = append(batch, m)
		}
	}
	require.NotEmpty(t, batch)
	for _, m := range batch {
		require.Equal(t, batch[0].Group, m.Group)
	}
	return spec.Sender.Send(t.Context(), batch)
}

const exact = `{ "id":1, "big":9007199254740993, "huge":1e400, "u":"\u00fc" }`

func TestEveryFormatCarriesThePayloadByteForByte(t *testing.T) {
	t.Parallel()
	event, err := order(1, exact).MarshalJSON()
	require.NoError(t, err)
	compact := `{"id":1,"big":9007199254740993,"huge":1e400,"u":"\u00fc"}`
	for format, want := range map[string]struct{ one, two, contentType string }{
		"cloudevents":         {one: string(event), contentType: "application/cloudevents+json; charset=utf-8"},
		"cloudevents_batched": {"[" + string(event) + "]", "[" + string(event) + "," + string(event) + "]", "application/cloudevents-batch+json; charset=utf-8"},
		"cloudevents_binary":  {one: exact, contentType: "application/json"},
		"json":                {one: exact, contentType: "application/json"},
		"json_array":          {"[" + exact + "]", "[" + exact + "," + exact + "]", "application/json"},
		"ndjson":              {compact + "\n", compact + "\n" + compact + "\n", "application/x-ndjson"},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			in := receive(t, nil)
			answer := send(t, openSink(t, map[string]any{"endpoint": in.url, "format": format}), order(1, exact))
			require.NoError(t, answer.Err)
			require.Equal(t, 200, answer.Status)
			r := in.only(t)
			require.Equal(t, http.MethodPost, r.Method)
			require.Equal(t, want.one, r.body)
			require.Equal(t, want.contentType, r.Header.Get("Content-Type"))
			require.Equal(t, "evt_1", r.Header.Get("Idempotency-Key"))
			if format == "cloudevents_binary" {
				require.Equal(t, "evt_1", r.Header.Get("Ce-Id"))
				require.Equal(t, "1", r.Header.Get("Ce-Weirsequence"))
				require.Equal(t, "o/1%20%C3%BC", r.Header.Get("Ce-Subject"))
			}
			if want.two == "" {
				return
			}
			in = receive(t, nil)
			spec := openSink(t, map[string]any{"endpoint": in.url, "format": format, "batch": map[string]any{"max_events": 10}})
			send(t, spec, order(1, exact), order(1, exact))
			require.Equal(t, want.two, in.only(t).body)
		})
	}
}

func TestMethodURLHeadersAndBodyAreTemplatesOfTheEvent(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	spec := openSink(t, map[string]any{
		"endpoint": in.url + "/orders/{{ .subject }}?op={{ .weiroperation }}&a=b c",
		"method":   `{{ if .data.new then "POST" else "PUT" end }}`,
		"headers":  []any{map[string]any{"name": "X-Seq", "value": "n{{ .weirsequence }}"}, map[string]any{"name": "X-Seq", "value": "two"}},
		"format":   "template", "template": `<order id="{{ .data.id }}"/>`, "content_type": "application/xml",
		"delete_method": "DELETE",
	})
	send(t, spec, order(1, exact))
	r := in.only(t)
	require.Equal(t, "PUT", r.Method)
	require.Equal(t, "/orders/o%2F1%20%C3%BC?op=upsert&a=b%20c", r.RequestURI)
	require.Equal(t, []string{"n1", "two"}, r.Header["X-Seq"])
	require.Equal(t, `<order id="1"/>`, r.body)
	require.Equal(t, "application/xml", r.Header.Get("Content-Type"))
}

func TestADeletionMayBecomeDeleteAndOtherMethodsCarryNoBody(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	send(t, openSink(t, map[string]any{"endpoint": in.url, "format": "json", "delete_method": "DELETE"}), order(1, ""))
	r := in.only(t)
	require.Equal(t, "DELETE", r.Method)
	require.Empty(t, r.body)
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		in := receive(t, nil)
		send(t, openSink(t, map[string]any{"endpoint": in.url, "method": method}), order(1, exact))
		r := in.only(t)
		require.Equal(t, method, r.Method)
		require.Empty(t, r.body)
		require.Empty(t, r.Header.Get("Content-Type"))
	}
}

func TestFilterPassesOverAndTransformReplacesTheData(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	spec := openSink(t, map[string]any{"endpoint": in.url, "format": "json", "filter": `.data.id == 1`, "transform": `.data.big`})
	m, err := spec.Sender.Prepare(t.Context(), order(2, `{"id":2}`))
	require.NoError(t, err)
	require.Nil(t, m)
	send(t, spec, order(1, exact))
	require.Equal(t, "9007199254740993", in.only(t).body, "selected, so its digits stay")
	_, err = openSink(t, map[string]any{"endpoint": in.url, "transform": `.data.id, .data.big`}).Sender.Prepare(t.Context(), order(1, exact))
	require.ErrorContains(t, err, "gives 2 values")
	_, err = openSink(t, map[string]any{"endpoint": in.url, "filter": `.data.id | error`}).Sender.Prepare(t.Context(), order(1, exact))
	require.ErrorContains(t, err, "filter")
}

func TestSignsForEverySecretWhileOneIsRotated(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	old, fresh := "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_NzY1NDMyMTBmZWRjYmE5ODc2NTQzMjEw"
	spec := openSink(t, map[string]any{
		"endpoint": in.url, "signing_secret": []any{fresh, old}, "compression": "gzip", "compression_threshold": 0,
	})
	send(t, spec, order(1, exact))
	send(t, spec, order(1, exact))
	require.Len(t, in.list, 2)
	for _, r := range in.list {
		require.Equal(t, "evt_1", r.Header.Get("webhook-id"), "the same over retries")
		for _, secret := range []string{old, fresh} {
			v, err := webhook.New(catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, []string{secret})
			require.NoError(t, err)
			require.NoError(t, v.Verify(time.Now(), webhook.Request{Header: r.Header, Body: []byte(r.body)}), "what is sent is what is signed")
			require.Error(t, v.Verify(time.Now(), webhook.Request{Header: r.Header, Body: []byte(r.body + " ")}))
		}
	}
}

func TestCompressesWhatIsLargeEnough(t *testing.T) {
	t.Parallel()
	inflate := map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
	for name, open := range inflate {
		in := receive(t, nil)
		spec := openSink(t, map[string]any{"endpoint": in.url, "format": "json", "compression": name})
		long := `{"text":"` + strings.Repeat("a", 2000) + `"}`
		send(t, spec, order(1, long))
		r := in.only(t)
		require.Equal(t, name, r.Header.Get("Content-Encoding"))
		plain, err := open(strings.NewReader(r.body))
		require.NoError(t, err)
		body, err := io.ReadAll(plain)
		require.NoError(t, err)
		require.Equal(t, long, string(body))
	}
}

func TestARedirectIsAFailureAndNeverFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		in := receive(t, nil)
		out := receive(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, in.url, status) })
		spec := openSink(t, map[string]any{"endpoint": out.url})
		answer := send(t, spec, order(1, exact))
		require.Equal(t, status, answer.Status)
		require.Equal(t, sink.Retry, spec.Policy.Decide(sink.Attempt{Answer: answer, Number: 1, Now: time.Now(), Events: 1}).Verdict)
		same := receive(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/again" {
				http.Redirect(w, r, "/again", status)
			}
		})
		answer = send(t, openSink(t, map[string]any{"endpoint": same.url}), order(1, exact))
		require.Equal(t, status, answer.Status, "nor on the same host")
		require.Len(t, same.list, 1)
		require.Empty(t, in.list)
	}
}

func TestAnAnswerIsReadOnlyInPartAndOnlyForAWhile(t *testing.T) {
	t.Parallel()
	t.Run("bomb", func(t *testing.T) {
		t.Parallel()
		in := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			zeros := make([]byte, 1<<20)
			for range 48 {
				_, _ = z.Write(zeros)
			}
			_ = z.Close()
		})
		answer := send(t, openSink(t, map[string]any{"endpoint": in.url}), order(1, exact))
		require.NoError(t, answer.Err)
		require.Len(t, answer.Body, store.MaxResponseBytes)
	})
	t.Run("drip", func(t *testing.T) {
		t.Parallel()
		in := receive(t, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				http.NewResponseController(w).Flush() //nolint:errcheck // the client goes away
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
		begun := time.Now()
		answer := send(t, openSink(t, map[string]any{"endpoint": in.url, "timeout_seconds": 0.3}), order(1, exact))
		require.ErrorContains(t, answer.Err, "no whole answer within 300ms")
		require.Less(t, time.Since(begun), 10*time.Second)
		require.NotEqual(t, sink.Delivered, sink.Standard{}.Decide(sink.Attempt{Answer: answer, Number: 1}).Verdict)
	})
	t.Run("truncated", func(t *testing.T) {
		t.Parallel()
		in := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		})
		answer := send(t, openSink(t, map[string]any{"endpoint": in.url}), order(1, exact))
		require.ErrorContains(t, answer.Err, "broke off")
	})
	t.Run("headers", func(t *testing.T) {
		t.Parallel()
		in := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("a", 1000))
			}
		})
		require.Error(t, send(t, openSink(t, map[string]any{"endpoint": in.url}), order(1, exact)).Err)
	})
}

func TestWhatIsKeptOfARequestHoldsNoSecret(t *testing.T) {
	t.Parallel()
	in := receive(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintf(w, "got %s", r.Header)
	})
	answer := send(t, openSink(t, map[string]any{
		"endpoint": in.url + "/hook/0123456789abcdef-canary?key=canary-query", "headers": []any{map[string]any{"name": "X-Key", "value": "canary-header"}},
		"authentication": map[string]any{"type": "bearer", "token": "canary-token-canary"}, "signing_secret": "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5",
	}), order(1, exact))
	kept := string(answer.Request) + string(answer.Body)
	require.NotContains(t, kept, "canary")
	require.Contains(t, string(answer.Request), "/hook/0123***\n")
	require.Contains(t, string(answer.Request), "X-Key: ***")
	require.Contains(t, string(answer.Request), "Webhook-Id: evt_1")
}

func TestTheNamesOfOtherSystemsStandForOurs(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	spec := openSink(t, map[string]any{
		"callback.request.url": in.url, "callback.request.method": "PUT", "callback.request.headers": `{"B":"2","A":"1"}`,
		"retry.backoff.sec": "1,2", "request.delay.sec": 3, "exception.strategy": "STOP_TASK",
	})
	require.Equal(t, sink.Strategy{Strategy: sink.StopTask, Backoff: []time.Duration{time.Second, 2 * time.Second}}, spec.Policy)
	require.Equal(t, 3*time.Second, spec.Delay)
	send(t, spec, order(1, exact))
	r := in.only(t)
	require.Equal(t, "PUT", r.Method)
	require.Equal(t, "1", r.Header.Get("A"))
	as, _ := connector.Plugin.AsSink()
	_, err := as.Canonical(map[string]any{"endpoint": "http://a", "fullUrl": "http://b"})
	require.ErrorContains(t, err, "keep one")
	_, err = as.Canonical(map[string]any{"callback.request.headers": `["secret"]`})
	require.ErrorContains(t, err, "must be a JSON object")
	require.NotContains(t, err.Error(), "secret")
}

func TestTheFlatFormStandsForOurs(t *testing.T) {
	t.Parallel()
	in := receive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	})
	flat := func(path string) map[string]any {
		return map[string]any{
			"fullUrl": in.url + path + "?q=a b", "httpMethod": "PATCH", "timeout": 0.3,
			"headerList":                         []any{map[string]any{"name": "X-B", "value": "2"}, map[string]any{"name": "X-A", "value": "1"}},
			"connectionPoolMaxConnectionPerHost": 3, "connectionPoolMaxConnectionTotal": 5,
		}
	}
	require.NoError(t, send(t, openSink(t, flat("/hook")), order(1, exact)).Err)
	r := in.only(t)
	require.Equal(t, []string{"PATCH", "q=a%20b", "1", "2"}, []string{r.Method, r.URL.RawQuery, r.Header.Get("X-A"), r.Header.Get("X-B")})
	begun := time.Now()
	require.ErrorContains(t, send(t, openSink(t, flat("/slow")), order(1, exact)).Err, "within 300ms")
	require.Less(t, time.Since(begun), 20*time.Second)
	as, _ := connector.Plugin.AsSink()
	settings, err := as.Canonical(flat("/hook"))
	require.NoError(t, err)
	require.NoError(t, as.CheckSettings(settings))
	require.ErrorContains(t, as.CheckSettings(map[string]any{"endpoint": "https://a.example", "pool": map[string]any{"max_total": 0}}), "pool.max_total")
}

func TestStatusesAndWaitsAreSet(t *testing.T) {
	t.Parallel()
	spec := openSink(t, map[string]any{
		"endpoint": "https://receiver.example", "retry": map[string]any{"waits_sec": "5,300", "statuses": map[string]any{"4xx": "dead_letter", "404": "retry", "409": "delivered"}},
	})
	decide := func(status, number int) sink.Decision {
		return spec.Policy.Decide(sink.Attempt{Answer: sink.Answer{Status: status}, Number: number, Events: 1})
	}
	require.Equal(t, sink.GiveUp, decide(403, 1).Verdict)
	require.Equal(t, sink.Delivered, decide(409, 1).Verdict)
	require.Equal(t, sink.Retry, decide(404, 2).Verdict)
	require.GreaterOrEqual(t, decide(404, 2).After, 300*time.Second)
	require.Equal(t, sink.GiveUp, decide(404, 3).Verdict, "as many retries as waits")
}

func TestWrongSettingsOfASinkAreAllNamed(t *testing.T) {
	t.Parallel()
	as, _ := connector.Plugin.AsSink()
	for want, settings := range map[string]map[string]any{
		`"endpoint" is required`:                               {},
		`"endpoint" must name its host`:                        {"endpoint": "https://{{ .subject }}.example"},
		`"headers[0].name" may not be set`:                     {"headers": []any{map[string]any{"name": "webhook-signature", "value": "x"}}},
		`"headers[0].value" holds a line`:                      {"headers": []any{map[string]any{"name": "X-A", "value": "x\r\nHost: y"}}},
		`"headers[0].name" is no header`:                       {"headers": []any{map[string]any{"name": "X A", "value": "x"}}},
		`"method" must be POST`:                                {"method": "TRACE"},
		`"batch.max_events" must be 1 with format cloudevents`: {"batch": map[string]any{"max_events": 2}},
		`"batch.max_events" must be 1 with GET`:                {"method": "GET", "format": "json_array", "batch": map[string]any{"max_events": 2}},
		`"batch.max_events" must be at least 1`:                {"batch": map[string]any{"max_events": 0}},
		`"timeout_seconds" must be at least`:                   {"timeout_seconds": 0},
		`"retry_attempts" does not go with`:                    {"retry_attempts": 3, "retry": map[string]any{"backoff": map[string]any{"sec": "5"}}},
		`"exception.strategy" must be`:                         {"exception": map[string]any{"strategy": "IGNORE"}},
		`"signing_secret[0]" has 5 bytes`:                      {"signing_secret": "whsec_c2hvcnQ="},
		`"template" and format: template`:                      {"template": "x"},
		`"retry.backoff.sec" must be seconds`:                  {"retry": map[string]any{"backoff": map[string]any{"sec": "5,-1"}}},
		`"filter" is no jq expression`:                         {"filter": ".a |"},
		`"retry.statuses" says "drop" for 404`:                 {"retry": map[string]any{"statuses": map[string]any{"404": "drop"}}},
		`"retry.statuses" names "2xx"`:                         {"retry": map[string]any{"statuses": map[string]any{"2xx": "retry"}}},
		`"retry.statuses" names "0xx"`:                         {"retry": map[string]any{"statuses": map[string]any{"0xx": "retry"}}},
		`"retry.statuses" says delivered for 302`:              {"retry": map[string]any{"statuses": map[string]any{"302": "delivered"}}},
		`"retry" has waits_sec or statuses`:                    {"retry": map[string]any{"waits_sec": "5", "backoff": map[string]any{"sec": "5"}}},
	} {
		if _, ok := settings["endpoint"]; !ok && want != `"endpoint" is required` {
			settings["endpoint"] = "https://receiver.example/hook"
		}
		require.ErrorContains(t, as.CheckSettings(settings), want)
	}
	rules := map[string]string{}
	for _, w := range as.Warnings(map[string]any{"endpoint": "http://receiver.example", "tls": map[string]any{"insecure": true}}) {
		rules[w.Name] = w.Rule
	}
	require.Equal(t, map[string]string{"endpoint": "SC603", "tls.insecure": "SC603"}, rules)
	require.Empty(t, as.Warnings(map[string]any{"endpoint": "http://127.0.0.1:1"}))
}

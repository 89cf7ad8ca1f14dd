package httpbin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

const payload = `{"id":1,"big":9007199254740993}`

// outlet opens a sink of an address.
func outlet(t *testing.T, address string, settings map[string]any) sink.Spec {
	t.Helper()
	guard := guarded(t)
	as, ok := connector.Plugin.AsSink()
	require.True(t, ok)
	if settings == nil {
		settings = map[string]any{}
	}
	settings["endpoint"] = address
	settings, err := as.Canonical(settings)
	require.NoError(t, err)
	spec, err := as.OpenSink(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "out", ConnectionID: "con_out", Settings: settings, Client: guard.Client, NewClient: guard.NewClient,
	})
	require.NoError(t, err)
	return spec.WithDefaults()
}

// send sends one event and returns the answer and what the sink does about it.
func send(t *testing.T, spec sink.Spec) (sink.Answer, sink.Verdict) {
	t.Helper()
	now := time.Now().UTC()
	m, err := spec.Sender.Prepare(t.Context(), &ingest.Event{
		ID: "evt_1", Project: "default", Connection: "shop", ConnectionID: "con_shop", Stream: "orders", Sequence: 1, Type: "order", Subject: "1",
		Operation: ingest.Upsert, Key: "k", Time: now, RecordedAt: now, Payload: json.RawMessage(payload),
	})
	require.NoError(t, err)
	answer := spec.Sender.Send(t.Context(), []*sink.Message{m})
	return answer, spec.Policy.Decide(sink.Attempt{Answer: answer, Number: 1, First: now, Now: now, Events: 1}).Verdict
}

func TestASinkDoesWhatTheStatusSays(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for path, want := range map[string]sink.Verdict{
		"/status/200": sink.Delivered, "/status/204": sink.Delivered, "/status/400": sink.Split, "/status/401": sink.Retry, "/status/404": sink.Retry,
		"/status/410": sink.Disable, "/status/422": sink.Split, "/status/429": sink.Retry, "/status/500": sink.Retry, "/status/503": sink.Retry,
		"/status/304": sink.Retry, "/redirect/1": sink.Retry, "/absolute-redirect/1": sink.Retry, "/redirect-to?status_code=307&url=%2Fstatus%2F200": sink.Retry,
		"/delete": sink.Retry, "/deflate": sink.Delivered, "/gzip": sink.Delivered, "/html": sink.Delivered, "/stream/3": sink.Delivered,
	} {
		_, verdict := send(t, outlet(t, base+path, nil))
		require.Equal(t, want, verdict, path)
	}
}

func TestASinkLeavesASlowReceiverAtTheTimeout(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for _, path := range []string{"/delay/2", "/drip?duration=2s&delay=0s&numbytes=9", "/drip?duration=0s&delay=2s&numbytes=9"} {
		answer, verdict := send(t, outlet(t, base+path, map[string]any{"timeout_seconds": 0.2}))
		require.Equal(t, sink.Retry, verdict, path)
		require.ErrorContains(t, answer.Err, "no whole answer within 200ms", path)
	}
	answer, verdict := send(t, outlet(t, base+"/drip?duration=100ms&delay=0s&numbytes=9", map[string]any{"timeout_seconds": 20}))
	require.Equal(t, sink.Delivered, verdict)
	require.Equal(t, "*********", string(answer.Body))
}

func TestASinkReadsOnlyTheBeginningOfALargeAnswer(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for _, path := range []string{"/bytes/90000", "/stream-bytes/90000", "/stream/100"} {
		answer, verdict := send(t, outlet(t, base+path, nil))
		require.NoError(t, answer.Err, path)
		require.Equal(t, sink.Delivered, verdict, path)
		require.Len(t, answer.Body, store.MaxResponseBytes, path)
	}
}

func TestASinkProvesWhoItIs(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for path, authentication := range map[string]map[string]any{
		"/basic-auth/user/passwd": {"type": "basic", "username": "user", "password": "passwd"},
		"/bearer":                 {"type": "bearer", "token": "a-token-of-some-length"},
	} {
		_, verdict := send(t, outlet(t, base+path, map[string]any{"authentication": authentication}))
		require.Equal(t, sink.Delivered, verdict, path)
		answer, _ := send(t, outlet(t, base+path, nil))
		require.Equal(t, http.StatusUnauthorized, answer.Status, path)
	}
	answer, _ := send(t, outlet(t, base+"/digest-auth/auth/user/passwd", map[string]any{
		"authentication": map[string]any{"type": "basic", "username": "user", "password": "passwd"},
	}))
	require.Equal(t, http.StatusUnauthorized, answer.Status, "digest is not spoken")
}

// echoed is what the server says of a request.
type echoed struct {
	Method  string
	Args    map[string][]string
	Headers http.Header
	// Data is the body, as a data URL where it is no text.
	Data string
}

func echo(t *testing.T, spec sink.Spec) echoed {
	t.Helper()
	answer, verdict := send(t, spec)
	require.Equal(t, sink.Delivered, verdict, "%d %v %s", answer.Status, answer.Err, answer.Body)
	var e echoed
	require.NoError(t, json.Unmarshal(answer.Body, &e))
	return e
}

// body is the body as it was sent.
func (e echoed) body(t *testing.T) []byte {
	t.Helper()
	kind, encoded, found := strings.Cut(e.Data, ";base64,")
	if !found || !strings.HasPrefix(kind, "data:") {
		return []byte(e.Data)
	}
	plain, err := base64.URLEncoding.DecodeString(encoded)
	require.NoError(t, err)
	return plain
}

func TestARequestArrivesAsItWasConfigured(t *testing.T) {
	t.Parallel()
	base := serve(t)
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		e := echo(t, outlet(t, base+"/anything/{{ .subject }}?q=a b", map[string]any{
			"method": method, "format": "json", "signing_secret": secret, "headers": []any{map[string]any{"name": "X-A", "value": "{{ .type }}"}},
		}))
		require.Equal(t, []string{method, "a b", "order", "evt_1"}, []string{e.Method, strings.Join(e.Args["q"], "|"), e.Headers.Get("X-A"), e.Headers.Get("Idempotency-Key")})
		require.JSONEq(t, payload, e.Data)
		hook, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, hook.Verify([]byte(e.Data), e.Headers), "as the library of Standard Webhooks sees it")
		require.Error(t, hook.Verify([]byte(e.Data+" "), e.Headers))
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		answer, verdict := send(t, outlet(t, base+"/anything", map[string]any{"method": method}))
		require.Equal(t, sink.Delivered, verdict, "%s: %d %v", method, answer.Status, answer.Err)
	}
	e := echo(t, outlet(t, base+"/anything", map[string]any{"format": "json", "compression": "gzip", "compression_threshold": 0, "content_type": "application/octet-stream"}))
	require.Equal(t, "gzip", e.Headers.Get("Content-Encoding"))
	z, err := gzip.NewReader(bytes.NewReader(e.body(t)))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, payload, string(plain), "digits and order stay")
}

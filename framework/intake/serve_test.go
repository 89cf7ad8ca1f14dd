package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestCommitsADeliveryAsOneUnit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	w := serve(f, request(t, "github", "d1", order("o1")))
	require.Equal(t, http.StatusOK, w.Code)
	b := said(t, w)
	require.Equal(t, "accepted", b.Status)
	require.Equal(t, 1, *b.Events)
	require.Regexp(t, "^dlv_", b.Delivery)
	require.Len(t, f.store.units, 1)
	u := f.store.units[0]
	require.Equal(t, connectionID, u.ConnectionID)
	require.Zero(t, u.Epoch, "a delivery is taken without a lease")
	require.Equal(t, start, u.ObservedAt)
	require.Equal(t, &store.DeliveryKey{Endpoint: "github", Key: `header X-Github-Delivery "d1"`, DeliveryID: b.Delivery}, u.Reserve)
	require.Equal(t, []store.StreamWrite{{Stream: "orders", Succeeded: true}}, u.Streams)
	require.Equal(t, order("o1"), u.Emissions[0].Payload)
	require.Nil(t, u.Keep)
	require.Equal(t, []Verdict{Accepted}, f.seen())
}

func TestHandsTheHandlerWhatWasSent(t *testing.T) {
	t.Parallel()
	var got *framework.Delivery
	f := newFixture(t, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
		got = d
		return d.Verify(t.Context())
	})
	// Duplicate keys, escapes, a line break at the end, bytes that are no UTF-8.
	raw := []byte("{\"a\":1,\"a\":2,\"b\":\"\\u0041\\/\",\"n\":1e400, \"x\":\"\xff\"}\n")
	r := request(t, "github", "d1", raw)
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("Cookie", "session=1")
	r.Header.Set("X-Forwarded-For", "127.0.0.1")
	require.Equal(t, http.StatusOK, serve(f, r).Code)
	require.Equal(t, sha256.Sum256(raw), sha256.Sum256(got.Body))
	require.Equal(t, "d1", got.Key)
	require.Equal(t, 1, got.Attempt)
	require.Equal(t, start, got.ReceivedAt)
	require.Equal(t, http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {"d1"}}, got.Header)
}

func TestTheSameDeliveryAThousandTimesIsOneEvent(t *testing.T) {
	t.Parallel()
	for endpoint, times := range map[string]int{"github": 1000, "standard": 100, "stripe": 100, "bearer": 100} {
		f := newFixture(t, emitOrder)
		for i := range times {
			w := serve(f, request(t, endpoint, "d1", order("o1")))
			require.Equal(t, http.StatusOK, w.Code)
			if b := said(t, w); i > 0 {
				require.Equal(t, "duplicate", b.Status)
				require.Regexp(t, "^evt_", b.First)
			}
		}
		units, events, rows := f.store.counts()
		require.Equal(t, []int{1, 1, 0}, []int{units, events, rows}, endpoint)
	}
}

func TestADeliveryWithoutEventsIsRemembered(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return nil })
	b := said(t, serve(f, request(t, "github", "ping", order("o1"))))
	require.Equal(t, "accepted", b.Status)
	require.Zero(t, *b.Events)
	require.Empty(t, f.store.lastUnit().Streams, "nothing was emitted to a stream")
	require.Equal(t, answerBody{Status: "duplicate"}, said(t, serve(f, request(t, "github", "ping", order("o1")))))
}

func TestOnlyWebhookStreamsThatWereEmittedToHaveSucceeded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ context.Context, _ *framework.Delivery, out *ingest.Buffer) error {
		return ingest.Canonical(out, customers, "customer", json.RawMessage(`{}`), ingest.Options{IdempotencyKey: ingest.EventKey("c1")})
	})
	require.Equal(t, "accepted", said(t, serve(f, request(t, "github", "d1", order("o1")))).Status)
	require.Len(t, f.store.lastUnit().Emissions, 1)
	require.Empty(t, f.store.lastUnit().Streams)
}

// Nothing of a delivery that is not verified reaches a handler or the store,
// and every refusal looks the same.
func TestRefusesWhatIsNotVerifiedBeforeAnyHandler(t *testing.T) {
	t.Parallel()
	for endpoint := range endpoints {
		if endpoint == "open" || endpoint == "custom" {
			continue
		}
		calls := 0
		f := newFixture(t, func(context.Context, *framework.Delivery, *ingest.Buffer) error { calls++; return nil },
			func(c *Config) { c.LogEvery = time.Second })
		var bodies, headers []string
		refusals := 0
		for name, spoil := range map[string]func(r *http.Request){
			"no header":        func(r *http.Request) { r.Header = http.Header{} },
			"changed body":     func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(order("o2"))) },
			"changed proof":    func(r *http.Request) { spoil(r, func(v string) string { return v[:len(v)-2] + "00" }) },
			"short proof":      func(r *http.Request) { spoil(r, func(v string) string { return v[:len(v)-1] }) },
			"repeated headers": func(r *http.Request) { r.Header = twice(r.Header) },
		} {
			if name == "changed body" && endpoint == "bearer" {
				continue // a bearer token proves nothing about the body
			}
			r := request(t, endpoint, "d1", order("o1"))
			spoil(r)
			f.advance(time.Second) // each is logged
			w := serve(f, r)
			require.Equal(t, http.StatusUnauthorized, w.Code, "%s: %s", endpoint, name)
			said(t, w)
			refusals++
			require.Equal(t, refusals, strings.Count(f.log.String(), `level=WARN msg="webhook refused"`), "%s: %s", endpoint, name)
			require.Equal(t, refusals, strings.Count(f.log.String(), "\n"), "%s: %s: another line", endpoint, name)
			bodies = append(bodies, w.Body.String())
			headers = append(headers, fmt.Sprint(w.Header()))
		}
		for i := range bodies {
			require.Equal(t, bodies[0], bodies[i])
			require.Equal(t, headers[0], headers[i])
		}
		units, events, rows := f.store.counts()
		require.Equal(t, []int{0, 0, 0, 0}, []int{calls, units, events, rows}, endpoint)
	}
}

// spoil changes every header that proves something.
func spoil(r *http.Request, change func(string) string) {
	for name, values := range r.Header {
		if strings.Contains(name, "Signature") || name == "Authorization" {
			r.Header[name] = []string{change(values[0])}
		}
	}
}

func twice(h http.Header) http.Header {
	doubled := http.Header{}
	for name, values := range h {
		doubled[name] = append(append([]string{}, values...), values...)
	}
	return doubled
}

func TestAnEndpointWithoutVerifierRefusesEverything(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	list := targets(t, bind(t, emitOrder))
	for i := range list {
		if list[i].Endpoint == "github" {
			list[i].Verifier = nil
		}
	}
	f.table.Replace(list)
	require.Equal(t, http.StatusUnauthorized, serve(f, request(t, "github", "d1", order("o1"))).Code)
	require.Equal(t, http.StatusOK, serve(f, request(t, "standard", "d1", order("o1"))).Code, "the others go on")
}

func TestACustomHandlerRecordsNothingUnverified(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]framework.WebhookFunc{
		"that verifies": func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			if err := d.Verify(ctx); err != nil {
				return err
			}
			return emitOrder(ctx, d, out)
		},
		"that forgot": emitOrder,
		"that ignores it": func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			_ = d.Verify(ctx)
			return emitOrder(ctx, d, out)
		},
		"that fails before it": func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider },
		"that panics":          func(context.Context, *framework.Delivery, *ingest.Buffer) error { panic("early") },
	} {
		f := newFixture(t, fn)
		forged := request(t, "custom", "", order("o1"))
		forged.Header.Set("X-Acme-Signature", strings.Repeat("0", 64))
		require.Equal(t, http.StatusUnauthorized, serve(f, forged).Code, name)
		units, events, rows := f.store.counts()
		require.Equal(t, []int{0, 0, 0}, []int{units, events, rows}, name)
		require.Equal(t, http.StatusOK, serve(f, request(t, "custom", "", order("o1"))).Code, name)
		units, _, _ = f.store.counts()
		require.Equal(t, 1, units, name)
	}
}

func TestAnswersEachMistakeWithItsStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		r := request(t, "github", "d1", order("o1"))
		r.Method = method
		w := serve(f, r)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		require.Equal(t, "POST", w.Header().Get("Allow"))
	}
	for _, encoding := range []string{"gzip", "identity", "br", "zstd", "gzip, gzip", ""} {
		r := request(t, "github", "d1", order("o1"))
		r.Header.Set("Content-Encoding", encoding)
		require.Equal(t, http.StatusUnsupportedMediaType, serve(f, r).Code, encoding)
	}
	units, _, _ := f.store.counts()
	require.Zero(t, units)
}

// Fifty megabytes in some fifty kilobytes, once and twice compressed: announced as
// compressed nothing of it is read, and unannounced it is the bytes that it is.
func TestNothingIsInflated(t *testing.T) {
	t.Parallel()
	squeeze := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(b)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	bomb := squeeze(make([]byte, 50<<20))
	require.Less(t, len(bomb), 64<<10)
	for _, body := range [][]byte{bomb, squeeze(bomb)} {
		var got []byte
		f := newFixture(t, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error { got = d.Body; return nil })
		r := request(t, "github", "d1", body)
		unread := bytes.NewReader(body)
		r.Body = io.NopCloser(unread)
		r.Header.Set("Content-Encoding", "gzip")
		require.Equal(t, http.StatusUnsupportedMediaType, serve(f, r).Code)
		require.Equal(t, len(body), unread.Len(), "it was read")
		require.Equal(t, http.StatusOK, serve(f, request(t, "github", "d1", body)).Code)
		require.True(t, bytes.Equal(body, got), "what was signed is not what the handler got")
	}
}

func TestKnowsOneSpellingOfAPath(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for path, code := range map[string]int{
		"/webhooks/hooks/github":                       200,
		"/p/default/webhooks/hooks/github":             200,
		"/webhooks/con_01hooks/github":                 200,
		"/p/default/webhooks/con_01hooks/github":       200,
		"/webhooks/hooks/github?query=ignored":         200,
		"/p/other/webhooks/hooks/github":               404,
		"/webhooks/hooks/github/":                      404,
		"/webhooks/hooks/":                             404,
		"/webhooks/hooks":                              404,
		"/webhooks//github":                            404,
		"/webhooks/hooks//github":                      404,
		"//webhooks/hooks/github":                      404,
		"/webhooks/hooks/../hooks/github":              404,
		"/webhooks/./hooks/github":                     404,
		"/webhooks/..%2fadmin/github":                  404,
		"/webhooks/hooks%2fgithub":                     404,
		"/webhooks/hooks/github%00":                    404,
		"/webhooks/%68ooks/github":                     404,
		"/webhooks/HOOKS/github":                       404,
		"/webhooks/hooks/github%2f":                    404,
		"/webhooks/hooks;a=b/github":                   404,
		"/webhooks/hooks/git%20hub":                    404,
		"/webhooks/" + strings.Repeat("a", 5000) + "/": 404,
		"/p//webhooks/hooks/github":                    404,
		"/p/default/hooks/github":                      404,
		"/p/default":                                   404,
		"/p/default%2fwebhooks/hooks/github":           404,
		"/x/webhooks/hooks/github":                     404,
		"/":                                            404,
	} {
		signed := request(t, "github", "d "+path[:min(len(path), 50)], order("o1"))
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(order("o1")))
		r.Header = signed.Header
		require.Equal(t, code, serve(f, r).Code, path)
	}
}

func TestAConnectionNamedLikeAnIDDoesNotReceiveForIt(t *testing.T) {
	t.Parallel()
	var table Table
	table.Replace([]Target{
		{Project: "default", Connection: "hooks", ConnectionID: "con_1", Endpoint: "github"},
		{Project: "default", Connection: "con_1", ConnectionID: "con_2", Endpoint: "github"},
	})
	got, ok := table.Lookup("default", "con_1", "github")
	require.True(t, ok)
	require.Equal(t, "hooks", got.Connection)
	_, ok = new(Table).Lookup("default", "hooks", "github")
	require.False(t, ok)
}

func TestIgnoresWhatProxiesAndHostsClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	for i, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override"} {
		r := request(t, "github", fmt.Sprint(i), order("o1"))
		r.Host = "evil.test"
		r.Header.Set(name, "/webhooks/other/path")
		require.Equal(t, http.StatusOK, serve(f, r).Code)
		require.Equal(t, http.StatusUnauthorized, func() int {
			forged := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/github", bytes.NewReader(order("o1")))
			forged.Header.Set(name, "127.0.0.1")
			return serve(f, forged).Code
		}())
	}
}

func TestAnswersUnavailableWhenTheStoreIs(t *testing.T) {
	t.Parallel()
	for cause, verdict := range map[error]Verdict{
		store.ErrUnavailable: Failed, store.ErrClosed: Failed, store.ErrFenced: Failed, context.DeadlineExceeded: Failed, store.ErrBusy: Busy,
	} {
		for _, fn := range []framework.WebhookFunc{emitOrder, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider }} {
			f := newFixture(t, fn)
			asked := 0
			f.store.fail = func(store.Unit) error { asked++; return fmt.Errorf("commit: %w", cause) }
			w := serve(f, request(t, "github", "d1", order("o1")))
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.Equal(t, "5", w.Header().Get("Retry-After"))
			require.Equal(t, []Verdict{verdict}, f.seen())
			require.Equal(t, 1, asked, "a store in need is not asked twice")

			// What came to nothing reserved nothing: the next try succeeds.
			f.store.failWith(nil)
			require.Contains(t, []string{"accepted", "stored"}, said(t, serve(f, request(t, "github", "d1", order("o1")))).Status)
		}
	}
}

// An answer before the store's word would be a promise that a crash breaks.
func TestAnswersOnlyAfterTheStoreHasAcknowledged(t *testing.T) {
	t.Parallel()
	for _, fn := range []framework.WebhookFunc{emitOrder, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return errProvider }} {
		synctest.Test(t, func(t *testing.T) {
			f := synced(t, fn)
			asked, durable := make(chan struct{}), make(chan struct{})
			f.store.fail = func(store.Unit) error {
				close(asked)
				<-durable
				return nil
			}
			w := httptest.NewRecorder()
			r := signedNow(t, "standard", "d1")
			done := make(chan struct{})
			go func() { defer close(done); f.ServeHTTP(w, r) }()
			<-asked
			synctest.Wait()
			require.Empty(t, w.Header())
			require.Zero(t, w.Body.Len())
			close(durable)
			<-done
			require.Equal(t, http.StatusOK, w.Code)
		})
	}
}

func TestADeletedConnectionIsNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	f.store.failWith(store.ErrNotFound)
	require.Equal(t, http.StatusNotFound, serve(f, request(t, "github", "d1", order("o1"))).Code)
}

func TestKeepsADeliveryWhoseEventsTheStoreRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	f.store.fail = func(u store.Unit) error {
		if len(u.Emissions) > 0 {
			return fmt.Errorf("payload is not what the store takes")
		}
		return nil
	}
	require.Equal(t, "stored", said(t, serve(f, request(t, "github", "d1", order("o1")))).Status)
	require.Contains(t, f.store.row(t).LastError, "payload is not")
}

func TestLogsASampleOfRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	forge := func() {
		r := request(t, "github", "d1", order("o1"))
		r.Header.Set("X-Hub-Signature-256", "sha256=canary")
		serve(f, r)
	}
	for range 200 {
		forge()
	}
	require.Equal(t, 1, strings.Count(f.log.String(), "webhook refused"))
	f.advance(10 * time.Second)
	forge()
	require.Equal(t, 2, strings.Count(f.log.String(), "webhook refused"))
	require.Contains(t, f.log.String(), "suppressed=199")
	require.Contains(t, f.log.String(), "no signature matches")
	require.NotContains(t, f.log.String(), "canary")
	require.NotContains(t, f.log.String(), secret)
	require.Len(t, f.seen(), 201, "each is counted")
}

func TestRefusesNewDeliveriesWhileDraining(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}), make(chan struct{})
	f := newFixture(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
		close(inside)
		<-release
		return emitOrder(ctx, d, out)
	})
	first := make(chan int, 1)
	go func() { first <- serve(f, request(t, "github", "d1", order("o1"))).Code }()
	<-inside
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Drain(ended), context.Canceled)
	require.Equal(t, http.StatusServiceUnavailable, serve(f, request(t, "github", "d2", order("o2"))).Code)
	close(release)
	require.Equal(t, http.StatusOK, <-first)
	require.NoError(t, f.Drain(t.Context()))
}

func TestRefusesAnIncompleteConfiguration(t *testing.T) {
	t.Parallel()
	_, err := New(Config{RetryBase: 2 * time.Hour, BodyTimeout: -1})
	for _, want := range []string{"Targets", "Store", "RetryCap", "negative"} {
		require.ErrorContains(t, err, want)
	}
}

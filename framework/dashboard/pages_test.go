package dashboard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

var noon = time.Date(2026, 3, 2, 12, 20, 0, 0, time.UTC)

func open(t *testing.T, o *dashboardtest.Office) http.Handler {
	t.Helper()
	front, err := o.Open(dashboardtest.Loopback(), nil, nil)
	require.NoError(t, err)
	return front.Handler
}

func send(h http.Handler, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:9657"+path, nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// page reads a page that must be there.
func page(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := send(h, http.MethodGet, path)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String()
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// words is what a page says, without its markup.
func words(html string) string {
	return spaces.ReplaceAllString(tags.ReplaceAllString(html, " "), " ")
}

// part cuts out of a page what begins with one text and ends with another.
func part(t *testing.T, html, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(html, from)
	require.True(t, ok, "%s is not on the page", from)
	out, _, ok := strings.Cut(rest, to)
	require.True(t, ok, "%s is not on the page", to)
	return from + out
}

func row(t *testing.T, html, connection, stream string) string {
	t.Helper()
	return words(part(t, html, `id="s-`+connection+"-"+stream+`"`, "</tr>"))
}

func TestTheOverviewShowsEveryStreamWithItsStateAndTimes(t *testing.T) {
	t.Parallel()
	html := page(t, open(t, dashboardtest.Busy(noon)), "/")
	require.Contains(t, words(html), "15 streams of 5 connections 1 failing 1 late 1 running 5 healthy 5 never run 1 paused 1 disabled")
	require.Contains(t, html, "<title>1 failing, 1 late · Weir</title>")
	for _, c := range []struct{ connection, stream, want string }{
		{dashboardtest.Demo, "customers", "customers Customers are the people who buy in the demo shop. healthy every 5 seconds poll 2 s ago in 3 s"},
		{dashboardtest.Demo, "order_events", "healthy on delivery webhook 11 s ago –"},
		{dashboardtest.GitHub, "issues", "late every 5 minutes poll 47 min ago due 42 min ago"},
		{dashboardtest.GitHub, "repositories", "paused every Monday at 02:30 UTC poll 3 days ago –"},
		{dashboardtest.Stripe, "invoices", "running every 15 minutes"},
		{dashboardtest.Stripe, "payouts", "failing every hour poll 3 h ago in 9 min"},
		{dashboardtest.Old, "rates", "disabled every day at 06:00 UTC poll 20 days ago –"},
		{dashboardtest.Billing, "customers", "never run every 15 minutes poll – –"},
	} {
		require.Contains(t, row(t, html, c.connection, c.stream), c.want)
	}
	require.Contains(t, part(t, html, `id="s-`+dashboardtest.Demo+`-customers"`, "</tr>"), `<time datetime="2026-03-02T12:19:58.000Z" title="2026-03-02T12:19:58.000Z">2 s ago</time>`)
	require.Contains(t, words(part(t, html, "-payouts-error", "</tr>")), "3 failures in a row GET https://api.stripe.com/v1/payouts?***: 401 Unauthorized")
	require.Equal(t, 1, strings.Count(html, `class="error"`), "only failing streams show an error")
	require.Equal(t, 15, strings.Count(html, `<svg class="spark" role="img" aria-label="`))
}

func TestAnEmptyOverviewSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	text := words(page(t, open(t, dashboardtest.NewOffice(noon)), "/"))
	require.Contains(t, text, "weir new acme --streams customers:poll,events:webhook")
	require.Contains(t, text, "weir demo")
}

func TestAConnectionWithoutItsConnectorSaysSo(t *testing.T) {
	t.Parallel()
	o := dashboardtest.NewOffice(noon)
	o.Connect(store.Connection{ID: "con_x", Project: "default", Name: "lost", Connector: "gone", Enabled: true}, emptyManifest)
	require.Contains(t, words(page(t, open(t, o), "/")), "This program has no connector gone , so nothing of this connection runs.")
}

func TestAStreamsPageShowsCheckpointRunsAndEvents(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon))
	html := page(t, h, "/streams/default/demo/customers")
	text := words(html)
	require.Contains(t, text, "They are created, updated, reverted and deleted all the time, and paged newest first.")
	require.Contains(t, part(t, html, `id="h-checkpoint"`, "</section>"), "&#34;watermark&#34;: &#34;2026-03-02T12:19:51Z&#34;")
	require.Contains(t, words(part(t, html, `id="h-checkpoint"`, "</section>")), "Saved 2 s ago Window from 15 min ago Window to 2 s ago")
	require.Contains(t, words(part(t, html, `id="h-runs"`, "</section>")), "succeeded 2 s ago 167 ms schedule 3 1 6")
	events := part(t, html, `id="h-events"`, "</section>")
	require.Equal(t, 14, strings.Count(events, "<li "))
	require.Less(t, strings.Index(events, ">12422<"), strings.Index(events, ">12409<"), "newest first")
	require.Contains(t, events, "9007199254740993")
	require.Contains(t, events, "&lt;b&gt;bold&lt;/b&gt;")
	require.Contains(t, words(events), "upsert late")
	require.Contains(t, words(events), "Changed at the provider 5 s ago")
	require.Contains(t, words(events), "delete")

	byID := page(t, h, "/streams/default/"+dashboardtest.Demo+"/customers")
	require.Equal(t, html, byID)

	failing := page(t, h, "/streams/default/stripe-eu/payouts")
	require.Contains(t, words(failing), "3 failures in a row GET https://api.stripe.com")
	require.Contains(t, failing, "connectors/stripe/payouts.go:61")
	require.Contains(t, words(failing), "No page has been saved yet")
}

func TestAWebhookStreamShowsItsAddressAndNoButtons(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon))
	html := page(t, h, "/streams/default/demo/order_events")
	require.Contains(t, html, `value="http://localhost:9657/webhooks/`+dashboardtest.Demo+`/demo"`)
	require.NotContains(t, html, "<form")
	require.NotContains(t, html, "Checkpoint")
	require.Contains(t, page(t, h, "/streams/billing/stripe-us/events"), `value="http://localhost:9657/p/billing/webhooks/`+dashboardtest.Billing+`/stripe"`)
	require.NotContains(t, page(t, h, "/streams/default/rates/rates"), "<form", "nothing can be done with a disabled connection")
}

func TestTheButtonsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	const path = "/streams/default/demo/orders"
	act := func(action string) *httptest.ResponseRecorder { return send(h, http.MethodPost, path+"/"+action) }
	for _, c := range []struct{ action, state, button string }{
		{"pause", "paused", path + "/resume"}, {"resume", "healthy", path + "/pause"}, {"run", "running", path + "/pause"},
	} {
		w := act(c.action)
		require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
		require.Equal(t, path, w.Header().Get("Location"))
		html := page(t, h, path)
		require.Contains(t, html, `<span class="state `+c.state+`">`)
		require.Contains(t, html, `action="`+c.button+`"`)
	}
	require.Equal(t, http.StatusNotFound, act("drop").Code)
	o.OnRun = func(string, string) error {
		return &api.ConflictError{Err: errors.New("stream is busy; try again when it is done")}
	}
	w := act("run")
	require.Equal(t, http.StatusConflict, w.Code)
	require.Contains(t, words(w.Body.String()), "stream is busy; try again when it is done")
	require.Equal(t, http.StatusConflict, send(h, http.MethodPost, "/streams/default/demo/order_events/pause").Code)
	require.Equal(t, http.StatusMethodNotAllowed, send(h, http.MethodGet, path+"/pause").Code)
}

func TestAQuarantinedStreamCanBeResumed(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	const path = "/streams/default/demo/orders"
	o.Status(dashboardtest.Demo, "orders", func(s *store.StreamStatus) {
		s.LastError, s.ConsecutiveFailures = "stream is quarantined; resume it", 3
	})
	require.NotContains(t, page(t, h, path), path+"/resume", "a failing stream that is due needs no resume")
	o.Status(dashboardtest.Demo, "orders", func(s *store.StreamStatus) { s.NextRunAt = time.Time{} })
	require.Contains(t, page(t, h, path), path+"/resume")
	require.Equal(t, http.StatusSeeOther, send(h, http.MethodPost, path+"/resume").Code)
}

func TestErrorsAreShownAsPages(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	w := send(h, http.MethodGet, "/streams/default/demo/costumers")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), `no stream &#34;costumers&#34; in connection &#34;demo&#34;; did you mean &#34;customers&#34;?`)
	o.Break(errors.New("disk at /secret"))
	for _, path := range []string{"/", "/streams/default/demo/customers"} {
		w = send(h, http.MethodGet, path)
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.NotContains(t, w.Body.String(), "/secret")
	}
}

// hostile are texts that try to become markup, script, an attribute, a link or
// another line.
var hostile = []string{
	`<script>document.title="pwned"</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `javascript:alert(1)`,
	`</code></pre></details><script src=//evil.test></script>`, `</title><script>alert(1)</script>`, `{{.Cursor}}`, `<!--`, `]]>`, `<style>*{display:none}</style>`,
	"a\u202egnp.exe", "\x1b[2J", "line\r\nSet-Cookie: x=y", "\u2028alert(1)", `\u003cscript\u003e`, `<base href=//evil.test>`, `<meta http-equiv=refresh content=0;url=//evil.test>`,
}

// plain is a text in JSON without the escapes that make markup harmless.
func plain(t *testing.T, text string) string {
	t.Helper()
	raw, err := json.Marshal(text)
	require.NoError(t, err)
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw))
}

// requireInert requires that nothing of hostile is markup on the pages.
func requireInert(t *testing.T, h http.Handler, paths ...string) {
	t.Helper()
	for _, path := range paths {
		html := send(h, http.MethodGet, path).Body.String()
		for _, forbidden := range []string{"<script>", "\u2028", "<img src=x", "<svg onload", "<base", "<style>", "<meta http-equiv=refresh", "\u202e", "\x1b", "<!--"} {
			require.NotContains(t, strings.ReplaceAll(html, "<noscript>", ""), forbidden, path)
		}
		require.NotRegexp(t, `(?i)(href|src|action)="\s*(javascript|data|//)`, html, path)
		require.NotRegexp(t, `(?i)<[^>]+\s(on[a-z]+|style)=`, html, path)
		require.LessOrEqual(t, strings.Count(html, "<script"), 1, path)
	}
}

func TestNothingStoredBecomesMarkup(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	for i, text := range hostile {
		raw := "{" + plain(t, text) + ":" + plain(t, text) + "}"
		o.Record(dashboardtest.Demo, "customers", ingest.Event{Type: text, Subject: text, Key: fmt.Sprint(i, text), Operation: ingest.Upsert, Payload: json.RawMessage(raw)})
	}
	all := strings.Join(hostile, "\n")
	o.Status(dashboardtest.Demo, "customers", func(s *store.StreamStatus) { s.ConsecutiveFailures, s.LastError = 1, all })
	o.AddRun(store.Run{ID: "run_x", ConnectionID: dashboardtest.Demo, Stream: "customers", State: store.RunFailed, StartedAt: noon, FinishedAt: noon, Trigger: all, Error: all, ErrorClass: all, Stack: all})
	var c store.Checkpoint
	c.Cursor = []byte(all)
	o.SetCheckpoint(dashboardtest.Demo, "customers", c)
	h := open(t, o)

	requireInert(t, h, "/", "/streams/default/demo/customers", "/streams/default/demo/"+url.PathEscape(hostile[0]), "/login?next="+url.QueryEscape(all))
	require.Contains(t, page(t, h, "/"), "&lt;script&gt;")
	require.Contains(t, page(t, h, "/"), `a\u202egnp.exe`)
}

func TestALargePayloadIsCutAndLinked(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	e := o.Record(dashboardtest.Demo, "orders", ingest.Event{Type: "order", Subject: "o", Operation: ingest.Upsert, Payload: json.RawMessage(`"` + strings.Repeat("é", 1<<19) + `"`)})
	html := page(t, open(t, o), "/streams/default/demo/orders")
	require.Less(t, len(html), 100<<10)
	require.Contains(t, html, fmt.Sprintf("/events?after=%d&amp;limit=1\">The whole event as JSON", e.Sequence-1))
}

func TestNoPageHoldsAnythingInlineOrForeign(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon))
	for _, path := range []string{"/", "/streams/default/demo/customers", stripePage, letterPage, "/streams/default/stripe-eu/payouts"} {
		html := page(t, h, path)
		require.NotRegexp(t, `(?i)<[^>]+\s(on[a-z]+|style)=`, html)
		require.NotContains(t, html, "<style")
		require.NotRegexp(t, `(src|href)="(https?:)?//`, html)
		for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(html, -1) {
			w := send(h, http.MethodGet, m[1])
			require.Equal(t, http.StatusOK, w.Code, m[1])
			require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		}
	}
	require.Equal(t, "no-cache", send(h, http.MethodGet, "/assets/weir.css?v=old").Header().Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, send(h, http.MethodGet, "/assets/pages.html").Code)
}

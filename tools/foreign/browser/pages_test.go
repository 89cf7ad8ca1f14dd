package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

const (
	customersRow = "#s-" + dashboardtest.Demo + "-customers"
	payoutsRow   = "#s-" + dashboardtest.Stripe + "-payouts"
	letterPage   = "/deliveries/default/stripe-eu/dlv_06dvr7h2k8e3pawx9tq4stri01"
)

// allPages are the pages that every rule holds for.
var allPages = []string{
	"/", "/streams/default/demo/customers", "/streams/default/demo/order_events", "/streams/default/stripe-eu/payouts", "/streams/default/rates/rates",
	"/streams/default/stripe-eu/events", letterPage,
	"/sinks/default/outbound", "/sinks/default/warehouse", "/sinks/default/outbound/dead-letters/dlt_06dvr0000000000000000000",
	"/connections/default/demo", "/actions/default/demo",
}

func TestTheOverviewShowsItsRows(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url)
	row := strings.Join(strings.Fields(x.text(customersRow)), " ")
	require.Equal(t, "customers Customers are the people who buy in the demo shop. healthy every 5 seconds poll 2 s ago in 3 s 4 156 12 422", row)
	require.Contains(t, x.text(payoutsRow), "failing")
	require.Contains(t, x.text(payoutsRow+" + .error"), "401 Unauthorized")
	require.Equal(t, "2026-03-02T12:19:58.000Z", eval[string](x, `document.querySelector("`+customersRow+` time").title`))
	require.True(t, eval[bool](x, `(() => { const r = document.querySelector("`+customersRow+` .spark").getBoundingClientRect(); return r.width > 40 && r.height > 10 })()`))
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	x.quiet()
}

func TestAStreamIsOpenedByKeyboard(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url)
	x.run(chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Skip to content", eval[string](x, `document.activeElement.textContent`))
	require.True(t, eval[bool](x, `document.activeElement.getBoundingClientRect().left >= 0`), "the link shows when it has the focus")
	for range 40 {
		if eval[string](x, `document.activeElement.getAttribute("href") ?? ""`) == "/streams/default/demo/customers" {
			break
		}
		x.run(chromedp.KeyEvent(kb.Tab))
	}
	require.Equal(t, "customers", eval[string](x, `document.activeElement.textContent`))
	require.NotEqual(t, "none", eval[string](x, `getComputedStyle(document.activeElement).outlineStyle`), "the focus can be seen")
	x.run(chromedp.KeyEvent(kb.Enter))
	x.until(`location.pathname === "/streams/default/demo/customers" && document.querySelector(".events")`, patience)
	// An event unfolds by keyboard, too.
	x.run(chromedp.Focus(".events summary"), chromedp.KeyEvent(" "))
	x.until(`document.querySelector(".events details").open`, patience)
	require.Contains(t, x.text(".events details"), "9007199254740993")
	x.quiet()
}

func TestAPageFollowsChangesAndKeepsWhatTheReaderDid(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url + "/streams/default/demo/customers")
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	x.run(chromedp.Click(".events li:nth-child(3) summary"))
	x.do(`window.kept = document.querySelector(".events li:nth-child(3) summary"); kept.focus(); window.scrollTo(0, 120);`)
	require.True(t, eval[bool](x, `kept.parentElement.open`))

	s.office.Record(dashboardtest.Demo, "customers", ingest.Event{Type: "customer", Subject: "cus_brand_new", Operation: ingest.Upsert, Payload: json.RawMessage(`{}`)})
	s.front.Feed.Notify()
	// Well below the time after which a page is read again anyway.
	x.until(`document.querySelector(".events li .subject").textContent === "cus_brand_new"`, 8*time.Second)
	require.True(t, eval[bool](x, `document.activeElement === kept && kept.isConnected`), "the focus stays")
	require.True(t, eval[bool](x, `kept.parentElement.open`), "what was unfolded stays unfolded")
	require.InDelta(t, 120, eval[float64](x, `window.scrollY`), 1, "the page does not jump")
	require.Equal(t, "cus_brand_new", x.text(".events li:nth-child(1) .subject"))
	require.Equal(t, 15, eval[int](x, `document.querySelectorAll(".events li").length`))

	s.office.Status(dashboardtest.Demo, "customers", func(st *store.StreamStatus) { st.ConsecutiveFailures, st.LastError = 1, "shop is closed" })
	s.front.Feed.Notify()
	x.until(`document.querySelector("h1 .state").textContent === "failing" && document.querySelector(".failure").innerText.includes("shop is closed")`, 8*time.Second)
	require.Contains(t, eval[string](x, `document.title`), "failing")
	x.quiet()
}

func TestEverythingWorksWithoutJavaScript(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	call(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	x.open(s.url)
	require.Contains(t, x.text(customersRow), "12\u202f422")
	require.Contains(t, x.text("#summary"), "1 failing")
	require.Empty(t, x.text("#feed"))
	require.Equal(t, "15", eval[string](x, `document.querySelector("noscript meta[http-equiv=refresh]")?.content ?? ""`), "it reads itself again")
	x.open(s.url + "/streams/default/demo/orders")
	x.run(chromedp.Submit(`form[action$="/pause"]`))
	x.until(`document.querySelector("h1 .state")?.textContent === "paused"`, patience)
	x.run(chromedp.Submit(`form[action$="/resume"]`))
	x.until(`document.querySelector("h1 .state")?.textContent === "healthy"`, patience)
	x.quiet()
}

func TestAClickOnAButtonIsNoForgery(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url + "/streams/default/demo/orders")
	x.run(chromedp.Click(`form[action$="/run"] button`))
	x.until(`document.querySelector("h1 .state")?.textContent === "running"`, patience)
	x.quiet()

	// The same form on another site is one.
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<form method="post" action="%s/streams/default/demo/orders/pause"><button>win</button></form><img src="%s/api/v1/streams">`, s.url, s.url)
	}))
	t.Cleanup(evil.Close)
	x.open(strings.Replace(evil.URL, "127.0.0.1", "evil.test", 1))
	x.do(`document.querySelector("button").click()`)
	x.until(`document.body.innerText.includes("Forbidden")`, patience)
	x.open(s.url + "/streams/default/demo/orders")
	require.Equal(t, "running", x.text("h1 .state"))
}

func TestADeliveryIsLookedAtAndHandledAgain(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url + "/streams/default/stripe-eu/events")
	require.Contains(t, strings.Join(strings.Fields(x.text(".recent tbody tr:nth-child(2)")), " "), "unverified 49 s ago – 401")
	require.Contains(t, x.text(".recent tbody .why"), "no signature matches")
	require.Equal(t, 0, eval[int](x, `[...document.querySelectorAll("details .recent tr")].filter((r) => r.checkVisibility()).length`))
	x.run(chromedp.Click("summary.more"))
	x.until(`[...document.querySelectorAll("details .recent tbody tr")].filter((r) => r.checkVisibility()).length === 8`, patience)

	// What is new appears above, and what was unfolded stays.
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	report, _, err := s.office.Report(t.Context(), dashboardtest.Stripe, "stripe")
	require.NoError(t, err)
	report.Recent = append([]intake.Recent{{ID: "dlv_brand_new", At: noon, Verdict: intake.Accepted, Status: http.StatusOK, Events: 1}}, report.Recent...)
	s.office.SetReport(dashboardtest.Stripe, "stripe", report)
	s.front.Feed.Notify()
	x.until(`document.querySelector(".recent tbody .id").innerText === "dlv_brand_new"`, 8*time.Second)
	require.True(t, eval[bool](x, `document.querySelector("details[data-key^=rest]").open`))

	// One is opened, and handed to its handler again.
	x.run(chromedp.Click(`.recent a[href="` + letterPage + `"]`))
	x.until(`location.pathname === "`+letterPage+`" && document.querySelector("#h-body")`, patience)
	require.Contains(t, x.text("[aria-labelledby=h-header]"), "X-Event")
	require.Contains(t, x.text("[aria-labelledby=h-body] pre"), "dlv_06dvr7h2k8e3pawx9tq4stri01")
	x.run(chromedp.Click(`form[action$="/redeliver"] button`))
	x.until(`location.pathname === "/streams/default/stripe-eu/events" && document.querySelector("[aria-labelledby=h-deliveries] header .state.late")?.textContent === "3 waiting"`, patience)

	// Another one is discarded. Without a reason the browser asks for it; what is
	// typed stays while the page follows changes.
	x.open(s.url + strings.Replace(letterPage, "stri01", "stri00", 1))
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	x.run(chromedp.Click(`form[action$="/discard"] button`))
	require.Equal(t, "reason", eval[string](x, `document.activeElement.id`))
	x.run(chromedp.SendKeys("#reason", "a test of <b>ours</b>"))
	s.office.Write(`{"X-Later":["yes"]}`, "{}")
	s.front.Feed.Notify()
	x.until(`document.querySelector("[aria-labelledby=h-header]").innerText.includes("X-Later")`, 8*time.Second)
	require.Equal(t, "a test of <b>ours</b>", eval[string](x, `document.getElementById("reason").value`))
	require.Equal(t, "reason", eval[string](x, `document.activeElement.id`))
	x.run(chromedp.Click(`form[action$="/discard"] button`))
	x.until(`location.pathname === "/streams/default/stripe-eu/events" && !document.querySelector("[aria-labelledby=h-deliveries] header .state.failing")`, patience)
	list, err := s.office.Deliveries(t.Context(), dashboardtest.Stripe, store.DeliveryDiscarded, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "a test of <b>ours</b>", list[0].Note)
	x.quiet()

	// A page that is open says so when its delivery is gone.
	x.open(s.url + letterPage)
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	_, err = s.office.Discard(t.Context(), store.DeliveryRange{ConnectionID: dashboardtest.Stripe, State: store.DeliveryWaiting, ID: "dlv_06dvr7h2k8e3pawx9tq4stri01"}, "gone")
	require.NoError(t, err)
	s.front.Feed.Notify()
	x.until(`document.querySelector("main").innerText.includes("this delivery is not stored")`, 8*time.Second)
}

func TestAllDeadLettersOfAnEndpointAreSettledAtOnce(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	for i := range 3 {
		s.office.Keep(store.DeliverySummary{ID: fmt.Sprint("dlv_more", i), ConnectionID: dashboardtest.Stripe, Endpoint: "stripe", State: store.DeliveryDead, ReceivedAt: noon})
	}
	x.open(s.url + "/streams/default/stripe-eu/events")
	x.until(`document.getElementById("feed").textContent === "live"`, patience)
	const letters = `[aria-labelledby=h-deliveries] header .state.failing`
	require.Equal(t, "5 given up", x.text(letters))
	require.False(t, eval[bool](x, `document.querySelector(".bulk form").checkVisibility()`))
	x.run(chromedp.Click(".bulk summary"))
	x.until(`document.querySelector(".bulk form").checkVisibility()`, patience)

	// What is typed stays while the page follows changes, and nothing goes without it.
	x.run(chromedp.Click(`.bulk form[action$="/discard"] button`))
	require.Equal(t, "reason", eval[string](x, `document.activeElement.name`))
	x.run(chromedp.SetValue(`.bulk input[name=rate]`, "2"))
	s.office.Keep(store.DeliverySummary{ID: "dlv_more9", ConnectionID: dashboardtest.Stripe, Endpoint: "stripe", State: store.DeliveryDead, ReceivedAt: noon})
	s.front.Feed.Notify()
	x.until(`document.querySelector("`+letters+`").textContent === "6 given up"`, 8*time.Second)
	require.True(t, eval[bool](x, `document.querySelector(".bulk").open`))
	require.Equal(t, "2", eval[string](x, `document.querySelector(".bulk input[name=rate]").value`))
	x.run(chromedp.Click(`.bulk form[action$="/redeliver"] button`))
	x.until(`location.pathname === "/streams/default/stripe-eu/events" && !document.querySelector("`+letters+`")`, patience)
	require.Equal(t, 500*time.Millisecond, s.office.Pace())

	s.office.Keep(store.DeliverySummary{ID: "dlv_more8", ConnectionID: dashboardtest.Stripe, Endpoint: "stripe", State: store.DeliveryDead, ReceivedAt: noon})
	x.open(s.url + "/streams/default/stripe-eu/events")
	x.run(chromedp.Click(".bulk summary"), chromedp.SendKeys(`.bulk input[name=reason]`, "a test of ours"), chromedp.Click(`.bulk form[action$="/discard"] button`))
	x.until(`!document.querySelector("`+letters+`")`, patience)
	list, err := s.office.Deliveries(t.Context(), dashboardtest.Stripe, store.DeliveryDiscarded, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "a test of ours", list[0].Note)
	x.quiet()
}

func TestLightAndDarkDiffer(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon), dashboardtest.Loopback()), newTab(t)
	colors := map[string][]string{}
	for _, scheme := range []string{"light", "dark"} {
		x.media(scheme)
		x.open(s.url)
		for _, selector := range []string{"html", ".card", ".state.healthy", ".state.failing"} {
			colors[scheme] = append(colors[scheme], eval[string](x, `(() => { const c = getComputedStyle(document.querySelector("`+selector+`")); return c.color + " on " + c.backgroundColor })()`))
		}
	}
	for i := range colors["light"] {
		require.NotEqual(t, colors["light"][i], colors["dark"][i])
	}
	require.Contains(t, colors["light"][0], "on rgb(245, 247, 249)")
	require.Contains(t, colors["dark"][0], "on rgb(14, 19, 26)")
}

func TestPagesFitASmallScreen(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon).WithSinks(noon).WithRevisions(noon), dashboardtest.Loopback()), newTab(t)
	for _, width := range []int64{360, 800, 1280} {
		call(x, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 768})
		for _, path := range allPages {
			x.open(s.url + path)
			require.LessOrEqual(t, eval[int64](x, `document.documentElement.scrollWidth`), width, "%s at %d pixels", path, width)
			require.Empty(t, eval[[]string](x, `[...document.querySelectorAll("th, td")].filter((c) => (c.closest("thead")?.clientWidth ?? 9) > 1 && c.scrollWidth > c.clientWidth + 1).map((c) => c.innerText)`),
				"%s at %d pixels: what runs out of its cell", path, width)
		}
	}
}

func TestNoPageBreaksItsContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon).WithSinks(noon).WithRevisions(noon), dashboardtest.Loopback()), newTab(t)
	for _, path := range allPages {
		x.open(s.url + path)
		require.True(t, eval[bool](x, `document.styleSheets.length === 1 && document.styleSheets[0].cssRules.length > 50`), "the styles are there")
	}
	x.quiet()
	_, requests := x.heard()
	for _, r := range requests {
		require.True(t, strings.HasPrefix(r, s.url+"/"), r)
	}

	// What the checks above would hear if something were wrong.
	x.do(`const e = document.createElement("script"); e.textContent = "window.inline = 1"; document.head.append(e)`)
	require.Eventually(t, func() bool {
		complaints, _ := x.heard()
		return strings.Contains(strings.Join(complaints, "\n"), "Content Security Policy")
	}, patience, 20*time.Millisecond)
	require.False(t, eval[bool](x, `"inline" in window`))
}

func TestALoginIsNeededWhereThereIsAToken(t *testing.T) {
	t.Parallel()
	const token = "a-long-enough-admin-token"
	s, x := serve(t, dashboardtest.Busy(noon), api.ListenPolicy{Listen: "127.0.0.1:0", Token: token}), newTab(t)
	x.open(s.url + "/streams/default/demo/customers")
	require.Equal(t, "/login", eval[string](x, `location.pathname`))
	require.Equal(t, "token", eval[string](x, `document.activeElement.id`), "one can type at once")
	x.run(chromedp.SendKeys("#token", token+kb.Enter))
	x.until(`location.pathname === "/streams/default/demo/customers"`, patience)
	x.until(`document.getElementById("feed")?.textContent === "live"`, patience)
	require.Empty(t, eval[string](x, `document.cookie`), "scripts cannot read the session")
	x.run(chromedp.Click(`form[action="/logout"] button`))
	x.until(`location.pathname === "/login"`, patience)
	x.open(s.url)
	require.Equal(t, "/login", eval[string](x, `location.pathname`))
	x.quiet()
}

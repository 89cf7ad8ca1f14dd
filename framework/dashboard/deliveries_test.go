package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
)

func TestAWebhookStreamShowsWhatWaitsAndWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	html := part(t, page(t, h, "/streams/default/stripe-eu/events"), `id="h-deliveries"`, "</section>")
	text := words(html)
	require.Contains(t, text, "Deliveries 2 waiting 2 given up")
	require.Contains(t, text, "stri03 waiting stripe 2 min ago 1 now post to the ledger: connection refused")
	require.Contains(t, text, "stri02 waiting stripe 4 min ago 3 in 2 min handler did not return within 10s")
	require.Contains(t, text, "stri00 given up stripe 3 days ago 31 – post to the ledger")
	require.Contains(t, html, `href="/api/v1/projects/default/connections/`+dashboardtest.Stripe+`/deliveries"`)
	require.Less(t, strings.Index(html, "stri03"), strings.Index(html, "stri00"), "newest first")

	require.Contains(t, words(page(t, h, "/streams/default/demo/order_events")), "No delivery to this connection waits, and none was given up.")
	require.NotContains(t, page(t, h, "/streams/default/stripe-eu/payouts"), "h-deliveries", "polls have no deliveries")

	overview := page(t, h, "/")
	require.Contains(t, overview, `<a href="/streams/default/stripe-eu/events#h-deliveries">2 deliveries waiting, 2 given up</a>`)
	require.Equal(t, 1, strings.Count(overview, "#h-deliveries"))
}

func TestAVersionOfACursorThatWasNeverGivenIsNotShown(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	require.Contains(t, words(page(t, h, "/streams/default/demo/customers")), "Cursor version 1")
	var c store.Checkpoint
	c.Cursor = []byte(`"p2"`)
	o.SetCheckpoint(dashboardtest.Demo, "customers", c)
	require.NotContains(t, page(t, h, "/streams/default/demo/customers"), "Cursor version")
}

func TestOnlyTheNewestDeliveriesAreShownAndAllAreCounted(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	for i := range 1500 {
		o.Keep(store.DeliverySummary{
			ID: "dlv_1" + string(rune('a'+i%26)) + time.Duration(i).String(), ConnectionID: dashboardtest.Demo, Endpoint: "demo", State: store.DeliveryDead,
			ReceivedAt: noon, LastError: hostile[i%len(hostile)],
		})
	}
	h := open(t, o)
	html := page(t, h, "/streams/default/demo/order_events")
	require.Contains(t, words(html), "1\u202f500 given up")
	require.Equal(t, 10, strings.Count(html, `<a href="/deliveries/`))
	require.NotContains(t, html, "<img src=x")
	require.Contains(t, page(t, h, "/"), "1\u202f500 deliveries given up")
}

const (
	stripePage = "/streams/default/stripe-eu/events"
	letterPage = "/deliveries/default/stripe-eu/dlv_06dvr7h2k8e3pawx9tq4stri01"
)

// post sends a form.
func post(h http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://localhost:9657"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAnEndpointShowsWhatCameIn(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	html := page(t, h, stripePage)
	text := words(part(t, html, `id="h-came-stripe"`, "</section>"))
	require.Contains(t, text, "77\u202f001 accepted 212 duplicate 41 unverified 3 stored 1 given up 2 limited")
	require.Contains(t, text, "1 of 64 handlers at work, at most 10 a second, each kept for 7 days")
	require.Contains(t, text, "accepted 26 s ago dlv_06dvr7h2k8e3pawx9tq4stri09 200 3 ms 1.8 kB 2")
	require.Contains(t, text, "unverified 49 s ago – 401 1 ms 633 B 0 no signature matches")
	require.Contains(t, text, "duplicate 1 min ago evt_6mq3f0qv6w2s8b1c9e 200")
	require.Contains(t, text, "given up 5 h ago dlv_06dvr7h2k8e3pawx9tq4stri01 200 2 ms 901 B 0 decode delivery as stripe.Event")
	require.Contains(t, text, "call 1 10 s")
	require.Contains(t, text, "8 more")
	require.NotContains(t, text, "processes")
	require.Contains(t, html, `<a href="`+letterPage+`">`)
	require.Contains(t, words(page(t, h, "/streams/default/demo/order_events")), "Nothing has come in since the start")

	// Three processes, of which one does not answer; an endpoint that keeps nothing.
	o.SetReport(dashboardtest.Stripe, "stripe", intake.Report{
		Processes: 3, Answered: 2, MaxHandlers: 128, Policy: intake.Policy{RateLimit: 0.5}, Counts: map[intake.Verdict]int64{intake.Accepted: 1},
		Recent: []intake.Recent{{ID: "dlv_gone", At: noon, Verdict: intake.Accepted, Status: http.StatusOK, Events: 1}},
	})
	html = page(t, h, stripePage)
	text = words(html)
	require.Contains(t, text, "at most 30 a minute; 1 of 3 processes did not answer")
	require.Contains(t, text, "each of the 3 processes")
	require.NotContains(t, html, "/dlv_gone", "what is not kept has no page")
}

func TestAQuarantinedEndpointCanBeResumed(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	const resume = "/endpoints/default/" + dashboardtest.Stripe + "/stripe/resume"
	require.NotContains(t, page(t, h, stripePage), resume)
	require.Equal(t, http.StatusConflict, post(h, resume, nil).Code)
	o.SetReport(dashboardtest.Stripe, "stripe", intake.Report{Quarantined: true})
	require.Contains(t, page(t, h, stripePage), `action="`+resume+`"`)
	w := post(h, resume, nil)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, stripePage, w.Header().Get("Location"))
	require.NotContains(t, page(t, h, stripePage), resume)
}

func TestADeliverysPageShowsWhatTheSenderWrote(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	o.Write(`{"X-Event":["ping","pong"],"Content-Type":["application/json"]}`, `{"id":9007199254740993,"a":"<b>"}`)
	html := page(t, h, letterPage)
	text := words(html)
	require.Contains(t, text, "Delivery given up dlv_06dvr7h2k8e3pawx9tq4stri01 at endpoint stripe")
	require.Contains(t, text, "It was given up after 1 call decode delivery as stripe.Event")
	require.Contains(t, text, "Received 5 h ago Calls of the handler 1 Body 33 B")
	require.Contains(t, words(part(t, html, `id="h-header"`, "</section>")), "Content-Type application/json X-Event ping X-Event pong")
	require.Contains(t, html, "&#34;id&#34;: 9007199254740993")
	require.NotContains(t, html, "<b>")
	require.Contains(t, html, `href="/api/v1/projects/default/connections/`+dashboardtest.Stripe+`/deliveries/dlv_06dvr7h2k8e3pawx9tq4stri01">As JSON`)
	require.Contains(t, words(page(t, h, "/deliveries/default/stripe-eu/dlv_06dvr7h2k8e3pawx9tq4stri02")), "waiting dlv_06dvr7h2k8e3pawx9tq4stri02 at endpoint stripe Try now")

	o.Write("{}", strings.Repeat("é", 1<<19))
	html = page(t, h, letterPage)
	require.Less(t, len(html), 100<<10)
	require.Contains(t, html, "The whole delivery as JSON")
	o.Write("{}", "\xff\x00PNG")
	html = page(t, h, letterPage)
	require.Contains(t, html, "ff 00 50 4e 47")
	require.Contains(t, html, "no text")

	w := send(h, http.MethodGet, "/deliveries/default/stripe-eu/dlv_none")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), "this delivery is not stored: it was handled since")
	require.Equal(t, http.StatusNotFound, send(h, http.MethodGet, strings.Replace(letterPage, "stripe-eu", "demo", 1)).Code, "a connection shows the delivery of another")
}

func TestTheButtonsOfADelivery(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	state := func(id string) string {
		list, err := o.Deliveries(t.Context(), dashboardtest.Stripe, "", "", 100)
		require.NoError(t, err)
		for _, d := range list {
			if strings.HasSuffix(d.ID, id) {
				return string(d.State) + " " + d.Note
			}
		}
		return ""
	}
	w := post(h, letterPage+"/redeliver", nil)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, stripePage, w.Header().Get("Location"))
	require.Equal(t, "waiting ", state("stri01"))
	require.Equal(t, "dead ", state("stri00"), "another delivery is redelivered")

	for _, reason := range []string{"", "  ", strings.Repeat("x", 501), "\xff"} {
		require.Equal(t, http.StatusUnprocessableEntity, post(h, letterPage+"/discard", url.Values{"reason": {reason}}).Code)
	}
	require.Equal(t, "waiting ", state("stri01"))
	require.Equal(t, http.StatusSeeOther, post(h, letterPage+"/discard", url.Values{"reason": {" a test of ours "}}).Code)
	require.Equal(t, "discarded a test of ours", state("stri01"))
	require.Equal(t, http.StatusNotFound, post(h, letterPage+"/redeliver", nil).Code)
	require.Equal(t, http.StatusNotFound, post(h, letterPage+"/keep", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, send(h, http.MethodGet, letterPage+"/redeliver").Code)
}

func TestAllThatWasGivenUpAtAnEndpointIsSettledAtOnce(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	h := open(t, o)
	const bulk = "/endpoints/default/" + dashboardtest.Stripe + "/stripe"
	for i, endpoint := range []string{"stripe", "stripe", "other"} {
		o.Keep(store.DeliverySummary{ID: fmt.Sprint("dlv_more", i), ConnectionID: dashboardtest.Stripe, Endpoint: endpoint, State: store.DeliveryDead, ReceivedAt: noon})
	}
	count := func(state store.DeliveryState) (n int) {
		list, err := o.Deliveries(t.Context(), dashboardtest.Stripe, state, "", 100)
		require.NoError(t, err)
		return len(list)
	}
	dead, waits := count(store.DeliveryDead), count(store.DeliveryWaiting)
	require.Greater(t, dead, 3)
	html := page(t, h, stripePage)
	require.Contains(t, html, `action="`+bulk+`/redeliver"`)
	require.Contains(t, html, `/other/discard"`, "an endpoint that is declared no more")

	for _, rate := range []string{"", "0", "-1", "NaN", "Inf", "10001", "ten"} {
		require.Equal(t, http.StatusUnprocessableEntity, post(h, bulk+"/redeliver", url.Values{"rate": {rate}}).Code, rate)
	}
	for _, reason := range []string{"", " ", strings.Repeat("x", 501), "\xff"} {
		require.Equal(t, http.StatusUnprocessableEntity, post(h, bulk+"/discard", url.Values{"reason": {reason}}).Code)
	}
	require.Equal(t, []int{dead, waits}, []int{count(store.DeliveryDead), count(store.DeliveryWaiting)}, "nothing has happened")

	w := post(h, bulk+"/redeliver", url.Values{"rate": {"4"}})
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, stripePage, w.Header().Get("Location"))
	require.Equal(t, []int{1, waits + dead - 1}, []int{count(store.DeliveryDead), count(store.DeliveryWaiting)}, "those of another endpoint too, or not all")
	require.Equal(t, 250*time.Millisecond, o.Pace())
	require.Equal(t, http.StatusConflict, post(h, bulk+"/redeliver", url.Values{"rate": {"4"}}).Code, "nothing is left to do")

	require.Equal(t, http.StatusSeeOther, post(h, "/endpoints/default/"+dashboardtest.Stripe+"/other/discard", url.Values{"reason": {" a test "}}).Code)
	require.Equal(t, []int{0, waits + dead - 1, 1}, []int{count(store.DeliveryDead), count(store.DeliveryWaiting), count(store.DeliveryDiscarded)})
	require.NotContains(t, page(t, h, stripePage), bulk+"/redeliver", "there is nothing to settle")
	require.Equal(t, http.StatusMethodNotAllowed, send(h, http.MethodGet, bulk+"/redeliver").Code)
}

func TestNothingThatCameInBecomesMarkup(t *testing.T) {
	t.Parallel()
	o := dashboardtest.Busy(noon)
	all := strings.Join(hostile, "\n")
	report := intake.Report{Counts: map[intake.Verdict]int64{intake.Stored: 1}}
	for i, text := range hostile {
		report.Recent = append(report.Recent, intake.Recent{ID: "dlv_" + text, First: text, At: noon, Verdict: intake.Stored, Why: fmt.Sprint(i, text)})
	}
	o.SetReport(dashboardtest.Stripe, "stripe", report)
	o.Keep(store.DeliverySummary{ID: "dlv_x", ConnectionID: dashboardtest.Stripe, Endpoint: all, Key: all, State: store.DeliveryDead, ReceivedAt: noon, LastError: all})
	h := open(t, o)
	for _, header := range []string{`{` + plain(t, all) + `:[` + plain(t, all) + `]}`, all} {
		o.Write(header, all)
		requireInert(t, h, stripePage, "/deliveries/default/stripe-eu/dlv_x")
	}
}

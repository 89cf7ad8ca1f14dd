package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

func TestTheOverviewShowsSinks(t *testing.T) {
	t.Parallel()
	html := page(t, open(t, dashboardtest.Busy(noon).WithSinks(noon)), "/")
	out := words(part(t, html, `id="k-`+dashboardtest.Outbound+`"`, "</tr>"))
	require.Contains(t, out, "outbound delivers 2 streams delivering just now 12\u202f454")
	broken := part(t, html, `id="k-`+dashboardtest.Broken+`"`, "</table>")
	require.Contains(t, words(broken), "warehouse delivers 1 stream failed")
	require.Contains(t, words(broken), "6 failures in a row 401 Unauthorized, after 6 attempts")
	require.Contains(t, html, `href="/sinks/default/outbound"`)
}

func TestASinkShowsWhatItDoesAndItsButtonsWork(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon).WithSinks(noon))
	const path = "/sinks/default/outbound"
	text := words(page(t, h, path))
	for _, want := range []string{
		"per_key : a failing event holds the later ones of its entity", "Breaker closed", "demo.orders 60 of", "Parked 3",
		"Replays", "rpl_06dvr000000000000000000000", "48 %", "given up 3 s ago demo.orders 1 422 12 ms 422 Unprocessable Entity", "tried again", "Dead letters 2",
	} {
		require.Contains(t, text, want)
	}
	broken := page(t, h, "/sinks/default/warehouse")
	require.Contains(t, words(broken), "open, probe in 40 s")
	require.Contains(t, broken, "<title>failed: warehouse")
	for _, c := range []struct{ on, action, state, button string }{
		{path, "pause", "paused", "resume"}, {path, "resume", "delivering", "pause"}, {path, "stop", "stopped", "restart"}, {path, "restart", "delivering", "stop"},
	} {
		w := send(h, http.MethodPost, c.on+"/"+c.action)
		require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
		require.Equal(t, c.on, w.Header().Get("Location"))
		html := page(t, h, c.on)
		require.Contains(t, words(html), "outbound "+c.state)
		require.Contains(t, html, `action="`+c.on+"/"+c.button+`"`)
	}
	require.Equal(t, http.StatusNotFound, send(h, http.MethodPost, path+"/drop").Code)
	require.Equal(t, http.StatusConflict, send(h, http.MethodGet, "/sinks/default/demo").Code, "a source is no sink")
}

func TestADeadLetterIsShownRedeliveredAndDiscarded(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon).WithSinks(noon))
	const path = "/sinks/default/outbound/dead-letters/"
	html := page(t, h, path+"dlt_06dvr0000000000000000000")
	require.NotContains(t, html, "<script>alert")
	require.NotContains(t, html, "<img src=x")
	text := words(html)
	for _, want := range []string{"POST https://receiver.example/hook", "Authorization: ***", "total must be a text", "12.50", "422 Unprocessable Entity"} {
		require.Contains(t, text, want)
	}
	require.Equal(t, http.StatusBadRequest, send(h, http.MethodPost, path+"dlt_06dvr0000000000000000000/discard").Code, "a reason is needed")
	w := post(h, path+"dlt_06dvr0000000000000000000/discard", url.Values{"reason": {"a test"}})
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	require.Contains(t, words(page(t, h, path+"dlt_06dvr0000000000000000000")), "Discarded: a test")
	require.Equal(t, http.StatusSeeOther, send(h, http.MethodPost, path+"dlt_06dvr0000000000000000001/redeliver").Code)
	require.Contains(t, words(page(t, h, "/sinks/default/outbound")), "Nothing was given up.")
	require.Equal(t, http.StatusNotFound, send(h, http.MethodGet, path+"dlt_0").Code)
}

func TestDeadLettersAreEditedAndSettledTogether(t *testing.T) {
	t.Parallel()
	const path = "/sinks/default/outbound/dead-letters/"
	h := open(t, dashboardtest.Busy(noon).WithSinks(noon))
	require.Contains(t, page(t, h, path+"dlt_06dvr0000000000000000000"), "&#34;total&#34;: 12.50\n}</textarea>")
	require.Equal(t, http.StatusUnprocessableEntity, post(h, path+"dlt_06dvr0000000000000000000/redeliver", url.Values{"payload": {`{"total":`}}).Code)
	require.Equal(t, http.StatusSeeOther, post(h, path+"dlt_06dvr0000000000000000000/redeliver", url.Values{"payload": {"{\r\n\"total\": 1e400}"}}).Code)

	for rate, status := range map[string]int{"": 422, "0": 422, "NaN": 422, "20000": 422, "50": 303} {
		require.Equal(t, status, post(h, path+"redeliver", url.Values{"rate": {rate}}).Code, rate)
	}
	html := page(t, h, "/sinks/default/outbound")
	require.Contains(t, words(html), "all 50/s 0 of 1 Cancel")
	_, rest, _ := strings.Cut(html, `action="/sinks/default/outbound/redeliveries/`)
	id, _, _ := strings.Cut(rest, "/cancel")
	require.Equal(t, http.StatusSeeOther, send(h, http.MethodPost, "/sinks/default/outbound/redeliveries/"+id+"/cancel").Code)
	require.NotContains(t, page(t, h, "/sinks/default/outbound"), id)
	require.Equal(t, http.StatusBadRequest, send(h, http.MethodPost, path+"discard").Code, "a reason is needed")
	require.Equal(t, http.StatusSeeOther, post(h, path+"discard", url.Values{"reason": {"tests"}}).Code)
	require.Contains(t, words(page(t, h, "/sinks/default/outbound")), "Nothing was given up.")
}

package dashboard_test

import (
	"net/http"
	"net/url"
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

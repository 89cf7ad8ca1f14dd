package dashboard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
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
	require.Equal(t, 10, strings.Count(html, `class="id">dlv_`))
	require.NotContains(t, html, "<img src=x")
	require.Contains(t, page(t, h, "/"), "1\u202f500 deliveries given up")
}

package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/ingest"
)

const billingEvents = "/api/v1/projects/billing/connections/stripe-us/streams/events/events"

func TestEventsThatRetentionRemovedAreNotSkippedSilently(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for range 5 {
		b.office.Record(dashboardtest.Billing, "events", ingest.Event{Type: "t", Subject: "s", Operation: ingest.Upsert, Payload: json.RawMessage(`{}`)})
	}
	b.office.Trim(dashboardtest.Billing, "events", 3)
	p := b.get(t, billingEvents+"?after=1").problem(t)
	require.Equal(t, []any{http.StatusGone, "events_trimmed", int64(4)}, []any{p.Status, p.Code, p.First})
	require.Contains(t, p.Detail, "events 2 to 3")
	for _, query := range []string{"", "?after=3"} {
		var list struct {
			Epoch  int64             `json:"epoch"`
			Events []json.RawMessage `json:"events"`
		}
		b.get(t, billingEvents+query).decode(t, &list)
		require.Len(t, list.Events, 2, query)
		require.Contains(t, string(list.Events[0]), `"weirsequence":4`)
		require.Equal(t, b.office.LogEpoch(), list.Epoch)
	}
	require.Equal(t, http.StatusOK, b.get(t, "/streams/billing/stripe-us/events").status)
}

func TestAReaderOfARestoredLogIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	current := b.office.LogEpoch()
	require.Equal(t, http.StatusOK, b.get(t, fmt.Sprintf("%s?epoch=%d", billingEvents, current)).status)
	p := b.get(t, fmt.Sprintf("%s?epoch=%d", billingEvents, current+7)).problem(t)
	require.Equal(t, []any{http.StatusConflict, "log_epoch_changed", current}, []any{p.Status, p.Code, p.Epoch})
}

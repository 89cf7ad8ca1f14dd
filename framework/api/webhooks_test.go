package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
)

const deliveriesPath = "/api/v1/connections/demo/deliveries"

// withLetters has two dead letters of connection demo.
func withLetters(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, dashboardtest.Loopback())
	connections, err := b.office.Connections(t.Context())
	require.NoError(t, err)
	for _, c := range connections {
		if c.Name != "demo" {
			continue
		}
		for _, id := range []string{"dlv_7", "dlv_8"} {
			b.office.Keep(store.DeliverySummary{
				ID: id, ConnectionID: c.ID, Endpoint: "demo", Key: `header X-Id "k"`, ReceivedAt: noon, Attempts: 2, State: store.DeliveryDead,
				LastError: "boom", BodyBytes: 14,
			})
		}
	}
	return b
}

func TestADeliveryIsShownWhole(t *testing.T) {
	t.Parallel()
	b := withLetters(t)
	var d map[string]any
	b.get(t, deliveriesPath+"/dlv_7").decode(t, &d)
	require.Equal(t, `{"id":"dlv_7"}`, d["body"]) //nolint:testifylint // byte for byte
	require.Equal(t, "utf-8", d["body_encoding"])
	require.Equal(t, map[string]any{"X-Event": []any{"ping"}}, d["header"])
	require.Equal(t, "dead", d["state"])
	require.Equal(t, "boom", d["last_error"])
	b.get(t, deliveriesPath+"/dlv_1").decode(t, &d)
	require.Equal(t, "/w==", d["body"])
	require.Equal(t, "base64", d["body_encoding"], "bytes that are no text do not become others")
	require.Equal(t, http.StatusNotFound, b.get(t, deliveriesPath+"/dlv_9").status)
	require.Equal(t, http.StatusNotFound, b.get(t, "/api/v1/connections/nobody/deliveries/dlv_7").status)
}

func TestDeliveriesAreRedeliveredAndDiscarded(t *testing.T) {
	t.Parallel()
	b := withLetters(t)
	var n struct{ Deliveries int }
	b.do(t, http.MethodPost, deliveriesPath+"/redeliver?id=dlv_7&rate=0.5").decode(t, &n)
	require.Equal(t, 1, n.Deliveries)
	p := b.do(t, http.MethodPost, deliveriesPath+"/redeliver?id=dlv_7").problem(t)
	require.Equal(t, "unknown_delivery", p.Code, "it waits already")
	require.Contains(t, p.Detail, "its state is waiting: ask for that")
	b.do(t, http.MethodPost, deliveriesPath+"/redeliver?id=dlv_7&state=waiting").decode(t, &n)
	require.Equal(t, 1, n.Deliveries)
	b.do(t, http.MethodPost, deliveriesPath+"/discard?all=true&reason=a+test").decode(t, &n)
	require.Equal(t, 1, n.Deliveries)
	var list struct {
		Deliveries []struct{ ID, Note string }
	}
	b.get(t, deliveriesPath+"?state=discarded").decode(t, &list)
	require.Len(t, list.Deliveries, 1)
	require.Equal(t, "dlv_8", list.Deliveries[0].ID)
	require.Equal(t, "a test", list.Deliveries[0].Note)
}

func TestWhatIsMeantMustBeSaid(t *testing.T) {
	t.Parallel()
	b := withLetters(t)
	for query, want := range map[string]string{
		"redeliver":                                "id is missing",
		"redeliver?all=yes":                        "all is \"yes\"; it must be true",
		"redeliver?all=true&rate=-1":               "rate is \"-1\"",
		"redeliver?all=true&rate=NaN":              "rate is \"NaN\"",
		"redeliver?id=con_1":                       "it must be the id of a delivery",
		"redeliver?all=true&state=waiting":         `it must be "dead" or "kept"`,
		"redeliver?from=never":                     "from is \"never\"",
		"discard?all=true":                         "reason has 0 bytes",
		"discard?reason=x":                         "id is missing",
		"redeliver?all=true&rate=1&reason=because": "reason is unknown",
	} {
		p := b.do(t, http.MethodPost, deliveriesPath+"/"+query).problem(t)
		require.Equal(t, http.StatusBadRequest, p.Status, query)
		require.Contains(t, p.Detail, want, query)
	}
	var list struct{ Deliveries []any }
	b.get(t, deliveriesPath+"?state=dead").decode(t, &list)
	require.Len(t, list.Deliveries, 2, "a refused request changed something")
}

func TestEndpointsTellWhatCameIn(t *testing.T) {
	t.Parallel()
	b := withLetters(t)
	b.office.SetReport(dashboardtest.Demo, "demo", intake.Report{
		Counts: map[intake.Verdict]int64{intake.Accepted: 1}, MaxHandlers: 64, Quarantined: true, Processes: 3, Answered: 2,
		Recent: []intake.Recent{{ID: "dlv_1", Verdict: intake.Accepted, Status: http.StatusOK, Bytes: 17, Events: 1, Took: time.Millisecond, Attempt: 1}},
	})
	var list struct{ Webhooks []map[string]any }
	b.get(t, "/api/v1/connections/demo/webhooks").decode(t, &list)
	require.Len(t, list.Webhooks, 1)
	require.NotContains(t, list.Webhooks[0], "recent")
	require.Contains(t, list.Webhooks[0]["url"], "/webhooks/con_")
	var one struct {
		Quarantined         bool
		Processes, Answered int
		Recent              []struct {
			ID, Verdict string
			Status      int
			DurationMS  float64 `json:"duration_ms"`
		}
	}
	b.get(t, "/api/v1/connections/demo/webhooks/demo").decode(t, &one)
	require.True(t, one.Quarantined)
	require.Equal(t, 3, one.Processes)
	require.Equal(t, 2, one.Answered)
	require.Equal(t, "dlv_1", one.Recent[0].ID)
	require.Equal(t, http.StatusOK, one.Recent[0].Status)
	require.InDelta(t, 1, one.Recent[0].DurationMS, 0)
	require.Equal(t, "unknown_endpoint", b.get(t, "/api/v1/connections/demo/webhooks/other").problem(t).Code)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/api/v1/connections/demo/webhooks/demo/resume").status)
}

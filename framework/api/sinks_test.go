package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

func sinkSetup(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, dashboardtest.Loopback())
	b.office.WithSinks(noon)
	return b
}

func TestSinksAreInTheHealth(t *testing.T) {
	t.Parallel()
	b := sinkSetup(t)
	a := b.get(t, "/api/v1/sinks")
	require.Equal(t, http.StatusOK, a.status, a.body)
	var list struct {
		Sinks []struct {
			Connection, State      string
			Reason                 *string
			Lag, Parked, Delivered int64
			DeadLetters            int64   `json:"dead_letters"`
			FailingSince           *string `json:"failing_since"`
			BreakerUntil           *string `json:"breaker_until"`
			ConsecutiveFailures    int     `json:"consecutive_failures"`
		} `json:"sinks"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &list))
	require.Len(t, list.Sinks, 2)
	out, broken := list.Sinks[0], list.Sinks[1]
	require.Equal(t, []any{"outbound", "running", int64(3), int64(12_454), int64(2)}, []any{out.Connection, out.State, out.Parked, out.Delivered, out.DeadLetters})
	require.Positive(t, out.Lag)
	require.Equal(t, []any{"warehouse", "failed", "401 Unauthorized, after 6 attempts", 6}, []any{broken.Connection, broken.State, *broken.Reason, broken.ConsecutiveFailures})
	require.Equal(t, "2026-03-02T09:20:00.000000Z", *broken.FailingSince)
	require.NotNil(t, broken.BreakerUntil)
	require.JSONEq(t, `{"sinks":[]}`, b.get(t, "/api/v1/projects/billing/sinks").body)
}

func TestASinkIsSeenMovedAndMended(t *testing.T) {
	t.Parallel()
	b := sinkSetup(t)
	const path = "/api/v1/connections/outbound"
	view := b.get(t, path+"/offsets").body
	for _, want := range []string{`"stream":"demo.orders"`, `"outcome":"give_up"`, `"replays":[{"id":"rpl_`, `"order":"per_key"`} {
		require.Contains(t, view, want)
	}
	post := func(query string) answer { return b.do(t, http.MethodPost, path+query) }
	require.Equal(t, http.StatusConflict, post("/offsets?stream=demo.orders&to=earliest").status, "it runs")
	require.Equal(t, http.StatusOK, post("/stop").status)
	for _, good := range []string{"to=earliest", "to=latest", "to=12", "to=2026-03-01", "to=2026-03-01T08:00:00Z", "skip=2"} {
		a := post("/offsets?stream=demo.orders&" + good)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", good, a.body)
	}
	for _, beyond := range []string{"to=100000", "skip=100000"} {
		a := post("/offsets?stream=demo.orders&" + beyond)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, "%s: %s", beyond, a.body)
		require.Contains(t, a.body, "still to come")
	}
	for _, bad := range []string{"", "to=0", "to=soon", "to=3&skip=1", "skip=0", "skip=x"} {
		require.Equal(t, http.StatusBadRequest, post("/offsets?stream=demo.orders&"+bad).status, bad)
	}
	require.Equal(t, http.StatusOK, post("/replays?stream=demo.orders&from=3&to=9").status)
	require.Equal(t, http.StatusBadRequest, post("/replays?stream=demo.orders").status)
	require.Equal(t, http.StatusUnprocessableEntity, post("/replays?stream=demo.orders&from=2099-01-01").status)
	require.Equal(t, http.StatusNotFound, post("/replays?stream=demo.nothing&from=3").status)
	require.Equal(t, http.StatusOK, post("/restart").status)

	letters := b.get(t, path+"/dead-letters?stream=demo.orders").body
	require.Equal(t, 2, strings.Count(letters, `"id":"dlt_`))
	require.JSONEq(t, `{"dead_letters":[],"next":null}`, b.get(t, path+"/dead-letters?stream=demo.customers").body)
	one := b.get(t, path+"/dead-letters/dlt_06dvr0000000000000000000").body
	require.Contains(t, one, `"data":{"id":"ord_41","note":"`)
	require.Contains(t, one, "total must be a text")
	require.Equal(t, http.StatusBadRequest, post("/dead-letters/redeliver").status)
	for _, a := range []answer{b.get(t, path+"/dead-letters/dlt_gone"), post("/dead-letters/redeliver?id=dlt_gone"), post("/dead-letters/discard?id=dlt_gone&reason=x")} {
		require.Equal(t, http.StatusNotFound, a.status)
		require.Contains(t, a.body, `has no dead letter \"dlt_gone\": it was sent again`)
	}
	many := post("/dead-letters/redeliver?stream=demo.orders&rate=10")
	var begun struct {
		DeadLetters int `json:"dead_letters"`
		Redelivery  string
	}
	require.NoError(t, json.Unmarshal([]byte(many.body), &begun))
	require.Equal(t, 2, begun.DeadLetters)
	require.Contains(t, b.get(t, path+"/offsets").body, `"redeliveries":[{"id":"`+begun.Redelivery+`","stream":"demo.orders","total":2,"taken":0,"rate":10,`)
	a := post("/redeliveries/" + begun.Redelivery + "/cancel")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, `"redeliveries":[]`)
	require.JSONEq(t, `{"dead_letters":1}`, post("/dead-letters/redeliver?id=dlt_06dvr0000000000000000000").body)
	require.JSONEq(t, `{"dead_letters":1}`, post("/dead-letters/discard?all=true&reason=tests").body)
	require.JSONEq(t, `{"dead_letters":0}`, post("/dead-letters/discard?all=true&reason=tests").body)
}

func TestADeadLetterOfAnErasedEntityIsShownWithoutIt(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.AddSink(store.Connection{ID: "con_06dvr0000000000000000other", Project: "default", Name: "other", Connector: "http", Type: "sink", Enabled: true},
		delivery.Snapshot{}, nil, []store.DeadEvent{{
			ID: "dlt_06dvr0000000000000000009", Reason: "422 Unprocessable Entity", Discarded: true, Note: "erased",
			Position: store.Position{Source: store.Source{ConnectionID: dashboardtest.Demo, Stream: "orders"}, Sequence: 7},
		}})
	a := b.get(t, "/api/v1/connections/other/dead-letters/dlt_06dvr0000000000000000009")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, `"note":"erased"`)
	require.NotContains(t, a.body, `"event"`)
}

func TestOnlyOperatorsMoveSinks(t *testing.T) {
	t.Parallel()
	for _, row := range api.Routes() {
		if strings.Contains(row.Pattern, "/dead-letters") || row.Method == http.MethodPost && strings.HasPrefix(row.Pattern, "/sinks/") {
			require.Equal(t, api.RoleOperator, row.Role, row.Pattern)
		}
	}
}

package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

type deliveryList struct {
	Deliveries []struct {
		ID, Endpoint, Key, State string
		ReceivedAt               string  `json:"received_at"`
		NextAttemptAt            *string `json:"next_attempt_at"`
		LastError                *string `json:"last_error"`
		Attempts                 int
		BodyBytes                int `json:"body_bytes"`
	}
	Next *string
}

func (l deliveryList) ends() string {
	var out []string
	for _, d := range l.Deliveries {
		out = append(out, d.ID[len(d.ID)-1:]+" "+d.State)
	}
	return strings.Join(out, ", ")
}

func TestDeliveriesThatWaitOrWereGivenUpAreListed(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	const path = "/api/v1/connections/stripe-eu/deliveries"
	var all, byID deliveryList
	b.get(t, path).decode(t, &all)
	require.Equal(t, "3 waiting, 2 waiting, 1 dead, 0 dead", all.ends(), "newest first")
	require.Nil(t, all.Next)
	b.get(t, "/api/v1/projects/default/connections/"+dashboardtest.Stripe+"/deliveries").decode(t, &byID)
	require.Equal(t, all, byID)

	waiting, dead := all.Deliveries[1], all.Deliveries[2]
	require.Equal(t, "evt_1Qx0002", waiting.Key, "the sender's id, as the handler gets it")
	require.Equal(t, "stripe", waiting.Endpoint)
	require.Equal(t, 3, waiting.Attempts)
	require.Equal(t, 902, waiting.BodyBytes)
	require.Equal(t, "2026-03-02T12:16:00.000000Z", waiting.ReceivedAt)
	require.Equal(t, "2026-03-02T12:22:00.000000Z", *waiting.NextAttemptAt)
	require.Contains(t, *dead.LastError, "cannot unmarshal number")
	require.Nil(t, dead.NextAttemptAt)

	for query, want := range map[string]string{"?state=waiting": "3 waiting, 2 waiting", "?state=dead": "1 dead, 0 dead"} {
		var list deliveryList
		b.get(t, path+query).decode(t, &list)
		require.Equal(t, want, list.ends())
	}
	var page deliveryList
	b.get(t, path+"?state=dead&limit=1").decode(t, &page)
	require.Equal(t, "1 dead", page.ends())
	next := path + "?state=dead&limit=1&before=" + *page.Next
	page = deliveryList{}
	b.get(t, next).decode(t, &page)
	require.Equal(t, "0 dead", page.ends())
	require.Nil(t, page.Next)
	require.JSONEq(t, `{"deliveries":[],"next":null}`, b.get(t, "/api/v1/connections/demo/deliveries").body)
}

func TestDeliveriesRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	b := setup(t, api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken})
	auth := header("Authorization", "Bearer "+adminToken)
	const path = "/api/v1/connections/stripe-eu/deliveries"
	require.Equal(t, http.StatusUnauthorized, b.get(t, path).status, "they are for operators")
	p := b.do(t, http.MethodGet, path+"?state=lost&state_=dead&before=run_1&limit=0", auth).problem(t)
	require.Equal(t, "invalid_parameters", p.Code)
	require.Equal(t, []api.Fault{
		{Parameter: "before", Detail: `is "run_1"; it must be the id of a delivery, or "next" of the last answer`},
		{Parameter: "limit", Detail: `is "0"; it must be a whole number from 1 to 1000`},
		{Parameter: "state", Detail: `is "lost"; it must be "waiting", "dead", "kept" or "discarded"`},
		{Parameter: "state_", Detail: `is unknown; did you mean "state"?`},
	}, p.Errors)
	require.Equal(t, "unknown_connection", b.do(t, http.MethodGet, "/api/v1/connections/strpe-eu/deliveries", auth).problem(t).Code)
	b.office.Break(errDisk)
	require.Equal(t, http.StatusInternalServerError, b.do(t, http.MethodGet, path, auth).status)
}

func TestACursorThatDoesNotFitIsTheCallersFault(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.OnPage = func(api.PageCall) (api.PageResult, error) {
		return api.PageResult{}, &framework.CursorError{Reason: errDisk}
	}
	p := b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers?cursor=%7B%22pgae%22:1%7D").problem(t)
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Equal(t, "invalid_parameters", p.Code)
	require.Equal(t, "cursor", p.Errors[0].Parameter)
	require.Contains(t, p.Errors[0].Detail, `{\"pgae\":1}`)
	require.NotContains(t, p.Detail, "reset", "there is nothing to reset")

	p = b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers").problem(t)
	require.Equal(t, http.StatusConflict, p.Status)
	require.Equal(t, "cursor_unreadable", p.Code)
	require.Contains(t, p.Detail, "reset the stream")
}

func TestWhatIsPausedOrDisabledHasNoNextRun(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	next := func(stream string) any {
		var fields map[string]any
		b.get(t, "/api/v1/connections/"+stream).decode(t, &fields)
		require.Contains(t, fields, "next_run_at")
		return fields["next_run_at"]
	}
	require.Equal(t, "2026-03-02T12:20:03.000000Z", next("demo/streams/customers"))
	b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/customers/pause")
	require.Nil(t, next("demo/streams/customers"))
	b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/customers/resume")
	require.NotNil(t, next("demo/streams/customers"))
	require.Nil(t, next("github/streams/repositories"))
	require.Nil(t, next("rates/streams/rates"))
}

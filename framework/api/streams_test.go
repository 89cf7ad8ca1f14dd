package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

type streamList struct {
	Streams []health.View
	Next    *string
}

func TestStreamsOfTheDefaultProjectHaveAnAlias(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	alias := b.get(t, "/api/v1/streams")
	require.Equal(t, b.get(t, "/api/v1/projects/default/streams").body, alias.body)
	var list streamList
	alias.decode(t, &list)
	require.Nil(t, list.Next)
	var names []string
	for _, v := range list.Streams {
		require.Equal(t, "default", v.Project)
		names = append(names, v.Connection+"."+v.Stream)
	}
	require.Equal(t, []string{
		"demo.customers", "demo.order_events", "demo.orders", "github.events", "github.issues", "github.repositories", "rates.rates",
		"stripe-eu.customers", "stripe-eu.events", "stripe-eu.invoices", "stripe-eu.payouts",
	}, names)
}

func TestAStreamSaysEverythingThatStatusShows(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var fields map[string]any
	b.get(t, "/api/v1/connections/demo/streams/order_events").decode(t, &fields)
	for _, name := range []string{
		"project", "connection", "connection_id", "connector", "stream", "mode", "schedule", "cadence", "description", "state", "last_success_at",
		"next_run_at", "last_error", "consecutive_failures", "events_total", "duplicates_total", "cursor", "events_24h", "hourly",
	} {
		require.Contains(t, fields, name)
	}
	require.Nil(t, fields["schedule"])
	require.Nil(t, fields["next_run_at"])
	require.Nil(t, fields["cursor"])
	b.get(t, "/api/v1/connections/"+dashboardtest.Demo+"/streams/customers").decode(t, &fields)
	require.Equal(t, map[string]any{"watermark": "2026-03-02T12:19:51Z", "page": ""}, fields["cursor"])
}

func TestStreamsArePagedWithoutGapsAndRepeats(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var all streamList
	b.get(t, "/api/v1/streams").decode(t, &all)
	for limit := 1; limit <= len(all.Streams); limit++ {
		var got []health.View
		path := fmt.Sprintf("/api/v1/streams?limit=%d", limit)
		for next := path; next != ""; {
			var page streamList
			b.get(t, next).decode(t, &page)
			require.LessOrEqual(t, len(page.Streams), limit)
			require.NotEmpty(t, page.Streams)
			got = append(got, page.Streams...)
			next = ""
			if page.Next != nil {
				next = path + "&page_token=" + url.QueryEscape(*page.Next)
			}
		}
		require.Equal(t, all.Streams, got)
	}
}

func TestUnknownNamesAreProblemsThatNameThem(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for path, want := range map[string][2]string{
		"/api/v1/connections/dmeo/streams/customers/events":                            {"unknown_connection", `no connection "dmeo" in project "default"; did you mean "demo"?`},
		"/api/v1/connections/demo/streams/costumers/runs":                              {"unknown_stream", `no stream "costumers" in connection "demo"; did you mean "customers"?`},
		"/api/v1/projects/biling/streams":                                              {"unknown_project", `no project "biling"`},
		"/api/v1/projects/billing/connections/demo/streams/customers":                  {"unknown_connection", `no connection "demo" in project "billing"`},
		"/api/v1/connections/" + dashboardtest.Billing + "/streams/customers":          {"unknown_connection", "in project \"default\""},
		"/api/v1/runs/run_06dvr7h2k8e3pawx9tq4none":                                    {"unknown_run", `no run "run_06dvr7h2k8e3pawx9tq4none" in project "default"`},
		"/api/v1/projects/billing/runs/run_06dvr7h2k8e3pawx9tq4invo00":                 {"unknown_run", `in project "billing"`},
		"/api/v1/runs/" + url.PathEscape("' OR 1=1--"):                                 {"unknown_run", "no run"},
		"/api/v1/connections/" + url.PathEscape("x\r\nERROR y") + "/streams/customers": {"unknown_connection", `"x\r\nERROR y"`},
		"/api/v1/nothing":  {"unknown_path", "/api/v1/nothing"},
		"/api/v1/streams/": {"unknown_path", "/api/v1/streams/"},
	} {
		a := b.get(t, path)
		require.Equal(t, http.StatusNotFound, a.status, path)
		p := a.problem(t)
		require.Equal(t, want[0], p.Code, path)
		require.Contains(t, p.Detail, want[1], path)
	}
	require.Empty(t, b.log.String(), "a caller's mistakes are no news for the log")
}

func TestEveryInvalidParameterIsListedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	p := b.get(t, "/api/v1/connections/demo/streams/customers/events?limit=0&after=-1&fater=3&after=2").problem(t)
	require.Equal(t, http.StatusBadRequest, p.Status)
	var names []string
	for _, f := range p.Errors {
		names = append(names, f.Parameter+" "+f.Detail)
	}
	require.Equal(t, []string{
		"after is given 2 times; give it once",
		`fater is unknown; did you mean "after"?`,
		`limit is "0"; it must be a whole number from 1 to 1000`,
	}, names)

	for path, parameters := range map[string][]string{
		"/api/v1/streams?limit=1001&page_token=zzz":                                                 {"limit", "page_token"},
		"/api/v1/streams?limit=%2B5":                                                                {"limit"},
		"/api/v1/streams?limit=1e2&x=%00":                                                           {"limit", "x"},
		"/api/v1/connections/demo/streams/customers/runs?before=1%27--":                             {"before"},
		"/api/v1/connections/demo/streams/customers/events?after=99999999999999999999":              {"after"},
		"/api/v1/streams?a=%zz":                                                                     {""},
		"/api/v1/streams?page_token=" + strings.Repeat("A", 4000) + "&" + strings.Repeat("b", 4000): {"bbbb", "page_token"},
	} {
		p := b.get(t, path).problem(t)
		require.Equal(t, "invalid_parameters", p.Code, path)
		require.Len(t, p.Errors, len(parameters), path)
		for i, name := range parameters {
			require.True(t, strings.HasPrefix(p.Errors[i].Parameter, name), path)
			require.Less(t, len(p.Errors[i].Detail), 400)
		}
	}
}

func TestEventsLeaveByteForByte(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	payloads := []string{
		`{"n":9007199254740993,"big":1e400,"neg":-0.0,"z":1,"a":2}`,
		`{"html":"<b>&amp;</b>","esc":"\u003c\u2028","raw":"é","dup":1,"dup":2}`,
		"{ \"spaces\" : [ 1,\n\t2 ] }",
		`"text"`, `null`, `1.10`,
	}
	for i, p := range payloads {
		b.office.Record(dashboardtest.Billing, "events", ingest.Event{Type: "t<" + fmt.Sprint(i) + ">", Subject: "s&", Operation: ingest.Upsert, Payload: json.RawMessage(p)})
	}
	a := b.get(t, "/api/v1/projects/billing/connections/stripe-us/streams/events/events")
	require.Equal(t, http.StatusOK, a.status)
	for i, p := range payloads {
		require.Contains(t, a.body, `,"data":`+p+"}")
		require.Contains(t, a.body, fmt.Sprintf(`"type":"t<%d>"`, i))
	}
	var list struct {
		Events []map[string]any
		Next   *string
	}
	a.decode(t, &map[string]json.RawMessage{})
	for i := range payloads {
		after := fmt.Sprint(i)
		one := b.get(t, "/api/v1/projects/billing/connections/stripe-us/streams/events/events?limit=1&after="+after)
		if i == 0 {
			require.Contains(t, one.body, `"specversion":"1.0"`)
			require.Contains(t, one.body, `"source":"/projects/billing/connections/`+dashboardtest.Billing+`"`)
		}
		require.Contains(t, one.body, fmt.Sprintf(`"weirsequence":%d`, i+1))
		if i < len(payloads)-1 {
			require.True(t, strings.HasSuffix(strings.TrimSpace(one.body), fmt.Sprintf(`"next":"%d"}`, i+1)), one.body)
		} else {
			require.True(t, strings.HasSuffix(strings.TrimSpace(one.body), `"next":null}`), one.body)
		}
	}
	b.get(t, "/api/v1/projects/billing/connections/stripe-us/streams/events/events?after=6").decode(t, &list)
	require.Empty(t, list.Events)
	require.Nil(t, list.Next)
}

func TestEventsArePagedAcrossChunks(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for range 100 {
		b.office.Record(dashboardtest.Billing, "events", ingest.Event{Type: "t", Subject: "s", Operation: ingest.Upsert, Payload: json.RawMessage(`{}`)})
	}
	for i, limit := range []int{1, 15, 16, 17, 33, 99, 100, 1000, 1, 15, 99, 100, 1000} {
		if i == 8 {
			b.office.MostEvents = 3 // large events: a read brings less than was asked
		}
		var seen []int64
		after := ""
		for {
			var list struct {
				Events []struct{ Weirsequence int64 }
				Next   *string
			}
			b.get(t, fmt.Sprintf("/api/v1/projects/billing/connections/stripe-us/streams/events/events?limit=%d%s", limit, after)).decode(t, &list)
			require.LessOrEqual(t, len(list.Events), limit)
			for _, e := range list.Events {
				seen = append(seen, e.Weirsequence)
			}
			if list.Next == nil {
				break
			}
			after = "&after=" + *list.Next
		}
		require.Len(t, seen, 100, limit)
		for i, n := range seen {
			require.EqualValues(t, i+1, n)
		}
	}
}

func TestALargeAnswerEndsEarlyAndSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	large := json.RawMessage(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	for range 20 {
		b.office.Record(dashboardtest.Billing, "events", ingest.Event{Type: "t", Subject: "s", Operation: ingest.Upsert, Payload: large})
	}
	a := b.get(t, "/api/v1/projects/billing/connections/stripe-us/streams/events/events")
	require.Less(t, len(a.body), 17<<20)
	require.True(t, strings.HasSuffix(strings.TrimSpace(a.body), `"next":"15"}`), a.body[len(a.body)-100:])
}

func TestRunsAreListedNewestFirstAndFoundById(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	type run struct {
		ID, State, Connection, Stream, Error string
		Duration                             *float64 `json:"duration_seconds"`
		Finished                             *string  `json:"finished_at"`
		Stack                                *string
	}
	var list struct {
		Runs []run
		Next *string
	}
	b.get(t, "/api/v1/connections/stripe-eu/streams/payouts/runs?limit=2").decode(t, &list)
	require.Len(t, list.Runs, 2)
	require.Equal(t, "run_06dvr7h2k8e3pawx9tq4payo02", list.Runs[0].ID)
	require.Equal(t, dashboardtest.StackOf, *list.Runs[1].Stack)
	require.InDelta(t, 0.412, *list.Runs[1].Duration, 1e-9)
	first := slices.Clone(list.Runs)
	b.get(t, "/api/v1/connections/stripe-eu/streams/payouts/runs?limit=2&before="+*list.Next).decode(t, &list)
	require.Len(t, list.Runs, 1)
	require.Nil(t, list.Next)
	require.NotContains(t, first, list.Runs[0])

	var one run
	b.get(t, "/api/v1/runs/run_06dvr7h2k8e3pawx9tq4invo00").decode(t, &one)
	require.Equal(t, "running", one.State)
	require.Equal(t, "stripe-eu", one.Connection)
	require.Nil(t, one.Finished)
	require.Nil(t, one.Duration)
}

func TestConnectionsShowTheAddressesOfTheirEndpoints(t *testing.T) {
	t.Parallel()
	b := setup(t, api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken, PublicURL: "https://weir.example.com/"})
	var list struct {
		Connections []struct {
			Name, ID  string
			Enabled   bool
			Streams   []string
			Endpoints []struct{ Path, Auth, URL string }
		}
		Next *string
	}
	auth := header("Authorization", "Bearer "+adminToken)
	b.do(t, http.MethodGet, "/api/v1/connections?limit=1", auth).decode(t, &list)
	require.Equal(t, "demo", list.Connections[0].Name)
	require.Equal(t, "https://weir.example.com/webhooks/"+dashboardtest.Demo+"/demo", list.Connections[0].Endpoints[0].URL)
	b.do(t, http.MethodGet, "/api/v1/connections?page_token="+*list.Next, auth).decode(t, &list)
	require.Equal(t, "github", list.Connections[0].Name)
	require.False(t, list.Connections[1].Enabled)
	b.do(t, http.MethodGet, "/api/v1/projects/billing/connections", auth).decode(t, &list)
	require.Equal(t, "https://weir.example.com/p/billing/webhooks/"+dashboardtest.Billing+"/stripe", list.Connections[0].Endpoints[0].URL)
}

func TestAFailingStoreIsAProblemWithoutItsCause(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, c := range []struct {
		err    error
		status int
	}{{errDisk, 500}, {fmt.Errorf("%w: %w", store.ErrUnavailable, errDisk), 503}, {store.ErrBusy, 503}} {
		b.office.Break(c.err)
		a := b.get(t, "/api/v1/streams")
		require.Equal(t, c.status, a.status)
		require.NotContains(t, a.problem(t).Detail, "secret-path")
		require.Contains(t, b.log.String(), c.err.Error())
		if c.status == http.StatusServiceUnavailable {
			require.Equal(t, "2", a.header.Get("Retry-After"))
		}
	}
}

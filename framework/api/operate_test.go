package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

func TestSyncRunsOnePageAndAnswersWithItsCursor(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var got api.PageCall
	b.office.OnPage = func(c api.PageCall) (api.PageResult, error) {
		got = c
		return api.PageResult{Cursor: []byte(`{"n":9007199254740993,"q":"<"}`), HasMore: true, Emitted: 7, Duplicates: 2}, nil
	}
	a := b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers")
	require.Equal(t, `{"cursor":{"n":9007199254740993,"q":"<"},"hasMore":true,"emitted":7,"duplicates":2}`+"\n", a.body) //nolint:testifylint // digits and escapes count, not only the meaning
	require.Equal(t, api.PageCall{ConnectionID: dashboardtest.Demo, Stream: "customers"}, got)
}

func TestSyncTakesAPlaceAndARange(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.Connect(store.Connection{ID: "con_past", Project: "default", Name: "past", Connector: "past", Enabled: true}, catalog.Manifest{
		Connector: "past", Streams: []catalog.StreamManifest{{Key: "rows", Mode: catalog.ModePoll, Schedule: "@daily", Backfill: true}},
	})
	var got api.PageCall
	b.office.OnPage = func(c api.PageCall) (api.PageResult, error) { got = c; return api.PageResult{}, nil }
	q := url.Values{"from": {"2026-01-31"}, "to": {"2026-02-01T10:00:00+02:00"}, "cursor": {`{"page": "p2"}`}}
	a := b.do(t, http.MethodPost, "/api/v1/connections/past/sync/rows?"+q.Encode())
	require.Equal(t, `{"cursor":null,"hasMore":false,"emitted":0,"duplicates":0}`+"\n", a.body)
	require.Equal(t, api.PageCall{
		ConnectionID: "con_past", Stream: "rows", Explicit: true, Cursor: []byte(`{"page": "p2"}`),
		From: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC),
	}, got)

	p := b.do(t, http.MethodPost, "/api/v1/connections/past/sync/rows?from=yesterday&to=2026-13-01&cursor={").problem(t)
	require.Len(t, p.Errors, 3)
	p = b.do(t, http.MethodPost, "/api/v1/connections/past/sync/rows?from=2026-02-01&to=2026-02-01").problem(t)
	require.Equal(t, "to", p.Errors[0].Parameter)
	p = b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/orders?from=2026-02-01").problem(t)
	require.Equal(t, "no_range", p.Code)
}

func TestSyncTellsWhoFailed(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, c := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{errors.New("provider said 500"), http.StatusBadGateway, "sync_failed", "provider said 500"},
		{framework.Auth(errors.New("key refused")), http.StatusBadGateway, "sync_failed", "key refused"},
		{&framework.PanicError{Value: "index out of range", Stack: "goroutine 1"}, http.StatusBadGateway, "connector_failed", "index out of range"},
		{framework.ErrCursorUnreadable, http.StatusConflict, "cursor_unreadable", "cursor unreadable"},
		{&api.ConflictError{Err: errors.New("stream is paused; resume it first")}, http.StatusConflict, "conflict", "resume it first"},
		{store.ErrConflict, http.StatusConflict, "conflict", "try again"},
		{store.ErrBusy, http.StatusServiceUnavailable, "store_unavailable", "try again"},
	} {
		b.office.OnPage = func(api.PageCall) (api.PageResult, error) { return api.PageResult{}, c.err }
		a := b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers")
		require.Equal(t, c.status, a.status, c.err)
		p := a.problem(t)
		require.Equal(t, c.code, p.Code)
		require.Contains(t, p.Detail, c.detail)
		require.NotContains(t, a.body, "goroutine")
	}
}

func TestAStreamIsPausedResumedAndRun(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var v health.View
	b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/pause").decode(t, &v)
	require.Equal(t, health.Paused, v.State)
	b.do(t, http.MethodPost, "/api/v1/projects/default/connections/"+dashboardtest.Demo+"/streams/orders/resume").decode(t, &v)
	require.Equal(t, health.Healthy, v.State)
	a := b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/run")
	require.Equal(t, http.StatusAccepted, a.status)
	require.Contains(t, a.body, `"state":"running"`)

	b.office.OnRun = func(string, string) error { return &api.ConflictError{Err: errors.New("stream is busy")} }
	require.Equal(t, http.StatusConflict, b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/run").problem(t).Status)
}

func TestAWebhookStreamAndADisabledConnectionCannotBeOperated(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for path, code := range map[string]string{
		"/connections/demo/streams/order_events/": "webhook_stream", "/connections/rates/streams/rates/": "connection_disabled",
	} {
		for _, action := range []string{"pause", "resume", "run"} {
			require.Equal(t, code, b.do(t, http.MethodPost, "/api/v1"+path+action).problem(t).Code)
		}
	}
	require.Equal(t, "webhook_stream", b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/order_events").problem(t).Code)
}

func TestProbesSayWhetherTheProcessTakesTraffic(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	require.Equal(t, http.StatusOK, b.get(t, "/healthz").status)
	require.Equal(t, http.StatusOK, b.get(t, "/readyz").status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodHead, "/readyz").status)
	b.ready = errDisk
	a := b.get(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.NotContains(t, a.body, "secret-path")
	b.ready = fmt.Errorf("ping: %w: 1 MiB is free at /secret-path", store.ErrDiskLow)
	a = b.get(t, "/readyz")
	require.Equal(t, "disk_low", a.problem(t).Code)
	require.NotContains(t, a.body, "secret-path")
	require.Equal(t, http.StatusOK, b.get(t, "/healthz").status)
}

func TestNothingACallerSendsBreaksALogLine(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.Break(errors.New("boom\r\nlevel=ERROR msg=forged \x1b[31m"))
	a := b.get(t, "/api/v1/connections/"+url.PathEscape("a\r\nlevel=ERROR msg=forged\x1b[2J")+"/streams/x")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.Equal(t, 1, strings.Count(b.log.String(), "\n"), b.log.String())
	require.NotContains(t, b.log.String(), "\x1b")
	require.NotContains(t, b.log.String(), "\r")
}

func TestBackfillsAreStartedListedAndEnded(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	const stream, connection = "/api/v1/connections/demo/streams/customers/backfills", "/api/v1/connections/demo/backfills/"
	var made struct {
		ID, State, Rate string
		WindowSeconds   float64 `json:"window_seconds"`
		Progress        float64
	}
	b.json(t, http.MethodPost, stream+"?from=2026-01-01&to=2026-02-01T12:00:00Z&window=2d&rate=30/min", http.StatusAccepted, &made)
	require.Equal(t, "bfl_2", made.ID)
	require.InDelta(t, 172800, made.WindowSeconds, 0)
	require.Equal(t, "30/min", made.Rate)
	var list struct {
		Backfills []struct {
			ID        string
			Progress  float64
			Remaining *float64 `json:"remaining_seconds"`
		}
		Next *string
	}
	b.json(t, http.MethodGet, stream+"?limit=1", http.StatusOK, &list)
	require.Equal(t, "bfl_2", list.Backfills[0].ID, "newest first")
	b.json(t, http.MethodGet, stream+"?limit=1&page_token="+*list.Next, http.StatusOK, &list)
	require.Equal(t, "bfl_1", list.Backfills[0].ID)
	require.InDelta(t, 0.5, list.Backfills[0].Progress, 0.001)
	require.InDelta(t, 120, *list.Backfills[0].Remaining, 0)
	b.json(t, http.MethodPost, connection+"bfl_2/cancel", http.StatusOK, &made)
	require.Equal(t, "canceled", made.State)
	b.json(t, http.MethodPost, connection+"bfl_2/resume", http.StatusOK, &made)
	require.Equal(t, "running", made.State)

	require.Equal(t, "unknown_backfill", b.problem(t, http.MethodGet, connection+"bfl_9", http.StatusNotFound).Code)
	require.Equal(t, "unknown_backfill", b.problem(t, http.MethodPost, connection+"bfl_9/cancel", http.StatusNotFound).Code)
	require.Equal(t, "no_range", b.problem(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/backfills?from=2026-01-01&to=2026-02-01", http.StatusUnprocessableEntity).Code)
	require.Equal(t, "webhook_stream", b.problem(t, http.MethodPost, "/api/v1/connections/demo/streams/order_events/backfills?from=2026-01-01&to=2026-02-01", http.StatusConflict).Code)
	p := b.problem(t, http.MethodPost, stream+"?from=yesterday&window=0d&rate=fast", http.StatusBadRequest)
	require.Len(t, p.Errors, 4, p.Detail)
}

func TestAWholeConnectionIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var list struct {
		Streams []struct{ Stream, State string }
	}
	b.json(t, http.MethodPost, "/api/v1/connections/demo/pause", http.StatusOK, &list)
	require.Len(t, list.Streams, 2, "webhook streams have no polls")
	for _, s := range list.Streams {
		require.Equal(t, "paused", s.State, s.Stream)
	}
	b.json(t, http.MethodPost, "/api/v1/connections/demo/resume", http.StatusOK, &list)
	for _, s := range list.Streams {
		require.NotEqual(t, "paused", s.State, s.Stream)
	}
}

func TestAResetTakesACursor(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	var view struct{ Cursor any }
	b.json(t, http.MethodPost, "/api/v1/connections/demo/streams/customers/reset?cursor=%7B%22n%22:7%7D", http.StatusOK, &view)
	require.Equal(t, map[string]any{"n": float64(7)}, view.Cursor)
	b.json(t, http.MethodPost, "/api/v1/connections/demo/streams/customers/reset", http.StatusOK, &view)
	require.Nil(t, view.Cursor)
	require.Equal(t, "invalid_parameters", b.problem(t, http.MethodPost, "/api/v1/connections/demo/streams/customers/reset?cursor=1&since=2026-01-01", http.StatusBadRequest).Code)
}

package http_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/ingest"
)

// serve starts a provider on loopback.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// open opens a connection as the runtime does, with a guard that reaches loopback.
func open(t *testing.T, settings map[string]any) *framework.Binding {
	t.Helper()
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	b, err := connector.Plugin.Open(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "test", ConnectionID: "con_test", Settings: settings,
		Client: guard.Client, NewClient: guard.NewClient,
	})
	require.NoError(t, err)
	return b
}

func payloads(pages []connectortest.Page) []string {
	var all []string
	for _, p := range pages {
		for _, e := range p.Emissions {
			all = append(all, string(e.Payload))
		}
	}
	return all
}

// things is a provider of n records, in every way of paging.
func things(t *testing.T, n int) string {
	t.Helper()
	record := func(i int) string { return fmt.Sprintf(`{"id":%d, "big":9007199254740993,"huge":1e400}`, i) }
	list := func(from, count int) string {
		var b strings.Builder
		for i := from; i < min(from+count, n); i++ {
			if i > from {
				b.WriteString(", ")
			}
			b.WriteString(record(i))
		}
		return b.String()
	}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		number := func(name string) int { v, _ := strconv.Atoi(q.Get(name)); return v }
		next := func(from int) string {
			if from+3 >= n {
				return ""
			}
			return fmt.Sprintf("http://%s%s?at=%d", r.Host, r.URL.Path, from+3)
		}
		switch r.URL.Path {
		case "/cursor":
			more := number("after")+3 < n
			_, _ = fmt.Fprintf(w, `{"data":[%s],"has_more":%t,"next":%s}`, list(number("after"), 3), more, map[bool]string{true: strconv.Itoa(number("after") + 3), false: "null"}[more])
		case "/link":
			if u := next(number("at")); u != "" {
				w.Header().Set("Link", `<http://elsewhere.example/>; rel="prev"; title="a, b", <`+u+`>; rel="last next"`)
			}
			_, _ = fmt.Fprintf(w, `[%s]`, list(number("at"), 3))
		case "/next":
			_, _ = fmt.Fprintf(w, `{"items":[%s],"links":{"next":%q}}`, list(number("at"), 3), next(number("at")))
		case "/offset":
			_, _ = fmt.Fprintf(w, `[%s]`, list(number("offset"), number("limit")))
		case "/page":
			_, _ = fmt.Fprintf(w, `[%s]`, list((number("page")-1)*3, 3))
		case "/same":
			_, _ = fmt.Fprintf(w, `[%s]`, list(0, 3))
		default:
			http.NotFound(w, r)
		}
	})
}

func TestEveryWayOfPagingReadsEverythingOnce(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]map[string]any{
		"cursor": {"records": ".data[]", "pagination": map[string]any{"type": "cursor", "cursor": ".next", "has_more": ".has_more", "param": "after"}},
		"link":   {"pagination": map[string]any{"type": "link"}},
		"next":   {"records": ".items[]", "pagination": map[string]any{"type": "next_url", "next": ".links.next"}},
		"offset": {"pagination": map[string]any{"type": "offset", "param": "offset", "limit": 3, "limit_param": "limit"}},
		"page":   {"pagination": map[string]any{"type": "page", "param": "page", "start": 1}},
	} {
		for _, n := range []int{0, 1, 3, 7} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				settings := map[string]any{"endpoint": things(t, n) + "/" + name, "stream": "things"}
				maps.Copy(settings, extra)
				log := connectortest.RequireResumable(t, open(t, settings), connectortest.Sync{Stream: "things"})
				state := log.State("things")
				require.Len(t, state, n)
				for id, payload := range state {
					require.Equal(t, `{"id":`+id+`, "big":9007199254740993,"huge":1e400}`, payload, "the bytes as they came")
				}
			})
		}
	}
}

func TestAProviderThatIgnoresThePageIsFound(t *testing.T) {
	t.Parallel()
	b := open(t, map[string]any{"endpoint": things(t, 7) + "/same", "stream": "things", "pagination": map[string]any{"type": "page", "param": "page", "start": 1}})
	first, _, err := b.Page(t.Context(), "things", framework.PageCall{})
	require.NoError(t, err)
	_, _, err = b.Page(t.Context(), "things", framework.PageCall{Cursor: first.Cursor})
	require.ErrorContains(t, err, "the same as the one before it")
	require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
}

func TestTheNextPageIsNotLookedForElsewhere(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reached.Store(true)
		_, _ = w.Write([]byte(`{"items":[{"id":2}]}`))
	})
	elsewhere := strings.Replace(other, "127.0.0.1", "localhost", 1)
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"items":[{"id":1}],"next":%q}`, elsewhere)
	})
	settings := map[string]any{"endpoint": provider, "stream": "things", "records": ".items[]", "pagination": map[string]any{"type": "next_url", "next": ".next"}}
	_, _, err := open(t, settings).Page(t.Context(), "things", framework.PageCall{})
	require.ErrorContains(t, err, "name it in allow_hosts")
	require.False(t, reached.Load())
	settings["allow_hosts"] = []string{"http://localhost"}
	require.Equal(t, []string{`{"id":1}`, `{"id":2}`}, payloads(connectortest.Run(t, open(t, settings), connectortest.Sync{Stream: "things"})))
}

func TestAPlaceThatIsGoneBeginsTheRunAgainOnce(t *testing.T) {
	t.Parallel()
	gone := true
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "" {
			if gone {
				http.Error(w, `{"error":"cursor expired"}`, http.StatusBadRequest)
				return
			}
			_, _ = fmt.Fprint(w, `{"data":[{"id":2}]}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"data":[{"id":1}],"next":"x"}`)
	})
	b := open(t, map[string]any{"endpoint": provider, "stream": "things", "records": ".data[]", "pagination": map[string]any{"type": "cursor", "cursor": ".next", "param": "after"}})
	page := func(cursor []byte) framework.PageReturn {
		r, _, err := b.Page(t.Context(), "things", framework.PageCall{Cursor: cursor})
		require.NoError(t, err)
		return r
	}
	second := page(page(nil).Cursor)
	require.True(t, second.HasMore)
	third := page(second.Cursor)
	_, _, err := b.Page(t.Context(), "things", framework.PageCall{Cursor: third.Cursor})
	require.ErrorContains(t, err, "provider answered 400", "a place that is gone again is a failure")
	gone = false
	require.False(t, page(third.Cursor).HasMore)
}

func TestIncrementalReadsAskForWhatChanged(t *testing.T) {
	t.Parallel()
	var asked []string
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		if r.URL.Query().Get("page") == "1" {
			_, _ = fmt.Fprint(w, `[{"id":1,"at":"2026-01-01T00:00:10Z"},{"id":2,"at":"2026-01-01T01:00:05+01:00"}]`)
			return
		}
		_, _ = fmt.Fprint(w, `[]`)
	})
	b := open(t, map[string]any{
		"endpoint": provider, "stream": "things", "pagination": map[string]any{"type": "page", "param": "page", "start": 1},
		"incremental": map[string]any{"field": ".at", "param": "since", "lookback_seconds": 10},
	})
	pages := connectortest.Run(t, b, connectortest.Sync{Stream: "things"})
	connectortest.Run(t, b, connectortest.Sync{Stream: "things", Cursor: pages[len(pages)-1].Cursor})
	require.Equal(t, []string{"page=1", "page=2", "page=1&since=2026-01-01T00%3A00%3A00Z", "page=2&since=2026-01-01T00%3A00%3A00Z"}, asked)
}

func TestWindowsAreAskedForInSteps(t *testing.T) {
	t.Parallel()
	var asked []string
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("from")+" "+r.URL.Query().Get("to"))
		_, _ = fmt.Fprintf(w, `[{"id":%q}]`, r.URL.Query().Get("from"))
	})
	b := open(t, map[string]any{
		"endpoint": provider, "stream": "things", "window": map[string]any{"step_seconds": 3600},
		"query": map[string]any{"from": "{{ .from }}", "to": "{{ .to_unix }}"},
	})
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sync := connectortest.Sync{Stream: "things", From: from, To: from.Add(150 * time.Minute)}
	require.Len(t, connectortest.Run(t, b, sync), 3)
	require.Equal(t, []string{"2026-01-01T00:00:00Z 1767229200", "2026-01-01T01:00:00Z 1767232800", "2026-01-01T02:00:00Z 1767234600"}, asked)
	connectortest.RequireResumable(t, b, sync)
}

func TestOneAnswerMayBeRecordedInParts(t *testing.T) {
	t.Parallel()
	requests := 0
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		_, _ = fmt.Fprint(w, "{\"id\":1}\n{\"id\":2}\n\n{\"id\":3} \n{\"id\":4}\n{\"id\":5}")
	})
	settings := map[string]any{"endpoint": provider, "stream": "things", "format": "ndjson", "batch": map[string]any{"max_events": 2}}
	b := open(t, settings)
	pages := connectortest.Run(t, b, connectortest.Sync{Stream: "things"})
	require.Len(t, pages, 3)
	require.Equal(t, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`, `{"id":4}`, `{"id":5}`}, payloads(pages))
	require.Equal(t, 1, requests)
	connectortest.RequireResumable(t, b, connectortest.Sync{Stream: "things"})
	// A process that died in between reads the page again.
	again := connectortest.Run(t, open(t, settings), connectortest.Sync{Stream: "things", Cursor: pages[0].Cursor})
	require.Len(t, payloads(again), 5)
}

func TestCSVBecomesObjects(t *testing.T) {
	t.Parallel()
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "\xef\xbb\xbfid;name\r\n1;\"a; \"\"b\"\"\"\r\n2;\u00e9\r\n")
	})
	b := open(t, map[string]any{"endpoint": provider, "stream": "things", "format": "csv", "csv": map[string]any{"delimiter": ";"}, "records": `select(.name != "")`})
	require.Equal(t, []string{`{"id":"1","name":"a; \"b\""}`, "{\"id\":\"2\",\"name\":\"\u00e9\"}"}, payloads(connectortest.Run(t, b, connectortest.Sync{Stream: "things"})))
}

func TestRecordsSayKeyVersionTimeTypeAndDeletion(t *testing.T) {
	t.Parallel()
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"rows":[{"org":"a/b","n":1,"rev":7,"at":1767225600,"kind":"x"},{"org":"a","n":2,"rev":8,"at":"2026-01-01T00:00:00.5Z","gone":true}]}`)
	})
	b := open(t, map[string]any{
		"endpoint": provider, "stream": "things", "records": ".rows[]", "key": []any{".org", ".n"}, "version": ".rev", "time": ".at",
		"event_type": ".kind", "deleted": ".gone",
	})
	emissions := connectortest.Run(t, b, connectortest.Sync{Stream: "things"})[0].Emissions
	require.Len(t, emissions, 2)
	require.Equal(t, ingest.VersionKey("a%2fb/1", "7"), emissions[0].Key)
	require.Equal(t, "x", emissions[0].Type)
	require.Equal(t, "2026-01-01T00:00:00Z", emissions[0].Time.Format(time.RFC3339Nano))
	require.Equal(t, ingest.Deletion, emissions[1].Operation)
	require.Equal(t, "things", emissions[1].Type)
	require.Equal(t, "2026-01-01T00:00:00.5Z", emissions[1].Time.Format(time.RFC3339Nano))
}

func TestAnErrorInsideOfA200IsAFailure(t *testing.T) {
	t.Parallel()
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"ok":false,"error":"token_revoked"}`)
	})
	b := open(t, map[string]any{"endpoint": provider, "stream": "things", "records": ".things[]", "checks": []any{
		map[string]any{"when": `.ok == false and (.error | startswith("token"))`, "message": ".error", "class": "auth"},
	}})
	_, _, err := b.Page(t.Context(), "things", framework.PageCall{})
	require.ErrorContains(t, err, "the answer says that it failed (checks[0]): token_revoked")
	require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
}

func TestRequestsAreWrittenFromTemplates(t *testing.T) {
	t.Parallel()
	type seen struct {
		URI, Body string
		Header    http.Header
	}
	var got seen
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		got = seen{r.RequestURI, string(body), r.Header}
		_, _ = fmt.Fprint(w, `[]`)
	})
	b := open(t, map[string]any{
		"endpoint": provider + `/v1/{{ .vars.org }}/a b?q=x y&q=%2F&t={{ .vars.org }}`, "path": "/items", "stream": "things", "method": "POST",
		"vars": map[string]any{"org": "a/é&b"}, "query": map[string]any{"n": 3, "none": "{{ .cursor }}", "t2": "{{ .page }}-{{ .vars.org }}"},
		"headers": []any{map[string]any{"name": "X-One", "value": "v{{ .page }}"}, map[string]any{"name": "X-One", "value": "two"}, map[string]any{"name": "Accept", "value": "application/vnd.x"}},
		"body":    map[string]any{"limit": "{{ .limit }}", "page": "{{ .page }}", "text": "p{{ .page }}", "deep": []any{map[string]any{"n": 1.5}}},
	})
	_, _, err := b.Page(t.Context(), "things", framework.PageCall{})
	require.NoError(t, err)
	require.Equal(t, "/v1/a%2F%C3%A9&b/a%20b/items?q=x%20y&q=%2F&t=a%2F%C3%A9%26b&n=3&t2=0-a%2F%C3%A9%26b", got.URI)
	require.JSONEq(t, `{"limit":null,"page":0,"text":"p0","deep":[{"n":1.5}]}`, got.Body)
	require.Equal(t, []string{"v0", "two"}, got.Header["X-One"])
	require.Equal(t, []string{"application/vnd.x"}, got.Header["Accept"])
	require.Equal(t, []string{"application/json"}, got.Header["Content-Type"])
}

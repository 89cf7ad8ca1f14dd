package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/store"
)

// TestAnotherSiteCannotEmbedAnything: a page elsewhere that embeds what this
// process serves cannot read it, but may not have it made either.
func TestAnotherSiteCannotEmbedAnything(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, path := range []string{"/api/v1/connections/demo/streams/orders/events?limit=1000", "/api/v1/changes", "/api/v1/streams", "/", "/assets/weir.svg"} {
		for _, site := range []string{"cross-site", "same-site"} {
			for _, dest := range []string{"image", "iframe", "empty", "script", ""} {
				a := b.do(t, http.MethodGet, path, header("Sec-Fetch-Site", site), header("Sec-Fetch-Dest", dest))
				require.Equal(t, http.StatusForbidden, a.status, "%s %s %s", path, site, dest)
			}
		}
	}
	// A link may lead here, and the pages read on.
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/", header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Dest", "document")).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", header("Sec-Fetch-Site", "same-origin"), header("Sec-Fetch-Dest", "empty")).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", header("Sec-Fetch-Site", "none"), header("Sec-Fetch-Dest", "document")).status)
}

func TestAHeadOfTheFeedEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	w := httptest.NewRecorder()
	b.front.Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodHead, "http://localhost/api/v1/changes", nil))
	require.NoError(t, ctx.Err(), "it went on until it was ended")
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
}

func TestManyFaultsMakeNoLargeAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	query := url.Values{}
	for i := range 5000 {
		query.Set("\x1b[2J\u009b"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+strings.Repeat("y", i/50), "")
	}
	a := b.get(t, "/api/v1/streams?"+query.Encode())
	require.Equal(t, http.StatusBadRequest, a.status)
	p := a.problem(t)
	require.Less(t, len(a.body), 10_000)
	require.NotContains(t, p.Detail, "\x1b")
	require.NotContains(t, p.Detail, "\u009b")
}

func TestALongErrorOfAConnectorIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.OnPage = func(api.PageCall) (api.PageResult, error) {
		return api.PageResult{}, errors.New(strings.Repeat("the provider's whole answer ", 100_000))
	}
	a := b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/orders")
	require.Equal(t, http.StatusBadGateway, a.status)
	require.Less(t, len(a.body), 10_000)
}

// TestWrongTokensAreSlowedDownAndToldOf: who guesses the admin token is slowed
// down, and keeps nobody out who has a session, a token of the store, or another
// address.
func TestWrongTokensAreSlowedDownAndToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t, api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken})
	bearer := func(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }
	form := header("Content-Type", "application/x-www-form-urlencoded")
	made := b.makeToken(t, `{"name":"ci","role":"viewer"}`)
	session := b.do(t, http.MethodPost, "/login", form, body("token="+adminToken)).header.Get("Set-Cookie")
	require.NotEmpty(t, session)
	statuses := map[int]int{}
	for range 200 {
		a := b.do(t, http.MethodGet, "/api/v1/streams", bearer("canary-guess"))
		statuses[a.status]++
		if a.status == http.StatusTooManyRequests {
			require.Equal(t, "too_many_attempts", a.problem(t).Code)
			require.Equal(t, "3", a.header.Get("Retry-After"))
		}
	}
	require.Equal(t, map[int]int{http.StatusUnauthorized: 20, http.StatusTooManyRequests: 180}, statuses)
	require.Equal(t, http.StatusTooManyRequests, b.do(t, http.MethodGet, "/api/v1/streams", bearer(adminToken)).status, "a right guess is not told")
	require.Equal(t, http.StatusTooManyRequests, b.do(t, http.MethodPost, "/login", form, body("token="+adminToken)).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", bearer(made)).status, "nobody guesses such a token")
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodPost, "/login", form, body("token="+made)).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/", header("Cookie", strings.SplitN(session, ";", 2)[0])).status)
	b.office.Advance(4 * time.Second)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", bearer(adminToken)).status, "it passes")
	require.Equal(t, http.StatusUnauthorized, b.do(t, http.MethodGet, "/api/v1/streams", bearer("canary-guess")).status)
	require.Equal(t, http.StatusTooManyRequests, b.do(t, http.MethodGet, "/api/v1/streams", bearer("canary-guess")).status, "one more at a time")
	log := b.log.String()
	require.Equal(t, 1, strings.Count(log, "a wrong token was sent"), "a flood is one line")
	require.NotContains(t, log, "canary")
	b.office.Advance(time.Minute)
	b.do(t, http.MethodGet, "/api/v1/streams", bearer("canary-guess"))
	require.Contains(t, b.log.String(), "wrong=21")
	entries, err := b.office.AuditEntries(t.Context(), store.AuditQuery{Actor: "nobody"}, 100)
	require.NoError(t, err)
	require.Len(t, entries, 2, "a flood pushes nothing else out of the audit log")
}

func TestABrokenFormIsNoFailureOfThisProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken})
	form := header("Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodPost, "/login", form, body("token=%zz")).status)
	require.Equal(t, http.StatusRequestEntityTooLarge, b.do(t, http.MethodPost, "/login", form, body(strings.Repeat("a", 5000))).status)
	require.Empty(t, b.log.String())
}

// FuzzRequests sends what net/http lets through, and looks for a panic, a
// failure inside, and a redirect to another site.
func FuzzRequests(f *testing.F) {
	for _, line := range []string{
		"GET / HTTP/1.1", "GET /streams/default/demo/%2e%2e HTTP/1.1", "GET //evil.test/%2f.. HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1",
		"GET /login?next=//evil.test HTTP/1.1", "GET /assets/%00?v=%zz HTTP/1.1", "HEAD /api/v1/streams?limit=%2b1&page_token=%00 HTTP/1.0",
		"GET http://evil.test/api/v1/connections/demo/streams/orders/events?after=9223372036854775807&limit=1 HTTP/1.1",
		"POST /api/v1/connections/demo/sync/orders?from=0000-01-01&to=9999-12-31T23:59:59.999999999-23:59&cursor={} HTTP/1.1",
		"GET /api/v1/projects/p%2fq/runs/run_%00 HTTP/1.1", "GET /api/v1/connections/demo/streams/orders/runs?before=run_zzz HTTP/1.1",
	} {
		f.Add(line + "\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "/changes") {
			return // it would go on for ever
		}
		for _, policy := range []api.ListenPolicy{dashboardtest.Loopback(), {Listen: "127.0.0.1:0", Token: adminToken}} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			if err != nil {
				return
			}
			var log bytes.Buffer
			front, err := dashboardtest.Busy(noon).Open(policy, slog.New(slog.NewTextHandler(&log, nil)), nil)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			front.Handler.ServeHTTP(w, r)
			require.NotContains(t, log.String(), "panicked")
			require.Less(t, w.Code, http.StatusInternalServerError, "%s", log.String())
			if to := w.Header().Get("Location"); to != "" {
				target, err := r.URL.Parse(to)
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, `/\`), to)
				require.Empty(t, target.User)
			}
		}
	})
}

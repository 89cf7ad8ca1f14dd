package api_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

var withToken = api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken}

// configures are the routes that change what is configured, which want a body.
var configures = regexp.MustCompile(`^(POST|PUT|PATCH|DELETE) .*/(connections|connections/\{project\}/\{connection\}/\{action\}|connections/\{connection\}|validate|test|deploy|rollback|detach|projects|projects/\{project\})$`)

// concrete fills a pattern with names that exist.
func concrete(pattern string) string {
	return strings.NewReplacer(
		"{project}", "default", "{connection}", "demo", "{stream}", "customers", "{run_id}", dashboardtest.ActionRun,
		"{action}", "pause", "{name}", "weir.css", "{path}", "demo", "{backfill}", "bfl_1", "{delivery}", "dlv_1", "{letter}", "dlt_1", "{token}", "tok_none", "{revision}", "1",
	).Replace(pattern)
}

func TestEveryRouteOfAPIAndDashboardHasARowAndIsServed(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, row := range api.Routes() {
		require.Positive(t, slices.Index([]api.Role{"", api.RolePublic, api.RoleViewer, api.RoleOperator, api.RoleAdmin}, row.Role), row.Pattern)
		require.NotEmpty(t, row.Face, row.Pattern)
		// The intake, the Kafka Connect API and the metrics are other packages'.
		if row.Face == api.FaceIntake || row.Face == api.FaceConnect || row.Pattern == "/metrics" || row.Pattern == "/api/v1/changes" {
			continue
		}
		a := b.do(t, row.Method, concrete(row.Pattern))
		if strings.HasSuffix(row.Pattern, "/{token}") {
			require.Equal(t, "unknown_token", a.problem(t).Code)
			continue
		}
		require.NotContains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, a.status, "%s %s", row.Method, row.Pattern)
	}
}

func TestARouteWithoutARowRefusesTheStart(t *testing.T) {
	t.Parallel()
	g, err := api.NewGate(api.GateConfig{Policy: dashboardtest.Loopback()})
	require.NoError(t, err)
	none := func(http.ResponseWriter, *http.Request) {}

	mux := chi.NewRouter()
	mux.Get("/healthz", none)
	_, err = g.Handler(mux)
	require.NoError(t, err)

	mux.Delete("/healthz", none)
	mux.Mount("/api/v1/secret", func() http.Handler { m := chi.NewRouter(); m.Post("/door", none); return m }())
	_, err = g.Handler(mux, http.NotFoundHandler())
	require.ErrorContains(t, err, "route DELETE /healthz has no row")
	require.ErrorContains(t, err, "route POST /api/v1/secret/door has no row")
	require.ErrorContains(t, err, "part 1 of the server (http.HandlerFunc) is no router")
}

func TestARouteAddedAfterTheStartIsNotServed(t *testing.T) {
	t.Parallel()
	g, err := api.NewGate(api.GateConfig{Policy: dashboardtest.Loopback()})
	require.NoError(t, err)
	mux := chi.NewRouter()
	h, err := g.Handler(mux)
	require.NoError(t, err)
	mux.Get("/late", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/late", nil)
	h.ServeHTTP(rec, r)
	require.Equal(t, http.StatusNotFound, rec.Code)
}

// The whole table against who calls: nobody, somebody with a wrong token, the
// admin. Only public routes answer without the token.
func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	for _, row := range api.Routes() {
		if row.Face == api.FaceIntake || row.Face == api.FaceConnect || row.Pattern == "/metrics" || row.Pattern == "/api/v1/changes" {
			continue
		}
		path := concrete(row.Pattern)
		if row.Method == http.MethodPost && strings.HasSuffix(path, "/backfills") {
			path += "?from=2026-01-01&to=2026-01-02"
		}
		switch {
		case strings.HasSuffix(path, "/redeliver"):
			path += "?all=true"
		case strings.HasSuffix(path, "/discard"):
			path += "?all=true&reason=x"
		}
		for name, c := range map[string]struct {
			change func(*http.Request)
			admin  bool
		}{
			"nobody":        {func(*http.Request) {}, false},
			"wrong token":   {header("Authorization", "Bearer "+adminToken+"x"), false},
			"prefix":        {header("Authorization", "Bearer "+adminToken[:len(adminToken)-1]), false},
			"other case":    {header("Authorization", "Bearer "+strings.ToUpper(adminToken)), false},
			"wrong basic":   {header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(adminToken+":"))), false},
			"basic":         {header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("who:"+adminToken))), true},
			"two headers":   {func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + adminToken, "Bearer x"} }, false},
			"made-up login": {header("Cookie", "weir_session="+adminToken), false},
			"admin":         {header("Authorization", "bearer "+adminToken), true},
		} {
			b.office.Advance(10 * time.Second) // wrong tokens are slowed down
			a := b.do(t, row.Method, path, c.change, func(r *http.Request) {
				switch {
				case r.Method != http.MethodPost:
				case row.Pattern == "/api/v1/tokens":
					r.Body = io.NopCloser(strings.NewReader(`{"name":"t` + strconv.Itoa(int(b.office.Now().Unix())) + `","role":"viewer"}`))
				case strings.HasSuffix(path, "/erasures"):
					r.Body = io.NopCloser(strings.NewReader(`{"entity":"cus_42"}`))
				case row.Face == api.FaceDashboard:
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Body = io.NopCloser(strings.NewReader("reason=x&rate=5"))
				}
			})
			what := fmt.Sprintf("%s %s by %s", row.Method, path, name)
			turned := a.status == http.StatusUnauthorized || (a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/login"))
			switch {
			case row.Pattern == "/login" || row.Pattern == "/logout":
				continue
			case c.admin || row.Role == api.RolePublic:
				require.False(t, turned, what)
				if regexp.MustCompile(`^/sinks/|/offsets$|/replays|/dead-letters|/redeliveries|\{connection\}/(stop|restart)$`).MatchString(row.Pattern) {
					require.Contains(t, []int{http.StatusBadRequest, http.StatusConflict}, a.status, "%s: demo is no sink", what)
					continue
				}
				if configures.MatchString(row.Method + " " + row.Pattern) {
					require.Contains(t, []int{http.StatusOK, http.StatusSeeOther, http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity}, a.status, "%s: without a body", what)
					continue
				}
				if row.Pattern == "/api/v1/tokens/{token}" {
					require.Equal(t, "unknown_token", a.problem(t).Code)
					continue
				}
				if strings.HasPrefix(row.Pattern, "/endpoints/") && a.status == http.StatusConflict {
					continue // the one before has settled all
				}
				require.Less(t, a.status, 400, what)
			case row.Face == api.FaceDashboard:
				require.Equal(t, http.StatusSeeOther, a.status, what)
				require.True(t, turned, what)
			default:
				require.Equal(t, http.StatusUnauthorized, a.status, what)
				require.Equal(t, `Bearer realm="weir"`, a.header.Get("WWW-Authenticate"))
				require.Equal(t, "unauthorized", a.problem(t).Code)
				require.NotContains(t, a.body, "customers")
			}
		}
	}
}

func TestALoginOpensTheDashboardUntilItEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	form := func(token string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			body(url.Values{"token": {token}, "next": {"/streams/default/demo/customers"}}.Encode())(r)
		}
	}
	wrong := b.do(t, http.MethodPost, "/login", form(adminToken+" "))
	require.Equal(t, http.StatusUnauthorized, wrong.status)
	require.Empty(t, wrong.header.Values("Set-Cookie"))

	in := b.do(t, http.MethodPost, "/login", form(adminToken))
	require.Equal(t, http.StatusSeeOther, in.status)
	require.Equal(t, "/streams/default/demo/customers", in.header.Get("Location"))
	cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.NotContains(t, cookie.Value, adminToken)
	with := func(value string) func(*http.Request) { return header("Cookie", cookie.Name+"="+value) }
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/", with(cookie.Value)).status)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/api/v1/streams", with(cookie.Value)).status)

	// Other spellings of the same bytes are no session.
	last := cookie.Value[len(cookie.Value)-1]
	for _, other := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=" {
		if byte(other) != last {
			require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodGet, "/", with(cookie.Value[:len(cookie.Value)-1]+string(other))).status)
		}
	}
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodGet, "/", with(cookie.Value+"=")).status)
	require.Equal(t, http.StatusUnauthorized,
		b.do(t, http.MethodGet, "/api/v1/streams", with(cookie.Value), header("Authorization", "Bearer wrong")).status, "a stated token counts first")

	b.office.Advance(12 * 3600 * 1e9)
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodGet, "/", with(cookie.Value)).status, "a login ends by itself")

	again, err := http.ParseSetCookie(b.do(t, http.MethodPost, "/login", form(adminToken)).header.Get("Set-Cookie"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, "/", with(again.Value)).status)
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodPost, "/logout", with(again.Value)).status)
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodGet, "/", with(again.Value)).status)
}

func TestALoginNeverSendsPeopleToAnotherSite(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	for _, next := range []string{"https://evil.test/", "//evil.test", `/\evil.test`, "/\t/evil.test", "javascript:alert(1)", "evil", "", "/%0d%0aSet-Cookie:x"} {
		a := b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"),
			body(url.Values{"token": {adminToken}, "next": {next}}.Encode()))
		require.Equal(t, http.StatusSeeOther, a.status)
		location := a.header.Get("Location")
		if location != "/%0d%0aSet-Cookie:x" {
			require.Equal(t, "/", location, next)
		}
	}
}

func TestOnlyNamesOfThisMachineAreAnsweredOnLoopback(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, name := range []string{"localhost", "LOCALHOST:9657", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:9657"} {
		for _, path := range []string{"/", "/api/v1/streams", "/healthz", "/assets/weir.css"} {
			require.Equal(t, http.StatusOK, b.do(t, http.MethodGet, path, host(name)).status, "%s %s", name, path)
		}
	}
	for _, name := range []string{"evil.test", "evil.test:9657", "127.0.0.1.evil.test", "localhost.evil.test", "0.0.0.0", "192.168.1.1", "[::]", "[::ffff:10.0.0.1]", "127.1"} {
		for _, path := range []string{"/api/v1/streams", "/healthz", "/assets/weir.css"} {
			a := b.do(t, http.MethodGet, path, host(name))
			require.Equal(t, http.StatusMisdirectedRequest, a.status, "%s %s", name, path)
			require.Equal(t, "unknown_host", a.problem(t).Code)
		}
	}
	named := setup(t, api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken, AllowedHosts: []string{"weir.lan"}, PublicURL: "https://Weir.example.com"})
	for name, status := range map[string]int{"weir.lan:80": 200, "weir.example.com": 200, "evil.test": 421} {
		require.Equal(t, status, named.do(t, http.MethodGet, "/healthz", host(name)).status, name)
	}
}

func TestTheIntakeAnswersToEveryHostAndOrigin(t *testing.T) {
	t.Parallel()
	g, err := api.NewGate(api.GateConfig{Policy: withToken})
	require.NoError(t, err)
	mux := chi.NewRouter()
	mux.Post("/webhooks/{connection}/{path}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, chi.URLParam(r, "connection"))
	})
	h, err := g.Handler(mux)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "http://hooks.example.com/webhooks/a/b", strings.NewReader(strings.Repeat("x", 1<<20)))
	r.Header.Set("Origin", "https://elsewhere.test")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	require.Equal(t, "a", rec.Body.String())
	// An escaped slash is no slash, and the connection is another.
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "http://hooks.example.com/webhooks/a%2fb", nil))
	require.Equal(t, http.StatusNotFound, rec.Code)
}

func TestAnotherSiteCannotMakeABrowserChangeAnything(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, path := range []string{"/streams/default/demo/orders/pause", "/api/v1/connections/demo/streams/orders/pause", "/api/v1/connections/demo/sync/orders", "/logout"} {
		for _, change := range []func(*http.Request){
			header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.test"), header("Origin", "null"),
		} {
			require.Equal(t, http.StatusForbidden, b.do(t, http.MethodPost, path, change).problem(t).Status, path)
		}
	}
	s, err := b.office.Statuses(t.Context(), "")
	require.NoError(t, err)
	for _, status := range s {
		require.False(t, status.Paused && status.Stream == "orders")
	}
	require.Equal(t, http.StatusSeeOther, b.do(t, http.MethodPost, "/streams/default/demo/orders/pause", header("Sec-Fetch-Site", "same-origin")).status)
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	a := b.do(t, http.MethodDelete, "/api/v1/streams")
	require.Equal(t, http.StatusMethodNotAllowed, a.status)
	require.Equal(t, "GET, HEAD", a.header.Get("Allow"))
	require.Equal(t, "method_not_allowed", a.problem(t).Code)
	require.Equal(t, "POST", b.do(t, http.MethodGet, "/api/v1/connections/demo/sync/customers").header.Get("Allow"))
	for _, path := range []string{"/api/v1/connections/demo%2fx/streams/customers", "/api//v1/streams", "/api/v1/../v1/streams", "/nothing", "/streams/default/demo"} {
		a := b.get(t, path)
		require.Equal(t, http.StatusNotFound, a.status, path)
		a.problem(t)
	}
	page := b.do(t, http.MethodGet, "/nothing", header("Accept", "text/html,*/*"))
	require.Equal(t, http.StatusNotFound, page.status)
	require.Contains(t, page.body, "<h1>Not Found</h1>")
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	for _, path := range []string{"/", "/api/v1/streams", "/nothing", "/healthz", "/assets/weir.js", "/api/v1/streams?limit=x"} {
		h := b.get(t, path).header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'self'", path)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), path)
		require.Empty(t, h.Get("Access-Control-Allow-Origin"), path)
	}
	require.Equal(t, http.StatusMisdirectedRequest, b.do(t, http.MethodGet, "/", host("evil.test")).status)
}

func TestABodyOverItsLimitIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	large := strings.Repeat("x", 5000)
	a := b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"), body("token="+large))
	require.Equal(t, http.StatusRequestEntityTooLarge, a.problem(t).Status)
	chunked := b.do(t, http.MethodPost, "/login", header("Content-Type", "application/x-www-form-urlencoded"), body("token="+large),
		func(r *http.Request) { r.ContentLength = -1 })
	require.Equal(t, http.StatusRequestEntityTooLarge, chunked.status)
	require.Equal(t, http.StatusRequestEntityTooLarge, b.do(t, http.MethodGet, "/healthz", body("x")).status)
}

func TestAPanicIsContainedAndLogged(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	b.office.OnPage = func(api.PageCall) (api.PageResult, error) { panic("secret inside") }
	a := b.do(t, http.MethodPost, "/api/v1/connections/demo/sync/customers")
	require.Equal(t, http.StatusInternalServerError, a.problem(t).Status)
	require.NotContains(t, a.body, "secret inside")
	require.Contains(t, b.log.String(), "secret inside")
}

func TestAnOpenManagementAPIRefusesTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy api.ListenPolicy
		want   []string
	}{
		{api.ListenPolicy{Listen: "127.0.0.1:9657"}, nil},
		{api.ListenPolicy{Listen: "[::1]:9657"}, nil},
		{api.ListenPolicy{Listen: "localhost:0"}, nil},
		{api.ListenPolicy{Listen: "0.0.0.0:9657", Token: adminToken}, nil},
		{api.ListenPolicy{Listen: ":9657"}, []string{"reachable from other machines", "WEIR_ADMIN_TOKEN"}},
		{api.ListenPolicy{Listen: "0.0.0.0:9657"}, []string{"reachable from other machines"}},
		{api.ListenPolicy{Listen: "[::]:9657"}, []string{"reachable from other machines"}},
		{api.ListenPolicy{Listen: "10.0.0.5:9657"}, []string{"reachable from other machines"}},
		{api.ListenPolicy{Listen: "myhost:9657"}, []string{"reachable from other machines"}},
		{api.ListenPolicy{Listen: "localhost.evil.test:9657"}, []string{"reachable from other machines"}},
		{api.ListenPolicy{Listen: "127.0.0.1"}, []string{"write host:port"}},
		{api.ListenPolicy{Listen: ":1", Token: "short"}, []string{"at least 16"}},
		{api.ListenPolicy{Listen: ":1", Token: adminToken + "\n"}, []string{"begins or ends with a space"}},
		{api.ListenPolicy{Listen: "127.0.0.1:1", PublicURL: "https://x", AllowedHosts: []string{"x"}}, []string{"public_url is set", "allowed_hosts is set"}},
	} {
		err := api.CheckListen(c.policy)
		_, gateErr := api.NewGate(api.GateConfig{Policy: c.policy})
		if c.want == nil {
			require.NoError(t, err, c.policy.Listen)
			require.NoError(t, gateErr)
			continue
		}
		for _, want := range c.want {
			require.ErrorContains(t, err, want)
		}
		require.Equal(t, err, gateErr)
	}
	_, err := api.NewGate(api.GateConfig{Policy: api.ListenPolicy{Listen: ":1", Token: adminToken, PublicURL: "ftp://x"}})
	require.ErrorContains(t, err, "public_url")
}

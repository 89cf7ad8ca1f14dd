package runtime_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/store"
)

const matrixAdmin = "the-admin-token-of-the-matrix"

// caller is a column of the matrix.
type caller struct {
	name string
	// token is what is stated; "" for nothing.
	token string
	// role is what the token allows, "" for none; project is its only one.
	role    api.Role
	project string
}

// matrixCallers are everybody who may call: each role with and without a project,
// and those whose token is worth nothing.
func matrixCallers(t *testing.T, office *dashboardtest.Office) []caller {
	t.Helper()
	callers := []caller{
		{name: "nobody"}, {name: "a wrong token", token: "weirtok_" + strings.Repeat("A", 43)}, {name: "the admin token", token: matrixAdmin, role: api.RoleAdmin},
	}
	keep := func(c caller, spoil func(*store.Token)) {
		c.token = "weirtok_" + fmt.Sprintf("%043d", len(callers))
		one := store.Token{
			ID: store.NewID("tok_", office.Now()), Name: c.name, Role: string(c.role), Project: c.project,
			Digest: sha256.Sum256([]byte(c.token)), CreatedBy: "test", CreatedAt: office.Now(),
		}
		if spoil != nil {
			spoil(&one)
			c.role = ""
		}
		require.NoError(t, office.CreateToken(t.Context(), one))
		callers = append(callers, c)
	}
	for _, role := range api.TokenRoles() {
		for _, project := range []string{"", "default", "eu"} {
			keep(caller{name: string(role) + " of " + project, role: role, project: project}, nil)
		}
	}
	keep(caller{name: "revoked", role: api.RoleAdmin}, func(x *store.Token) { x.RevokedAt = office.Now() })
	keep(caller{name: "expired", role: api.RoleAdmin}, func(x *store.Token) { x.ExpiresAt = office.Now() })
	keep(caller{name: "unknown role", role: "root"}, func(*store.Token) {})
	return callers
}

// aboutDefault are the paths that leave out the name of the project default.
var aboutDefault = regexp.MustCompile(`^(/api/v1/(connections|streams|runs|sinks)|/connectors|/connector-plugins)(/|$)`)

// aboutMany are the routes that leave out what a caller may not see; see
// TestATokenOfOneProjectSeesNothingElse.
var aboutMany = []string{"/", "/metrics", "/api/v1/changes", "/api/v1/projects"}

// outcome is what a route must answer a caller, said without looking at how it is
// decided: 0 stands for reaching the handler.
func outcome(row api.Route, path string, c caller) int {
	ranks := []api.Role{api.RoleViewer, api.RoleOperator, api.RoleAdmin}
	project := ""
	switch {
	case row.Face == api.FaceIntake || row.Role == api.RolePublic:
		return 0
	case c.role == "" && c.name == "unknown role":
		return http.StatusForbidden
	case c.role == "" && row.Face == api.FaceDashboard:
		return http.StatusSeeOther
	case c.role == "":
		return http.StatusUnauthorized
	case strings.Contains(row.Pattern, "{project}"):
		project = strings.Split(path, "/")[slices.Index(strings.Split(row.Pattern, "/"), "{project}")]
	case aboutDefault.MatchString(row.Pattern):
		project = "default"
	}
	switch {
	case project != "" && c.project != "" && c.project != project:
		return http.StatusNotFound
	case slices.Index(ranks, c.role) < slices.Index(ranks, row.Role):
		return http.StatusForbidden
	case project == "" && c.project != "" && (row.Method != http.MethodGet || !slices.Contains(aboutMany, row.Pattern)):
		return http.StatusForbidden
	default:
		return 0
	}
}

// TestEveryRouteAgainstEveryRole walks the router that is served, every face of
// it, and calls each route as everybody. The handlers are others, which say that
// they were reached: who is let in changes nothing.
func TestEveryRouteAgainstEveryRole(t *testing.T) {
	t.Parallel()
	w := run(t, t.TempDir(), behaviour{}, connection("acme"))
	office := dashboardtest.NewOffice(time.Now())
	callers := matrixCallers(t, office)
	gate, err := api.NewGate(api.GateConfig{
		Policy:    api.ListenPolicy{Listen: "127.0.0.1:0", Token: matrixAdmin},
		ErrorPage: func(w http.ResponseWriter, _ *http.Request, status int, _, _ string) { w.WriteHeader(status) },
		Keyring:   api.NewKeyring(office, nil), Audit: office, Now: office.Now,
	})
	require.NoError(t, err)

	rows := map[string]api.Route{}
	for _, row := range api.Routes() {
		rows[row.Method+" "+row.Pattern] = row
	}
	served := chi.NewRouter()
	var walked []api.Route
	for _, part := range w.Parts() {
		router, ok := part.(chi.Routes)
		require.True(t, ok)
		require.NoError(t, chi.Walk(router, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			pattern = api.CleanPattern(pattern)
			row, ok := rows[method+" "+pattern]
			require.True(t, ok, "route %s %s has no row", method, pattern)
			served.MethodFunc(method, pattern, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			walked = append(walked, row)
			return nil
		}))
	}
	require.Greater(t, len(walked), 60)
	handler, err := gate.Handler(served)
	require.NoError(t, err)

	cells := 0
	for _, row := range walked {
		for _, project := range []string{"default", "eu"} {
			path := strings.NewReplacer("{project}", project, "*", "x").Replace(row.Pattern)
			path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x")
			if project != "default" && !strings.Contains(row.Pattern, "{project}") {
				continue
			}
			for _, c := range callers {
				office.Advance(10 * time.Second) // wrong tokens are slowed down
				r := httptest.NewRequestWithContext(t.Context(), row.Method, "http://localhost"+path, http.NoBody)
				r.Header.Set("Accept", "text/html")
				if c.token != "" {
					r.Header.Set("Authorization", "Bearer "+c.token)
				}
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, r)
				want := outcome(row, path, c)
				if want == 0 {
					want = http.StatusTeapot
				}
				require.Equal(t, want, rec.Code, "%s %s as %s", row.Method, path, c.name)
				cells++
			}
		}
	}
	t.Logf("%d routes, %d cells", len(walked), cells)
}

// TestARouteWithoutARowIsNeverServed: what is assembled has rows for all of it,
// and a gate before a part that has one more route refuses the start.
func TestARouteWithoutARowIsNeverServed(t *testing.T) {
	t.Parallel()
	w := run(t, t.TempDir(), behaviour{}, connection("acme"))
	gate, err := api.NewGate(api.GateConfig{Policy: api.ListenPolicy{Listen: "127.0.0.1:0"}})
	require.NoError(t, err)
	_, err = gate.Handler(w.Parts()...)
	require.NoError(t, err)
	more := chi.NewRouter()
	more.Get("/api/v1/everything", func(http.ResponseWriter, *http.Request) {})
	_, err = gate.Handler(append(slices.Clone(w.Parts()), more)...)
	require.ErrorContains(t, err, "route GET /api/v1/everything has no row")
}

// TestMetricsAreForThoseWhoMayKnow: numbers tell what a business does. Profiles
// are served to nobody.
func TestMetricsAreForThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	w, _ := startLeaky(t, t.TempDir())
	admin := http.Header{"Authorization": {"Bearer " + canaryToken}}
	token := func(project string) http.Header {
		request := fmt.Sprintf(`{"name":%q,"role":"viewer","project":%q}`, "of "+project, project)
		status, answer := w.do(t, http.MethodPost, "/api/v1/tokens", admin.Clone(), []byte(request))
		require.Equal(t, http.StatusCreated, status, string(answer))
		var made struct{ Token string }
		require.NoError(t, json.Unmarshal(answer, &made))
		return http.Header{"Authorization": {"Bearer " + made.Token}}
	}
	status, _ := w.do(t, http.MethodGet, "/metrics", http.Header{}, nil)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/"} {
		for _, header := range []http.Header{{}, admin.Clone()} {
			status, _ = w.do(t, http.MethodGet, path, header, nil)
			require.Equal(t, http.StatusNotFound, status, path)
		}
	}
	status, all := w.do(t, http.MethodGet, "/metrics", admin.Clone(), nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(all), `connection="default/leaky"`)
	require.Contains(t, string(all), "go_goroutines")
	status, own := w.do(t, http.MethodGet, "/metrics", token("default"), nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(own), `connection="default/leaky"`)
	require.NotContains(t, string(own), "go_goroutines", "the process is everybody's")
	status, other := w.do(t, http.MethodGet, "/metrics", token("defaul"), nil)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, string(other), "leaky")
}

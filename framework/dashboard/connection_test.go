package dashboard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

func TestAConnectionShowsItsSettingsAndHistory(t *testing.T) {
	t.Parallel()
	h := open(t, dashboardtest.Busy(noon).WithRevisions(noon))
	require.Contains(t, page(t, h, "/"), `<a href="/connections/default/demo">demo</a>`)
	html := page(t, h, "/connections/default/demo")
	require.NotContains(t, html, "<b>shop</b>", "text of an operator is no markup")
	text := words(html)
	for _, want := range []string{
		"demo running", "team=core", "Revision 3 Deployed 2", "Changed 1 h ago", "Managed by api", "&#34;tier&#34;: &#34;1&#34;",
		"3 46 h ago bob not yet labels.team &#34;pay&#34; → &#34;core&#34; labels.tier &#34;1&#34;",
		"2 deployed 47 h ago token ci another name description &#34;the shop&#34; → &#34;the &lt;b&gt;shop&lt;/b&gt;&#34;", "1 2 days ago alice",
	} {
		require.Contains(t, text, want)
	}
	require.Equal(t, http.StatusNotFound, send(h, http.MethodGet, "/connections/default/nobody").Code)
	require.Equal(t, http.StatusBadRequest, send(h, http.MethodGet, "/connections/default/demo?before=x").Code)
	old := words(page(t, h, "/connections/default/demo?before=2"))
	require.Contains(t, old, "alice")
	require.NotContains(t, old, "token ci")
}

func TestAConnectionIsDeployedHeldAndTakenBack(t *testing.T) {
	t.Parallel()
	const path = "/connections/default/demo"
	h := open(t, dashboardtest.Busy(noon).WithRevisions(noon))
	tag := func() string {
		return strings.ReplaceAll(part(t, page(t, h, path), `name="if_match" value="`, `">`)[len(`name="if_match" value="`):], "&#34;", `"`)
	}
	stale := tag()
	moved := func(w *httptest.ResponseRecorder) {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
		require.Equal(t, path, w.Header().Get("Location"))
	}
	moved(post(h, path+"/deploy", url.Values{"if_match": {stale}}))
	require.Contains(t, words(page(t, h, path)), "Revision 3 Deployed 3")
	require.NotContains(t, page(t, h, path), path+"/deploy", "nothing is left to deploy")
	moved(post(h, path+"/rollback", url.Values{"revision": {"1"}, "if_match": {stale}}))
	text := words(page(t, h, path))
	require.Contains(t, text, "Revision 4 Deployed 4")
	require.Contains(t, text, "4 deployed just now loopback back to revision 1")
	w := post(h, path+"/rollback", url.Values{"revision": {"2"}, "if_match": {stale}})
	require.Equal(t, http.StatusPreconditionFailed, w.Code, "somebody was faster")
	require.Equal(t, http.StatusBadRequest, post(h, path+"/rollback", nil).Code)
	require.Equal(t, http.StatusNotFound, post(h, path+"/rollback", url.Values{"revision": {"77"}}).Code)
	for _, c := range []struct{ action, state, button string }{
		{"pause", "paused", "resume"}, {"resume", "running", "pause"}, {"stop", "stopped", "resume"}, {"resume", "running", "restart"},
	} {
		moved(post(h, path+"/"+c.action, nil))
		html := page(t, h, path)
		require.Contains(t, words(html), "demo "+c.state)
		require.Contains(t, html, `action="`+path+"/"+c.button+`"`)
	}
	moved(post(h, path+"/restart", nil))
	require.Equal(t, http.StatusNotFound, post(h, path+"/explode", nil).Code)
}

func TestButtonsOfAConnectionAreForThoseWhoMay(t *testing.T) {
	t.Parallel()
	const path, adminToken = "/connections/default/demo", "an admin token of a test"
	office := dashboardtest.Busy(noon).WithRevisions(noon)
	front, err := office.Open(api.ListenPolicy{Listen: "127.0.0.1:0", Token: adminToken}, nil, nil)
	require.NoError(t, err)
	for role, want := range map[api.Role][]string{
		api.RoleViewer: {}, api.RoleOperator: {"pause", "stop", "restart", "test"}, api.RoleAdmin: {"pause", "stop", "restart", "test", "deploy", "rollback"},
	} {
		made := httptest.NewRequest(http.MethodPost, "http://localhost:9657/api/v1/tokens", strings.NewReader(`{"name":"`+string(role)+`","role":"`+string(role)+`"}`))
		made.Header.Set("Authorization", "Bearer "+adminToken)
		answer := httptest.NewRecorder()
		front.Handler.ServeHTTP(answer, made)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		var token struct{ Token string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &token))
		as := func(method, path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "http://localhost:9657"+path, nil)
			r.Header.Set("Authorization", "Bearer "+token.Token)
			r.Header.Set("Accept", "text/html")
			w := httptest.NewRecorder()
			front.Handler.ServeHTTP(w, r)
			return w
		}
		w := as(http.MethodGet, path)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		for _, action := range []string{"pause", "stop", "restart", "test", "deploy", "rollback"} {
			button := strings.Contains(w.Body.String(), `action="`+path+"/"+action+`"`)
			require.Equal(t, strings.Contains(strings.Join(want, " "), action), button, "%s: %s", role, action)
			if !button {
				require.Equal(t, http.StatusForbidden, as(http.MethodPost, path+"/"+action).Code, "%s: %s", role, action)
			}
		}
	}
}

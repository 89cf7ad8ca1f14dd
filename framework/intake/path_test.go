package intake

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzPath holds that a path is read in one spelling only, and that nothing that
// is sent to a path is answered with a redirect.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"/webhooks/a/b", "/p/eu/webhooks/a/b", "/webhooks/a%2fb/c", "/webhooks/a/b/", "/webhooks//b", "/webhooks/../b", "/webhooks/a/%00", "/webhooks/A/b",
		"/p//webhooks/a/b", "/p/webhooks/webhooks/a/b", "//webhooks/a/b", "/webhooks/a/b%2e", "/p/eu/p/eu/webhooks/a/b", "/webhooks/a/b?c=/webhooks/c/d",
	} {
		f.Add(path)
	}
	one := regexp.MustCompile(`^(/p/[a-z0-9][a-z0-9_-]{0,62})?/webhooks/[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$`)
	h := newFixture(f, emitOrder)
	f.Fuzz(func(t *testing.T, path string) {
		project, connection, endpoint, ok := splitPath(path)
		require.Equal(t, one.MatchString(path), ok, "%q", path)
		if ok {
			back := "/webhooks/" + connection + "/" + endpoint
			require.Contains(t, []string{back, "/p/" + project + back}, path)
		}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.Path, r.URL.RawPath = path, path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusNotFound, http.StatusUnauthorized, http.StatusOK}, w.Code)
	})
}

package http_test

import (
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// foreign starts go-httpbin, a server that is not ours.
func foreign(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(httpbin.New())
	t.Cleanup(server.Close)
	return server.URL
}

// ask reads one page of one stream from a path of the foreign server.
func ask(t *testing.T, address string, extra map[string]any) ([]ingest.Emission, error) {
	t.Helper()
	settings := map[string]any{"endpoint": address, "stream": "things", "retry_attempts": 0, "key": `"one"`}
	maps.Copy(settings, extra)
	_, emissions, err := open(t, settings).Page(t.Context(), "things", framework.PageCall{})
	return emissions, err
}

func TestStatusesOfAForeignServerHaveTheirClass(t *testing.T) {
	t.Parallel()
	base := foreign(t)
	for path, class := range map[string]framework.Class{
		"/status/500": framework.ClassTransient, "/status/503": framework.ClassTransient, "/status/429": framework.ClassTransient,
		"/status/408": framework.ClassTransient, "/status/401": framework.ClassAuth, "/status/403": framework.ClassAuth,
		"/status/404": framework.ClassPermanent, "/status/410": framework.ClassPermanent, "/status/400": framework.ClassPermanent,
		"/redirect-to?url=http%3A%2F%2Felsewhere.example%2F": framework.ClassPermanent, "/html": framework.ClassTransient,
	} {
		_, err := ask(t, base+path, nil)
		require.Error(t, err, path)
		require.Equal(t, class, framework.ClassOf(err), path)
	}
	for _, path := range []string{"/status/204", "/status/304", "/status/404"} {
		emissions, err := ask(t, base+path, map[string]any{"empty_statuses": []any{404}})
		require.NoError(t, err, path)
		require.Empty(t, emissions)
	}
}

func TestAForeignServerIsReadInEveryWay(t *testing.T) {
	t.Parallel()
	base := foreign(t)
	for _, path := range []string{"/gzip", "/json", "/redirect/3", "/absolute-redirect/2", "/cache", "/deflate"} {
		emissions, err := ask(t, base+path, nil)
		if path == "/deflate" {
			require.Error(t, err, "deflate was not asked for")
			continue
		}
		require.NoError(t, err, path)
		require.Len(t, emissions, 1, path)
	}
	emissions, err := ask(t, base+"/stream/5", map[string]any{"format": "ndjson", "key": ".id"})
	require.NoError(t, err)
	require.Len(t, emissions, 5)
}

func TestAForeignServerTakesOurCredentials(t *testing.T) {
	t.Parallel()
	base := foreign(t)
	for path, authentication := range map[string]map[string]any{
		"/basic-auth/user/passwd": {"type": "basic", "username": "user", "password": "passwd"},
		"/bearer":                 {"type": "bearer", "token": "a-token-of-some-length"},
	} {
		_, err := ask(t, base+path, map[string]any{"authentication": authentication})
		require.NoError(t, err, path)
		_, err = ask(t, base+path, nil)
		require.Equal(t, framework.ClassAuth, framework.ClassOf(err), path)
	}
}

func TestASlowForeignServerIsLeftAtTheTimeout(t *testing.T) {
	t.Parallel()
	base := foreign(t)
	for _, path := range []string{"/delay/2", "/drip?duration=2s&delay=0s&numbytes=9"} {
		_, err := ask(t, base+path, map[string]any{"timeout_seconds": 0.2})
		require.Error(t, err, path)
		require.Equal(t, framework.ClassTransient, framework.ClassOf(err))
		require.Regexp(t, "Timeout|deadline", err.Error())
	}
}

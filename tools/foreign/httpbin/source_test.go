package httpbin

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/require"

	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/ingest"
)

// serve starts go-httpbin and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(httpbin.New())
	t.Cleanup(server.Close)
	return server.URL
}

// guarded is what makes the clients, as in a process that may reach loopback.
func guarded(t *testing.T) *httpguard.Guard {
	t.Helper()
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	return guard
}

// open opens a source of one stream, things, that reads an address.
func open(t *testing.T, address string, extra map[string]any) *framework.Binding {
	t.Helper()
	settings := map[string]any{"endpoint": address, "stream": "things", "retry_attempts": 0, "key": `"one"`}
	maps.Copy(settings, extra)
	guard := guarded(t)
	b, err := connector.Plugin.Open(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "test", ConnectionID: "con_test", Settings: settings, Client: guard.Client, NewClient: guard.NewClient,
	})
	require.NoError(t, err)
	return b
}

// ask reads one page of it.
func ask(t *testing.T, address string, extra map[string]any) ([]ingest.Emission, error) {
	t.Helper()
	_, emissions, err := open(t, address, extra).Page(t.Context(), "things", framework.PageCall{})
	return emissions, err
}

func TestStatusesHaveTheirClass(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for path, class := range map[string]framework.Class{
		"/status/500": framework.ClassTransient, "/status/503": framework.ClassTransient, "/status/429": framework.ClassTransient,
		"/status/408": framework.ClassTransient, "/status/401": framework.ClassAuth, "/status/403": framework.ClassAuth,
		"/status/404": framework.ClassPermanent, "/status/410": framework.ClassPermanent, "/status/400": framework.ClassPermanent,
		"/redirect-to?url=http%3A%2F%2Felsewhere.example%2F": framework.ClassPermanent, "/html": framework.ClassTransient,
		"/digest-auth/auth/user/passwd": framework.ClassAuth,
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

func TestAnswersAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for _, path := range []string{"/gzip", "/json", "/redirect/3", "/absolute-redirect/2", "/cache", "/drip?duration=100ms&delay=0s&numbytes=9&format=*"} {
		extra := map[string]any{}
		if strings.HasPrefix(path, "/drip") {
			extra = map[string]any{"format": "csv", "csv": map[string]any{"columns": []any{"stars"}}}
		}
		emissions, err := ask(t, base+path, extra)
		require.NoError(t, err, path)
		require.Len(t, emissions, 1, path)
	}
	_, err := ask(t, base+"/deflate", nil)
	require.Error(t, err, "deflate was not asked for")
	emissions, err := ask(t, base+"/stream/5", map[string]any{"format": "ndjson", "key": ".id"})
	require.NoError(t, err)
	require.Len(t, emissions, 5)
}

func TestPagesAreFoundByTheirLinks(t *testing.T) {
	t.Parallel()
	base := serve(t)
	// Each answer repeats its parameters, and has those of its headers that they name.
	address := ""
	for n := 4; n >= 1; n-- {
		query := url.Values{"n": {fmt.Sprint(n)}}
		if address != "" {
			query.Set("Link", "<"+address+`>; rel="next"`)
		}
		address = base + "/response-headers?" + query.Encode()
	}
	b := open(t, address, map[string]any{"key": ".n[0] // .n", "records": "{n}", "pagination": map[string]any{"type": "link"}})
	var keys []string
	call := framework.PageCall{}
	for {
		result, emissions, err := b.Page(t.Context(), "things", call)
		require.NoError(t, err)
		for _, e := range emissions {
			keys = append(keys, e.Key.Entity())
		}
		if !result.HasMore {
			break
		}
		call.Cursor = result.Cursor
	}
	require.Equal(t, []string{"1", "2", "3", "4"}, keys)
}

func TestCredentialsAreTaken(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for path, authentication := range map[string]map[string]any{
		"/basic-auth/user/passwd": {"type": "basic", "username": "user", "password": "passwd"},
		"/bearer":                 {"type": "bearer", "token": "a-token-of-some-length"},
	} {
		_, err := ask(t, base+path, map[string]any{"authentication": authentication})
		require.NoError(t, err, path)
		_, err = ask(t, base+path, nil)
		require.Equal(t, framework.ClassAuth, framework.ClassOf(err), path)
	}
	emissions, err := ask(t, base+"/headers", map[string]any{"authentication": map[string]any{"type": "api_key", "header": "X-Key", "key": "k-0123"}})
	require.NoError(t, err)
	require.Contains(t, string(emissions[0].Payload), "k-0123")
}

func TestASlowServerIsLeftAtTheTimeout(t *testing.T) {
	t.Parallel()
	base := serve(t)
	for _, path := range []string{"/delay/2", "/drip?duration=2s&delay=0s&numbytes=9"} {
		_, err := ask(t, base+path, map[string]any{"timeout_seconds": 0.2})
		require.Error(t, err, path)
		require.Equal(t, framework.ClassTransient, framework.ClassOf(err))
		require.Regexp(t, "Timeout|deadline", err.Error())
	}
}

func TestTheMethodAndTheBodyArriveAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	base := serve(t)
	emissions, err := ask(t, base+"/anything?a=ü x", map[string]any{
		"method": http.MethodPatch, "body": map[string]any{"q": "{{ .limit }}"}, "records": "{method, url, data}", "query": map[string]any{"b": "1&2"},
		"headers": []any{map[string]any{"name": "X-A", "value": "1"}},
	})
	require.NoError(t, err)
	require.Contains(t, string(emissions[0].Payload), `"method":"PATCH"`)
	require.Contains(t, string(emissions[0].Payload), `/anything?a=%C3%BC%20x&b=1%262`)
}

package http_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// written collects what is logged.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// Many services write the secret of a hook into its address. It is kept as secrets
// are, shown so far that it is known again, and kept when that is written back.
func TestTheTokenOfAnAddressIsKeptLikeASecret(t *testing.T) {
	t.Parallel()
	const (
		token = "aBcD0efGh1jKlMnOpQrStUvWx"
		next  = "zYxW9vUtSrQpOnMlKjIhGfEdC"
	)
	var mu sync.Mutex
	var called []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		called = append(called, r.URL.String())
	}))
	t.Cleanup(hook.Close)
	shown := hook.URL + "/services/T00/B00/aBcD***?thread=5&sig=***"
	var log written
	dir := t.TempDir()
	base := startWeir(t, dir, &log)
	const path = "/api/v1/connections/out"
	quiet := func(status int, answer []byte) []byte {
		t.Helper()
		require.Equal(t, http.StatusOK, status, "%s", answer)
		for _, secret := range []string{token, next, "canary"} {
			require.NotContains(t, string(answer), secret)
		}
		return answer
	}
	// arrives tests the connection, and returns what the hook was called by.
	arrives := func() string {
		t.Helper()
		quiet(call(t, http.MethodPost, base+path+"/test", nil))
		mu.Lock()
		defer mu.Unlock()
		require.NotEmpty(t, called)
		return called[len(called)-1]
	}
	endpoint := func(answer []byte) string {
		t.Helper()
		var view struct {
			Config map[string]any `json:"config"`
		}
		require.NoError(t, json.Unmarshal(answer, &view))
		text, _ := view.Config["endpoint"].(string)
		return text
	}
	document := func(endpoint string, more ...string) map[string]any {
		return map[string]any{
			"name": "out", "type": "sink", "connector": "http", "description": strings.Join(more, " "), "config": map[string]any{"endpoint": endpoint},
		}
	}
	whole := "/services/T00/B00/" + token + "?thread=5&sig=canary"
	made := quiet(call(t, http.MethodPost, base+"/api/v1/connections", document(hook.URL+whole)))
	require.Equal(t, shown, endpoint(made))
	require.Equal(t, whole, arrives())
	for _, door := range []string{path, "/api/v1/connections", path + "/revisions", path + "/revisions/1", "/connectors/out", "/connectors/out/config", "/connectors?expand=info", "/api/v1/audit"} {
		quiet(call(t, http.MethodGet, base+door, nil))
	}

	// What was shown, or ***, keeps it, also with other changes.
	quiet(call(t, http.MethodPut, base+path, document(shown, "changed")))
	require.Equal(t, whole, arrives())
	quiet(call(t, http.MethodPut, base+path, document("***", "changed again")))
	require.Equal(t, whole, arrives())
	config := map[string]any{}
	require.NoError(t, json.Unmarshal(quiet(call(t, http.MethodGet, base+"/connectors/out/config", nil)), &config))
	config["timeout_seconds"], config["topics.regex"] = "20", "nothing.*"
	quiet(call(t, http.MethodPut, base+"/connectors/out/config", config))
	require.Equal(t, whole, arrives())

	// Nobody carries it to another host, and a shortened one stands for none.
	for _, bad := range []string{
		strings.Replace(shown, hook.URL, "https://elsewhere.example", 1), strings.Replace(shown, "T00", "T01", 1), hook.URL + "/***", strings.Replace(shown, "thread=5", "thread=6", 1),
	} {
		status, answer := call(t, http.MethodPut, base+path, document(bad))
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", bad, answer)
		require.Contains(t, string(answer), "is not the URL that was shown")
	}
	status, answer := call(t, http.MethodPost, base+"/api/v1/connections", map[string]any{
		"name": "other", "type": "sink", "connector": "http", "config": map[string]any{"endpoint": shown},
	})
	require.Equal(t, http.StatusUnprocessableEntity, status, "%s", answer)
	require.Equal(t, whole, arrives())

	// Another one is told apart in the history, also when it looks the same.
	quiet(call(t, http.MethodPatch, base+path, map[string]any{"config": map[string]any{"endpoint": hook.URL + "/services/T00/B00/" + next}}))
	require.Equal(t, "/services/T00/B00/"+next, arrives())
	require.Contains(t, string(quiet(call(t, http.MethodGet, base+path+"/revisions", nil))), `zYxW***`)
	quiet(call(t, http.MethodPatch, base+path, map[string]any{"config": map[string]any{"endpoint": hook.URL + "/services/T00/B00/zYxW" + token}}))
	require.Contains(t, string(quiet(call(t, http.MethodGet, base+path+"/revisions", nil))), `"(changed)"`)

	require.NotContains(t, log.String(), token)
	require.NotContains(t, log.String(), next)
	for _, name := range []string{"weir.db", "weir.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.False(t, bytes.Contains(content, []byte(token)) || bytes.Contains(content, []byte(next)), name)
	}

	// An address without a secret stands as it is.
	plain := hook.URL + "/v1/orders/{{ .subject }}?limit=5"
	require.Equal(t, plain, endpoint(quiet(call(t, http.MethodPut, base+path, document(plain)))))
}

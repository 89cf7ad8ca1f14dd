package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/seal"
)

// call sends a request, checks its status and returns the answer.
func call(t *testing.T, method, url, body string, status int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, status, response.StatusCode, "%s %s: %s", method, url, answer)
	return string(answer)
}

// embed asks for url as a browser does for an image on a page of this very site.
func embed(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// Somebody with tools for Kafka Connect makes a sink, watches it, moves its
// offset, changes it and removes it; a restart keeps all of it.
func TestASinkIsMadeAndRunThroughTheKafkaConnectAPI(t *testing.T) {
	t.Parallel()
	got := make(chan [2]string, 100) // the subject of each event, and the header
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ Subject string }
		if json.NewDecoder(r.Body).Decode(&event) == nil {
			got <- [2]string{event.Subject, r.Header.Get("Apikey")}
		}
	}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	listen, connect := address(t), address(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte(seal.NewKey()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(`connections:
  - name: in
    class: http
    stream: things
    config: {mode: push, path: in, auth: {type: none, reason: a test on loopback}}
secrets: {key_file: key}
connect_listen: `+connect+`
`), 0o600))
	p := startIn(t, dir, "run", "--listen", listen)
	base := "http://" + connect
	one := base + "/connectors/Things%20out"

	require.Contains(t, call(t, "GET", base+"/", "", 200), "kafka_cluster_id")
	require.Contains(t, call(t, "GET", "http://"+listen+"/", "", 200), "kafka_cluster_id", "a program that asks for no page")
	require.JSONEq(t, `["in"]`, call(t, "GET", base+"/connectors", "", 200))
	require.Contains(t, call(t, "GET", base+"/nothing", "", 404), `"error_code":404`)
	config := `{"topics":"in.things","callback.request.url":"` + receiver.URL + `","callback.request.method":"POST",` +
		`"callback.request.headers":"{\"Content-Type\":\"application/json\",\"apikey\":\"a key for the receiver\"}","retry.backoff.sec":"1,2","tasks.max":"1"}`
	made := call(t, "POST", base+"/connectors", `{"name":"Things out","initial_state":"stopped","config":`+config+`}`, 201)
	require.NotContains(t, made, "a key for the receiver")
	require.Contains(t, made, `"tasks.max":"1"`)
	require.Contains(t, call(t, "POST", base+"/connectors", `{"name":"Things out","config":`+config+`}`, 409), "already exists")

	send := func(id string) {
		call(t, "POST", "http://"+listen+"/webhooks/in/in", `{"id":"`+id+`"}`, 200)
	}
	arrives := func(want ...string) {
		t.Helper()
		for _, id := range want {
			select {
			case one := <-got:
				require.Equal(t, [2]string{id, "a key for the receiver"}, one)
			case <-time.After(30 * time.Second):
				t.Fatalf("%s does not arrive: %s", id, p.stderr)
			}
		}
	}
	status := func() string { return call(t, "GET", one+"/status", "", 200) }
	first := `{"offsets":[{"partition":{"kafka_topic":"in.things","kafka_partition":0},"offset":{"kafka_offset":1}}]}`
	call(t, "PATCH", one+"/offsets", first, 200) // before anything was recorded
	require.Contains(t, call(t, "PATCH", one+"/offsets", strings.Replace(first, `:1}`, `:2}`, 1), 400), "at most 1")
	send("a")
	require.Contains(t, status(), `"STOPPED"`)
	require.Empty(t, got, "it was to begin stopped")
	call(t, "PUT", one+"/resume", "", 202)
	arrives("a")
	send("b")
	arrives("b")
	require.Contains(t, status(), `"RUNNING"`)
	require.Equal(t, http.StatusForbidden, embed(t, one+"/pause"), "an image on a page pauses nothing")
	require.Contains(t, status(), `"RUNNING"`)
	call(t, "GET", one+"/pause", "", 202)
	send("c")
	require.Contains(t, status(), `"PAUSED"`)
	offsets := func() string { return call(t, "GET", one+"/offsets", "", 200) }
	require.Contains(t, offsets(), `"kafka_offset":3`)
	move := `{"offsets":[{"partition":{"kafka_topic":"in.things","kafka_partition":0},"offset":{"kafka_offset":2}}]}`
	require.Contains(t, call(t, "PATCH", one+"/offsets", move, 400), "must be in the STOPPED state")
	call(t, "PUT", one+"/stop", "", 204)
	call(t, "PATCH", one+"/offsets", move, 200)
	require.Contains(t, call(t, "PATCH", one+"/offsets", strings.Replace(move, `:2}`, `:9}`, 1), 400), "at most 4")
	require.Contains(t, call(t, "PATCH", one+"/offsets", strings.Replace(move, `in.things`, `else`, 1), 400), "does not read topic else")
	require.Contains(t, offsets(), `"kafka_offset":2`)

	// Nothing of it depends on the process.
	require.NoError(t, p.interrupt(t))
	p = startIn(t, dir, "run", "--listen", listen)
	require.Contains(t, status(), `"STOPPED"`)
	require.Contains(t, offsets(), `"kafka_offset":2`)
	call(t, "PUT", one+"/resume", "", 202)
	arrives("b", "c")

	// What is read can be written back: the secret stays.
	call(t, "PUT", one+"/config", call(t, "GET", one+"/config", "", 200), 200)
	call(t, "PATCH", one+"/config", `{"callback.request.method":"PUT","tasks.max":null}`, 200)
	require.NotContains(t, call(t, "GET", one+"/config", "", 200), "tasks.max")
	send("d")
	arrives("d")
	require.Contains(t, call(t, "GET", one+"/topics", "", 200), `"in.things"`)
	require.Contains(t, call(t, "PUT", base+"/connectors/in/config", `{"connector.class":"http"}`, 409), "weir apply")
	call(t, "DELETE", one, "", 204)
	require.JSONEq(t, `["in"]`, call(t, "GET", base+"/connectors", "", 200))
	call(t, "GET", one, "", 404)
}

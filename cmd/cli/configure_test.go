package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/seal"
)

// configured is a folder with a weir.yaml that has a key, and no connections but
// the given ones.
func configured(t *testing.T, connections string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte(seal.NewKey()+"\n"), 0o600))
	file := "listen: 127.0.0.1:0\nsecrets: {key_file: " + filepath.Join(dir, "keys") + "}\n" + connections
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(file), 0o600))
	return dir
}

// ask sends a request to the management API.
func (p *process) ask(t *testing.T, method, path, body string, headers ...string) (status int, answer map[string]any, header http.Header) {
	t.Helper()
	status, raw, header := p.raw(t, method, path, body, headers...)
	require.NoError(t, json.Unmarshal(raw, &answer), "%s", raw)
	return status, answer, header
}

func (p *process) raw(t *testing.T, method, path, body string, headers ...string) (status int, answer []byte, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, raw, response.Header
}

const hook = "/api/v1/projects/default/connections/hook"

func TestAWebhookLivesThroughTheAPI(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	t.Cleanup(receiver.Close)
	p := startIn(t, configured(t, ""), "run")
	body := fmt.Sprintf(`{"type":"webhook","name":"hook","fullUrl":%q,"httpMethod":"POST","headerList":[{"name":"X-Key","value":"canary-0123456789"}]}`, receiver.URL+"/in?a=b c")

	status, v, header := p.ask(t, http.MethodPost, hook, body, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusOK, status, v)
	require.Equal(t, "webhook", v["type"])
	for field, want := range map[string]any{
		"httpMethod": "POST", "timeout": 2.0, "connectionPoolMaxConnectionPerHost": 24.0, "connectionPoolMaxConnectionTotal": 48.0, "enabled": true,
		"deployToWorker": true, "state": "running", "revision": 1.0, "managed_by": "api",
		"headerList": []any{map[string]any{"name": "X-Key", "value": "***"}},
	} {
		require.Equal(t, want, v[field], field)
	}
	etag := header.Get("ETag")
	require.NotEmpty(t, etag)
	status, again, _ := p.ask(t, http.MethodPost, hook, body, "Idempotency-Key", "k1")
	require.Equal(t, http.StatusOK, status, "the same request again")
	require.Equal(t, v["id"], again["id"])
	status, _, _ = p.ask(t, http.MethodPost, hook, strings.Replace(body, "POST", "PUT", 1), "Idempotency-Key", "k1")
	require.Equal(t, http.StatusUnprocessableEntity, status, "another request under the same key")
	status, _, _ = p.ask(t, http.MethodPost, hook, body)
	require.Equal(t, http.StatusConflict, status)

	// A real round trip, with the secret that nobody is shown.
	status, verdict, _ := p.ask(t, http.MethodPost, hook+"/test", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, true, verdict["ok"], verdict)
	sent := <-got
	require.Equal(t, "canary-0123456789", sent.Header.Get("X-Key"))
	require.Equal(t, "/in?a=b%20c", sent.RequestURI)

	// What is read back may be written back, and keeps the secret.
	_, read, _ := p.raw(t, http.MethodGet, hook, "")
	var back map[string]any
	require.NoError(t, json.Unmarshal(read, &back))
	back["description"] = "changed"
	changed, err := json.Marshal(back)
	require.NoError(t, err)
	status, _, _ = p.ask(t, http.MethodPut, hook, string(changed), "If-Match", `"con_x.1"`)
	require.Equal(t, http.StatusPreconditionFailed, status)
	status, v, _ = p.ask(t, http.MethodPut, hook, string(changed), "If-Match", etag)
	require.Equal(t, http.StatusOK, status, v)
	require.EqualValues(t, 2, v["revision"])
	_, verdict, _ = p.ask(t, http.MethodPost, hook+"/test", "")
	require.Equal(t, true, verdict["ok"], verdict)
	require.Equal(t, "canary-0123456789", (<-got).Header.Get("X-Key"))

	status, v, _ = p.ask(t, http.MethodPatch, hook, `{"labels":{"team":"shop"},"deployToWorker":false}`)
	require.Equal(t, http.StatusOK, status, v)
	require.Equal(t, []any{3.0, 2.0}, []any{v["revision"], v["deployed_revision"]})
	status, v, _ = p.ask(t, http.MethodPost, hook+"/deploy", "")
	require.Equal(t, http.StatusOK, status, v)
	require.EqualValues(t, 3, v["deployed_revision"])
	_, list, _ := p.ask(t, http.MethodGet, "/api/v1/connections?type=webhook&label=team=shop&state=running", "")
	require.Len(t, list["connections"], 1)
	_, list, _ = p.ask(t, http.MethodGet, "/api/v1/connections?type=source", "")
	require.Empty(t, list["connections"])
	for _, verb := range []string{"pause", "resume", "stop", "resume", "restart"} {
		status, v, _ = p.ask(t, http.MethodPost, hook+"/"+verb, "")
		require.Equal(t, http.StatusOK, status, "%s: %v", verb, v)
	}
	status, v, _ = p.ask(t, http.MethodPost, hook+"/rollback?revision=1&message=oops", "")
	require.Equal(t, http.StatusOK, status, v)
	_, history, _ := p.ask(t, http.MethodGet, hook+"/revisions", "")
	require.Len(t, history["revisions"], 4)
	first, _ := history["revisions"].([]any)[0].(map[string]any)
	require.Equal(t, "oops", first["message"])
	require.Equal(t, "loopback", first["by"])
	status, _, _ = p.ask(t, http.MethodDelete, hook+"?events=delete&dead_letters=delete", "")
	require.Equal(t, http.StatusOK, status)
	status, v, _ = p.ask(t, http.MethodGet, hook, "")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "unknown_connection", v["code"])
	require.NotContains(t, p.stderr.String(), "canary")
}

func TestEveryDocumentedExampleIsTaken(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	components := api.OpenAPI()["paths"].(map[string]any)                                                                    //nolint:errcheck,forcetypeassert // it was made so
	operation := components["/api/v1/projects/{project}/connections/{connection}"].(map[string]any)["post"].(map[string]any) //nolint:errcheck,forcetypeassert // as above
	content := operation["requestBody"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)    //nolint:errcheck,forcetypeassert // as above
	examples := content["examples"].(map[string]any)                                                                         //nolint:errcheck,forcetypeassert // as above
	require.Len(t, examples, 6)
	for name, one := range examples {
		value := one.(map[string]any)["value"].(map[string]any) //nolint:errcheck,forcetypeassert // as above
		body, err := json.Marshal(value)
		require.NoError(t, err)
		path := fmt.Sprint("/api/v1/connections/", value["name"])
		status, answer, _ := p.ask(t, http.MethodPost, path+"/validate", string(body))
		require.Equal(t, http.StatusOK, status, "%s: %v", name, answer)
		status, answer, _ = p.ask(t, http.MethodPost, path, string(body))
		require.Equal(t, http.StatusOK, status, "%s: %v", name, answer)
	}
	status, v, _ := p.ask(t, http.MethodGet, "/api/v1/connections/secure", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "draft", v["state"])
	require.Equal(t, false, v["deployToWorker"])
	status, v, _ = p.ask(t, http.MethodPost, "/api/v1/projects", `{"name":"eu","description":"customers in Europe"}`)
	require.Equal(t, http.StatusOK, status, v)
	status, v, _ = p.ask(t, http.MethodPatch, "/api/v1/projects/eu", `{"description":"customers in Europe and beyond"}`)
	require.Equal(t, http.StatusOK, status, v)
	status, v, _ = p.ask(t, http.MethodDelete, "/api/v1/projects/eu", "")
	require.Equal(t, http.StatusOK, status, v)
	status, page, header := p.raw(t, http.MethodGet, "/docs", "", "Accept", "text/html")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'self'")
	require.Contains(t, string(page), "rollbackConnection")
	require.NotContains(t, string(page), "<script")
}

func TestBadBodiesAreRefusedWholeWithEveryFault(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	sink := func(settings string) string {
		return `{"name":"hook","type":"sink","connector":"http","config":{` + settings + `}}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
		says   []string
	}{
		"unknown field":     {`{"name":"hook","type":"sink","connector":"http","lables":{},"config":{"endpont":"https://a.example"}}`, 422, []string{"lables", `did you mean \"labels\"`, "config.endpont", `did you mean \"endpoint\"`, "config.endpoint"}},
		"wrong type":        {`{"name":"hook","type":"sink","connector":"http","enabled":"yes","streams":"all","config":{"endpoint":"https://a.example","batch":{"max_events":"many"}}}`, 422, []string{`"path":"enabled"`, `"path":"streams"`, `"path":"config.batch.max_events"`}},
		"out of range":      {sink(`"endpoint":"https://a.example","timeout_seconds":0,"batch":{"max_events":0}`), 422, []string{"config.timeout_seconds", "config.batch.max_events"}},
		"no http URL":       {sink(`"endpoint":"ftp://a.example"`), 422, []string{"config.endpoint", "http"}},
		"credentials":       {sink(`"endpoint":"https://u:canary@a.example"`), 422, []string{"config.endpoint"}},
		"CR LF":             {sink(`"endpoint":"https://a.example","headers":[{"name":"X-A","value":"b\r\nX-B: c"}]`), 422, []string{"config.headers[0]"}},
		"forbidden header":  {sink(`"endpoint":"https://a.example","headers":[{"name":"Host","value":"b"}]`), 422, []string{"config.headers[0]"}},
		"unknown stream":    {`{"name":"hook","type":"sink","connector":"http","streams":["a.b"],"config":{"endpoint":"https://a.example"}}`, 422, []string{"streams[0]", "SC602"}},
		"unknown connector": {`{"name":"hook","type":"source","connector":"htpt","config":{}}`, 422, []string{"connector", `did you mean \"http\"`}},
		"two synonyms":      {sink(`"endpoint":"https://a.example","fullUrl":"https://b.example"`), 422, []string{"keep one"}},
		"another name":      {`{"name":"other","type":"sink","connector":"http","config":{"endpoint":"https://a.example"}}`, 422, []string{`"path":"name"`}},
		"two bodies":        {sink(`"endpoint":"https://a.example"`) + "{}", 422, []string{"follows"}},
		"duplicate keys":    {`{"name":"hook","name":"hook"}`, 422, []string{"twice"}},
		"depth":             {`{"config":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, 422, []string{"nested"}},
		"NUL":               {`{"name":"hook\u0000"}`, 422, []string{"NUL"}},
		"no UTF-8":          {"{\"name\":\"\xff\"}", 422, []string{"UTF-8"}},
		"10 MB":             {`{"name":"` + strings.Repeat("x", 10<<20) + `"}`, 413, []string{"body_too_large"}},
		"no object":         {`[]`, 422, []string{"object"}},
		"reference":         {sink(`"endpoint":"https://a.example","headers":[{"name":"X-A","value":"${HOME}"}]`), 422, []string{"config.headers[0].value", "may not be read"}},
		"Weir's own":        {sink(`"endpoint":"https://a.example","headers":[{"name":"X-A","value":"${WEIR_SECRET_KEY}"}]`), 422, []string{"may not be read"}},
		"flat unknown":      {`{"type":"webhook","name":"hook","fulUrl":"https://a.example"}`, 422, []string{"fulUrl", `did you mean \"fullUrl\"`, "is required"}},
		"flat wrong value":  {`{"type":"webhook","name":"hook","fullUrl":"https://a.example","timeout":-1}`, 422, []string{`"path":"timeout"`}},
		"flat wrong method": {`{"type":"webhook","name":"hook","fullUrl":"https://a.example","httpMethod":"BREW"}`, 422, []string{`"path":"httpMethod"`}},
		"nothing to keep":   {sink(`"endpoint":"https://a.example","headers":[{"name":"X-A","value":"***"}]`), 422, []string{"config.headers[0].value", "there is none"}},
		"no reserved name":  {`{"name":"con_1","type":"sink","connector":"http","config":{"endpoint":"https://a.example"}}`, 422, nil},
		"name and content":  {`{"name":"other","type":"sink","connector":"htpt","nonsense":1,"config":{}}`, 422, []string{`"path":"name"`, `"path":"connector"`, `"path":"nonsense"`}},
		"flat many": {
			`{"type":"webhook","name":"hook","fullUrl":"ftp://a.example","timeout":-1,"nonsense":1,"deployToWorker":"yes","enabled":"no","config":"x"}`, 422,
			[]string{`"path":"fullUrl"`, `setting \"fullUrl\"`, `"path":"timeout"`, `setting \"timeout\"`, `"path":"nonsense"`, `"path":"deployToWorker"`, `"path":"enabled"`, `"path":"config"`},
		},
		"half a character":   {sink(`"endpoint":"https://a.example","headers":[{"name":"X-A","value":"\ud800"}]`), 422, []string{"half a character"}},
		"another media type": {"a=b", 415, nil},
	} {
		headers := []string{}
		if c.status == http.StatusUnsupportedMediaType {
			headers = []string{"Content-Type", "application/x-www-form-urlencoded"}
		}
		path := hook
		if strings.Contains(c.body, "con_1") {
			path = "/api/v1/connections/con_1"
		}
		status, answer, _ := p.raw(t, http.MethodPost, path, c.body, headers...)
		require.Equal(t, c.status, status, "%s: %s", name, answer)
		for _, part := range c.says {
			if !strings.Contains(string(answer), part) {
				t.Errorf("%s: %s is not in %s", name, part, answer)
			}
		}
		require.NotContains(t, string(answer), "canary", name)
		status, _, _ = p.raw(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusNotFound, status, "%s: something was saved", name)
	}
}

func TestAFileIsAppliedAndReadBack(t *testing.T) {
	t.Parallel()
	dir := configured(t, "")
	p := startIn(t, dir, "run")
	file := filepath.Join(t.TempDir(), "shop.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	run := func(args ...string) (int, string, string) {
		return weir(t, nil, all.Plugins(), append(args, "--server", p.url)...)
	}
	write(`
projects: [{name: eu}]
connections:
  - {name: out, connector: http, type: sink, config: {endpoint: "https://a.example/in", headers: [{name: X-Key, value: canary-0123456789}]}}
  - {name: other, project: eu, class: http, type: sink, config: {fullUrl: "https://b.example"}}
`)
	code, out, stderr := run("apply", "-f", file, "--dry-run")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "+ create connection default/out")
	require.Contains(t, out, "(changed)")
	require.NotContains(t, out, "canary")
	code, _, _ = run("get", "connections", "out")
	require.Equal(t, 1, code, "nothing was done")
	code, out, stderr = run("apply", "-f", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "3 changes made")
	code, out, _ = run("apply", "-f", file)
	require.Zero(t, code)
	require.Contains(t, out, "nothing to change")

	code, out, stderr = run("get", "connections", "-o", "yaml")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "value: '***'")
	code, stdout, stderr := run("delete", "out")
	require.Equal(t, 1, code, stdout)
	require.Contains(t, stderr, "managed by the file")

	write(`connections: [{name: out, connector: http, type: sink, config: {endpoint: "https://c.example/in"}}]`)
	code, out, stderr = run("apply", "-f", file, "--prune", "--message", "less")
	require.Zero(t, code, stderr)
	require.Contains(t, out, `+ config.endpoint: "https://c.example/in"`)
	require.Contains(t, out, "- delete connection eu/other")
	code, out, _ = run("history", "out")
	require.Zero(t, code)
	require.Contains(t, out, "less")
	require.Contains(t, out, "(changed)")

	write(`connections: [{name: out, connector: htpt, config: {}}, {name: new, connector: http, type: sink, config: {endpoint: "https://a.example"}}]`)
	code, _, stderr = run("apply", "-f", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "shop.yaml:1:")
	require.Contains(t, stderr, "htpt")
	code, _, _ = run("get", "connections", "new")
	require.Equal(t, 1, code, "all or nothing")
	// A sink of the file reads a stream of a connection that stands elsewhere.
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/elsewhere",
		`{"name":"elsewhere","type":"source","connector":"http","stream":"things","config":{"mode":"push","path":"in","auth":{"type":"none","reason":"a test on loopback"}}}`)
	require.Equal(t, http.StatusOK, status, v)
	write(`connections: [{name: reader, connector: http, type: sink, streams: [elsewhere.things], config: {endpoint: "https://a.example"}}]`)
	code, _, stderr = run("apply", "-f", file)
	require.Zero(t, code, stderr)
	write(`connections: [{name: reader, connector: http, type: sink, streams: [nobody.things], config: {endpoint: "https://a.example"}}]`)
	code, _, stderr = run("apply", "-f", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `make connection "nobody" first, or put it into this file`)
	// A hangup has the process read its own file again.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte("connections: [{name: own, connector: http, type: sink, config: {endpoint: \"https://a.example\"}}]\n"), 0o600))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		status, _, _ := p.raw(t, http.MethodGet, "/api/v1/connections/own", "")
		return status == http.StatusOK
	}, time.Minute, 20*time.Millisecond)
	code, out, _ = weir(t, nil, all.Plugins(), "schema")
	require.Zero(t, code)
	var schema map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &schema))
	require.NoError(t, p.interrupt(t))
}

// Changes are made one after the other while the process is killed at any moment:
// what is there afterwards is one of them, wholly.
func TestAKilledProcessLeavesAConnectionWhollyOldOrWhollyNew(t *testing.T) {
	t.Parallel()
	dir := configured(t, "")
	n := 0
	document := func() string {
		n++
		return fmt.Sprintf(`{"name":"hook","type":"sink","connector":"http","description":"%d","labels":{"n":"%d"},"config":{"endpoint":"https://a.example/%d","headers":[{"name":"X-N","value":"secret-%d"}]}}`, n, n, n, n)
	}
	p := startIn(t, dir, "run")
	status, v, _ := p.ask(t, http.MethodPost, hook, document())
	require.Equal(t, http.StatusOK, status, v)
	answered := n
	for life := range 6 {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			client := &http.Client{Timeout: 5 * time.Second}
			defer client.CloseIdleConnections()
			for {
				request, err := http.NewRequest(http.MethodPut, p.url+hook, bytes.NewReader([]byte(document())))
				if err != nil {
					return
				}
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				if err != nil {
					return
				}
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					answered = n
				}
			}
		}()
		<-time.After(time.Duration(20+37*life) * time.Millisecond)
		p.kill()
		<-stopped
		p = startIn(t, dir, "run")
		_, v, _ = p.ask(t, http.MethodGet, hook, "")
		seen := 0
		_, err := fmt.Sscan(fmt.Sprint(v["description"]), &seen)
		require.NoError(t, err)
		require.Contains(t, []int{answered, n}, seen, "what was answered is there, and nothing that was not asked")
		answered = seen
		require.Equal(t, fmt.Sprint("https://a.example/", seen), v["config"].(map[string]any)["endpoint"]) //nolint:errcheck,forcetypeassert // it is so
		require.Equal(t, map[string]any{"n": fmt.Sprint(seen)}, v["labels"])
		require.Equal(t, v["revision"], v["deployed_revision"])
		require.Equal(t, v["revision"], v["running_revision"])
		_, list, _ := p.ask(t, http.MethodGet, fmt.Sprintf("/api/v1/connections?label=n=%d", seen), "")
		require.Len(t, list["connections"], 1, "labels and revision tell the same")
	}
}

package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
)

// wanted is a sink as somebody wants it, before a door's own spelling.
type wanted struct {
	name, connector, description any
	endpoint, timeout            any
	headers                      []any
	streams                      any
	extra                        map[string]any // at the top
	settings                     map[string]any // below config, by the names of class http
}

func header(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

// door is a way to write a connection.
type door struct {
	name, method, path, mediaType string
	// existing doors change the connection of that name, the others make one.
	existing string
	body     func(w wanted) string
	// fields are what the door calls settings.
	fields map[string]string
}

func render(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (w wanted) native() map[string]any {
	config := map[string]any{"endpoint": w.endpoint, "headers": w.headers}
	if w.timeout != nil {
		config["timeout_seconds"] = w.timeout
	}
	maps.Copy(config, w.settings)
	out := map[string]any{"name": w.name, "type": "sink", "connector": w.connector, "description": w.description, "config": config}
	if w.streams != nil {
		out["streams"] = w.streams
	}
	maps.Copy(out, w.extra)
	return out
}

func (w wanted) flat() map[string]any {
	out := map[string]any{"name": w.name, "type": "webhook", "description": w.description, "fullUrl": w.endpoint, "headerList": w.headers}
	if w.timeout != nil {
		out["timeout"] = w.timeout
	}
	if w.streams != nil {
		out["streams"] = w.streams
	}
	if w.settings != nil {
		out["config"] = w.settings
	}
	maps.Copy(out, w.extra)
	return out
}

func (w wanted) connect() map[string]any {
	list := map[string]any{}
	for _, one := range w.headers {
		h, _ := one.(map[string]any)
		list[fmt.Sprint(h["name"])] = h["value"]
	}
	config := map[string]any{"connector.class": w.connector, "callback.request.url": w.endpoint, "callback.request.headers": render(list), "description": w.description, "topics": "shop.things"}
	if w.streams != nil {
		config["topics"] = strings.Trim(fmt.Sprint(w.streams), "[]")
	}
	if w.timeout != nil {
		config["timeout_seconds"] = w.timeout
	}
	for name, value := range w.settings {
		if below, is := value.(map[string]any); is {
			for key, one := range below {
				config[name+"."+key] = one
			}
			continue
		}
		config[name] = value
	}
	maps.Copy(config, w.extra)
	return config
}

var (
	usual = map[string]string{"endpoint": "config.endpoint", "timeout": "config.timeout_seconds", "headers": "config.headers[0]", "streams": "streams"}
	keyed = map[string]string{"endpoint": "callback.request.url", "timeout": "timeout_seconds", "headers": "callback.request.headers", "streams": "topics"}
	lined = map[string]string{"endpoint": "endpoint", "timeout": "timeout_seconds", "headers": "headers[0]", "streams": "stream"}
	flat  = map[string]string{"endpoint": "fullUrl", "timeout": "timeout", "headers": "headerList[0]", "streams": "streams"}
)

func doors() []door {
	native := func(w wanted) string { return render(w.native()) }
	flatly := func(w wanted) string { return render(w.flat()) }
	connect := func(w wanted) string { return render(w.connect()) }
	const api = "/api/v1/connections/"
	return []door{
		{"create", http.MethodPost, api + "new", "application/json", "", native, usual},
		{"create by the list", http.MethodPost, api[:len(api)-1], "application/json", "", native, usual},
		{"validate", http.MethodPost, api + "new/validate", "application/json", "", native, usual},
		{"replace", http.MethodPut, api + "old", "application/json", "old", native, usual},
		{"patch", http.MethodPatch, api + "old", "application/merge-patch+json", "old", native, usual},
		{"create a webhook", http.MethodPost, api + "new", "application/json", "", flatly, flat},
		{"replace a webhook", http.MethodPut, api + "old", "application/json", "old", flatly, flat},
		{"connector", http.MethodPost, "/connectors", "application/json", "", func(w wanted) string {
			return `{"name":` + render(w.name) + `,"config":` + connect(w) + `}`
		}, keyed},
		{"connector's config", http.MethodPut, "/connectors/new/config", "application/json", "", connect, keyed},
		{"connector replaced", http.MethodPut, "/connectors/old/config", "application/json", "old", connect, keyed},
		{"connector patched", http.MethodPatch, "/connectors/old/config", "application/json", "old", connect, keyed},
		{"file", http.MethodPost, "/api/v1/apply", "application/yaml", "", func(w wanted) string {
			return `{"connections":[` + native(w) + `]}`
		}, lined},
	}
}

// shop makes a source with a stream to subscribe to.
func shop(t *testing.T, p *process) {
	t.Helper()
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/shop", `{"name":"shop","type":"source","connector":"http","enabled":false,"stream":"things","config":{"endpoint":"https://a.example/things"}}`)
	require.Equal(t, http.StatusOK, status, v)
}

// What is wrong is refused at every door, whole, with every fault at once, and
// nothing is saved.
func TestEveryDoorRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	good := wanted{name: "old", connector: "http", description: "d", endpoint: "https://a.example/in", headers: []any{header("X-Key", "canary-0123456789")}}
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/old", render(good.native()))
	require.Equal(t, http.StatusOK, status, v)
	shop(t, p)
	saved := func() string {
		_, list, _ := p.raw(t, http.MethodGet, "/api/v1/connections", "")
		_, history, _ := p.raw(t, http.MethodGet, "/api/v1/connections/old/revisions", "")
		_, connectors, _ := p.raw(t, http.MethodGet, "/connectors?expand=info", "")
		return string(list) + string(history) + string(connectors)
	}
	before := saved()
	// Said by its fields: what a fault says of a setting is under the door's own name.
	type bad struct {
		name   string
		make   func(w *wanted)
		raw    func(d door, body string) string
		says   []string
		fields []string
		status int
		// not are doors at which it is no fault, or cannot be said.
		not []string
	}
	connectors := []string{"connector", "connector's config", "connector replaced", "connector patched"}
	webhooks := []string{"create a webhook", "replace a webhook"}
	inText := func(text string) func(door, string) string {
		return func(_ door, body string) string {
			return strings.Replace(body, `"description":"d"`, `"description":`+text, 1)
		}
	}
	for _, c := range []bad{
		{name: "unknown field", make: func(w *wanted) { w.extra = map[string]any{"lables": map[string]any{}} }, says: []string{"lables", "labels"}, not: connectors},
		{name: "unknown setting", make: func(w *wanted) { w.settings = map[string]any{"compressoin": "gzip"} }, says: []string{"compressoin", "compression"}, not: connectors},
		{name: "wrong type", make: func(w *wanted) { w.timeout = "soon" }, fields: []string{"timeout"}},
		{name: "out of range", make: func(w *wanted) { w.timeout = -1 }, fields: []string{"timeout"}},
		{name: "no http", make: func(w *wanted) { w.endpoint = "ftp://a.example" }, fields: []string{"endpoint"}, says: []string{"http"}},
		{name: "no URL", make: func(w *wanted) { w.endpoint = "https://a b/%zz" }, fields: []string{"endpoint"}},
		{name: "credentials", make: func(w *wanted) { w.endpoint = "https://u:canary-in-url@a.example" }, fields: []string{"endpoint"}},
		{name: "CR and LF in a header", make: func(w *wanted) { w.headers = []any{header("X-A", "b\r\nX-B: canary-c")} }, fields: []string{"headers"}},
		{name: "CR and LF in a name", make: func(w *wanted) { w.headers = []any{header("X-A\r\nX-B", "canary-c")} }, fields: []string{"headers"}},
		{name: "forbidden header", make: func(w *wanted) { w.headers = []any{header("Transfer-Encoding", "canary-c")} }, fields: []string{"headers"}},
		{name: "reserved header", make: func(w *wanted) { w.headers = []any{header("webhook-signature", "canary-c")} }, fields: []string{"headers"}},
		{name: "unknown stream", make: func(w *wanted) { w.streams = []any{"shop.thing"} }, fields: []string{"streams"}, says: []string{"shop.thing"}},
		{name: "unknown connector", make: func(w *wanted) { w.connector = "htpt" }, says: []string{"htpt"}, not: webhooks},
		{name: "bad name", make: func(w *wanted) { w.name = "Not A Name!" }, says: []string{"name"}, not: append([]string{"create by the list"}, connectors...)},
		{name: "reserved name", make: func(w *wanted) { w.name = "con_1" }, says: []string{"con_"}, not: append([]string{"create", "validate", "replace", "create a webhook", "replace a webhook"}, connectors...)},
		{name: "name of another type", make: func(w *wanted) { w.name = 7 }, says: []string{"name"}, not: append([]string{"file"}, connectors...)},
		{name: "everything at once", make: func(w *wanted) {
			w.endpoint, w.timeout, w.headers = "ftp://a.example", -1, []any{header("Host", "canary-c")}
		}, fields: []string{"endpoint", "timeout", "headers"}},
		{name: "two bodies", raw: func(d door, body string) string {
			if d.name == "file" {
				return body + "\n---\n" + body
			}
			return body + "{}"
		}},
		{name: "what follows", raw: func(d door, body string) string { return body + "]" }},
		{name: "duplicate key", raw: func(_ door, body string) string {
			return strings.Replace(body, `"description":"d"`, `"description":"d","description":"e"`, 1)
		}, says: []string{"description"}},
		{name: "NUL", raw: inText(`"a\u0000b"`), says: []string{"NUL"}},
		{name: "a NUL byte", raw: inText("\"a\x00b\"")},
		{name: "no UTF-8", raw: inText("\"a\xffb\""), says: []string{"UTF-8"}},
		{name: "depth", raw: inText(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))},
		{name: "10 MB", raw: inText(`"` + strings.Repeat("x", 10<<20) + `"`), status: http.StatusRequestEntityTooLarge},
		{name: "no object", raw: func(door, string) string { return "[]" }},
		{name: "nothing", raw: func(door, string) string { return " " }, not: []string{"file"}},
		{name: "a reference to our own key", make: func(w *wanted) { w.headers = []any{header("X-A", "${WEIR_SECRET_KEY}")} }, fields: []string{"headers"}},
		{name: "a reference that is not allowed", make: func(w *wanted) { w.headers = []any{header("X-A", "${HOME}")} }, fields: []string{"headers"}},
		{name: "a file that is not allowed", make: func(w *wanted) { w.headers = []any{header("X-A", "${file:/etc/hostname}")} }, fields: []string{"headers"}},
	} {
		for _, d := range doors() {
			if slices.Contains(c.not, d.name) {
				continue
			}
			w := good
			if d.existing == "" {
				w.name = "new"
			}
			if c.make != nil {
				c.make(&w)
			}
			body := d.body(w)
			if c.raw != nil {
				changed := c.raw(d, body)
				require.NotEqual(t, body, changed, "%s at %s", c.name, d.name)
				body = changed
			}
			status, answer, _ := p.raw(t, d.method, d.path, body, "Content-Type", d.mediaType)
			at := fmt.Sprintf("%s at %s: %d %.600s", c.name, d.name, status, answer)
			if c.status != 0 && c.status != status || c.status == 0 && status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
				t.Errorf("status: %s", at)
			}
			says := slices.Clone(c.says)
			for _, f := range c.fields {
				says = append(says, d.fields[f])
			}
			for _, part := range says {
				if !strings.Contains(string(answer), part) {
					t.Errorf("%q is not said: %s", part, at)
				}
			}
			if strings.Contains(string(answer), "canary") {
				t.Errorf("a secret is said: %s", at)
			}
			if after := saved(); after != before {
				t.Errorf("something was saved: %s", at)
				before = after
			}
		}
	}
	require.NotContains(t, p.stderr.String(), "canary")
	require.NoError(t, p.interrupt(t))
}

// What only Weir may say of a connection, nobody else says by writing it: where the
// whole of a connection is written it may come back and means nothing, elsewhere it
// is refused.
func TestNobodyWritesWhatIsReadOnly(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	w := wanted{name: "old", connector: "http", description: "d", endpoint: "https://a.example/in"}
	forged := map[string]any{
		"id": "con_forged", "state": "stopped", "reason": "forged", "node": "forged", "revision": 77, "deployed_revision": 77, "running_revision": 77,
		"managed_by": "file", "secrets": map[string]any{"endpoint": "forged"}, "warnings": []any{map[string]any{"path": "forged", "message": "forged"}},
		"created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z", "form": "forged",
	}
	shop(t, p)
	_, made, _ := p.ask(t, http.MethodPost, "/api/v1/connections/old", render(w.native()))
	id, revision := made["id"], 1.0
	require.NotEmpty(t, id)
	for _, d := range doors() {
		for name, value := range forged {
			at := fmt.Sprintf("%s at %s", name, d.name)
			one := w
			path := d.path
			if d.existing == "" {
				one.name = "new"
			}
			text := value
			if d.fields["endpoint"] == keyed["endpoint"] {
				text = fmt.Sprint(value)
			}
			one.extra = map[string]any{name: text}
			status, answer, _ := p.raw(t, d.method, path, d.body(one), "Content-Type", d.mediaType)
			target := "old"
			switch {
			case d.name == "patch" || d.name == "file":
				require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", at, answer)
				require.Contains(t, string(answer), name, at)
				continue
			case d.name == "validate":
				require.Equal(t, http.StatusOK, status, "%s: %s", at, answer)
				continue
			case d.existing == "":
				target = "new"
			}
			require.Contains(t, []int{http.StatusOK, http.StatusCreated}, status, "%s: %s", at, answer)
			_, v, _ := p.ask(t, http.MethodGet, "/api/v1/connections/"+target, "")
			require.Equal(t, "running", v["state"], at)
			require.Equal(t, "api", v["managed_by"], at)
			require.NotContains(t, render(v["secrets"]), "forged", at)
			require.NotContains(t, []any{77.0}, v["revision"], at)
			require.Equal(t, v["revision"], v["deployed_revision"], at)
			require.NotContains(t, []any{v["created_at"], v["updated_at"]}, "2001-01-01", at)
			require.NotEqual(t, "con_forged", v["id"], at)
			require.Nil(t, v["reason"], at)
			if target == "old" {
				require.Equal(t, id, v["id"], at)
				require.LessOrEqual(t, v["revision"], revision+1, at)
				revision, _ = v["revision"].(float64)
				continue
			}
			status, answer, _ = p.raw(t, http.MethodDelete, "/api/v1/connections/new?events=delete&dead_letters=delete", "")
			require.Equal(t, http.StatusOK, status, "%s: %s", at, answer)
		}
	}
	require.NoError(t, p.interrupt(t))
}

// A connection whose secrets are sealed says them at no door, in no file and in no log.
func TestSecretsOfAConnectionAreSaidNowhere(t *testing.T) {
	t.Parallel()
	dir := configured(t, "")
	p := startIn(t, dir, "run", "--log-level", "debug")
	const canary = "canary-0123456789"
	body := `{"name":"hook","type":"sink","connector":"http","config":{"endpoint":"https://a.example/in","headers":[{"name":"X-Key","value":"` + canary + `"}],"authentication":{"type":"bearer","token":"` + canary + `"}}}`
	status, answer, _ := p.raw(t, http.MethodPost, hook, body)
	require.Equal(t, http.StatusOK, status, "%s", answer)
	said := map[string]string{"create": string(answer)}
	for _, one := range []struct{ method, path, body string }{
		{"PUT", hook, strings.Replace(body, `"type"`, `"description":"x","type"`, 1)},
		{"PATCH", hook, `{"description":"y"}`},
		{"POST", hook + "/validate", body},
		{"POST", hook + "/test", ""},
		{"POST", hook + "/rollback?revision=1", ""},
		{"GET", hook, ""},
		{"GET", hook + "/revisions", ""},
		{"GET", hook + "/revisions/1", ""},
		{"GET", "/api/v1/connections", ""},
		{"GET", "/api/v1/audit", ""},
		{"GET", "/connectors/hook", ""},
		{"GET", "/connectors/hook/config", ""},
		{"GET", "/connectors/hook/tasks", ""},
		{"GET", "/connectors?expand=info&expand=status", ""},
		{"PUT", "/connector-plugins/http/config/validate", `{"connector.class":"http","topics":"x","callback.request.url":"ftp://a","callback.request.headers":"{\"X-Key\":\"` + canary + `\"}"}`},
		{"POST", "/connectors", `{"name":"other","config":{"connector.class":"http","callback.request.url":"ftp://a","authentication.token":"` + canary + `","auth_token":"` + canary + `"}}`},
		{"PATCH", hook, `{"config":{"authentication":{"token":["` + canary + `",{}],"x":1}}}`},
		{"PATCH", hook, `{"config":{"headers":[{"name":"` + canary + `\r\n","value":1}]}}`},
		{"POST", "/api/v1/apply?dry_run=true", `{"connections":[{"name":"filed","connector":"http","type":"sink","config":{"endpoint":"https://a.example","authentication":{"type":"bearer","token":"` + canary + `"}}}]}`},
		{"POST", "/api/v1/apply", `{"connections":[{"name":"filed","connector":"http","type":"sink","config":{"endpoint":"ftp://a.example","authentication":{"type":"bearer","token":"` + canary + `"}}}]}`},
		{"GET", "/api/v1/openapi.json", ""},
		{"GET", "/metrics", ""},
	} {
		_, answer, _ := p.raw(t, one.method, one.path, one.body)
		said[one.method+" "+one.path+" "+one.body] = string(answer)
	}
	for _, args := range [][]string{{"get", "connections", "-o", "yaml"}, {"get", "connections", "-o", "json"}, {"history", "hook"}, {"audit"}, {"status"}, {"secrets", "rotate-key"}} {
		code, out, stderr := weir(t, nil, all.Plugins(), append(args, "--server", p.url)...)
		require.Zero(t, code, "%s: %s", args, stderr)
		said[strings.Join(args, " ")] = out + stderr
	}
	_, out, stderr := weir(t, nil, all.Plugins(), "doctor", "--offline", "--config", filepath.Join(dir, "weir.yaml"), "--data-dir", filepath.Join(dir, "weir-data"), "--server", p.url)
	said["doctor"] = out + stderr
	file := filepath.Join(t.TempDir(), "weir.backup")
	code, out, stderr := weir(t, nil, all.Plugins(), "backup", file, "--data-dir", filepath.Join(dir, "weir-data"))
	require.Zero(t, code, stderr)
	said["backup"] = out + stderr
	require.NoError(t, p.interrupt(t))
	said["log"] = p.stderr.String()
	// The copy holds the connection, with its secrets sealed; a backup is packed, so it is unpacked first.
	restored := t.TempDir()
	code, out, stderr = weir(t, nil, all.Plugins(), "restore", file, "--data-dir", restored)
	require.Zero(t, code, stderr)
	said["restore"] = out + stderr
	for _, name := range []string{file, filepath.Join(restored, "weir.db"), filepath.Join(dir, "weir-data", "weir.db")} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		said[name] = string(content)
	}
	require.Contains(t, said[filepath.Join(restored, "weir.db")], "https://a.example/in")
	for where, text := range said {
		require.NotEmpty(t, text, where)
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("%s says the secret: …%s", where, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

package kafkaconnect

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/demo"
	httpconnector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/loglevel"
)

type served struct {
	*shelf
	url string
	// client is the server's own: the end of another test's server ends idle
	// connections of the default one.
	client *http.Client
	t      *testing.T
}

func serve(t *testing.T) *served {
	t.Helper()
	plugins := []framework.Plugin{httpconnector.Plugin, demo.Plugin}
	s := newShelf(plugins...)
	face, err := New(Config{Desk: s, Plugins: plugins, Levels: loglevel.New(slog.LevelInfo), Version: "v1.2.3", Commit: "abc", Cluster: "log-1", Worker: "127.0.0.1:9657"})
	require.NoError(t, err)
	server := httptest.NewServer(face.Handler())
	t.Cleanup(server.Close)
	return &served{s, server.URL, server.Client(), t}
}

// call sends a request, checks its status, and decodes its answer into into,
// which is nil for an answer without a body.
func (s *served) call(method, path, body string, status int, into any, headers ...string) http.Header {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(r)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, response.Body.Close()) }()
	got, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, status, response.StatusCode, "%s %s: %s", method, path, got)
	if into == nil {
		require.Empty(s.t, got)
		return response.Header
	}
	require.Equal(s.t, "application/json", response.Header.Get("Content-Type"))
	d := json.NewDecoder(strings.NewReader(string(got)))
	require.NoError(s.t, d.Decode(into), "%s", got)
	return response.Header
}

// refused expects an error with all of the given texts in its message.
func (s *served) refused(method, path, body string, status int, texts ...string) {
	s.t.Helper()
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	s.call(method, path, body, status, &e)
	require.Equal(s.t, status, e.Code)
	for _, text := range texts {
		require.Contains(s.t, e.Message, text)
	}
}

type document = map[string]any

func TestNamesThatAreOneInWeirAreNotMixedUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	config := `{"connector.class":"http","topics":"shop.orders","callback.request.url":"https://example.com/hook"}`
	inner := connectionName("Orders Out")
	var made document
	s.call("POST", "/connectors", `{"name":"`+inner+`","config":`+config+`}`, 201, &made)
	s.refused("PUT", "/connectors/Orders%20Out/config", config, 409, inner, "Orders Out")
	s.refused("GET", "/connectors/Orders%20Out", "", 404)
}

// A connector lives its whole life in the order of Kafka Connect's own test of its API.
func TestTheLifeOfAConnector(t *testing.T) {
	t.Parallel()
	s := serve(t)
	sink := `{"topics":"shop.orders,shop.customers","callback.request.url":"https://example.com/hook","callback.request.method":"POST",
		"callback.request.headers":"{\"Content-Type\":\"application/json\",\"apikey\":\"a key\"}","retry.backoff.sec":"5,30","tasks.max":"1","key.converter":"org.apache.kafka.connect.storage.StringConverter"}`
	config := document{
		"name": "orders out", "topics": "shop.orders,shop.customers", "callback.request.url": "https://example.com/hook", "callback.request.method": "POST",
		"callback.request.headers": `{"Content-Type":"application/json","apikey":"a key"}`, "retry.backoff.sec": "5,30", "tasks.max": "1", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
	}

	var names []string
	s.call("GET", "/connectors", "", 200, &names)
	require.Empty(t, names)

	var result struct {
		Name  string `json:"name"`
		Count int    `json:"error_count"`
	}
	s.call("PUT", "/connector-plugins/http/config/validate", strings.Replace(sink, "{", `{"name":"orders out",`, 1), 200, &result)
	require.Equal(t, "http", result.Name)
	require.Zero(t, result.Count)

	var made document
	headers := s.call("POST", "/connectors", `{"name":"orders out","config":`+sink+`}`, 201, &made)
	require.Equal(t, "/connectors/orders%20out", headers.Get("Location"))
	require.Equal(t, document{"name": "orders out", "type": "sink", "config": config, "tasks": []any{document{"connector": "orders out", "task": 0.0}}}, made)
	s.refused("POST", "/connectors", `{"name":"orders out","config":`+sink+`}`, 409, "Connector orders out already exists")

	one := "/connectors/orders%20out"
	var got document
	s.call("GET", one, "", 200, &got)
	require.Equal(t, made, got)
	got = nil
	s.call("GET", one+"/config", "", 200, &got)
	require.Equal(t, config, got)
	got = nil
	s.call("GET", one+"/status", "", 200, &got)
	require.Equal(t, document{
		"name": "orders out", "type": "sink", "connector": document{"state": "RUNNING", "worker_id": "127.0.0.1:9657"},
		"tasks": []any{document{"id": 0.0, "state": "RUNNING", "worker_id": "127.0.0.1:9657"}},
	}, got)
	var tasks []document
	s.call("GET", one+"/tasks", "", 200, &tasks)
	require.Len(t, tasks, 1)
	require.Equal(t, document{"connector": "orders out", "task": 0.0}, tasks[0]["id"])
	got = nil
	s.call("GET", one+"/tasks/0/status", "", 200, &got)
	require.Equal(t, "RUNNING", got["state"])
	s.refused("GET", one+"/tasks/1/status", "", 404, "No status found for task orders out-1")

	state := func() string {
		var v statusView
		s.call("GET", one+"/status", "", 200, &v)
		return v.Connector.State
	}
	s.call("PUT", one+"/pause", "", 202, nil)
	require.Equal(t, "PAUSED", state())
	s.call("PUT", one+"/pause", "", 202, nil)
	s.call("PUT", one+"/resume", "", 202, nil)
	require.Equal(t, "RUNNING", state())
	s.refused("PATCH", one+"/offsets", `{"offsets":[{"partition":{"kafka_topic":"shop.orders","kafka_partition":0},"offset":{"kafka_offset":7}}]}`, 400, "must be in the STOPPED state before their offsets can be modified")
	s.call("PUT", one+"/stop", "", 204, nil)
	require.Equal(t, "STOPPED", state())
	tasks = nil
	s.call("GET", one+"/tasks", "", 200, &tasks)
	require.Empty(t, tasks)

	got = nil
	s.call("PATCH", one+"/offsets", `{"offsets":[{"partition":{"kafka_topic":"shop.orders","kafka_partition":"0"},"offset":{"kafka_offset":"7"}}]}`, 200, &got)
	require.Equal(t, document{"message": "The offsets for this connector have been altered successfully"}, got)
	offsets := func() string {
		var v struct{ Offsets json.RawMessage }
		s.call("GET", one+"/offsets", "", 200, &v)
		return string(v.Offsets)
	}
	require.JSONEq(t, `[{"partition":{"kafka_topic":"shop.orders","kafka_partition":0},"offset":{"kafka_offset":7}},
		{"partition":{"kafka_topic":"shop.customers","kafka_partition":0},"offset":{"kafka_offset":1}}]`, offsets())
	s.refused("PATCH", one+"/offsets", `{"offsets":[]}`, 400, "need to be provided")
	s.refused("PATCH", one+"/offsets", `{"offsets":[{"partition":{"kafka_topic":"else"},"offset":null}]}`, 400, "does not read else")
	got = nil
	s.call("DELETE", one+"/offsets", "", 200, &got)
	require.Equal(t, document{"message": "The offsets for this connector have been reset successfully"}, got)
	require.Contains(t, offsets(), `"kafka_offset":1},`[:16])
	require.NotContains(t, offsets(), "7")

	// Another configuration, as a whole and by keys.
	got = nil
	s.call("PUT", one+"/config", strings.Replace(sink, "5,30", "1,2,3", 1), 200, &got)
	config, _ = got["config"].(document)
	require.Equal(t, "1,2,3", config["retry.backoff.sec"])
	got = nil
	s.call("PATCH", one+"/config", `{"retry.backoff.sec":null,"request.delay.sec":"4"}`, 200, &got)
	patched, _ := got["config"].(document)
	require.NotContains(t, patched, "retry.backoff.sec")
	require.Equal(t, "4", patched["request.delay.sec"])
	require.Equal(t, "1", patched["tasks.max"])
	got = nil
	s.call("PUT", "/connectors/other/config", sink, 201, &got)
	require.Equal(t, "other", got["name"])

	names = nil
	s.call("GET", "/connectors", "", 200, &names)
	require.ElementsMatch(t, []string{"orders out", "other"}, names)
	var expanded map[string]document
	s.call("GET", "/connectors?expand=status&expand=info&expand=other", "", 200, &expanded)
	require.Len(t, expanded, 2)
	require.Contains(t, expanded["other"], "status")
	described, _ := expanded["other"]["info"].(document)
	require.Equal(t, "sink", described["type"])
	var topics map[string]struct{ Topics []string }
	s.call("GET", "/connectors/other/topics", "", 200, &topics)
	require.Equal(t, []string{"shop.customers", "shop.orders"}, topics["other"].Topics)
	s.refused("PUT", "/connectors/other/topics/reset", "", 403, "Topic tracking reset is disabled.")

	s.call("DELETE", one, "", 204, nil)
	s.refused("GET", one, "", 404, "Connector orders out not found")
	s.refused("GET", one+"/status", "", 404, "No status found for connector orders out")
	s.refused("PUT", one+"/pause", "", 404, "Unknown connector orders out")
	s.refused("DELETE", one, "", 404)
}

// The names and verbs that the documentation of the HTTP sink gives.
func TestTheHTTPSinkAsItIsDocumented(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var made info
	s.call("POST", "/connectors", `{"name":"p","config":{"topics":"orders","callback.request.url":"http://127.0.0.1:1/","callback.request.methods":"PUT","exception.strategy":"STOP_TASK"}}`, 201, &made)
	require.Equal(t, "sink", made.Type)
	require.Equal(t, "PUT", made.Config["callback.request.methods"], "the key reads back as it was written")
	require.NotContains(t, made.Config, "callback.request.method")
	s.call("PUT", "/connectors/p", `{"topics":"orders","callback.request.url":"http://127.0.0.1:2/","callback.request.method":"DELETE"}`, 200, &made)
	require.Equal(t, "http://127.0.0.1:2/", made.Config["callback.request.url"])

	// Its rules are the exception strategies, whose default nobody need write.
	rules := func(method, path, config string, status int) (read map[string]string, kept Connection) {
		t.Helper()
		var v info
		s.call(method, path, config, status, &v)
		return v.Config, s.kept["default/"+v.Name]
	}
	read, kept := rules("PUT", "/connectors/p/config", `{"topics":"orders","callback.request.url":"http://127.0.0.1:2/"}`, 200)
	require.NotContains(t, read, "exception.strategy", "what nobody wrote is not read back")
	require.Equal(t, "PROGRESS_BACK_OFF_DROP_MESSAGE", get(kept.Settings, "exception.strategy"))
	_, kept = rules("POST", "/connectors", `{"name":"q","config":{"topics":"orders","callback.request.url":"http://127.0.0.1:2/"}}`, 201)
	require.Equal(t, "PROGRESS_BACK_OFF_DROP_MESSAGE", get(kept.Settings, "exception.strategy"))
	_, kept = rules("PUT", "/connectors/q/config", `{"topics":"orders","callback.request.url":"http://127.0.0.1:2/","retry.backoff.sec":"1,2"}`, 200)
	require.Nil(t, get(kept.Settings, "exception.strategy"), "the waits say it too")
	for range 2 {
		_, kept = rules("PUT", "/connectors/q/config", `{"topics":"orders","callback.request.url":"http://127.0.0.1:2/","retry_attempts":"3"}`, 200)
		require.Nil(t, get(kept.Settings, "exception.strategy"), "the standard rules were chosen")
	}
	s.call("GET", "/connectors/p/pause", "", 202, nil)
	require.Equal(t, "p pause", s.acted[0])
	s.call("GET", "/connectors/p/resume", "", 202, nil)
	require.Equal(t, []string{"p pause", "p resume"}, s.acted)
}

func TestAWrongConfigurationSaysEverythingByItsKeys(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.refused("POST", "/connectors", `{"name":"x","config":{"connector.class":"http","topics":"nothing","callback.request.url":"ftp://x","callback.request.method":"GET","batch.max_events":"many","tls.insecure":"maybe"}}`, 400,
		"contains the following 5 error(s):",
		"Invalid value many for configuration batch.max_events: Not a number of type INT",
		"Invalid value maybe for configuration tls.insecure: Expected value to be either true or false",
		"Invalid value GET for configuration callback.request.method: must be one of POST, PUT, DELETE",
		"Invalid value for configuration callback.request.url: ", "Invalid value for configuration topics: ",
		"You can also find the above list of errors at the endpoint `/connector-plugins/http/config/validate`")
	s.refused("POST", "/connectors", `{"name":"x","config":{"topics":"orders","callback.request.url":"http://127.0.0.1/","exception.strategy":"IGNORE"}}`, 400, "Invalid value for configuration exception.strategy: must be PROGRESS_BACK_OFF_DROP_MESSAGE")
	s.refused("POST", "/connectors", `{"name":"x","config":{"connector.class":"http","topics":"orders"}}`, 400, `Missing required configuration "callback.request.url" which has no default value.`)
	s.refused("POST", "/connectors", `{"name":"x","config":{"callback.request.url":"http://127.0.0.1/"}}`, 400, "Must configure one of topics or topics.regex")
	s.refused("POST", "/connectors", `{"name":"x","config":{"topics":"orders","topics.regex":"a","callback.request.url":"http://127.0.0.1/"}}`, 400, "mutually exclusive")
	s.refused("POST", "/connectors", `{"name":"x","config":{"topics":"orders","callback.request.url":"http://127.0.0.1/","endpoint":"http://127.0.0.2/"}}`, 400, "is the same setting with another value")
	s.refused("POST", "/connectors", `{"name":"x","config":{"topics":"orders","callback.request.url":"http://127.0.0.1/","callback.request.headers":"no JSON"}}`, 400, "callback.request.headers")
	s.refused("POST", "/connectors", `{"name":"x","config":{"connector.class":"org.example.Sink"}}`, 400, "Failed to find any class that implements Connector and which name matches org.example.Sink")
	s.refused("POST", "/connectors", `{"name":"x","config":{}}`, 400, `"connector.class"`)
	s.refused("POST", "/connectors", `{"name":"x","config":{"name":"y"}}`, 400, "Connector name configuration (y) doesn't match connector name in the URL (x)")
	s.refused("POST", "/connectors", `{"name":"x","config":{"connector.class":"demo","topics":"orders"}}`, 400, "belongs to sinks")
	for body, want := range map[string]string{
		``: "no body", `{"name":`: "not JSON", `{} {}`: "more than one", `[]`: "must be a JSON object", `{"name":"x","name":"y"}`: "twice",
		`{"name":"x","config":{"a":{"b":1}}}`: "must be text", `{"name":"x","config":{"a":"\u0000"}}`: "NUL", `{"name":""}`: "cannot be empty", `{"name":"a\nb"}`: "control",
		`{"name":"x","initial_state":"ASLEEP","config":{}}`: "initial_state", `{"name":"x","extra":1}`: "unknown", "{\"name\":\"\xff\"}": "UTF-8",
		`{"name":"x","config":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`: "JSON",
	} {
		s.refused("POST", "/connectors", body, 400, want)
	}
	require.Empty(t, s.kept, "nothing was saved")

	var result struct {
		Count   int      `json:"error_count"`
		Groups  []string `json:"groups"`
		Configs []configView
	}
	s.call("PUT", "/connector-plugins/http/config/validate", `{"name":"x","connector.class":"http","topics":"orders","callback.request.url":"ftp://x","tasks.max":"3","signing_secret":"a secret text"}`, 200, &result)
	found := map[string]configView{}
	for _, c := range result.Configs {
		require.NotContains(t, found, c.Definition.Name, "each key once")
		found[c.Definition.Name] = c
		require.NotContains(t, fmt.Sprint(c), "a secret text")
	}
	require.Equal(t, 2, result.Count, "the URL and the short secret")
	require.Len(t, found["callback.request.url"].Value.Errors, 1)
	require.Equal(t, "PASSWORD", found["signing_secret"].Definition.Type)
	require.Contains(t, found["tasks.max"].Definition.Doc, "Warning")
	require.Equal(t, "orders", *found["topics"].Value.Value)
	s.refused("PUT", "/connector-plugins/http/config/validate", `{"name":"x","connector.class":"demo"}`, 400, "does not match")
	s.refused("PUT", "/connector-plugins/http/config/validate", `{"name":"x"}`, 400, "does not contain")
	s.refused("PUT", "/connector-plugins/nope/config/validate", `{}`, 404, "Unknown plugin nope.")
}

func TestPluginsAreDescribed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var list []pluginView
	s.call("GET", "/connector-plugins", "", 200, &list)
	require.Equal(t, []pluginView{{"http", "sink", "v1.2.3"}, {"demo", "source", "v1.2.3"}, {"http", "source", "v1.2.3"}}, list)
	var keys []definition
	s.call("GET", "/connector-plugins/http/config", "", 200, &keys)
	found := map[string]definition{}
	for _, k := range keys {
		found[k.Name] = k
		require.Contains(t, []string{"STRING", "INT", "DOUBLE", "BOOLEAN", "LIST", "PASSWORD"}, k.Type)
		require.Positive(t, k.Order)
	}
	for _, key := range []string{"topics", "callback.request.url", "callback.request.method", "callback.request.headers", "exception.strategy", "retry.backoff.sec", "request.delay.sec"} {
		require.Contains(t, found, key)
		require.NotEmpty(t, found[key].Doc, key)
	}
	require.True(t, found["callback.request.url"].Required)
	require.Equal(t, "INT", found["batch.max_events"].Type)
	require.Equal(t, "1", *found["batch.max_events"].DefaultValue)
	s.call("GET", "/connector-plugins/http/config?type=source", "", 200, &keys)
	s.refused("GET", "/connector-plugins/nope/config", "", 404, "Unknown plugin nope.")
}

func TestAFailedTaskIsShownAndTriedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	sink := Spec{Name: "out", Type: typeSink, Connector: "http", Streams: []string{"shop.orders"}, Settings: map[string]any{"endpoint": "http://127.0.0.1/"}}
	s.kept["default/out"] = Connection{Spec: sink, State: StateFailed, Trace: "the endpoint answered 403", Node: "10.0.0.2:9657"}
	var v statusView
	s.call("GET", "/connectors/out/status", "", 200, &v)
	require.Equal(t, connectorState{State: "RUNNING", Worker: "10.0.0.2:9657"}, v.Connector)
	require.Equal(t, []taskState{{0, "FAILED", "10.0.0.2:9657", "the endpoint answered 403"}}, v.Tasks)
	s.call("POST", "/connectors/out/restart?includeTasks=true&onlyFailed=true", "", 202, &v)
	require.Equal(t, "RESTARTING", v.Tasks[0].State)
	require.Equal(t, []string{"out restart"}, s.acted)
	s.call("POST", "/connectors/out/restart?onlyFailed=true", "", 202, &v)
	require.Equal(t, []string{"out restart"}, s.acted, "nothing has failed any more")
	s.call("POST", "/connectors/out/restart", "", 204, nil)
	s.call("POST", "/connectors/out/tasks/0/restart", "", 204, nil)
	require.Len(t, s.acted, 3)
	s.refused("POST", "/connectors/out/restart?includeTasks=maybe", "", 400, "true or false")
	s.refused("POST", "/connectors/none/restart", "", 404, "Unknown connector: none")
	s.kept["default/out"] = Connection{Spec: sink, State: StateFailed, Broken: true, Trace: "no such file"}
	s.call("GET", "/connectors/out/status", "", 200, &v)
	require.Equal(t, connectorState{"FAILED", "127.0.0.1:9657", "no such file"}, v.Connector)
	require.Empty(t, v.Tasks)
	s.refuse = fmt.Errorf("%w: connection out belongs to weir.yaml; change it there", ErrRefused)
	s.refused("PUT", "/connectors/out/pause", "", 409, "connection out belongs to weir.yaml")
}

// What was made elsewhere reads as a configuration of this face, and writes back.
func TestConnectionsOfOtherDoorsReadAndWriteHere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.kept["default/out"] = Connection{State: StateRunning, Spec: Spec{
		Name: "out", Type: typeSink, Connector: "http", Streams: []string{"shop.*"}, Start: "latest",
		Settings: map[string]any{
			"endpoint": "https://example.com/x", "batch": map[string]any{"max_events": json.Number("100")}, "format": "ndjson",
			"headers":        []any{map[string]any{"name": "X-A", "value": "***"}, map[string]any{"name": "X-B", "value": "b"}},
			"authentication": map[string]any{"type": "bearer", "token": "***"},
		},
	}}
	var v info
	s.call("GET", "/connectors/out", "", 200, &v)
	require.Equal(t, map[string]string{
		"name": "out", "connector.class": "http", "type": "sink", "topics": "shop.*", "start": "latest", "callback.request.url": "https://example.com/x",
		"batch.max_events": "100", "format": "ndjson", "callback.request.headers": `{"X-A":"***","X-B":"b"}`, "authentication.type": "bearer", "authentication.token": "***",
	}, v.Config)
	config, err := json.Marshal(v.Config)
	require.NoError(t, err)
	before := s.kept["default/out"]
	var again info
	s.call("PUT", "/connectors/out/config", string(config), 200, &again)
	require.Equal(t, v.Config, again.Config)
	after := s.kept["default/out"]
	require.Equal(t, before.Settings, after.Settings, "what is read can be written back")
	require.Equal(t, before.Streams, after.Streams)

	s.kept["other/in"] = Connection{State: StateRunning, Spec: Spec{Name: "in", Type: typeSource, Connector: "demo", Settings: map[string]any{}}}
	s.offsets["other/in"] = []Offset{{Stream: "orders", Cursor: json.RawMessage(`{"page":3}`)}, {Stream: "unread"}}
	var offsets struct{ Offsets json.RawMessage }
	s.call("GET", "/p/other/connectors/in/offsets", "", 200, &offsets)
	require.JSONEq(t, `[{"partition":{"stream":"orders"},"offset":{"cursor":{"page":3}}}]`, string(offsets.Offsets))
	s.refused("GET", "/connectors/in", "", 404)
	var headers document
	location := s.call("POST", "/p/other/connectors", `{"name":"Ins and Outs","config":{"connector.class":"demo","base_url":"http://127.0.0.1/","webhook_secret":"a secret of the demo shop"},"initial_state":"paused"}`, 201, &headers).Get("Location")
	require.Equal(t, "/p/other/connectors/Ins%20and%20Outs", location)
	var status statusView
	s.call("GET", location+"/status", "", 200, &status)
	require.Equal(t, "PAUSED", status.Connector.State)
}

func TestAnyNameHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range []string{"a", "A", "a ", "a b", "a-b", "a_b", "a.b", "ä", "ö", "日本", "-", "--", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("X", 63), "a/b", "%2f"} {
		id := connectionName(name)
		require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,62}$`, id)
		require.NotContains(t, seen, id, "%q and %q", name, seen[id])
		seen[id] = name
	}
	require.Equal(t, "a-b", connectionName("a-b"))
}

func TestLoggers(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var list map[string]document
	s.call("GET", "/admin/loggers", "", 200, &list)
	require.Equal(t, document{"level": "INFO", "last_modified": nil}, list["root"])
	s.refused("GET", "/admin/loggers/default.shop", "", 404, "Logger default.shop not found.")
	var names []string
	s.call("PUT", "/admin/loggers/default.shop", `{"level":"debug"}`, 200, &names)
	require.Equal(t, []string{"default.shop"}, names)
	var one document
	s.call("GET", "/admin/loggers/default.shop", "", 200, &one)
	require.Equal(t, "DEBUG", one["level"])
	require.Positive(t, one["last_modified"])
	s.call("PUT", "/admin/loggers/root?scope=cluster", `{"level":"OFF"}`, 204, nil)
	s.refused("PUT", "/admin/loggers/root", `{}`, 400, "was not specified")
	s.refused("PUT", "/admin/loggers/root", `{"level":"LOUD"}`, 404, "invalid log level 'LOUD'")
}

func TestThePathsOfThisFace(t *testing.T) {
	t.Parallel()
	for path, owned := range map[string]bool{
		"/connectors": true, "/connectors/x/y": true, "/connector-plugins": true, "/health": true, "/admin/loggers/root": true, "/p/x/connectors": true,
		"/": false, "/healthz": false, "/api/v1/connectors": false, "/p/x/webhooks/a/b": false, "/connectorsx": false,
	} {
		require.Equal(t, owned, Owns(path), path)
	}
	s := serve(t)
	s.refused("GET", "/connectors/x/nothing", "", 404, "HTTP 404 Not Found")
	s.refused("PATCH", "/connectors", "", 405, "HTTP 405 Method Not Allowed")
	var v document
	s.call("GET", "/health", "", 200, &v)
	require.Equal(t, "healthy", v["status"])
}

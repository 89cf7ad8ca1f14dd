package cli_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/cmd/cli"
	"github.com/weirhq/weir/connectors/all"
)

// oneOfEach are connections as the API takes them, one of each class and with
// everything that a connection may have; sources before those that name them.
var oneOfEach = [][2]string{
	{"polled", `{"connector":"http","type":"source","labels":{"a":"b"},"displayName":"Pölled","config":{"endpoint":"http://127.0.0.1:1/x","stream":"rows",
		"authentication":{"type":"bearer","token":"canary-polled-1"},"headers":[{"name":"X-Key","value":"canary-header-1"}],"schedule":"@yearly"}}`},
	{"pushed", `{"connector":"http","type":"source","config":{"mode":"push","path":"in","stream":"hooks","auth":"bearer","webhook_secret":["canary-pushed-12345","canary-pushed-67890"]}}`},
	{"pay", `{"connector":"stripe","type":"source","streams":["events"],"rate_limit":"10/s","budget":"shared","retention":{"events_age":"720h"},"config":{"api_key":"sk_test_canary","webhook_secret":["whsec_canary0123456789"]}}`},
	{"told", `{"connector":"alerts","type":"source","config":{"webhook_secret":"canary-alerts-0123456789"}}`},
	{"sent", `{"connector":"http","type":"sink","streams":["pushed.*"],"start":"latest","enabled":false,"config":{"endpoint":"https://hooks.slack.com/services/T00/B00/canarY0123456789abcdefgH",
		"headers":[{"name":"Authorization","value":"canary-first-1"},{"name":"Authorization","value":"canary-second-1"}],"retry.backoff.sec":"1,2","exception.strategy":"STOP_TASK"}}`},
	{"flat", `{"type":"webhook","name":"flat","fullUrl":"http://127.0.0.1:1/x","timeout":3,"headerList":[{"name":"X-A","value":"canary-flat-1"}],"streams":["pushed.hooks"],"description":"d"}`},
	{"drafted", `{"type":"webhook","name":"drafted","fullUrl":"http://127.0.0.1:1/x","deployToWorker":false}`},
	{"lines", `{"connector":"file","type":"sink","streams":["pushed.hooks"],"config":{"path":"out.jsonl"}}`},
	{"shown", `{"connector":"stdout","type":"sink","config":{}}`},
	{"called", `{"type":"trigger","config":{"path":"/called","method":"POST","auth_token":["canary-called-01234"],"action":"ingest"}}`},
	{"open", `{"type":"trigger","config":{"path":"/open","method":"*","auth_token":null,"action":"sync","target":"polled.rows"}}`},
}

// What weir get prints changes nothing when it is applied, also to connections
// that the file does not own, and secrets in it stay.
func TestWhatIsPrintedIsAppliedAsItIs(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	base := "/api/v1/projects/default/connections/"
	for _, one := range oneOfEach {
		status, v, _ := p.ask(t, http.MethodPost, base+one[0], one[1])
		require.Equal(t, http.StatusOK, status, "%s: %v", one[0], v)
	}
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/projects", `{"name":"eu"}`)
	require.Equal(t, http.StatusOK, status, v)
	status, v, _ = p.ask(t, http.MethodPost, "/api/v1/projects/eu/connections/polled", oneOfEach[0][1])
	require.Equal(t, http.StatusOK, status, v)
	status, v, _ = p.ask(t, http.MethodPost, "/connectors", `{"name":"Made Elsewhere","initial_state":"PAUSED","config":{"connector.class":"http",
		"topics":"pushed.hooks","callback.request.url":"http://127.0.0.1:1/","callback.request.headers":"{\"apikey\":\"canary-connect\"}","errors.tolerance":"all"}}`)
	require.Equal(t, http.StatusCreated, status, v)

	apply := func(file string, args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), cli.Terminal{
			Args: append([]string{"apply", "-f", "-", "--server", p.url}, args...), In: strings.NewReader(file), Out: &out, Err: &errs,
			Env: func(string) (string, bool) { return "", false },
		}, all.Plugins()...)
		return code, out.String(), errs.String()
	}
	for _, project := range []string{"default", "eu"} {
		code, printed, stderr := weir(t, nil, all.Plugins(), "get", "connections", "--server", p.url, "--project", project)
		require.Zero(t, code, stderr)
		require.NotContains(t, printed, "canary")
		code, out, stderr := apply(printed)
		require.Zero(t, code, stderr)
		require.Equal(t, "nothing to change\n", out)
	}

	// What a file owns keeps its secrets too, and a change beside them is made.
	own := "connections:\n  - {name: own, connector: stripe, config: {api_key: sk_test_canary, webhook_secret: [whsec_canary0123456789]}}\n"
	code, _, stderr := apply(own)
	require.Zero(t, code, stderr)
	code, printed, stderr := weir(t, nil, all.Plugins(), "get", "connections", "own", "--server", p.url)
	require.Zero(t, code, stderr)
	_, before, _ := p.ask(t, http.MethodGet, base+"own", "")
	code, out, stderr := apply(strings.Replace(printed, "type: source", "type: source\n      description: changed", 1))
	require.Zero(t, code, stderr)
	require.Equal(t, "~ change connection default/own\n    + description: \"changed\"\n1 changes made\n", out)
	_, after, _ := p.ask(t, http.MethodGet, base+"own", "")
	require.Equal(t, before["secrets"], after["secrets"])
	require.NotEmpty(t, after["secrets"])

	// Where there is no secret to keep, none is made up.
	code, _, stderr = apply("connections:\n  - {name: fresh, connector: stripe, config: {api_key: \"***\", webhook_secret: [\"***\"]}}\n")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "api_key")
	require.Contains(t, stderr, "there is none; give the secret")
	require.NoError(t, p.interrupt(t))

	// Without a server it is the same.
	dir := p.Dir
	file := filepath.Join(dir, "printed.yaml")
	direct := []string{"--config", filepath.Join(dir, "weir.yaml"), "--data-dir", filepath.Join(dir, "weir-data")}
	code, printed, stderr = weir(t, nil, all.Plugins(), append([]string{"get", "connections"}, direct...)...)
	require.Zero(t, code, stderr)
	require.NoError(t, os.WriteFile(file, []byte(printed), 0o600))
	code, out, stderr = weir(t, nil, all.Plugins(), append([]string{"apply", "-f", file}, direct...)...)
	require.Zero(t, code, stderr)
	require.Equal(t, "nothing to change\n", out)
	// As the file of the process it is refused: nobody could run with "***".
	code, out, _ = weir(t, nil, all.Plugins(), "check", "--config", file)
	require.Equal(t, 1, code)
	require.Contains(t, out, "stands for a secret that Weir does not show")
}

// exitOf runs weir in a folder.
func exitOf(t *testing.T, folder string, args ...string) (code int, output string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "weir", args...)
	command.Dir = folder
	out, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	require.NoError(t, err)
	return 0, string(out)
}

func TestTheServerIsTheOneOfTheFileInTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(text), 0o600))
	}
	for listen, want := range map[string]string{
		"listen: 127.0.0.1:1":                         "http://127.0.0.1:1 (listen of weir.yaml)",
		"listen: 0.0.0.0:1\nconnections: [{what: x}]": "http://127.0.0.1:1 (listen of weir.yaml)",
		"listen: 127.0.0.1:1\ntls_cert: a.pem":        "https://127.0.0.1:1 (listen of weir.yaml)",
	} {
		write(listen)
		for _, args := range [][]string{{"status"}, {"history", "x"}, {"token", "list"}, {"events", "a", "b"}} {
			code, output := exitOf(t, dir, args...)
			require.Equal(t, 3, code, output)
			require.Contains(t, output, want)
		}
	}
	// One that is named is taken.
	code, output := exitOf(t, dir, "status", "--server", "http://127.0.0.1:2")
	require.Equal(t, 3, code)
	require.Contains(t, output, "http://127.0.0.1:2;")
}

func TestAFileThatIsNoYAMLCannotBeChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]int{"a: [\n": 2, "a: 1\n---\nb: 2\n": 1, "nonsense: 1\n": 1, "connections: []\n": 0} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(text), 0o600))
		code, output := exitOf(t, dir, "check", "--config", "weir.yaml")
		require.Equal(t, want, code, output)
	}
}

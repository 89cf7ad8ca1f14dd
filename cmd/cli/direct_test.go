package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
)

func TestAStoreIsChangedWithoutAServer(t *testing.T) {
	t.Parallel()
	dir := configured(t, "")
	config, data, file := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "weir-data"), filepath.Join(dir, "shop.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	run := func(args ...string) (int, string, string) {
		return weir(t, nil, all.Plugins(), append(args, "--config", config, "--data-dir", data)...)
	}
	write(`
projects: [{name: eu}]
connections:
  - name: out
    connector: http
    type: sink
    config: {endpoint: "https://a.example/in", headers: [{name: X-Key, value: canary-0123456789}, {name: X-Other, value: "${PATH}"}]}
  - {name: other, project: eu, class: http, type: sink, config: {fullUrl: "https://b.example"}}
`)
	code, out, stderr := run("apply", "-f", file, "--dry-run")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "+ create connection default/out")
	require.NotContains(t, out, "canary")
	code, out, _ = run("get", "connections")
	require.Zero(t, code)
	require.Equal(t, "connections: []\n", out, "nothing was done")
	code, out, stderr = run("apply", "-f", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "3 changes made")
	code, out, stderr = run("apply", "-f", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "nothing to change")

	// All or nothing, and no word of a secret.
	write(`connections: [{name: out, connector: htpt, config: {}}, {name: new, connector: http, type: sink, config: {endpoint: "https://a.example"}}]`)
	code, _, stderr = run("apply", "-f", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "htpt")
	code, out, _ = run("get", "connections", "-o", "json")
	require.Zero(t, code)
	require.NotContains(t, out, "new")
	require.Contains(t, out, "${PATH}")
	require.NotContains(t, out, "canary")
	content, err := os.ReadFile(filepath.Join(data, "weir.db"))
	require.NoError(t, err)
	require.NotContains(t, string(content), "canary")

	// A Weir that runs on the store has what was applied, and nobody else may write.
	p := startIn(t, dir, "run")
	status, v, _ := p.ask(t, "GET", "/api/v1/connections/out", "")
	require.Equal(t, 200, status)
	require.Equal(t, "file", v["managed_by"])
	for _, args := range [][]string{{"apply", "-f", config}, {"get", "connections"}, {"delete", "out"}} {
		code, _, stderr = run(args...)
		require.Equal(t, 1, code, args)
		require.Contains(t, stderr, "store is in use", args)
		require.Contains(t, stderr, "--server", args)
	}
	code, _, stderr = run("get", "connections", "--server", p.url)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "one of them")
	require.NoError(t, p.interrupt(t))

	code, _, stderr = run("delete", "out")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "managed by the file")
	write("connections: []\n")
	code, out, stderr = run("apply", "-f", file, "--prune")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "- delete connection default/out")
	code, _, stderr = run("get", "connections", "out")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `no connection "out"`)
	code, _, _ = run("delete", "out", "--events", "all")
	require.Equal(t, 2, code)
}

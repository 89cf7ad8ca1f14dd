package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework/seal"
)

// asked is a provider that remembers in which order its paths were asked for.
type asked struct {
	mu    sync.Mutex
	paths map[string][]string // by connection, the revisions that asked
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	revision, connection, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	a.mu.Lock()
	a.paths[connection] = append(a.paths[connection], revision)
	a.mu.Unlock()
	_, _ = fmt.Fprintf(w, `[{"id":%q}]`, revision)
}

func (a *asked) of(connection string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{}, a.paths[connection]...)
}

// since waits until a connection has asked under a revision after its first n
// requests, and checks that no other revision has asked after that.
func (a *asked) since(t *testing.T, connection, revision string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { // twice: what another node still did would be between them
		seen := 0
		for _, one := range a.of(connection)[n:] {
			if one == revision {
				seen++
			}
		}
		return seen >= 2
	}, 60*time.Second, 20*time.Millisecond, "%s never asks under %s: %v", connection, revision, a.of(connection)[n:])
	began := false
	for _, one := range a.of(connection)[n:] {
		began = began || one == revision
		require.True(t, !began || one == revision, "%s: the work of %s goes on beside %s: %v", connection, one, revision, a.of(connection)[n:])
	}
}

// Connections are made, changed, paused, deployed, rolled back and deleted at one
// node, and what another node works on follows.
func TestChangesReachTheNodeThatWorksOnAConnection(t *testing.T) {
	t.Parallel()
	long(t)
	url, key := postgresServer(t), seal.NewKey()
	provider := &asked{paths: map[string][]string{}}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	var nodes []*process
	var folders []string
	for range 2 {
		dir := t.TempDir()
		folders = append(folders, filepath.Join(dir, "secrets"))
		require.NoError(t, os.Mkdir(folders[len(folders)-1], 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte(key+"\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(
			"listen: 127.0.0.1:0\nstore: "+url+"\nsecrets: {key_file: "+filepath.Join(dir, "keys")+", dir: "+folders[len(folders)-1]+"}\n"), 0o600))
		nodes = append(nodes, startIn(t, dir, "run", "--no-spread"))
	}
	a, b := nodes[0], nodes[1]
	// Enough of them that both nodes work on some.
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	path := func(name string) string { return "/api/v1/connections/" + name }
	body := func(name, revision, more string) string {
		return fmt.Sprintf(`{"name":%q,"type":"source","connector":"http","stream":"things","config":{"endpoint":"%s/%s/%s","interval_ms":1000%s}}`,
			name, server.URL, revision, name, more)
	}
	do := func(p *process, method, name, tail, body string) map[string]any {
		t.Helper()
		status, v, _ := p.ask(t, method, path(name)+tail, body)
		require.Equal(t, http.StatusOK, status, v)
		return v
	}
	everywhere := func(name, what string, f func(v map[string]any) bool) {
		t.Helper()
		for i, p := range nodes {
			var last map[string]any
			require.Eventually(t, func() bool {
				_, last, _ = p.ask(t, http.MethodGet, path(name), "")
				return f(last)
			}, 30*time.Second, 20*time.Millisecond, "node %d, %s is not %s: %v", i, name, what, last)
		}
	}
	running := func(name string, revision float64) {
		t.Helper()
		everywhere(name, fmt.Sprintf("running revision %v", revision), func(v map[string]any) bool {
			return v["running_revision"] == revision && v["deployed_revision"] == revision && v["state"] == "running"
		})
	}
	before := map[string]int{}
	mark := func() {
		for _, name := range names {
			before[name] = len(provider.of(name))
		}
	}
	took := func(what string, f func(name string)) {
		begun := time.Now()
		for _, name := range names {
			f(name)
		}
		t.Logf("%s: %s for %d connections", what, time.Since(begun).Round(time.Millisecond), len(names))
	}

	took("create", func(name string) { do(a, http.MethodPost, name, "", body(name, "v1", "")) })
	took("created", func(name string) { running(name, 1); provider.since(t, name, "v1", 0) })
	mark()
	took("change", func(name string) { do(a, http.MethodPut, name, "", body(name, "v2", "")) })
	took("changed", func(name string) { running(name, 2) })
	for _, name := range names {
		provider.since(t, name, "v2", before[name])
	}

	// Paused at the other node, changed and deployed while they wait.
	paused, free := names[:4], names[4:]
	for _, name := range paused {
		do(b, http.MethodPost, name, "/pause", "")
		everywhere(name, "paused", func(v map[string]any) bool { return v["state"] == "paused" })
	}
	for _, name := range names {
		v := do(a, http.MethodPut, name, "", strings.Replace(body(name, "v3", ""), "{", `{"deployToWorker":false,`, 1))
		require.Equal(t, []any{3.0, 2.0}, []any{v["revision"], v["deployed_revision"]})
	}
	// The page at which a pause found them may end; what runs beside them shows that time passes.
	mark()
	for _, name := range free {
		provider.since(t, name, "v2", before[name])
	}
	for _, name := range paused {
		require.LessOrEqual(t, len(provider.of(name)), before[name]+1, "%s was paused and goes on", name)
	}
	mark()
	for _, name := range names {
		do(b, http.MethodPost, name, "/deploy", "")
	}
	for _, name := range free {
		running(name, 3)
		provider.since(t, name, "v3", before[name])
	}
	for _, name := range paused {
		require.NotContains(t, provider.of(name)[before[name]:], "v3")
		do(a, http.MethodPost, name, "/resume", "")
		running(name, 3)
		provider.since(t, name, "v3", before[name])
	}
	mark()
	took("roll back", func(name string) { do(b, http.MethodPost, name, "/rollback?revision=1", "") })
	for _, name := range names {
		running(name, 4)
		provider.since(t, name, "v1", before[name])
	}

	// A revision that opens at the first node alone: where the other one works, the
	// one before goes on, and both say so.
	require.NoError(t, os.WriteFile(filepath.Join(folders[0], "token"), []byte("canary-0123456789"), 0o600))
	mark()
	for _, name := range names {
		do(a, http.MethodPut, name, "", body(name, "v5", `,"authentication":{"type":"bearer","token":"${file:`+filepath.Join(folders[0], "token")+`}"}`))
	}
	var left []string
	for _, name := range names {
		var v map[string]any
		require.Eventually(t, func() bool {
			_, v, _ = b.ask(t, http.MethodGet, path(name), "")
			return v["state"] == "failed"
		}, 30*time.Second, 20*time.Millisecond, "%s: %v", name, v)
		require.Contains(t, v["reason"], "revision 5 does not open", name)
		require.NotContains(t, v["reason"], "canary")
		if strings.Contains(fmt.Sprint(v["reason"]), "this node, which does not work on it") {
			provider.since(t, name, "v5", before[name])
			continue
		}
		left = append(left, name)
		provider.since(t, name, "v1", before[name])
		everywhere(name, "failed", func(v map[string]any) bool {
			return v["state"] == "failed" && v["running_revision"] == 4.0 && strings.Contains(fmt.Sprint(v["reason"]), "revision 4 goes on")
		})
		require.NotContains(t, provider.of(name)[before[name]:], "v5", name)
	}
	require.NotEmpty(t, left, "the second node works on nothing")
	require.Less(t, len(left), len(names), "the first node works on nothing")
	// Mended by a new revision.
	mark()
	for _, name := range names {
		do(b, http.MethodPut, name, "", body(name, "v6", ""))
	}
	for _, name := range names {
		running(name, 6)
		provider.since(t, name, "v6", before[name])
	}

	// A file that is applied to the store itself is taken up by both.
	file := filepath.Join(t.TempDir(), "shop.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`connections: [{name: filed, class: http, stream: things, config: {endpoint: "`+server.URL+`/v1/filed", interval_ms: 1000}}]`), 0o600))
	code, _, stderr := weir(t, nil, all.Plugins(), "apply", "-f", file, "--config", file, "--store", url)
	require.Zero(t, code, stderr)
	running("filed", 1)
	provider.since(t, "filed", "v1", 0)

	// Deleted at one node: nothing of it runs at any, and its name is free.
	for _, name := range paused {
		do(b, http.MethodDelete, name, "?events=delete&dead_letters=delete", "")
	}
	for _, name := range paused {
		for _, p := range nodes {
			status, _, _ := p.raw(t, http.MethodGet, path(name), "")
			require.Equal(t, http.StatusNotFound, status)
		}
	}
	mark()
	for _, name := range free {
		provider.since(t, name, "v6", before[name])
	}
	for _, name := range paused {
		require.LessOrEqual(t, len(provider.of(name)), before[name]+1, "%s was deleted and goes on", name)
	}
	require.NoError(t, a.interrupt(t), a.stderr)
	require.NoError(t, b.interrupt(t), b.stderr)
	// A file that is read at the start adds nothing to a store that others have filled.
	own := filepath.Join(b.Dir, "weir.yaml")
	content, err := os.ReadFile(own)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(own, append(content, "connections: [{name: behind, class: http, stream: things, config: {endpoint: \"https://a.example\"}}]\n"...), 0o600))
	c := startIn(t, b.Dir, "run")
	status, _, _ := c.raw(t, http.MethodGet, path("behind"), "")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, c.stderr.String(), "run weir apply to bring it in")
	require.NoError(t, c.interrupt(t), c.stderr)
	require.NotContains(t, a.stderr.String()+b.stderr.String(), "canary")
}

// Two nodes with different files start at once on an empty store: the connections
// of one of them are there, all of them, and the other says what it has besides.
func TestOneOfTwoNodesFillsAnEmptyStore(t *testing.T) {
	t.Parallel()
	long(t)
	url, key := postgresServer(t), seal.NewKey()
	var nodes [2]*process
	var starting sync.WaitGroup
	for n := range nodes {
		dir := t.TempDir()
		file := "listen: 127.0.0.1:0\nstore: " + url + "\nsecrets: {key_file: keys}\nconnections:\n"
		for i := range 20 {
			file += fmt.Sprintf("  - {name: node%d-%02d, class: http, stream: things, enabled: false, config: {endpoint: \"https://provider.example\"}}\n", n, i)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte(key+"\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(file), 0o600))
		starting.Go(func() { nodes[n] = startIn(t, dir, "run") })
	}
	starting.Wait()
	status, v, _ := nodes[0].ask(t, http.MethodGet, "/api/v1/connections?limit=100", "")
	require.Equal(t, http.StatusOK, status)
	list, _ := v["connections"].([]any)
	of := map[string]int{}
	for _, one := range list {
		c, _ := one.(map[string]any)
		of[fmt.Sprint(c["name"])[:len("node0")]]++
	}
	winner := 0
	if of["node0"] == 0 {
		winner = 1
	}
	require.Equal(t, map[string]int{fmt.Sprintf("node%d", winner): 20}, of)
	for n, p := range nodes {
		said := strings.Count(p.stderr.String(), "does not hold, and nothing was done")
		require.Equal(t, map[bool]int{true: 0, false: 20}[n == winner], said, p.stderr.String())
	}
	for _, p := range nodes {
		require.NoError(t, p.interrupt(t))
	}
}

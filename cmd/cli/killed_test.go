package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/seal"
)

// kept is a connection as it must be: the content of each revision is a number,
// which is its description, its label, its address and its secret.
type kept struct {
	revisions []int
	deployed  int
	state, by string
}

// world is everything that is configured.
type world struct {
	connections map[string]kept
	project     string // the description of project eu, "" for none
}

func (w world) clone() world {
	out := world{map[string]kept{}, w.project}
	for name, one := range w.connections {
		one.revisions = slices.Clone(one.revisions)
		out.connections[name] = one
	}
	return out
}

// revise adds a revision and deploys it.
func (w world) revise(name, by string, n int) {
	one, there := w.connections[name]
	if !there {
		one = kept{state: "running", by: by}
	}
	one.revisions = append(one.revisions, n)
	one.deployed = len(one.revisions)
	w.connections[name] = one
}

func (w world) change(name string, f func(one *kept)) {
	one := w.connections[name]
	f(&one)
	w.connections[name] = one
}

// operation is one request that changes the configuration, with what it makes of it.
type operation struct {
	name, method, path string
	body               func(n int) string
	then               func(w world, n int)
}

func contents(name string, n int) string {
	return fmt.Sprintf(`"name":%q,"description":"%d","labels":{"n":"%d"},"config":{"endpoint":"https://a.example/%d","headers":[{"name":"X-N","value":"secret-%d"}]}`, name, n, n, n, n)
}

func filed(names ...string) func(n int) string {
	return func(n int) string {
		var entries []string
		for _, name := range names {
			entries = append(entries, `{"connector":"http","type":"sink",`+contents(name, n)+`}`)
		}
		return `{"connections":[` + strings.Join(entries, ",") + `]}`
	}
}

// operations are done again and again in this order.
var operations = []operation{
	{"create", http.MethodPost, "/connections/a", func(n int) string { return `{"connector":"http","type":"sink",` + contents("a", n) + `}` }, func(w world, n int) { w.revise("a", "api", n) }},
	{"apply", http.MethodPost, "/apply", filed("f1", "f2"), func(w world, n int) {
		w.revise("f1", "file", n)
		w.revise("f2", "file", n)
	}},
	{"replace", http.MethodPut, "/connections/a", func(n int) string { return `{"connector":"http","type":"sink",` + contents("a", n) + `}` }, func(w world, n int) { w.revise("a", "api", n) }},
	{"rotate", http.MethodPost, "/secrets/rotate", nil, func(world, int) {}},
	{"draft", http.MethodPatch, "/connections/a", func(n int) string { return `{"deployToWorker":false,` + contents("a", n) + `}` }, func(w world, n int) {
		w.change("a", func(one *kept) { one.revisions = append(one.revisions, n) })
	}},
	{"pause", http.MethodPost, "/connections/a/pause", nil, func(w world, _ int) { w.change("a", func(one *kept) { one.state = "paused" }) }},
	{"deploy", http.MethodPost, "/connections/a/deploy", nil, func(w world, _ int) {
		w.change("a", func(one *kept) { one.deployed = len(one.revisions) })
	}},
	{"project", http.MethodPost, "/projects", func(n int) string { return fmt.Sprintf(`{"name":"eu","description":"%d"}`, n) }, nil},
	{"patch", http.MethodPatch, "/connections/a", func(n int) string { return `{` + contents("a", n) + `}` }, func(w world, n int) { w.revise("a", "api", n) }},
	{"apply and prune", http.MethodPost, "/apply?prune=true", filed("f1", "f3", "f4"), func(w world, n int) {
		w.revise("f1", "file", n)
		w.revise("f3", "file", n)
		w.revise("f4", "file", n)
		delete(w.connections, "f2")
	}},
	{"roll back", http.MethodPost, "/connections/a/rollback?revision=1", nil, func(w world, _ int) { w.revise("a", "api", w.connections["a"].revisions[0]) }},
	{"rename", http.MethodPatch, "/connections/a", func(int) string { return `{"name":"b"}` }, func(w world, _ int) {
		one := w.connections["a"]
		one.revisions = append(one.revisions, one.revisions[len(one.revisions)-1])
		one.deployed = len(one.revisions)
		w.connections["b"] = one
		delete(w.connections, "a")
	}},
	{"no project", http.MethodDelete, "/projects/eu", nil, nil},
	{"delete", http.MethodDelete, "/connections/b?events=delete&dead_letters=delete", nil, func(w world, _ int) { delete(w.connections, "b") }},
}

// after is the world that an operation makes.
func (o operation) after(w world, n int) world {
	w = w.clone()
	switch o.name {
	case "project":
		w.project = fmt.Sprint(n)
	case "no project":
		w.project = ""
	default:
		o.then(w, n)
	}
	return w
}

// try sends a request whose answer may never come.
func (o operation) try(p *process, n int) (status int, answer []byte, err error) {
	body := ""
	if o.body != nil {
		body = o.body(n)
	}
	request, err := http.NewRequest(o.method, p.url+"/api/v1"+o.path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(o.path, "/apply") {
		request.Header.Set("Content-Type", "application/yaml")
	}
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// is says how what is configured differs from w, "" for not at all.
func (w world) is(t *testing.T, p *process) (difference string) {
	t.Helper()
	var list struct {
		Connections []struct {
			Name, Description, State string
			Managed                  string `json:"managed_by"`
			Labels                   map[string]string
			Config                   struct{ Endpoint string }
			Secrets                  map[string]string
			Revision                 int
			Deployed                 int `json:"deployed_revision"`
			Running                  int `json:"running_revision"`
		}
	}
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/connections?limit=1000", &list))
	if len(list.Connections) != len(w.connections) {
		difference += fmt.Sprintf("%d connections, not %d; ", len(list.Connections), len(w.connections))
	}
	for _, c := range list.Connections {
		one, there := w.connections[c.Name]
		if !there {
			difference += c.Name + " is there; "
			continue
		}
		n := fmt.Sprint(one.revisions[len(one.revisions)-1])
		want := fmt.Sprint(n, n, "https://a.example/"+n, one.state, one.by, len(one.revisions), one.deployed, one.deployed)
		if got := fmt.Sprint(c.Description, c.Labels["n"], c.Config.Endpoint, c.State, c.Managed, c.Revision, c.Deployed, c.Running); got != want {
			difference += fmt.Sprintf("%s is %s, not %s; ", c.Name, got, want)
		}
		require.NotEmpty(t, c.Secrets["headers[0].value"], "the secret of %s does not open", c.Name)
		var history struct {
			Revisions []struct {
				Revision int
				Deployed bool
			}
		}
		require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/connections/"+c.Name+"/revisions", &history))
		for i, r := range history.Revisions {
			require.Equal(t, c.Revision-i, r.Revision, c.Name)
			require.Equal(t, r.Revision == c.Deployed, r.Deployed, c.Name)
		}
		require.Len(t, history.Revisions, min(c.Revision, 100), c.Name)
	}
	var projects struct {
		Projects []struct{ Name, Description string }
	}
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/projects", &projects))
	eu := ""
	for _, one := range projects.Projects {
		if one.Name == "eu" {
			eu = one.Description
		}
	}
	if eu != w.project {
		difference += fmt.Sprintf("project eu is %q, not %q", eu, w.project)
	}
	return difference
}

// Whatever changes connections is interrupted by the end of the process at any
// moment: afterwards all of it has happened, or nothing.
func TestKilledProcessesLeaveTheConfigurationWhollyOldOrWhollyNew(t *testing.T) {
	t.Parallel()
	long(t)
	dir, keys := configured(t, ""), []string{seal.NewKey(), seal.NewKey()}
	now, n, next := world{connections: map[string]kept{}}, 0, 0
	hit := map[string]int{}
	for lives := 0; lives < kills(t)/2 || n <= 2*len(operations); lives++ { // fewer requests would tell nothing
		// Another key is the first: what is kept is sealed anew by the next rotation.
		slices.Reverse(keys)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "keys"), []byte(strings.Join(keys, "\n")), 0o600))
		p := startIn(t, dir, "run")
		require.Empty(t, now.is(t, p))
		begun := time.Now()
		killed := time.AfterFunc(rand.N(300*time.Millisecond), func() { _ = p.Process.Kill() })
		for {
			o := operations[next]
			n++
			status, answer, err := o.try(p, n)
			if err == nil {
				require.Equal(t, http.StatusOK, status, "%s: %s", o.name, answer)
				now, next = o.after(now, n), (next+1)%len(operations)
				continue
			}
			hit[o.name]++
			killed.Stop()
			p.kill()
			p = startIn(t, dir, "run")
			if old := now.is(t, p); old != "" {
				after := o.after(now, n)
				require.Empty(t, after.is(t, p), "%s was cut short after %s, and is neither old (%s) nor new", o.name, time.Since(begun), old)
				now, next = after, (next+1)%len(operations)
			}
			p.kill()
			break
		}
	}
	text, err := json.Marshal(hit)
	require.NoError(t, err)
	t.Logf("%d requests; cut short: %s", n, text)
}

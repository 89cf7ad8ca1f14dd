//go:build unix

package postgres

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/framework/internal/testneed"
	"github.com/weirhq/weir/framework/store"
)

// process is a real weir on a store that it shares.
type process struct {
	url  string
	cmd  *exec.Cmd
	done chan error
	log  *bytes.Buffer
	mu   *sync.Mutex
}

// program builds weir, with files added or replaced.
func program(t *testing.T, overlay map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "weir")
	args := []string{"build", "-o", path}
	if len(overlay) > 0 {
		raw, err := json.Marshal(map[string]any{"Replace": overlay})
		require.NoError(t, err)
		file := filepath.Join(dir, "overlay.json")
		require.NoError(t, os.WriteFile(file, raw, 0o600))
		args = append(args, "-overlay", file)
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, "github.com/weirhq/weir/cmd/weir")...).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// run starts a node and waits until it serves.
func runNode(t *testing.T, program, config, address string) *process {
	t.Helper()
	p := &process{done: make(chan error, 1), log: &bytes.Buffer{}, mu: &sync.Mutex{}}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, "run", "--config", config, "--store", address,
		"--listen", "127.0.0.1:0", "--data-dir", t.TempDir())
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if _, after, ok := strings.Cut(lines.Text(), "dashboard="); ok {
				ready <- strings.Fields(after)[0]
			}
		}
		p.done <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		if p.done != nil {
			t.Log("node ended: ", <-p.done)
		}
		if t.Failed() {
			t.Logf("node %s:\n%s", p.url, p.text())
		}
	})
	select {
	case p.url = <-ready:
	case err := <-p.done:
		p.done = nil
		require.NoError(t, err, p.text())
		t.FailNow()
	case <-time.After(time.Minute):
		require.Fail(t, "the node does not start", p.text())
	}
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop ends a node as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-p.done, p.text())
	p.done = nil
}

// shops are the providers of a test's connections, which change all the time.
func shops(t *testing.T, connections int) (config string, list []*demo.Provider) {
	t.Helper()
	var b strings.Builder
	b.WriteString("connections:\n")
	for i := range connections {
		shop := demo.NewProvider(demo.Config{Seed: uint64(i + 1)})
		server := httptest.NewServer(shop)
		t.Cleanup(server.Close)
		list = append(list, shop)
		fmt.Fprintf(&b, "  - name: c%d\n    connector: demo\n    type: source\n    config:\n      base_url: %s\n      webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", i, server.URL)
	}
	config = filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(config, []byte(b.String()), 0o600))
	return config, list
}

// call asks a node.
func (p *process) call(t *testing.T, method, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// shares counts the shards of each live node by its process.
func shares(t *testing.T, conn *pgx.Conn) map[int]int {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT n.holder, count(s.shard) FROM nodes n LEFT JOIN shards s ON s.node = n.num GROUP BY n.num, n.holder")
	require.NoError(t, err)
	defer rows.Close()
	found := map[int]int{}
	for rows.Next() {
		var holder string
		var n int
		require.NoError(t, rows.Scan(&holder, &n))
		pid, err := strconv.Atoi(strings.Fields(holder)[1])
		require.NoError(t, err)
		found[pid] = n
	}
	require.NoError(t, rows.Err())
	return found
}

// spreadOver waits until the processes have all shards between them, evenly.
func spreadOver(t *testing.T, conn *pgx.Conn, within time.Duration, processes ...*process) {
	t.Helper()
	var found map[int]int
	require.Eventually(t, func() bool {
		found = shares(t, conn)
		for _, p := range processes {
			if n := found[p.cmd.Process.Pid]; n < store.ShardCount/len(processes) || n > store.ShardCount/len(processes)+1 {
				return false
			}
		}
		return true
	}, within, 100*time.Millisecond, "shares: %v", &found)
}

// expectEverything waits until every customer of every shop is recorded, and checks
// that nothing is recorded twice and no sequence is missing.
func expectEverything(t *testing.T, observer *Store, list []*demo.Provider, within time.Duration) {
	t.Helper()
	connections, err := observer.Connections(t.Context())
	require.NoError(t, err)
	require.Len(t, connections, len(list))
	for i, shop := range list {
		require.Equal(t, fmt.Sprintf("c%d", i), connections[i].Name)
		for stream, objects := range shop.State() {
			require.Eventually(t, func() bool {
				known := map[string]string{}
				for after := int64(0); ; {
					events, err := observer.Events(t.Context(), connections[i].ID, stream, after, 1000)
					require.NoError(t, err)
					for _, e := range events {
						known[e.Subject] = string(e.Payload)
						after = e.Sequence
					}
					if len(events) == 0 {
						break
					}
				}
				for id := range objects {
					if _, ok := known[id]; !ok {
						return false
					}
				}
				return true
			}, within, 200*time.Millisecond, "connection c%d, stream %s", i, stream)
			distinct(t, observer, connections[i], stream)
		}
	}
}

// successes are the last successes of all streams.
func successes(t *testing.T, conn *pgx.Conn) (oldest time.Time) {
	t.Helper()
	err := conn.QueryRow(t.Context(), "SELECT coalesce(min(last_success_at), '-infinity'::timestamptz + interval '0') FROM streams WHERE stream <> 'events' AND last_success_at IS NOT NULL").Scan(&oldest)
	require.NoError(t, err)
	return oldest
}

func TestThreeNodesShareAStoreAndSurviveEachOther(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	url := database(t)
	watch := dial(t, url) // one for all that is asked again and again
	observer := open(t, Options{URL: url, Observe: true})
	config, list := shops(t, 6)
	weir := program(t, nil)
	nodes := []*process{runNode(t, weir, config, url), runNode(t, weir, config, url), runNode(t, weir, config, url)}
	spreadOver(t, watch, 30*time.Second, nodes...)
	expectEverything(t, observer, list, 90*time.Second)

	// Any node serves any stream, whichever node runs it.
	for i := range list {
		for _, n := range nodes {
			path := fmt.Sprintf("/api/v1/connections/c%d/streams/customers", i)
			require.Eventually(t, func() bool {
				status, body := n.call(t, http.MethodPost, path+"/run")
				return status < 300 || status == http.StatusConflict && strings.Contains(body, "busy")
			}, 30*time.Second, 200*time.Millisecond, "run now")
			status, body := n.call(t, http.MethodGet, path)
			require.Equal(t, http.StatusOK, status, body)
			require.NotContains(t, body, `"never_run"`)
		}
	}

	// A node that is killed: its shards move within 15 seconds.
	killed := time.Now()
	require.NoError(t, nodes[0].cmd.Process.Kill())
	spreadOver(t, watch, 15*time.Second, nodes[1:]...)
	t.Logf("the shards of a killed node moved in %s", time.Since(killed).Round(100*time.Millisecond))

	// A node that is stopped past its lease, and goes on: it is fenced, and joins again.
	require.NoError(t, nodes[1].cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return shares(t, watch)[nodes[2].cmd.Process.Pid] == store.ShardCount }, time.Minute, 100*time.Millisecond)
	require.NoError(t, nodes[1].cmd.Process.Signal(syscall.SIGCONT))
	spreadOver(t, watch, 30*time.Second, nodes[1:]...)
	require.Eventually(t, func() bool { return strings.Contains(nodes[1].text(), "this process was not heard of in time") }, time.Minute, 100*time.Millisecond)
	expectEverything(t, observer, list, 90*time.Second)
}

func TestARollingRestartToTheNextVersionLosesNothing(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	url := database(t)
	watch := dial(t, url) // one for all that is asked again and again
	observer := open(t, Options{URL: url, Observe: true})
	config, list := shops(t, 4)
	// The next version has one more migration, which only adds.
	here, err := os.Getwd()
	require.NoError(t, err)
	migration := filepath.Join(t.TempDir(), "next.sql")
	require.NoError(t, os.WriteFile(migration, []byte("ALTER TABLE runs ADD COLUMN remark text NOT NULL DEFAULT '';"), 0o600))
	now := program(t, nil)
	next := program(t, map[string]string{filepath.Join(here, "migrations", "9999_next.sql"): migration})
	nodes := []*process{runNode(t, now, config, url), runNode(t, now, config, url)}
	spreadOver(t, watch, 30*time.Second, nodes...)
	for i := range nodes {
		nodes[i].stop(t)
		nodes[i] = runNode(t, next, config, url)
		if i == 0 {
			// Both versions work on one schema, the newer one.
			spreadOver(t, watch, 30*time.Second, nodes...)
			expectEverything(t, observer, list, 90*time.Second)
			oldest := successes(t, watch)
			require.Eventually(t, func() bool { return successes(t, watch).After(oldest) }, 90*time.Second, 200*time.Millisecond)
		}
	}
	spreadOver(t, watch, 30*time.Second, nodes...)
	expectEverything(t, observer, list, 90*time.Second)
	out, err := exec.CommandContext(t.Context(), now, "run", "--config", config, "--store", url, "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()).CombinedOutput()
	require.Error(t, err, "the older version was started on the newer schema")
	require.Contains(t, string(out), "9999")
}

package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/cmd/cli"
	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": func() { cli.Main(all.Plugins()...) }})
}

// weir runs a command line within the test and returns what it printed.
func weir(t *testing.T, env map[string]string, plugins []framework.Plugin, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), cli.Terminal{
		Args: args, In: strings.NewReader(""), Out: &out, Err: &errs,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}, plugins...)
	return code, out.String(), errs.String()
}

// process is a weir in a process of its own.
type process struct {
	*exec.Cmd
	url    string
	stderr *lockedBuffer
	done   chan error
}

// lockedBuffer may be written by a process while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var dashboardURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs weir in a process of its own and waits until it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startIn(t, "", args...)
}

// startIn is start with the folder that the process works in.
func startIn(t *testing.T, folder string, args ...string) *process {
	t.Helper()
	return startProgram(t, folder, "weir", args...)
}

// startProgram is startIn for any program that is a weir.
func startProgram(t *testing.T, folder, program string, args ...string) *process {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = folder
	p := &process{Cmd: command, stderr: &lockedBuffer{}, done: make(chan error, 1)}
	stdout := &lockedBuffer{}
	command.Stdout, command.Stderr = stdout, p.stderr
	require.NoError(t, command.Start())
	go func() { p.done <- command.Wait() }()
	t.Cleanup(func() { p.kill() })
	require.Eventually(t, func() bool {
		p.url = dashboardURL.FindString(stdout.String() + p.stderr.String())
		return p.url != "" && get(t, p.url+"/readyz", nil) == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond, "weir did not become ready: %s", p.stderr)
	return p
}

// kill ends the process without any warning.
func (p *process) kill() {
	_ = p.Process.Kill()
	if err, open := <-p.done; open {
		_ = err
		close(p.done)
	}
}

// interrupt asks the process to stop and returns how it ended.
func (p *process) interrupt(t *testing.T) error {
	t.Helper()
	require.NoError(t, p.Process.Signal(os.Interrupt))
	select {
	case err := <-p.done:
		close(p.done)
		return err
	case <-time.After(40 * time.Second):
		t.Fatalf("weir did not stop: %s", p.stderr)
		return nil
	}
}

// get asks url and decodes its answer into out, unless that is nil. It returns
// the status, or 0 when nothing answered.
func get(t *testing.T, url string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if out != nil {
		require.NoError(t, json.Unmarshal(body, out), "%s", body)
	}
	return response.StatusCode
}

type streamList struct {
	Streams []struct {
		Connection  string `json:"connection"`
		Stream      string `json:"stream"`
		State       string `json:"state"`
		EventsTotal int64  `json:"events_total"`
		Description string `json:"description"`

		DuplicatesTotal int64 `json:"duplicates_total"`
	} `json:"streams"`
}

func (l streamList) allHealthyAndFilled() bool {
	for _, s := range l.Streams {
		if s.State != "healthy" && s.State != "running" || s.EventsTotal == 0 {
			return false
		}
	}
	return len(l.Streams) > 0
}

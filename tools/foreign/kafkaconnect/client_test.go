package kafkaconnect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/foreign/need"
)

const patience = time.Minute

// free returns a loopback address that nobody has.
func free(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// send asks for a URL and returns the status, 0 for no answer.
func send(t *testing.T, method, url, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// weir builds and runs a weir with a source that takes webhooks, and returns its
// address and that of its Kafka Connect API.
func weir(t *testing.T) (listen, connect string) {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "weir")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/weir")
	build.Dir = filepath.Join("..", "..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	listen, connect = free(t), free(t)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "weir.yaml"), []byte(`connections:
  - name: in
    class: http
    stream: things
    config: {mode: push, path: in, auth: {type: none, reason: a test on loopback}}
connect_listen: `+connect+"\n"), 0o600))
	process := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "run", "--listen", listen)
	var log bytes.Buffer
	process.Dir, process.Stderr = folder, &log
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		require.NoError(t, process.Process.Signal(syscall.SIGTERM))
		require.NoError(t, process.Wait(), log.String())
		require.NotContains(t, log.String(), "canary")
	})
	require.Eventually(t, func() bool { return send(t, http.MethodGet, "http://"+listen+"/readyz", "") == http.StatusOK }, patience, 50*time.Millisecond)
	return listen, connect
}

func TestAClientOfOthersDrivesTheLifeOfAConnector(t *testing.T) {
	t.Parallel()
	node := need.Tool(t, "node")
	folder := need.Tool(t, "the npm package kafka-connect-client", "../node_modules/kafka-connect-client/package.json")
	modules, err := filepath.Abs(folder[:strings.Index(folder, "node_modules")])
	require.NoError(t, err)
	arrived := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ Subject string }
		if json.NewDecoder(r.Body).Decode(&event) == nil {
			arrived <- event.Subject
		}
	}))
	t.Cleanup(receiver.Close)
	listen, connect := weir(t)
	_, port, err := net.SplitHostPort(connect)
	require.NoError(t, err)
	argument, err := json.Marshal(map[string]string{"modules": modules, "port": port, "receiver": receiver.URL})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	drive := exec.CommandContext(ctx, node, "drive.js", string(argument))
	var complaint bytes.Buffer
	drive.Stderr = &complaint
	in, err := drive.StdinPipe()
	require.NoError(t, err)
	out, err := drive.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, drive.Start())
	said := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = lines.Text()
		what, id, _ := strings.Cut(said, " ")
		answer := "ok"
		switch what {
		case "send":
			if status := send(t, http.MethodPost, "http://"+listen+"/webhooks/in/in", fmt.Sprintf(`{"id":%q}`, id)); status != http.StatusOK {
				answer = fmt.Sprintf("the webhook is answered with %d", status)
			}
		case "want":
			select {
			case got := <-arrived:
				if got != id {
					answer = "there came " + got
				}
			case <-ctx.Done():
				answer = "it does not arrive"
			}
		}
		if _, err := fmt.Fprintln(in, answer); err != nil {
			break // it has ended, and says why
		}
	}
	err = drive.Wait()
	require.NoError(t, err, complaint.String())
	require.Equal(t, "driven", said)
	require.Empty(t, arrived)
}

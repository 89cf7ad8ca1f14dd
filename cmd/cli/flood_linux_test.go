package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memoryOf reads how much memory a process holds, or held at most, in bytes.
func memoryOf(t *testing.T, p *process, key string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, key+":"); found {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			require.NoError(t, err)
			return n << 10
		}
	}
	t.Fatalf("no %s in the status of the process", key)
	return 0
}

// TestOversizedBodiesAtOnceKeepMemoryBounded sends 200 bodies without a length, each
// a byte over 25 MiB: five gigabytes that nobody may keep.
func TestOversizedBodiesAtOnceKeepMemoryBounded(t *testing.T) {
	t.Parallel()
	long(t)
	const senders, size = 200, 25<<20 + 1
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data_dir: `+dir+`
connections:
  - name: hooks
    connector: http
    config: {mode: push, path: in, auth: {type: bearer, max_body: 26214400}, webhook_secret: a token that is long enough}
`), 0o600))
	// With the race detector each byte of the server costs several.
	p := startProgram(t, "", build(t, "../weir"), "run", "--config", file, "--listen", "127.0.0.1:0")
	client := &http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Minute}
	defer client.CloseIdleConnections()
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	var sending sync.WaitGroup
	statuses := make(chan int, senders)
	for range senders {
		sending.Go(func() {
			// Of no known type, so that it is sent in chunks.
			body := io.LimitReader(io.MultiReader(repeated(chunk, size)...), size)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/webhooks/hooks/in", body)
			if err != nil {
				statuses <- -1
				return
			}
			response, err := client.Do(request)
			if err != nil {
				statuses <- 0 // the server closed before all of it was sent
				return
			}
			_ = response.Body.Close()
			statuses <- response.StatusCode
		})
	}
	sending.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	t.Logf("answers %v, at most %d MiB", counts, memoryOf(t, p, "VmHWM")>>20)
	require.Equal(t, senders, counts[0]+counts[http.StatusRequestEntityTooLarge]+counts[http.StatusServiceUnavailable], "%v", counts)
	// One connection holds at most half of 128 MiB; the collector lets garbage grow to as much again.
	require.Less(t, memoryOf(t, p, "VmHWM"), int64(512<<20))
	var list streamList
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/streams", &list))
	require.Zero(t, list.Streams[0].EventsTotal, "nothing was logged")
	require.NoError(t, p.interrupt(t), p.stderr)
}

// repeated returns readers of the chunk that together have at least size bytes.
func repeated(chunk []byte, size int) []io.Reader {
	readers := make([]io.Reader, 0, size/len(chunk)+1)
	for n := 0; n < size; n += len(chunk) {
		readers = append(readers, bytes.NewReader(chunk))
	}
	return readers
}

package cli_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pour writes to a caller until it is gone, or for as long as a whole answer is.
func pour(w io.Writer, r *http.Request, size int) {
	chunk := make([]byte, 64<<10)
	for n := 0; n < size && r.Context().Err() == nil; n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

const hugeAnswer = 100 << 20

// bomb is a huge answer in few bytes: one piece, again and again (RFC 1952 allows
// several members). Packing 48 of them while they are sent would take the machine
// from the program that is watched.
var bomb = sync.OnceValue(func() []byte {
	const piece = 1 << 20
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, piece))
	_ = z.Close()
	return bytes.Repeat(packed.Bytes(), hugeAnswer/piece)
})

// badReceivers are those that a sink must survive.
var badReceivers = map[string]http.HandlerFunc{
	"huge": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		pour(w, r, hugeAnswer)
	},
	"bomb": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(bomb())
	},
	"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"drip": func(w http.ResponseWriter, r *http.Request) {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		}
	},
	// Headers that never end cannot be written by net/http.
	"headers": func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(buffered, "HTTP/1.1 200 OK\r\n")
		line := "X-Filler: " + strings.Repeat("a", 4000) + "\r\n"
		for n := 0; n < hugeAnswer; n += len(line) {
			if _, err := io.WriteString(buffered, line); err != nil {
				return
			}
		}
	},
}

// Receivers that answer without end, that drip or that never answer take neither
// memory nor another sink's turn, and every attempt ends in its time.
func TestBadReceiversHoldNeitherMemoryNorOtherSinks(t *testing.T) {
	t.Parallel()
	long(t)
	const each, events = 6, 40
	var good, bad atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if handler := badReceivers[strings.Trim(r.URL.Path, "/")]; handler != nil {
			bad.Add(1)
			handler(w, r)
			return
		}
		good.Add(1)
	}))
	t.Cleanup(server.Close)
	// Those that answer are judged by what they say, however busy the machine is.
	patience := map[string]int{"huge": 60, "bomb": 60, "headers": 60}
	var file strings.Builder
	fmt.Fprintf(&file, "connections:\n")
	fmt.Fprintf(&file, "  - {name: in, type: trigger, config: {path: /in, method: POST, auth_token: a-token-of-callers-0123456789, action: ingest}}\n")
	fmt.Fprintf(&file, "  - {name: good, class: http, type: sink, streams: [in.events], config: {endpoint: %q}}\n", server.URL+"/good")
	for _, kind := range slices.Sorted(maps.Keys(badReceivers)) {
		for i := range each {
			fmt.Fprintf(&file, "  - {name: %s-%d, class: http, type: sink, streams: [in.events], config: {endpoint: %q, timeout_seconds: %d, order: unordered, in_flight: 8, retry.base_sec: 1}}\n",
				kind, i, server.URL+"/"+kind, cmp.Or(patience[kind], 1))
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(file.String()), 0o600))
	// With the race detector each byte of the process costs several.
	p := startProgram(t, dir, build(t, "../weir"), "run", "--listen", "127.0.0.1:0")
	before := memoryOf(t, p, "VmHWM")
	for i := range events {
		status, answer, _ := p.raw(t, http.MethodPost, "/sink/trigger/http/default/in", fmt.Sprintf(`{"n":%d}`, i),
			"Authorization", "Bearer a-token-of-callers-0123456789", "Accept", "application/json")
		require.Equal(t, http.StatusOK, status, "%s", answer)
	}
	require.Eventually(t, func() bool { return good.Load() == events }, time.Minute, 20*time.Millisecond, "the other sink gets all of its events")
	require.Eventually(t, func() bool { return bad.Load() >= 5*each*int64(len(badReceivers)) }, time.Minute, 20*time.Millisecond, "each of the bad ones is asked until its breaker opens")
	// A request has at most 16 KiB of an answer, and 1 MiB of headers.
	t.Logf("%d requests at bad receivers, %d MiB at the start and at most %d MiB", bad.Load(), before>>20, memoryOf(t, p, "VmHWM")>>20)
	require.Less(t, memoryOf(t, p, "VmHWM")-before, int64(192<<20))
	for kind, want := range map[string]string{
		"huge": "500 Internal Server Error", "bomb": "500 Internal Server Error", "silent": "no whole answer within 1s", "drip": "no whole answer within 1s",
		"headers": "headers exceeded",
	} {
		var sink struct {
			Recent []struct {
				Seconds float64 `json:"seconds"`
				Reason  string  `json:"reason"`
			} `json:"recent"`
		}
		require.Eventually(t, func() bool {
			return get(t, p.url+"/api/v1/connections/"+kind+"-0/offsets", &sink) == http.StatusOK && len(sink.Recent) > 0
		}, time.Minute, 50*time.Millisecond, "%s: an attempt ends", kind)
		for _, one := range sink.Recent {
			require.Contains(t, one.Reason, want, kind)
			if patience[kind] == 0 {
				require.Less(t, one.Seconds, 10.0, "an attempt ends soon after its timeout of one second")
			}
		}
	}
	require.NoError(t, p.interrupt(t), p.stderr)
}

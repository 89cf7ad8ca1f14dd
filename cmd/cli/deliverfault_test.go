//go:build cgo && unix

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
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

const hookSecret = "a-secret-of-some-length"

// arrival is an event as a receiver saw it.
type arrival struct {
	ID       string `json:"id"`
	Subject  string `json:"subject"`
	Sequence int64  `json:"weirsequence"`
}

// inbox is a receiver that remembers ids, by path. It can be in a storm of 500s,
// and be restarted.
type inbox struct {
	addr  string
	storm atomic.Bool

	mu     sync.Mutex
	server *http.Server
	once   map[string][]arrival
	seen   map[string]bool
	times  int

	acknowledged atomic.Int64 // of what offer posted
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{addr: address(t), once: map[string][]arrival{}, seen: map[string]bool{}}
	b.start(t)
	t.Cleanup(func() { _ = b.server.Close() })
	return b
}

func (b *inbox) start(t *testing.T) {
	t.Helper()
	var l net.Listener
	require.Eventually(t, func() bool {
		var err error
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", b.addr)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	go func() { _ = b.server.Serve(l) }()
}

func (b *inbox) restart(t *testing.T) {
	t.Helper()
	_ = b.server.Close()
	<-time.After(100 * time.Millisecond)
	b.start(t)
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var a arrival
	if err != nil || json.Unmarshal(body, &a) != nil {
		return // it broke off: nothing was received
	}
	if b.storm.Load() {
		http.Error(w, "storm", http.StatusInternalServerError)
		return
	}
	if strings.HasSuffix(a.Subject, "-poison") {
		http.Error(w, "no such thing", http.StatusUnprocessableEntity)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times++
	if key := r.URL.Path + " " + a.ID; !b.seen[key] {
		b.seen[key] = true
		b.once[r.URL.Path] = append(b.once[r.URL.Path], a)
	}
	_, _ = io.WriteString(w, strings.Repeat("fine ", 20))
}

// offer posts events until ctx ends, each until it is acknowledged.
func (b *inbox) offer(ctx context.Context, url string) {
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; {
		subject := fmt.Sprintf("e%d", n%7)
		if n%50 == 49 {
			subject += "-poison"
		}
		body := fmt.Appendf(nil, `{"id":%q,"v":%d}`, subject, n)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/webhooks/hooks/inbox", bytes.NewReader(body))
		if err != nil {
			return
		}
		request.Header.Set("Authorization", "Bearer "+hookSecret)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		if err == nil && response.StatusCode == http.StatusOK {
			n++
			b.acknowledged.Add(1)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

const faultyConfig = `connections:
  - name: hooks
    class: http
    config: {mode: push, path: inbox, auth: {type: bearer}, webhook_secret: %s, key: .id, version: .v}
`

const faultySink = `  - name: %s
    class: http
    type: sink
    streams: [hooks.events]
    config: {endpoint: "http://%s/%s", order: %s, in_flight: 4, timeout_seconds: 0.4, retry_attempts: 100, retry: {base_sec: 0.05, cap_sec: 0.2}}
`

// orders are the sinks of the test, by what they promise.
var sinkOrders = []string{"ordered", "per_key", "unordered"}

// Everything that can go wrong between a sink and its receiver goes wrong, and Weir
// is killed in between. Every event is delivered or a dead letter, exactly once for
// a receiver that remembers ids, and in the order that was promised.
func TestFaultsOnTheWayAndKillsLoseNothingAndKeepTheOrder(t *testing.T) {
	t.Parallel()
	long(t)
	program := build(t, "../weir")
	for run := range 10 { //nolint:paralleltest // one after the other: each has the machine to be killed on
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			deliverThroughFaults(t, program)
		})
	}
}

func deliverThroughFaults(t *testing.T, program string) {
	b := newInbox(t)
	p := newFaultProxy(t, b.addr)
	dir, listen := t.TempDir(), address(t)
	file := fmt.Sprintf(faultyConfig, hookSecret)
	for _, order := range sinkOrders {
		file += fmt.Sprintf(faultySink, strings.ReplaceAll(order, "_", "-"), p.addr, order, order)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(file), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := startProgram(t, dir, program, "run", "--listen", listen)
	offered := make(chan struct{})
	go func() { defer close(offered); b.offer(ctx, "http://"+listen) }()
	troubles := []trouble{latency, resets, halfOpen, drip, cut, refused, "storm", "restart"}
	rand.Shuffle(len(troubles), func(i, j int) { troubles[i], troubles[j] = troubles[j], troubles[i] })
	for i, now := range troubles {
		switch now {
		case "storm":
			b.storm.Store(true)
		case "restart":
			b.restart(t)
		default:
			p.become(now)
		}
		<-time.After(time.Duration(100+rand.IntN(150)) * time.Millisecond)
		if i%3 == 1 {
			w.kill()
			w = startProgram(t, dir, program, "run", "--listen", listen)
		}
		p.become(calm)
		b.storm.Store(false)
		<-time.After(50 * time.Millisecond)
	}
	require.Eventually(t, func() bool { return b.acknowledged.Load() > 100 }, time.Minute, 10*time.Millisecond, "enough to tell anything")
	stop()
	<-offered
	total := settleSinks(t, w)
	require.GreaterOrEqual(t, total, b.acknowledged.Load())
	b.judge(t, w, total)
	require.NoError(t, w.interrupt(t), w.stderr)
	t.Logf("%d events, %d requests taken for %d: %v", total, b.times, int(total)*len(sinkOrders), troubles)
}

// settleSinks waits until every sink has passed everything and nothing is parked.
func settleSinks(t *testing.T, w *process) (total int64) {
	t.Helper()
	for _, order := range sinkOrders {
		require.Eventually(t, func() bool {
			var s struct {
				State   string
				Parked  int
				Offsets []struct{ Head, Lag, Parked int64 }
			}
			get(t, w.url+"/api/v1/connections/"+strings.ReplaceAll(order, "_", "-")+"/offsets", &s)
			if s.State != "running" || s.Parked > 0 || len(s.Offsets) != 1 {
				return false
			}
			total = s.Offsets[0].Head
			return s.Offsets[0].Lag == 0 && s.Offsets[0].Parked == 0
		}, 90*time.Second, 50*time.Millisecond, "%s: %s", order, w.stderr)
	}
	return total
}

// judge compares what came with the log.
func (b *inbox) judge(t *testing.T, w *process, total int64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, order := range sinkOrders {
		var letters struct {
			DeadLetters []struct{ Sequence int64 } `json:"dead_letters"`
		}
		get(t, w.url+"/api/v1/connections/"+strings.ReplaceAll(order, "_", "-")+"/dead-letters?limit=1000", &letters)
		dead := map[int64]bool{}
		for _, d := range letters.DeadLetters {
			dead[d.Sequence] = true
		}
		last := map[string]int64{}
		came := map[int64]bool{}
		for _, a := range b.once["/"+order] {
			require.False(t, came[a.Sequence], "%s: %d came as two ids", order, a.Sequence)
			came[a.Sequence] = true
			scope := map[string]string{"ordered": "all", "per_key": a.Subject}[order]
			if scope != "" {
				require.Greater(t, a.Sequence, last[scope], "%s: %s is out of order", order, a.ID)
				last[scope] = a.Sequence
			}
		}
		var missing []int64
		for n := int64(1); n <= total; n++ {
			if !came[n] && !dead[n] {
				missing = append(missing, n)
			}
		}
		require.Empty(t, missing, "%s: lost", order)
		require.NotEmpty(t, dead, "%s: the poisoned ones are dead letters", order)
		require.True(t, slices.IsSorted([]int{len(came), int(total)}))
	}
}

//go:build unix

package postgres

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/framework/internal/testneed"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

const shopSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// The budget that all shops of a traffic share. The nodes together may not make more
// calls; what reaches the shops is looked at in a somewhat shorter span, since
// calls may take their time on the way.
const (
	trafficRate  = "60/6s"
	trafficCalls = 60
	trafficSpan  = 5 * time.Second
)

// traffic is what goes on around nodes that come and go: shops that change all the
// time, whose webhooks go to one node after the other, and polls.
type traffic struct {
	config string
	shops  []*demo.Provider

	mu    sync.Mutex
	nodes []*process
	turn  int
	// acknowledged are the webhooks that were answered 2xx, by shop; calls is when the
	// shops were asked.
	acknowledged []map[string]bool
	calls        []time.Time
}

func newTraffic(t *testing.T, shops int) *traffic {
	t.Helper()
	w := &traffic{}
	var b strings.Builder
	b.WriteString("connections:\n")
	for i := range shops {
		shop := demo.NewProvider(demo.Config{Seed: uint64(i + 1), DoublePercent: 20, LatePercent: 10})
		server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			w.calls = append(w.calls, time.Now())
			w.mu.Unlock()
			shop.ServeHTTP(out, r)
		}))
		t.Cleanup(server.Close)
		hook := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { w.forward(out, r, i) }))
		t.Cleanup(hook.Close)
		require.NoError(t, shop.SetWebhook(hook.URL, shopSecret))
		w.shops = append(w.shops, shop)
		w.acknowledged = append(w.acknowledged, map[string]bool{})
		fmt.Fprintf(&b, "  - name: c%d\n    connector: demo\n    rate_limit: %s\n    budget: shops\n    config:\n      base_url: %s\n      webhook_secret: %s\n",
			i, trafficRate, server.URL, shopSecret)
	}
	w.config = filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(w.config, []byte(b.String()), 0o600))
	return w
}

// next is the node whose turn it is.
func (w *traffic) next() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn++
	return w.nodes[w.turn%len(w.nodes)]
}

// goes says which nodes there are.
func (w *traffic) goes(to ...*process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = slices.Clone(to)
}

// forward hands a webhook to the next node, as a load balancer does.
func (w *traffic) forward(out http.ResponseWriter, r *http.Request, shop int) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, fmt.Sprintf("%s/webhooks/c%d/orders", w.next().url, shop), r.Body)
	if err != nil {
		out.WriteHeader(http.StatusBadGateway)
		return
	}
	request.Header = r.Header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		out.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		out.WriteHeader(http.StatusBadGateway)
		return
	}
	if response.StatusCode/100 == 2 {
		w.mu.Lock()
		w.acknowledged[shop][r.Header.Get("Webhook-Id")] = true
		w.mu.Unlock()
	}
	out.WriteHeader(response.StatusCode)
}

// begin has it go on until stop.
func (w *traffic) begin(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	every := func(d time.Duration, f func()) {
		working.Go(func() {
			ticker := time.NewTicker(d)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					f()
				}
			}
		})
	}
	for i, shop := range w.shops {
		every(50*time.Millisecond, func() { _ = shop.Step(ctx) }) // what is not taken is sent again
		for _, stream := range []string{"customers", "orders"} {
			every(200*time.Millisecond, func() { w.poll(ctx, i, stream) })
		}
	}
	stop = sync.OnceFunc(func() { cancel(); working.Wait() })
	t.Cleanup(stop)
	return stop
}

// poll asks a node to run a stream.
func (w *traffic) poll(ctx context.Context, shop int, stream string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/api/v1/connections/c%d/streams/%s/run", w.next().url, shop, stream), http.NoBody)
	if err != nil {
		return
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// grows waits until more webhooks are acknowledged.
func (w *traffic) grows(t *testing.T, by int) {
	t.Helper()
	count := func() (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, known := range w.acknowledged {
			n += len(known)
		}
		return n
	}
	before := count()
	require.Eventually(t, func() bool { return count() >= before+by }, time.Minute, 20*time.Millisecond, "webhooks are not taken")
}

// settles waits until everything is recorded that there is, and looks whether
// anything is lost or there twice.
func (w *traffic) settles(t *testing.T, observer *Store) {
	t.Helper()
	require.Eventually(t, func() bool {
		waiting := 0
		for _, shop := range w.shops {
			_ = shop.Drain(t.Context())
			waiting += shop.Waiting()
		}
		return waiting == 0
	}, time.Minute, 50*time.Millisecond, "webhooks are not taken")
	connections, err := observer.Connections(t.Context())
	require.NoError(t, err)
	require.Len(t, connections, len(w.shops))
	for i, shop := range w.shops {
		hooks := distinct(t, observer, connections[i], "order_events")
		for id := range w.acknowledged[i] {
			require.True(t, hooks["e/"+id], "acknowledged webhook %s of c%d is lost", id, i)
		}
		for stream, want := range shop.State() {
			var got map[string]string
			require.Eventually(t, func() bool {
				w.poll(t.Context(), i, stream)
				got = state(t, observer, connections[i], stream)
				return mapsEqual(got, want)
			}, 90*time.Second, 200*time.Millisecond, "c%d.%s: what a receiver has is not what the shop has", i, stream)
			distinct(t, observer, connections[i], stream)
		}
	}
}

func mapsEqual(x, y map[string]string) bool {
	if len(x) != len(y) {
		return false
	}
	for k, v := range x {
		if other, ok := y[k]; !ok || other != v {
			return false
		}
	}
	return true
}

// state is what a receiver of a stream ends with.
func state(t *testing.T, s *Store, con store.Connection, stream string) map[string]string {
	t.Helper()
	known := map[string]string{}
	for after := int64(0); ; {
		events, err := s.Events(t.Context(), con.ID, stream, after, 1000)
		require.NoError(t, err)
		if len(events) == 0 {
			return known
		}
		for _, e := range events {
			after = e.Sequence
			switch {
			case e.Late:
			case e.Operation == ingest.Deletion:
				delete(known, e.Subject)
			default:
				known[e.Subject] = string(e.Payload)
			}
		}
	}
}

// most is the largest number of calls in a span of the given length.
func (w *traffic) most(span time.Duration) (most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.calls {
		n := 0
		for _, at := range w.calls[i:] {
			if at.Sub(w.calls[i]) >= span {
				break
			}
			n++
		}
		most = max(most, n)
	}
	return most
}

func TestChangingTrafficOverNodesThatComeAndGo(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	url := database(t)
	watch := dial(t, url)
	observer := open(t, Options{URL: url, Observe: true})
	w := newTraffic(t, 6)
	weir := program(t, nil)
	start := func() *process { return runNode(t, weir, w.config, url) }
	nodes := []*process{start(), start(), start()}
	w.goes(nodes...)
	stop := w.begin(t)
	spreadOver(t, watch, 30*time.Second, nodes...)
	w.grows(t, 100)

	// One is killed: the others have its shards within 15 s. The balancer learns of it
	// a little later.
	killed := time.Now()
	require.NoError(t, nodes[0].cmd.Process.Kill())
	w.grows(t, 20)
	w.goes(nodes[1:]...)
	spreadOver(t, watch, 15*time.Second-time.Since(killed), nodes[1:]...)
	t.Logf("the shards of a killed node moved in %s", time.Since(killed).Round(100*time.Millisecond))
	w.grows(t, 50)

	// One joins.
	nodes[0] = start()
	w.goes(nodes...)
	spreadOver(t, watch, 40*time.Second, nodes...)
	w.grows(t, 50)

	// All are restarted, one after the other, the way an operator does: out of the
	// balancer, stopped, started, into the balancer.
	for i := range nodes {
		w.goes(slices.Concat(nodes[:i], nodes[i+1:])...)
		nodes[i].stop(t)
		nodes[i] = start()
		w.goes(nodes...)
		w.grows(t, 20)
	}
	spreadOver(t, watch, 40*time.Second, nodes...)
	w.grows(t, 50)
	stop()
	w.settles(t, observer)
	acknowledged := 0
	for _, known := range w.acknowledged {
		acknowledged += len(known)
	}
	most := w.most(trafficSpan)
	t.Logf("%d webhooks acknowledged, %d calls of the shops, at most %d of them in %s", acknowledged, len(w.calls), most, trafficSpan)
	require.LessOrEqual(t, most, trafficCalls, "the nodes together exceeded the budget")
}

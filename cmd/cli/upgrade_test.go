package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// upgrade is a connector in two versions, each in a binary of its own, that work
// on one store after another, and what a sink of it receives.
type upgrade struct {
	first, later, dir string
	// store is the address of the store, or "" for the file in dir.
	store    string
	received *receipts
}

// receipts are the events that a sink has sent, by their ids. It refuses the
// first customer for what it holds, until it is told otherwise.
type receipts struct {
	mu     sync.Mutex
	times  map[string]int
	accept bool
}

func (r *receipts) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var e struct {
		ID, WeirStream string
		Data           struct{ ID string }
	}
	if err := json.NewDecoder(request.Body).Decode(&e); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasSuffix(e.WeirStream, "customers") && e.Data.ID == "r1" && !r.accept {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	r.times[e.ID]++
}

// got says how often each of the events was received.
func (r *receipts) got(ids []string) (times []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		times = append(times, r.times[id])
	}
	return times
}

func buildUpgrade(t *testing.T, store string) upgrade {
	t.Helper()
	u := upgrade{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "later"), t.TempDir(), store, &receipts{times: map[string]int{}}}
	for _, args := range [][]string{{"-o", u.first}, {"-o", u.later, "-tags", "later"}} {
		build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, args...), "./testdata/upgrade")...)
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	receiver := httptest.NewServer(u.received)
	t.Cleanup(receiver.Close)
	config := `connections:
  - name: shop
    connector: acme
  - name: out
    class: http
    type: sink
    streams: [shop.customers, shop.events]
    config: {endpoint: "` + receiver.URL + `/", retry.base_sec: 1}
`
	require.NoError(t, os.WriteFile(filepath.Join(u.dir, "weir.yaml"), []byte(config), 0o600))
	return u
}

func (u upgrade) start(t *testing.T, program string) *process {
	t.Helper()
	args := []string{"run", "--listen", "127.0.0.1:0"}
	if u.store != "" {
		args = append(args, "--store", u.store)
	}
	return startProgram(t, u.dir, program, args...)
}

// logged returns the ids and keys of a stream's events.
func (p *process) logged(t *testing.T, stream string) (ids, records []string) {
	t.Helper()
	code, stdout, stderr := weir(t, nil, nil, "events", "shop", stream, "--json", "--server", p.url)
	require.Zero(t, code, stderr)
	for line := range strings.SplitSeq(strings.TrimSpace(stdout), "\n") {
		var e struct {
			ID   string `json:"id"`
			Data struct{ ID string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		ids, records = append(ids, e.ID), append(records, e.Data.ID)
	}
	return ids, records
}

// streamRow is what the API says of a stream.
type streamRow struct {
	Stream      string `json:"stream"`
	EventsTotal int64  `json:"events_total"`
	LastError   string `json:"last_error"`
}

// stream waits until a stream is as wanted.
func (p *process) stream(t *testing.T, stream string, wanted func(total int64, lastError string) bool) {
	t.Helper()
	var list struct {
		Streams []streamRow `json:"streams"`
	}
	require.Eventually(t, func() bool {
		list.Streams = nil
		get(t, p.url+"/api/v1/streams", &list)
		for _, s := range list.Streams {
			if s.Stream == stream {
				return wanted(s.EventsTotal, s.LastError)
			}
		}
		return false
	}, 60*time.Second, 20*time.Millisecond, "stream %s: %+v\n%s", stream, &list, p.stderr)
}

func filled(total int64, lastError string) bool { return total > 0 && lastError == "" }

// deliver sends a webhook with record n.
func (p *process) deliver(t *testing.T, n int) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/webhooks/shop/in", strings.NewReader(fmt.Sprintf(`{"n":%d}`, n)))
	require.NoError(t, err)
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// sinkRow is the offset of a sink in one stream.
type sinkRow struct {
	Stream      string `json:"stream"`
	Next        int64  `json:"next"`
	Delivered   int64  `json:"delivered"`
	Parked      int64  `json:"parked"`
	DeadLetters int64  `json:"dead_letters"`
}

// offset waits until the sink has delivered and given up so many events of a stream.
func (p *process) offset(t *testing.T, stream string, delivered, dead int64) (next int64) {
	t.Helper()
	var all struct {
		Offsets []sinkRow `json:"offsets"`
	}
	require.Eventually(t, func() bool {
		all.Offsets = nil
		get(t, p.url+"/api/v1/projects/default/connections/out/offsets", &all)
		for _, o := range all.Offsets {
			if o.Stream == stream && o.Delivered == delivered && o.DeadLetters == dead && o.Parked == 0 {
				next = o.Next
				return true
			}
		}
		return false
	}, 60*time.Second, 50*time.Millisecond, "offset of %s: %+v\n%s", stream, &all, p.stderr)
	return next
}

// letters lists the dead letters of the sink.
func (p *process) letters(t *testing.T) (ids, streams []string) {
	t.Helper()
	code, stdout, stderr := weir(t, nil, nil, "dead-letters", "list", "out", "--json", "--server", p.url)
	require.Zero(t, code, stderr)
	for line := range strings.Lines(stdout) {
		var d struct{ ID, Stream string }
		require.NoError(t, json.Unmarshal([]byte(line), &d), stdout)
		ids, streams = append(ids, d.ID), append(streams, d.Stream)
	}
	return ids, streams
}

// handleWaiting has the deliveries handled now that wait for their next attempt,
// and returns why they wait.
func (p *process) handleWaiting(t *testing.T) (reasons []string) {
	t.Helper()
	code, stdout, stderr := weir(t, nil, nil, "dead-letters", "list", "shop", "--state", "waiting", "--json", "--server", p.url)
	require.Zero(t, code, stderr)
	for line := range strings.Lines(stdout) {
		var d struct {
			ID        string
			LastError string `json:"last_error"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &d), stdout)
		reasons = append(reasons, d.LastError)
		code, _, stderr := weir(t, nil, nil, "dead-letters", "redeliver", "shop", d.ID, "--state", "waiting", "--server", p.url)
		require.Zero(t, code, stderr)
	}
	return reasons
}

// A later version of a connector renames streams and changes cursors. It goes on
// where the first one was, and so does a sink of them; the first one, run again,
// touches nothing of it.
func TestALaterVersionOfAConnectorGoesOnWhereTheFirstWas(t *testing.T) {
	t.Parallel()
	requireUpgrade(t, buildUpgrade(t, ""))
}

func requireUpgrade(t *testing.T, u upgrade) {
	t.Helper()
	p := u.start(t, u.first)
	p.stream(t, "customers", filled)
	p.stream(t, "orders", filled)
	require.Equal(t, http.StatusOK, p.deliver(t, 1))
	customers, _ := p.logged(t, "customers")
	events, _ := p.logged(t, "events")
	require.Len(t, customers, 1)
	require.Equal(t, int64(2), p.offset(t, "shop.customers", 0, 1))
	require.Equal(t, int64(2), p.offset(t, "shop.events", 1, 0))
	require.Equal(t, []int{1}, u.received.got(events))
	dead, of := p.letters(t)
	require.Equal(t, []string{"shop.customers"}, of)
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.later)
	p.stream(t, "clients", func(total int64, _ string) bool { return total == int64(len(customers)) })
	code, stdout, stderr := weir(t, nil, nil, "sync", "shop", "clients", "--server", p.url)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "1 emitted, 1 duplicates", "it goes on at the checkpoint, and knows what was recorded")
	ids, records := p.logged(t, "clients")
	require.Equal(t, customers, ids[:len(customers)], "a rename changes no id")
	require.Equal(t, []string{"r1", "r2"}, records)
	notices, _ := p.logged(t, "notices")
	require.Equal(t, events, notices)
	_, before := p.logged(t, "orders")
	p.stream(t, "orders", func(total int64, lastError string) bool { return total > int64(len(before)) && lastError == "" })
	require.Equal(t, int64(3), p.offset(t, "shop.clients", 1, 1), "the sink goes on where it was")
	require.Equal(t, []int{0, 1}, u.received.got(ids))
	letters, of := p.letters(t)
	require.Equal(t, dead, letters)
	require.Equal(t, []string{"shop.clients"}, of, "a dead letter follows its stream")
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.first)
	for _, stream := range []string{"customers", "orders"} {
		p.stream(t, stream, func(_ int64, lastError string) bool {
			return strings.Contains(lastError, "a newer version of the connector was here")
		})
	}
	_, steady := p.logged(t, "steady")
	p.stream(t, "steady", func(total int64, _ string) bool { return total > int64(len(steady)) })
	require.Equal(t, http.StatusOK, p.deliver(t, 2), "a delivery for a renamed stream is kept for the newer version")
	p.stream(t, "events", func(total int64, _ string) bool { return total == 0 })
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.later)
	again, _ := p.logged(t, "clients")
	require.Equal(t, ids, again, "the first version overwrote nothing")
	_, orders := p.logged(t, "orders")
	p.stream(t, "orders", func(total int64, lastError string) bool { return total > int64(len(orders)) && lastError == "" })
	require.Len(t, p.handleWaiting(t), 1)
	p.stream(t, "notices", func(total int64, _ string) bool { return total == 2 })
	_, records = p.logged(t, "notices")
	require.Equal(t, []string{"r1", "r2"}, records, "what was kept is recorded by the newer version")
	require.Equal(t, int64(3), p.offset(t, "shop.notices", 2, 0))
	require.Equal(t, int64(3), p.offset(t, "shop.clients", 1, 1))
	u.received.mu.Lock()
	u.received.accept = true
	u.received.mu.Unlock()
	code, _, stderr = weir(t, nil, nil, "dead-letters", "redeliver", "out", dead[0], "--server", p.url)
	require.Zero(t, code, stderr)
	notices, _ = p.logged(t, "notices")
	require.Eventually(t, func() bool { return u.received.got(ids)[0] == 1 }, 60*time.Second, 50*time.Millisecond, "the dead letter is delivered")
	require.Equal(t, []int{1, 1, 1, 1}, u.received.got(append(ids, notices...)), "everything once, over all versions")
	require.NoError(t, p.interrupt(t), p.stderr)
}

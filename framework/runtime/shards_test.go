package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// moving is a store whose one lease comes and goes as a test says.
type moving struct {
	store.Store
	mu       sync.Mutex
	held, ok bool
	changed  chan struct{}
	yielded  chan int
}

func (m *moving) Epoch(id string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	epoch, _ := m.Store.Epoch(id)
	if !m.held {
		epoch = 0
	}
	return epoch, m.held && m.ok
}

func (m *moving) Shards() (held store.ShardEpochs, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held && m.ok {
		held, _ = m.Store.Shards()
	}
	return held, m.changed
}

func (m *moving) Yield(_ context.Context, shards []int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range shards {
		select {
		case m.yielded <- s:
		default:
		}
	}
	return nil
}

// set says whether the lease is held, and whether work may begin.
func (m *moving) set(held, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held, m.ok = held, ok
	close(m.changed)
	m.changed = make(chan struct{})
}

func TestRunsFollowTheLeases(t *testing.T) {
	t.Parallel()
	m := &moving{changed: make(chan struct{}), yielded: make(chan int, 10*store.ShardCount)}
	began, let := make(chan struct{}, 100), make(chan struct{})
	var cut atomic.Int64
	ending := make(chan (<-chan struct{}), 100)
	b := behaviour{page: func(ctx context.Context, in framework.SyncRequest[position], _ *ingest.Buffer) (framework.SyncResult[position], error) {
		ending <- framework.Ending(ctx)
		began <- struct{}{}
		select {
		case <-let:
			return framework.SyncResult[position]{Cursor: position{in.Cursor.Page + 1}, HasMore: true}, nil
		case <-ctx.Done():
			cut.Add(1)
			return framework.SyncResult[position]{}, ctx.Err()
		}
	}}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{connection("one", "things")}},
		Plugins: []framework.Plugin{b.plugin()},
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			m.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
			return m, err
		},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		close(let)
		require.NoError(t, <-done)
	})
	connections, err := m.Connections(t.Context())
	require.NoError(t, err)
	id := connections[0].ID
	page := func() []byte {
		c, _, err := m.Checkpoint(t.Context(), id, "things", store.LaneLive)
		require.NoError(t, err)
		return c.Cursor
	}
	yields := func() bool {
		for len(m.yielded) > 0 {
			if <-m.yielded == store.Shard(id) {
				return true
			}
		}
		return false
	}
	wait := func(what string, f func() bool) {
		t.Helper()
		require.Eventually(t, f, time.Minute, 5*time.Millisecond, what)
	}
	w := &weir{Runtime: r, client: &http.Client{Timeout: 20 * time.Second}}
	t.Cleanup(w.client.CloseIdleConnections)
	// What was interrupted is due at once, but spread over a minute.
	runNow := func() {
		t.Helper()
		wait("the stream is scheduled", func() bool {
			status, _ := w.do(t, http.MethodPost, "/api/v1/connections/one/streams/things/run", nil, nil)
			return status < 300
		})
	}
	require.Empty(t, began, "a run began without a lease")

	// Gained: it runs. To be given up: the page in flight is committed, nothing
	// follows, and only then the shard is yielded.
	m.set(true, true)
	<-began
	for len(m.yielded) > 0 {
		<-m.yielded
	}
	m.set(true, false)
	wait("other shards are yielded", func() bool { return len(m.yielded) > 0 })
	require.False(t, yields(), "the shard was yielded below a page")
	<-<-ending // the scheduler has been told by then
	let <- struct{}{}
	wait("the shard is yielded", yields)
	require.JSONEq(t, `{"page":1}`, string(page()))
	require.Empty(t, began)
	require.Zero(t, cut.Load())

	// Gained again, and lost: the page in flight is cut short and leaves nothing.
	m.set(true, true)
	runNow()
	<-began
	m.set(false, false)
	wait("the page is cut short", func() bool { return cut.Load() == 1 })
	require.JSONEq(t, `{"page":1}`, string(page()))
	// The page has returned; its run ends a moment after.
	wait("the run has ended", func() bool { return !r.Running(id, "things") })
	m.set(true, true)
	runNow()
	<-began
	require.True(t, r.Running(id, "things"))
}

// shared is a store with another process that answers with what a test says.
type shared struct {
	store.Store
	mu     sync.Mutex
	asked  []string
	answer string
	// peersSay is what those of three other processes say that answer in time.
	peersSay [][]byte
	mine     atomic.Bool
	// preferred is what was said last.
	preferred atomic.Pointer[store.ShardPreference]
	pending   []store.Command
	answers   chan string
}

func (s *shared) Epoch(id string) (int64, bool) {
	epoch, _ := s.Store.Epoch(id)
	return epoch, s.mine.Load()
}
func (s *shared) Peers() int { return 1 }

func (s *shared) Prefer(p store.ShardPreference) { s.preferred.Store(&p) }

func (s *shared) Ask(_ context.Context, _ string, request []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, string(request))
	return []byte(s.answer), nil
}

func (s *shared) AskPeers(_ context.Context, request []byte) ([][]byte, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, string(request))
	return s.peersSay, 3, nil
}

func (s *shared) Commands(context.Context) ([]store.Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := slices.Clone(s.pending)
	s.pending = nil
	return taken, nil
}

func (s *shared) Answer(_ context.Context, id string, answer []byte) error {
	if id != "cmd_1" {
		return errors.New("another command")
	}
	s.answers <- string(answer)
	return nil
}

// withPeers runs a Weir with connection "one", and other processes that a test speaks for.
func withPeers(t *testing.T) (s *shared, w *weir, id string) {
	t.Helper()
	s = &shared{answers: make(chan string, 1)}
	s.mine.Store(true)
	b := behaviour{}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{connection("one", "things")}},
		Plugins: []framework.Plugin{b.plugin()},
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			s.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
			return s, err
		},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	connections, err := s.Connections(t.Context())
	require.NoError(t, err)
	w = &weir{Runtime: r, client: &http.Client{Timeout: 20 * time.Second}}
	t.Cleanup(w.client.CloseIdleConnections)
	return s, w, connections[0].ID
}

func TestOperatorsReachTheNodeOfAConnection(t *testing.T) {
	t.Parallel()
	s, w, id := withPeers(t)

	// Asked here about a connection of another node.
	s.mine.Store(false)
	s.answer = `{"error":"stream is paused; resume it first","conflict":true}`
	status, body := w.do(t, http.MethodPost, "/api/v1/connections/one/streams/things/pause", nil, nil)
	require.Equal(t, http.StatusConflict, status, string(body))
	require.Contains(t, string(body), "stream is paused")
	s.answer = `{}`
	status, body = w.do(t, http.MethodPost, "/api/v1/connections/one/streams/things/pause", nil, nil)
	require.Less(t, status, 300, string(body))
	s.mu.Lock()
	require.JSONEq(t, `{"kind":"pause","connection":"`+id+`","stream":"things"}`, s.asked[1])
	s.mu.Unlock()
	s.mu.Lock()
	s.answer = `{"result":[{"id":"bf_1","connection_id":"` + id + `","stream":"things","from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z",` +
		`"state":"running","paused":true,"remaining":90000000000}]}`
	s.mu.Unlock()
	status, body = w.do(t, http.MethodGet, "/api/v1/connections/one/streams/things/backfills", nil, nil)
	require.Equal(t, http.StatusOK, status, string(body))
	require.Contains(t, string(body), `"paused":true`, "what only the node that works on it knows")
	require.Contains(t, string(body), `"remaining_seconds":90`)

	// Asked at another node about a connection of ours.
	s.mine.Store(true)
	s.mu.Lock()
	s.pending = []store.Command{{ID: "cmd_1", Request: []byte(`{"kind":"page","connection":"` + id + `","stream":"things","page":{"ConnectionID":"` + id + `","Stream":"things","Explicit":true}}`)}}
	s.mu.Unlock()
	require.Contains(t, <-s.answers, `"Emitted":`)
	s.mu.Lock()
	s.pending = []store.Command{{ID: "cmd_1", Request: []byte(`{"kind":"dance","connection":"` + id + `"}`)}}
	s.mu.Unlock()
	require.Contains(t, <-s.answers, "does not know \\\"dance\\\"")
}

func TestWhatCameInIsToldOfAllProcesses(t *testing.T) {
	t.Parallel()
	s, w, id := withPeers(t)
	status, body := w.send(t, "one", "msg_1")
	require.Equal(t, http.StatusOK, status, string(body))
	s.mu.Lock()
	s.peersSay = [][]byte{
		[]byte(`{"result":{"Processes":1,"Answered":1,"MaxHandlers":64,"Counts":{"accepted":2},"Recent":[{"ID":"dlv_there","At":"2999-01-01T00:00:00Z","Verdict":"accepted","Status":200}]}}`),
		[]byte(`{"error":"this node has no endpoint"}`),
	}
	s.mu.Unlock()
	var row struct {
		Deliveries          map[string]int
		Processes, Answered int
		Recent              []struct{ ID string }
	}
	get := func() {
		t.Helper()
		status, body := w.do(t, http.MethodGet, "/api/v1/connections/one/webhooks/in", nil, nil)
		require.Equal(t, http.StatusOK, status, string(body))
		require.NoError(t, json.Unmarshal(body, &row))
	}
	get()
	require.Equal(t, 3, row.Deliveries["accepted"])
	require.Equal(t, []int{4, 2}, []int{row.Processes, row.Answered}, "two of four did not answer")
	require.Equal(t, "dlv_there", row.Recent[0].ID)
	require.Len(t, row.Recent, 2)
	get()
	s.mu.Lock()
	require.Equal(t, []string{`{"kind":"webhook report","connection":"` + id + `","endpoint":"in"}`}, s.asked, "pages that are read again ask again")
	s.peersSay = [][]byte{[]byte(`{"result":true}`)}
	s.mu.Unlock()

	// A quarantine ends wherever it is.
	status, body = w.do(t, http.MethodPost, "/api/v1/connections/one/webhooks/in/resume", nil, nil)
	require.Equal(t, http.StatusOK, status, string(body))

	// Asked by another process, whose connection it is or not.
	s.mine.Store(false)
	for request, want := range map[string]string{
		`{"kind":"webhook report","connection":"` + id + `","endpoint":"in"}`:    `"Counts":{"accepted":1}`,
		`{"kind":"webhook report","connection":"` + id + `","endpoint":"other"}`: `has no endpoint`,
		`{"kind":"resume webhook","connection":"` + id + `","endpoint":"in"}`:    `"result":false`,
	} {
		s.mu.Lock()
		s.pending = []store.Command{{ID: "cmd_1", Request: []byte(request)}}
		s.mu.Unlock()
		require.Contains(t, <-s.answers, want)
	}
}

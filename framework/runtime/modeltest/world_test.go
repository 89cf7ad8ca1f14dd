package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// shape is a kind of provider with its connector.
type shape struct {
	plugin   framework.Plugin
	endpoint catalog.Endpoint
	settings map[string]any
	secret   string
	// polled and hooked are the streams, beginning is the encoded cursor at which
	// a polled one begins.
	polled, hooked []string
	beginning      string
	// ranged are the polled streams that can be backfilled.
	ranged []string
	// api is the provider's, and pageSize the most that it lists at once.
	api      http.Handler
	pageSize int
}

// world is a process with everything that outlives it.
type world struct {
	shape

	t     *rapid.T
	seen  tally
	dir   string
	clock *clock

	store      *flaky
	connection store.Connection
	scheduler  *scheduler.Scheduler
	intake     *intake.Handler
	table      *intake.Table
	ended      chan scheduler.Change
	filled     chan struct{} // a run of a backfill has ended
	filling    *runs         // those that have not

	memory *memory
	backup *memory
	reader *receiver
	mail   mail
	// rereads are the cursors of second readings, by stream.
	rereads map[string][]byte
	// during are called one by one, each after the API has answered and before
	// what it said is committed.
	during []func()
	// duringMu guards during, flying counts the requests on their way: a page may
	// still be read when the process that asked for it is dead.
	duringMu sync.Mutex
	flying   atomic.Int32
	// failing makes the connector's webhook handler fail.
	failing bool

	mu      sync.Mutex
	problem error
}

// clock is the time of everything but the scheduler.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newWorld(t *rapid.T, dir string, seen tally, c *clock, s shape) *world {
	w := &world{
		shape: s, t: t, seen: seen, dir: dir, clock: c, memory: newMemory(), reader: newReceiver(), rereads: map[string][]byte{}, store: &flaky{},
	}
	w.mail.world = w
	w.open()
	return w
}

// complain keeps the first problem, also of a goroutine that must not end the test.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem == nil {
		w.problem = fmt.Errorf(format, args...)
	}
}

// check fails the story if there was a problem.
func (w *world) check() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.problem != nil {
		w.t.Fatal(w.problem)
	}
}

func (w *world) data() string { return filepath.Join(w.dir, "data") }

// open starts the process.
func (w *world) open() {
	w.t.Helper()
	opened, err := sqlite.Open(context.Background(), sqlite.Options{Dir: w.data(), Clock: w.clock.Now, MapBytes: -1, CacheBytes: 1 << 20, Readers: 1})
	require.NoError(w.t, err)
	w.store = &flaky{Store: opened, memory: w.memory, seen: w.seen}
	_, err = w.store.InterruptRuns(context.Background(), time.Now())
	require.NoError(w.t, err)
	const never = 8000 * time.Hour
	w.scheduler, err = scheduler.New(scheduler.Config{Store: w.store, Limits: scheduler.Limits{BackoffBase: never, BackoffCap: never}})
	require.NoError(w.t, err)
	w.ended, w.filled, w.filling = make(chan scheduler.Change, 100), make(chan struct{}, 1), &runs{}
	ended, filled, filling := w.ended, w.filled, w.filling
	w.scheduler.Subscribe(func(c scheduler.Change) {
		backfill := c.Trigger == "backfill"
		switch {
		case backfill && c.Kind == scheduler.RunStarted:
			filling.began(c.RunID)
		case c.Kind != scheduler.RunFinished:
		case backfill:
			filling.finished(c.RunID)
			select {
			case filled <- struct{}{}:
			default:
			}
		default:
			ended <- c
		}
	})
	require.NoError(w.t, w.scheduler.Start(context.Background()))
	w.table = &intake.Table{}
	w.intake, err = intake.New(intake.Config{Targets: w.table, Store: w.store, Now: w.clock.Now})
	require.NoError(w.t, err)
	w.connect()
}

// connect opens the connection, making it if there is none. Nothing of it is
// ever due by itself: the story says when.
func (w *world) connect() {
	w.t.Helper()
	ctx := context.Background()
	var err error
	w.connection, err = w.store.EnsureConnection(ctx, store.Connection{
		Project: "default", Name: "shop", Connector: w.plugin.Key(), Type: "source", Enabled: true,
	})
	require.NoError(w.t, err)
	if w.reader.connection != w.connection.ID {
		w.reader.reset(w.connection.ID)
	}
	opened, err := w.plugin.Open(ctx, framework.OpenRequest{
		Project: "default", Connection: "shop", ConnectionID: w.connection.ID, Settings: w.settings,
		Client: func([]string) *http.Client { return &http.Client{Transport: (*wire)(w)} },
	})
	require.NoError(w.t, err)
	verifier, err := webhook.New(w.endpoint.Spec(), []string{w.secret})
	require.NoError(w.t, err)
	w.table.Replace([]intake.Target{{
		Project: "default", Connection: "shop", ConnectionID: w.connection.ID, Endpoint: w.endpoint.Path(),
		Verifier: verifier, Binding: &moody{opened, w}, WebhookStreams: w.hooked,
	}})
	rarely, err := schedule.Parse("@every 8000h")
	require.NoError(w.t, err)
	now := time.Now()
	states, err := w.store.States(ctx, w.connection.ID, "")
	require.NoError(w.t, err)
	for _, stream := range w.polled {
		require.NoError(w.t, w.scheduler.Add(scheduler.Stream{
			Project: "default", ConnectionID: w.connection.ID, Connection: "shop", Key: stream, Schedule: rarely, Binding: opened,
			Status: store.StreamStatus{LastSuccessAt: now, NextRunAt: now.Add(8000 * time.Hour)}, States: states,
		}))
	}
	w.awaitBackfills() // those that a dead process left
}

// close ends the process.
func (w *world) close() {
	w.t.Helper()
	require.NoError(w.t, w.scheduler.Stop(context.Background()))
	require.NoError(w.t, w.store.Close())
}

func (w *world) restart() {
	w.t.Helper()
	for _, stream := range w.polled {
		if w.within(stream) {
			w.seen[seenRestart]++
		}
	}
	w.close()
	w.open()
}

// within says that a reading of the stream's pages has begun and not ended.
func (w *world) within(stream string) bool {
	w.t.Helper()
	saved, ok, err := w.store.Checkpoint(context.Background(), w.connection.ID, stream, store.LaneLive)
	require.NoError(w.t, err)
	var cursor struct{ After string }
	if ok && len(saved.Cursor) > 0 {
		require.NoError(w.t, json.Unmarshal(saved.Cursor, &cursor))
	}
	return cursor.After != ""
}

// save copies the folder of the closed store.
func (w *world) save() {
	w.t.Helper()
	w.close()
	w.copy(w.data(), filepath.Join(w.dir, "backup"))
	w.backup = w.memory.clone()
	w.open()
}

// restore puts the copy back. The receiver reads the log again from its start.
func (w *world) restore() {
	w.t.Helper()
	w.close()
	w.copy(filepath.Join(w.dir, "backup"), w.data())
	w.memory = w.backup.clone()
	w.reader.reset("")
	w.open()
}

func (w *world) copy(from, to string) {
	w.t.Helper()
	require.NoError(w.t, os.RemoveAll(to))
	require.NoError(w.t, os.CopyFS(to, os.DirFS(from)))
}

// recreate deletes the connection and makes one with the same name.
func (w *world) recreate() {
	w.t.Helper()
	old := w.connection.ID
	require.NoError(w.t, w.scheduler.Remove(context.Background(), old))
	require.NoError(w.t, w.store.DeleteConnection(context.Background(), old))
	w.rereads = map[string][]byte{}
	w.connect()
	require.NotEqual(w.t, old, w.connection.ID)
}

// page reads one page and says whether there are more. It must not fail but for
// the fault.
func (w *world) page(stream string, o scheduler.PageOptions, f fault) (scheduler.PageResult, bool) {
	w.t.Helper()
	w.store.arm(f, false, 0)
	result, err := w.scheduler.Page(context.Background(), w.connection.ID, stream, o)
	ok := err == nil
	if err != nil && w.store.struckNow() == faultNone {
		w.complain("a page of %s failed without a cause: %w", stream, err)
	}
	w.settle()
	return result, ok
}

// run has a whole run made, of which the commit after skip others fails.
func (w *world) run(stream string, f fault, skip int) {
	w.t.Helper()
	w.store.arm(f, false, skip)
	id, err := w.scheduler.RunNow(w.connection.ID, stream)
	require.NoError(w.t, err)
	select {
	case c := <-w.ended:
		require.Equal(w.t, id, c.RunID)
		if c.State != store.RunSucceeded && w.store.struckNow() == faultNone {
			run, err := w.store.Run(context.Background(), id)
			require.NoError(w.t, err)
			// A run ends where its cursor comes back, and so it may when objects
			// move or go while they are read. The next one goes on from there.
			if !strings.Contains(run.Error, scheduler.ErrCursorStuck.Error()) {
				w.complain("run of %s ended as %s without a cause: %s", stream, c.State, run.Error)
			}
			w.seen[seenStuck]++
		}
	case <-time.After(30 * time.Second):
		w.t.Fatal("a run did not end")
	}
	for {
		if state, _ := w.scheduler.State(w.connection.ID, stream); !state.Running {
			break
		}
		runtime.Gosched()
	}
	w.settle()
}

// settle ends what an action left: its fault, and a dead process.
func (w *world) settle() {
	w.t.Helper()
	dead := w.store.isDead()
	if dead {
		// The dead process must have let go of everything before the story goes on.
		require.NoError(w.t, w.scheduler.Stop(context.Background()))
	}
	for w.flying.Load() > 0 { // also of a handler that was left behind
		runtime.Gosched()
	}
	w.swap(nil)
	w.store.arm(faultNone, false, 0)
	w.check()
	if dead {
		w.restart()
	}
}

// reread reads one page of a second reading from the very beginning. Only its
// events are committed.
func (w *world) reread(stream string, f fault) {
	w.t.Helper()
	from := w.rereads[stream]
	if from == nil {
		from = []byte(w.beginning)
	}
	result, ok := w.page(stream, scheduler.PageOptions{Cursor: from}, f)
	switch {
	case !ok:
	case result.HasMore:
		w.rereads[stream] = result.Cursor
	default:
		w.seen[seenReread]++
		delete(w.rereads, stream)
	}
}

// finish reads pages until there are no more.
func (w *world) finish(stream string) {
	w.t.Helper()
	for range 1000 {
		if result, _ := w.page(stream, scheduler.PageOptions{}, faultNone); !result.HasMore {
			return
		}
	}
	w.t.Fatalf("stream %s has no end", stream)
}

// retry calls the handlers of the stored deliveries, all of which are due.
func (w *world) retry(f fault) {
	w.t.Helper()
	w.clock.advance(2 * time.Hour)
	w.store.arm(f, true, 0)
	_, err := w.intake.RetryDue(context.Background(), w.clock.Now())
	if err != nil && w.store.struckNow() == faultNone {
		w.complain("stored deliveries could not be handled: %w", err)
	}
	w.settle()
}

// stored counts the deliveries that wait for their handler, or are dead letters.
func (w *world) stored(dead bool) int {
	w.t.Helper()
	rows, err := w.store.StoredDeliveries(context.Background(), w.connection.ID, dead, w.clock.Now().Add(9000*time.Hour), 1000)
	require.NoError(w.t, err)
	return len(rows)
}

// read has the receiver read some events of every stream.
func (w *world) read(limit int) {
	w.t.Helper()
	for _, stream := range w.streams() {
		w.readSome(stream, limit)
	}
}

func (w *world) readSome(stream string, limit int) int {
	w.t.Helper()
	n, err := w.reader.read(context.Background(), w.store, stream, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) streams() []string { return append(append([]string{}, w.polled...), w.hooked...) }

// quiesce lets everything come in that is on its way.
func (w *world) quiesce() {
	w.t.Helper()
	w.failing = false
	w.mail.deliverAll()
	for tries := 0; w.stored(false) > 0; tries++ {
		require.Less(w.t, tries, 10, "stored deliveries stay")
		w.retry(faultNone)
	}
	require.Zero(w.t, w.stored(true), "dead letters")
}

// readAll has the receiver read to the end, and holds what it has against the
// ledger.
func (w *world) readAll() {
	w.t.Helper()
	for _, stream := range w.streams() {
		for w.readSome(stream, 1000) > 0 {
		}
		for _, e := range w.reader.log[stream] {
			if e.Late {
				w.seen[seenLate]++
			}
		}
		want := w.memory.ledger(w.connection.ID).state(stream)
		for _, id := range differences(want, w.reader.state[stream]) {
			w.t.Fatalf("%s of %s is not the newest that was committed\nreceiver: %s\ncommitted: %s\n%s",
				id, stream, w.reader.state[stream][id], want[id], w.reader.history(stream, id))
		}
	}
}

// moody is a binding whose webhook handler fails when the story says so.
type moody struct {
	*framework.Binding
	world *world
}

func (m *moody) Receive(ctx context.Context, endpoint string, d *framework.Delivery, ended func(hangs bool)) ([]ingest.Emission, error) {
	if m.world.failing {
		if ended != nil {
			ended(false)
		}
		return nil, errors.New("the handler's own database is down")
	}
	return m.Binding.Receive(ctx, endpoint, d, ended)
}

// wire carries the connector's requests to the API.
type wire world

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.flying.Add(1)
	defer w.flying.Add(-1)
	sent := httptest.NewRequest(r.Method, r.URL.String(), http.NoBody)
	sent.Header = r.Header.Clone()
	query := sent.URL.Query()
	query.Set("limit", strconv.Itoa(w.pageSize))
	sent.URL.RawQuery = query.Encode()
	answer := httptest.NewRecorder()
	w.api.ServeHTTP(answer, sent)
	response := answer.Result()
	response.Request = r
	if next := (*world)(w).next(); next != nil {
		next()
	}
	return response, nil
}

// next takes the first of what is to happen while pages are read.
func (w *world) next() func() {
	w.duringMu.Lock()
	defer w.duringMu.Unlock()
	if len(w.during) == 0 {
		return nil
	}
	next := w.during[0]
	w.during = w.during[1:]
	return next
}

// swap replaces what is to happen, and returns what was left of it.
func (w *world) swap(during []func()) []func() {
	w.duringMu.Lock()
	defer w.duringMu.Unlock()
	left := w.during
	w.during = during
	return left
}

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

const faultSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// soldThing is one version of an object, as testdata/faults reads it.
type soldThing struct {
	ID      string    `json:"id"`
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	Deleted bool      `json:"deleted"`

	seq int64
}

// letter is a webhook that waits to be taken.
type letter struct {
	ID    string    `json:"id"`
	Thing soldThing `json:"thing"`
}

// faultShop is a provider whose things change all the time, which serves the
// latest version of each by the number of its change, and tells of most changes
// by webhook, again and again until one is taken.
type faultShop struct {
	*httptest.Server
	mu      sync.Mutex
	random  *rand.Rand
	things  map[string]*soldThing
	changes []string // the thing of each change
	last    time.Time
	sent    int
	// waiting are the webhooks that nobody has taken, acknowledged those that
	// were answered 2xx.
	waiting      []letter
	acknowledged map[string]bool
}

func newFaultShop(t *testing.T) *faultShop {
	s := &faultShop{
		random: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)),
		things: map[string]*soldThing{}, acknowledged: map[string]bool{},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// most is how many things there are, which change again and again.
const most = 150

// change changes one thing.
func (s *faultShop) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(s.last) {
		now = s.last.Add(time.Microsecond)
	}
	s.last = now
	id := fmt.Sprintf("thing-%03d", s.random.IntN(most))
	thing := s.things[id]
	if thing == nil {
		thing = &soldThing{ID: id}
		s.things[id] = thing
	}
	s.changes = append(s.changes, id)
	thing.Version, thing.At, thing.seq = thing.Version+1, now, int64(len(s.changes))
	thing.Deleted = !thing.Deleted && s.random.IntN(5) == 0
	if s.random.IntN(10) < 7 {
		s.sent++
		l := letter{fmt.Sprintf("note-%d", s.sent), *thing}
		s.waiting = append(s.waiting, l)
		if s.random.IntN(10) == 0 {
			s.waiting = append(s.waiting, l) // twice, perhaps at once
		}
	}
}

// serve answers with a page of what was changed after a change.
func (s *faultShop) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, _ := strconv.ParseInt(q.Get("after"), 10, 64)
	from, _ := time.Parse(time.RFC3339Nano, q.Get("from"))
	to, err := time.Parse(time.RFC3339Nano, q.Get("to"))
	bounded := err == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	page := struct {
		Things []soldThing `json:"things"`
		Last   int64       `json:"last"`
		More   bool        `json:"more"`
	}{Last: after}
	for page.Last < int64(len(s.changes)) && len(page.Things) < 10 {
		page.Last++
		thing := s.things[s.changes[page.Last-1]]
		if thing.seq == page.Last && (!bounded || !thing.At.Before(from) && thing.At.Before(to)) {
			page.Things = append(page.Things, *thing)
		}
	}
	page.More = page.Last < int64(len(s.changes))
	_ = json.NewEncoder(w).Encode(page)
}

// work changes things and sends webhooks to url until ctx ends.
func (s *faultShop) work(ctx context.Context, url string) {
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() {
		for range ticks(ctx, 3*time.Millisecond) {
			s.mu.Lock()
			enough := len(s.waiting) > 200
			s.mu.Unlock()
			if !enough {
				s.change()
			}
		}
	})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	defer client.CloseIdleConnections()
	for range 4 {
		working.Go(func() {
			for range ticks(ctx, time.Millisecond) {
				for s.sendOne(ctx, client, url) {
				}
			}
		})
	}
}

// ticks yields at every interval until ctx ends.
func ticks(ctx context.Context, every time.Duration) func(yield func(struct{}) bool) {
	return func(yield func(struct{}) bool) {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !yield(struct{}{}) {
					return
				}
			}
		}
	}
}

// sendOne sends the webhook that waits longest, and says whether it was taken.
func (s *faultShop) sendOne(ctx context.Context, client *http.Client, url string) bool {
	s.mu.Lock()
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return false
	}
	l := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.mu.Unlock()
	status, _ := l.send(ctx, client, url)
	s.mu.Lock()
	defer s.mu.Unlock()
	if status/100 != 2 {
		s.waiting = append(s.waiting, l)
		return false
	}
	s.acknowledged[l.ID] = true
	return true
}

// send sends a webhook and returns the answer's status, or 0, and its Retry-After.
func (l letter) send(ctx context.Context, client *http.Client, url string) (status int, retryAfter string) {
	body, err := json.Marshal(l)
	if err != nil {
		return 0, ""
	}
	header, err := webhook.Sign(catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, faultSecret, time.Now(), l.ID, body)
	if err != nil {
		return 0, ""
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/webhooks/shop/in", bytes.NewReader(body))
	if err != nil {
		return 0, ""
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, "" // an answer that was cut off acknowledges nothing
	}
	return response.StatusCode, response.Header.Get("Retry-After")
}

// drain sends what waits to a Weir that must take it.
func (s *faultShop) drain(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	require.Eventually(t, func() bool {
		for s.sendOne(t.Context(), client, url) {
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == 0
	}, time.Minute, 5*time.Millisecond)
}

// count says how much there was of what.
func (s *faultShop) count() (changes, acknowledged int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.changes), len(s.acknowledged)
}

// long skips a test that takes long, unless it is asked for.
func long(t *testing.T) {
	t.Helper()
	if all, _ := strconv.ParseBool(os.Getenv("WEIR_TEST_ALL")); !all {
		t.Skip("a long test: `make test-all` runs it, or WEIR_TEST_ALL=1") //nolint:forbidigo // as testneed.Long, which is internal to framework
	}
}

// buildFaults builds testdata/faults.
func buildFaults(t *testing.T) (program string) {
	t.Helper()
	return build(t, "./testdata/faults")
}

// build builds a program as its users do, without the race detector.
func build(t *testing.T, folder string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), filepath.Base(folder))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// configure writes a weir.yaml with the shop into a new folder.
func (s *faultShop) configure(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := fmt.Sprintf("connections:\n  - name: shop\n    connector: faults\n    config:\n      base_url: %s\n      webhook_secret: %s\n", s.URL, faultSecret)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(file), 0o600))
	return dir
}

// settle brings everything to its end that still goes on: webhooks that wait,
// backfills, and what was changed since the last poll.
func (p *process) settle(t *testing.T, s *faultShop) {
	t.Helper()
	s.drain(t, p.url)
	// What a stream or endpoint is left alone for is that processes ended in it.
	for _, args := range [][]string{{"resume", "shop", "things"}, {"webhook", "resume", "shop", "in"}} {
		code, _, stderr := weir(t, nil, nil, append(args, "--server", p.url)...)
		if !strings.Contains(stderr, "is not in quarantine") {
			require.Zero(t, code, "%v: %s", args, stderr)
		}
	}
	var backfills struct {
		Backfills []map[string]any `json:"backfills"`
	}
	var deliveries struct{ Deliveries []struct{ ID, State string } }
	settled := func() bool {
		get(t, p.url+"/api/v1/connections/shop/streams/things/backfills", &backfills)
		get(t, p.url+"/api/v1/connections/shop/deliveries", &deliveries)
		done := func(b map[string]any) bool { return b["state"] == "done" }
		backfills.Backfills = slices.DeleteFunc(backfills.Backfills, done)
		return len(backfills.Backfills) == 0 && len(deliveries.Deliveries) == 0
	}
	tried := map[string]bool{}
	for deadline := time.Now().Add(time.Minute); !settled(); <-time.After(50 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "backfills %v and stored deliveries %v: %s", backfills.Backfills, deliveries.Deliveries, p.stderr)
		for _, d := range deliveries.Deliveries {
			if tried[d.ID] {
				continue
			}
			// It waits for a minute or longer by itself, and is tried at once when asked.
			tried[d.ID] = true
			code, _, stderr := weir(t, nil, nil, "dead-letters", "redeliver", "shop", d.ID, "--state", d.State, "--server", p.url)
			if !strings.Contains(stderr, "unknown_delivery") && !strings.Contains(stderr, "there is no delivery") {
				require.Zero(t, code, stderr)
			}
		}
	}
	code, _, stderr := weir(t, nil, nil, "sync", "shop", "things", "--server", p.url)
	require.Zero(t, code, stderr)
}

// agree checks the store against the shop: every webhook that was acknowledged
// is in the log once, the log has no holes, and who reads it ends with the
// shop's state.
func (s *faultShop) agree(t *testing.T, dir string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "weir-data")})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	connections, err := db.Connections(t.Context())
	require.NoError(t, err)
	require.Len(t, connections, 1)
	all := func(stream string) (events []ingest.Event) {
		for {
			page, err := db.Events(t.Context(), connections[0].ID, stream, int64(len(events)), 1000)
			require.NoError(t, err)
			if len(page) == 0 {
				return events
			}
			for _, e := range page {
				events = append(events, e)
				require.Equal(t, int64(len(events)), e.Sequence, "a sequence of %s is missing", stream)
			}
		}
	}
	notes := map[string]int{}
	for _, e := range all("notes") {
		notes[e.Subject]++
	}
	lost, twice := []string{}, []string{}
	for id := range s.acknowledged {
		if notes[id] == 0 {
			lost = append(lost, id)
		}
	}
	for id, n := range notes {
		if n > 1 {
			twice = append(twice, id)
		}
	}
	require.Empty(t, lost, "acknowledged webhooks that are lost")
	require.Empty(t, twice, "webhooks that are in the log twice")

	state, keys := map[string]string{}, map[string]bool{}
	for _, e := range all("things") {
		require.False(t, keys[e.Key], "version %s is in the log twice", e.Key)
		keys[e.Key] = true
		switch {
		case e.Late:
		case e.Operation == ingest.Deletion:
			delete(state, e.Subject)
		default:
			state[e.Subject] = string(e.Payload)
		}
	}
	want := map[string]string{}
	for id, thing := range s.things {
		if !thing.Deleted {
			text, err := json.Marshal(thing)
			require.NoError(t, err)
			want[id] = string(text)
		}
	}
	require.Equal(t, want, state, "the state of who reads the log")
}

// address is a free address on loopback that a process may have again and again.
func address(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	return strings.TrimPrefix(server.URL, "http://")
}

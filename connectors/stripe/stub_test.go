package stripe_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stub serves lists as Stripe does: newest first, bounded by created, paged by
// the id of the last object. Its clock moves only when a test moves it.
type stub struct {
	*httptest.Server

	mu       sync.Mutex
	now      time.Time
	apiKey   string
	objects  map[string][]record // by kind, newest first
	pages    int
	versions []string
	// answer, if set, replaces the next answer.
	answer func(w http.ResponseWriter)
}

type record struct {
	id      string
	created int64
	body    string
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newStub(t *testing.T, apiKey string) *stub {
	t.Helper()
	s := &stub{now: start, apiKey: apiKey, objects: map[string][]record{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stub) settings() map[string]any {
	return map[string]any{"api_key": s.apiKey, "base_url": s.URL, "webhook_secret": "whsec_0123456789abcdef"}
}

// add creates an object at the given time.
func (s *stub) add(kind, id string, at time.Time, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[kind] = append(s.objects[kind], record{id, at.Unix(), object(kind, id, at, state)})
	slices.SortStableFunc(s.objects[kind], func(a, b record) int { return int(b.created - a.created) })
}

func object(kind, id string, at time.Time, state string) string {
	// Numbers above 2^53 and escapes must arrive as they were sent.
	return fmt.Sprintf(`{"id":%q,"object":%q,"created":%d,"status":%q,"big":9007199254740993,"text":"a<b\u00e9"}`, id, kind, at.Unix(), state)
}

func (s *stub) remove(kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[kind] = slices.DeleteFunc(s.objects[kind], func(r record) bool { return r.id == id })
}

func (s *stub) set(kind, id, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.objects[kind] {
		if r.id == id {
			s.objects[kind][i].body = object(kind, id, time.Unix(r.created, 0), state)
		}
	}
}

func (s *stub) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// state is what the provider has of a kind.
func (s *stub) state(kind string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := map[string]string{}
	for _, r := range s.objects[kind] {
		state[r.id] = r.body
	}
	return state
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The answer is dated a moment after the records were read.
	w.Header().Set("Date", s.now.Add(100*time.Millisecond).Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+s.apiKey {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_***"}}`)
		return
	}
	if answer := s.answer; answer != nil {
		s.answer = nil
		answer(w)
		return
	}
	s.versions = append(s.versions, r.Header.Get("Stripe-Version"))
	s.pages++
	s.list(w, r)
}

func (s *stub) list(w http.ResponseWriter, r *http.Request) {
	kind := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), "s")
	q := r.URL.Query()
	objects := s.objects[kind]
	if after := q.Get("starting_after"); after != "" {
		i := slices.IndexFunc(objects, func(o record) bool { return o.id == after })
		if i < 0 {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"error":{"code":"resource_missing","param":"starting_after","message":"No such %s"}}`, kind)
			return
		}
		objects = objects[i+1:]
	}
	limit := number(q.Get("limit"), 10)
	from, until := number(q.Get("created[gte]"), 0), number(q.Get("created[lt]"), 1<<62)
	page, more := []json.RawMessage{}, false
	for _, o := range objects {
		if o.created < from || o.created >= until {
			continue
		}
		if int64(len(page)) == limit {
			more = true
			break
		}
		page = append(page, json.RawMessage(o.body))
	}
	// Stripe indents its lists; the records must not depend on it.
	body := strings.Builder{}
	fmt.Fprintf(&body, "{\n  \"object\": \"list\",\n  \"data\": [")
	for i, o := range page {
		if i > 0 {
			body.WriteString(",")
		}
		body.WriteString("\n    " + strings.ReplaceAll(string(o), `,"`, ",\n      \""))
	}
	fmt.Fprintf(&body, "\n  ],\n  \"has_more\": %t\n}", more)
	_, _ = fmt.Fprint(w, body.String())
}

func number(s string, fallback int64) int64 {
	if s == "" {
		return fallback
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// fill creates n objects, one a minute, the newest a minute before the start.
func (s *stub) fill(kind string, n int) {
	for i := range n {
		s.add(kind, fmt.Sprintf("%s_%04d", kind, i), start.Add(-time.Duration(n-i)*time.Minute), "open")
	}
}

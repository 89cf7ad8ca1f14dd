package stripe

import (
	"bytes"
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

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/foreign/stripemock"
)

const apiKey = "sk_test_weir"

// mock is stripe-mock with more than one page. Every request goes to stripe-mock first, which holds
// it against Stripe's description of the API; of its answer the envelope is kept, and the objects
// in it are clones of Stripe's fixture.
type mock struct {
	*httptest.Server

	stripe   http.Handler
	mu       sync.Mutex
	now      time.Time
	objects  map[string][]clone // by path, newest first
	fixtures map[string]json.RawMessage
	requests int
}

type clone struct {
	id      string
	created int64
	body    json.RawMessage
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newMock(t *testing.T) *mock {
	t.Helper()
	m := &mock{stripe: stripemock.Handler(t), now: start, objects: map[string][]clone{}, fixtures: map[string]json.RawMessage{}}
	for _, path := range []string{"/v1/customers", "/v1/invoices", "/v1/payouts", "/v1/events"} {
		m.fixtures[path] = m.fixture(t, path)
	}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// fixture is the one object that stripe-mock has at a path.
func (m *mock) fixture(t *testing.T, path string) json.RawMessage {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	w := httptest.NewRecorder()
	m.stripe.ServeHTTP(w, request)
	var list struct{ Data []json.RawMessage }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list), w.Body.String())
	require.NotEmpty(t, list.Data, path)
	return list.Data[0]
}

// with returns the fixture of a path with some members replaced.
func (m *mock) with(path string, members map[string]any) json.RawMessage {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(m.fixtures[path], &object); err != nil {
		panic(err)
	}
	for name, value := range members {
		b, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		object[name] = b
	}
	b, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return b
}

// add creates a clone of the fixture.
func (m *mock) add(path, id string, created time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body := m.with(path, map[string]any{"id": id, "created": created.Unix()})
	m.objects[path] = append(m.objects[path], clone{id, created.Unix(), body})
	slices.SortStableFunc(m.objects[path], func(a, b clone) int { return int(b.created - a.created) })
}

func (m *mock) fill(path string, n int) {
	for i := range n {
		m.add(path, fmt.Sprintf("obj_%04d", i), start.Add(-time.Duration(n-i)*time.Minute))
	}
}

func (m *mock) remove(path, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[path] = slices.DeleteFunc(m.objects[path], func(c clone) bool { return c.id == id })
}

func (m *mock) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func (m *mock) state(path string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := map[string]string{}
	for _, c := range m.objects[path] {
		state[c.id] = string(c.body)
	}
	return state
}

func (m *mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	m.stripe.ServeHTTP(answer, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	w.Header().Set("Date", m.now.Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	var envelope map[string]json.RawMessage
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &envelope) != nil {
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
		return
	}
	page, more, found := m.page(r)
	if !found {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","param":"starting_after"}}`)
		return
	}
	var data bytes.Buffer
	data.WriteString("[")
	for i, c := range page {
		if i > 0 {
			data.WriteString(",")
		}
		data.Write(c.body)
	}
	data.WriteString("]")
	envelope["data"], envelope["has_more"] = data.Bytes(), json.RawMessage(strconv.FormatBool(more))
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ") // as Stripe does
	_ = encoder.Encode(envelope)
}

func (m *mock) page(r *http.Request) (page []clone, more, found bool) {
	q := r.URL.Query()
	objects := m.objects[strings.TrimSuffix(r.URL.Path, "/")]
	if after := q.Get("starting_after"); after != "" {
		i := slices.IndexFunc(objects, func(c clone) bool { return c.id == after })
		if i < 0 {
			return nil, false, false
		}
		objects = objects[i+1:]
	}
	limit, from, until := number(q.Get("limit"), 10), number(q.Get("created[gte]"), 0), number(q.Get("created[lt]"), 1<<62)
	for _, c := range objects {
		if c.created < from || c.created >= until {
			continue
		}
		if int64(len(page)) == limit {
			return page, true, true
		}
		page = append(page, c)
	}
	return page, false, true
}

func number(text string, fallback int64) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fallback
	}
	return n
}

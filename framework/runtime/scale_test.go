package runtime_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/internal/testneed"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// Ten thousand connections: eight thousand that poll and two thousand that
// deliver. The times are logged, and bounded so far that a busy machine passes.
func TestTenThousandConnections(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	dir, key := t.TempDir(), seal.NewKey()
	written := fill(t, dir, key, 8000, 2000, store.DesiredRunning)

	begun := time.Now()
	w := keyed(t, dir, key, behaviour{deliver: func([]*sink.Message) sink.Answer { return sink.Answer{Status: 200} }})
	started := time.Since(begun)
	desk := w.Connections()
	var pages []time.Duration
	path := "/api/v1/connections?limit=100"
	for next := path; ; {
		begun := time.Now()
		status, answer := w.do(t, http.MethodGet, next, nil, nil)
		pages = append(pages, time.Since(begun))
		var page struct {
			Connections []json.RawMessage `json:"connections"`
			Next        *string           `json:"next"`
		}
		require.NoError(t, json.Unmarshal(answer, &page))
		require.Equal(t, http.StatusOK, status)
		require.Len(t, page.Connections, 100)
		if page.Next == nil {
			break
		}
		next = path + "&page_token=" + *page.Next
	}
	require.Len(t, pages, 100)
	slices.Sort(pages)
	var changes []time.Duration
	for i := range 10 {
		begun := time.Now()
		v, err := desk.Patch(t.Context(), "default", fmt.Sprintf("source-%05d", i), map[string]any{"description": "changed"}, resource.Request{})
		require.NoError(t, err)
		require.Equal(t, int64(2), v.Running)
		changes = append(changes, time.Since(begun))
	}
	slices.Sort(changes)
	t.Logf("10,000 connections: written in %s, started in %s; a page of 100 takes %s (median), %s (p99); a change %s (median), %s (most)",
		written.Round(time.Millisecond), started.Round(time.Millisecond), pages[50].Round(time.Microsecond), pages[98].Round(time.Microsecond),
		changes[5].Round(time.Millisecond), changes[9].Round(time.Millisecond))
	require.Less(t, started, time.Minute)
}

// fill writes connections into a new store, and says how long the store took.
func fill(tb testing.TB, dir, key string, sources, sinks int, state store.Desired) time.Duration {
	tb.Helper()
	keys, err := seal.ParseKeys(key)
	require.NoError(tb, err)
	s, err := sqlite.Open(tb.Context(), sqlite.Options{Dir: dir})
	require.NoError(tb, err)
	all := store.Configuration{Key: "fill", At: time.Now()}
	add := func(spec resource.Spec) {
		id := store.NewID("con_", time.Now())
		for name, value := range spec.Config {
			sealed, err := keys.Seal(id, name, value.(string)) //nolint:errcheck,forcetypeassert // they are texts
			require.NoError(tb, err)
			spec.Config[name] = sealed
		}
		document, err := spec.MarshalJSON()
		require.NoError(tb, err)
		all.Connections = append(all.Connections, store.ConnectionChange{Configured: store.Configured{
			Connection: store.Connection{ID: id, Project: spec.Project, Name: spec.Name, Connector: spec.Connector, Type: spec.Type, Enabled: true},
			State:      state, Latest: 1, Deployed: 1, ManagedBy: store.ManagedByAPI,
		}, Spec: document})
	}
	for i := range sources {
		add(resource.Spec{
			Project: "default", Name: fmt.Sprintf("source-%05d", i), Connector: "test", Type: "source", Enabled: true,
			Config: map[string]any{"webhook_secret": secret, "key": "canary-key-0123456789"},
		})
	}
	for i := range sinks {
		add(resource.Spec{
			Project: "default", Name: fmt.Sprintf("sink-%05d", i), Connector: "outlet", Type: "sink", Enabled: true,
			Streams: []string{fmt.Sprintf("source-%05d.things", i)}, Config: map[string]any{},
		})
	}
	begun := time.Now()
	_, err = s.Configure(tb.Context(), all)
	require.NoError(tb, err)
	written := time.Since(begun)
	require.NoError(tb, s.Close())
	return written
}

// BenchmarkPageOfConnections reads pages of 100 connections by the API, beside
// which nothing is at work.
func BenchmarkPageOfConnections(b *testing.B) {
	dir, key := b.TempDir(), seal.NewKey()
	fill(b, dir, key, 160, 40, store.DesiredPaused)
	w := keyed(b, dir, key, behaviour{deliver: func([]*sink.Message) sink.Answer { return sink.Answer{Status: 200} }})
	b.ReportAllocs()
	for b.Loop() {
		status, _ := w.do(b, http.MethodGet, "/api/v1/connections?limit=100", nil, nil)
		require.Equal(b, http.StatusOK, status)
	}
}

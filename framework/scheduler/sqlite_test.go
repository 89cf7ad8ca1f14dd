//go:build cgo

package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// life is one life of a process with a real store.
type life struct {
	store *sqlite.Store
	s     *Scheduler
	con   store.Connection
	ended chan Change
}

func startLife(t testing.TB, dir string) *life {
	t.Helper()
	l := &life{ended: make(chan Change, 100)}
	var err error
	l.store, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err)
	_, err = l.store.InterruptRuns(t.Context(), time.Now())
	require.NoError(t, err)
	l.con, err = l.store.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "shop", Connector: "test", Type: "source", Enabled: true})
	require.NoError(t, err)
	l.s, err = New(Config{Store: l.store})
	require.NoError(t, err)
	l.s.Subscribe(func(c Change) {
		if c.Kind == RunFinished {
			l.ended <- c
		}
	})
	return l
}

// add schedules stream "s" with the status that the store has of it.
func (l *life) add(t testing.TB, spec string, b Binding) {
	t.Helper()
	in := Stream{Project: "default", ConnectionID: l.con.ID, Connection: "shop", Key: "s", Schedule: at(t, spec), Binding: b}
	statuses, err := l.store.Statuses(t.Context(), l.con.ID)
	require.NoError(t, err)
	for _, s := range statuses {
		if s.Stream == "s" {
			in.Status = s
		}
	}
	require.NoError(t, l.s.Add(in))
}

func (l *life) end(t testing.TB) {
	t.Helper()
	require.NoError(t, l.s.Stop(t.Context()))
	require.NoError(t, l.store.Close())
}

func TestARunSurvivesARestartOnSQLite(t *testing.T) {
	t.Parallel()
	const pages = 6
	reached, proceed := make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	var reads [pages]atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		reads[page].Add(1)
		if page == 3 && held.CompareAndSwap(false, true) {
			close(reached)
			<-proceed
		}
		_ = json.NewEncoder(w).Encode([]record{{fmt.Sprintf("%d-a", page)}, {fmt.Sprintf("%d-b", page)}})
	}))
	defer server.Close()
	fetch := binding(t, map[string]route{"s": func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
		if in.Cursor >= pages {
			return result{Cursor: in.Cursor}, nil
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?page=%d&key=hush-hush", server.URL, in.Cursor), nil)
		if err != nil {
			return result{}, err
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			return result{}, err
		}
		defer answer.Body.Close()
		var records []record
		if err := json.NewDecoder(answer.Body).Decode(&records); err != nil {
			return result{}, err
		}
		for _, record := range records {
			if err := emit(out, pollStream("s"), record.ID); err != nil {
				return result{}, err
			}
		}
		return result{Cursor: in.Cursor + 1, HasMore: in.Cursor+1 < pages}, nil
	}})
	dir := t.TempDir()

	first := startLife(t, dir)
	first.add(t, "@every 1s", fetch)
	require.NoError(t, first.s.Start(t.Context()))
	<-reached
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		first.end(t)
	}()
	for { // until it has begun to stop
		if _, err := first.s.RunNow(first.con.ID, "s"); errors.Is(err, ErrStopped) {
			break
		}
		runtime.Gosched()
	}
	close(proceed) // the page in flight may still commit
	<-stopped
	require.Equal(t, store.RunInterrupted, (<-first.ended).State)

	second := startLife(t, dir)
	second.add(t, "@every 1s", fetch)
	require.NoError(t, second.s.Start(t.Context()))
	require.Equal(t, store.RunSucceeded, (<-second.ended).State)
	defer second.end(t)

	for page := range pages {
		require.EqualValues(t, 1, reads[page].Load(), "page %d is read once", page)
	}
	events, err := second.store.Events(t.Context(), second.con.ID, "s", 0, 100)
	require.NoError(t, err)
	require.Len(t, events, 2*pages)
	for i, e := range events {
		require.EqualValues(t, i+1, e.Sequence)
		require.Equal(t, fmt.Sprintf("%d-%c", i/2, 'a'+i%2), e.Subject)
	}
	runs, err := second.store.Runs(t.Context(), second.con.ID, "s", "", 10)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(runs), 2)
	oldest := runs[len(runs)-1]
	require.Equal(t, store.RunInterrupted, oldest.State)
	require.EqualValues(t, 4, oldest.Pages)
	require.EqualValues(t, 8, oldest.Events)
	require.Equal(t, store.RunSucceeded, runs[len(runs)-2].State)
	statuses, err := second.store.Statuses(t.Context(), second.con.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2*pages, statuses[0].Head)
	require.False(t, statuses[0].LastSuccessAt.IsZero())
	require.False(t, statuses[0].NextRunAt.IsZero())
}

func TestAFailureAndItsWaitAreKeptOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	down := binding(t, map[string]route{"s": func(context.Context, request, *ingest.Buffer) (result, error) {
		return result{}, framework.RetryAfter(errors.New(`GET "https://api.example.com/x?key=hush": 429`), 40*time.Minute)
	}})
	first := startLife(t, dir)
	first.add(t, "@every 1m", down)
	require.NoError(t, first.s.Start(t.Context()))
	require.Equal(t, framework.ClassTransient, (<-first.ended).Class)
	first.end(t)

	second := startLife(t, dir)
	defer second.end(t)
	second.add(t, "@every 1m", down)
	require.NoError(t, second.s.Start(t.Context()))
	state, ok := second.s.State(second.con.ID, "s")
	require.True(t, ok)
	require.WithinDuration(t, time.Now().Add(40*time.Minute), state.RetryAt, time.Minute)
	require.Equal(t, 1, state.Failures)
	runs, err := second.store.Runs(t.Context(), second.con.ID, "s", "", 10)
	require.NoError(t, err)
	require.Len(t, runs, 1)
	require.Equal(t, `GET "https://api.example.com/x?…": 429`, runs[0].Error)

	require.NoError(t, second.s.Pause(t.Context(), second.con.ID, "s"))
	statuses, err := second.store.Statuses(t.Context(), second.con.ID)
	require.NoError(t, err)
	require.True(t, statuses[0].Paused)
	require.Equal(t, 1, statuses[0].ConsecutiveFailures)
}

// anyStream serves all streams by the route of "s".
type anyStream struct{ *framework.Binding }

func (a anyStream) CursorType(string) framework.CursorType { return a.Binding.CursorType("s") }
func (a anyStream) ReadCursor(_ string, saved framework.CursorType, cursor []byte) ([]byte, error) {
	return a.Binding.ReadCursor("s", saved, cursor)
}

func (a anyStream) Page(ctx context.Context, _ string, in framework.PageCall) (framework.PageReturn, []ingest.Emission, error) {
	return a.Binding.Page(ctx, "s", in)
}

// BenchmarkEmptyRunsOnSQLite measures runs that find nothing on a real store. An
// operation is 10,000 of them, of as many streams, due at once.
func BenchmarkEmptyRunsOnSQLite(b *testing.B) {
	for _, runners := range []int{16, 64} {
		b.Run(fmt.Sprintf("%d at a time", runners), func(b *testing.B) {
			l := startLife(b, b.TempDir())
			l.ended = make(chan Change, fleet)
			s, err := New(Config{Store: l.store, Limits: Limits{Runs: runners, RunsPerConnection: runners}})
			require.NoError(b, err)
			s.Subscribe(func(c Change) {
				if c.Kind == RunFinished {
					l.ended <- c
				}
			})
			bound := anyStream{binding(b, map[string]route{"s": idle})}
			spec := at(b, "*/15 * * * *")
			for i := range fleet {
				require.NoError(b, s.Add(Stream{ConnectionID: l.con.ID, Key: fmt.Sprintf("s%d", i), Schedule: spec, Binding: bound}))
			}
			require.NoError(b, s.Start(b.Context()))
			for range fleet {
				require.Equal(b, store.RunSucceeded, (<-l.ended).State)
			}
			require.NoError(b, s.Remove(b.Context(), l.con.ID))
			statuses, err := l.store.Statuses(b.Context(), l.con.ID)
			require.NoError(b, err)
			for b.Loop() {
				for _, status := range statuses {
					// Without a status it is due at once.
					require.NoError(b, s.Add(Stream{ConnectionID: l.con.ID, Key: status.Stream, Schedule: spec, Binding: bound}))
				}
				for range fleet {
					require.Equal(b, store.RunSucceeded, (<-l.ended).State)
				}
				require.NoError(b, s.Remove(b.Context(), l.con.ID))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/fleet, "ns/run")
			require.NoError(b, s.Stop(b.Context()))
			l.end(b)
		})
	}
}

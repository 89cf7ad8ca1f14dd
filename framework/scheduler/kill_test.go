//go:build cgo && unix

package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

const killPages = 24

// orders are what a victim is told.
type orders struct{ Dir, Provider string }

func init() { victim = runVictim }

// runVictim is a process that syncs one stream into a store on disk and exits
// when a run has succeeded.
func runVictim() {
	var o orders
	must(json.Unmarshal([]byte(os.Getenv(victimEnv)), &o))
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: o.Dir})
	must(err)
	con, err := db.EnsureConnection(ctx, store.Connection{Project: "default", Name: "shop", Connector: "test", Type: "source", Enabled: true})
	must(err)
	s, err := New(Config{Store: db})
	must(err)
	done := make(chan struct{}, 1)
	s.Subscribe(func(c Change) {
		if c.Kind == RunFinished && c.State == store.RunSucceeded {
			done <- struct{}{}
		}
	})
	binding, err := openRoutes(ctx, map[string]route{"s": o.fetch})
	must(err)
	hourly, err := schedule.Parse("@hourly")
	must(err)
	// Without a status it runs at once.
	must(s.Add(Stream{ConnectionID: con.ID, Key: "s", Schedule: hourly, Binding: binding}))
	must(s.Start(ctx))
	<-done
	must(s.Stop(ctx))
	must(db.Close())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fetch asks the provider for a page of records.
func (o orders) fetch(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d", o.Provider, in.Cursor), nil)
	if err != nil {
		return result{}, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return result{}, err
	}
	defer answer.Body.Close()
	var ids []string
	if err := json.NewDecoder(answer.Body).Decode(&ids); err != nil {
		return result{}, err
	}
	return result{Cursor: in.Cursor + 1, HasMore: in.Cursor+1 < killPages}, emit(out, pollStream("s"), ids...)
}

// TestKilledProcessesLoseAndRepeatNothing kills a process with SIGKILL again and
// again while it syncs. The provider answers differently each time that a page
// is read, so that a page recorded twice shows.
func TestKilledProcessesLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var process *os.Process
	doomed, reads, kills := false, 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reads++
		page := strings.TrimPrefix(r.URL.Path, "/")
		_ = json.NewEncoder(w).Encode([]string{fmt.Sprintf("%s-a/read %d", page, reads), fmt.Sprintf("%s-b/read %d", page, reads)})
		if !doomed && reads > 3*kills+1 && kills < 6 {
			// Each one is killed a little later after its answer, so that some
			// die before their commit, some during and some after it.
			victim := process
			time.AfterFunc(time.Duration(kills)*time.Millisecond, func() { _ = victim.Kill() })
			doomed = true
			kills++
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	told, err := json.Marshal(orders{Dir: dir, Provider: server.URL})
	require.NoError(t, err)

	lives := 0
	for {
		lives++
		var said bytes.Buffer
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), victimEnv+"="+string(told))
		c.Stdout, c.Stderr = &said, &said
		mu.Lock()
		require.NoError(t, c.Start())
		process, doomed = c.Process, false
		mu.Unlock()
		if c.Wait() == nil {
			break
		}
		require.Equal(t, -1, c.ProcessState.ExitCode(), "killed, and by nobody else: %s", &said)
	}
	require.Greater(t, lives, 3, "most kills hit")

	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	connections, err := db.Connections(t.Context())
	require.NoError(t, err)
	events, err := db.Events(t.Context(), connections[0].ID, "s", 0, 1000)
	require.NoError(t, err)
	var got, want []string
	for _, e := range events {
		id, _, _ := strings.Cut(e.Subject, "/")
		got = append(got, id)
	}
	for page := range killPages {
		want = append(want, fmt.Sprintf("%d-a", page), fmt.Sprintf("%d-b", page))
	}
	require.True(t, slices.Equal(want, got), "got %v", got)
}

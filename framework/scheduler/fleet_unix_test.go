//go:build unix

package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// BenchmarkFleet measures 10,000 streams on "*/1 * * * *" with empty pages on
// SQLite for two minutes, after a first one in which they settle: the delay of
// starts, and what of a core and of memory it takes; then, for a minute, what it
// takes of a core when all of them are paused.
func BenchmarkFleet(b *testing.B) {
	for range b.N {
		db, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir()})
		require.NoError(b, err)
		var mu sync.Mutex
		var delays []time.Duration
		measuring := false
		empty := binding(b, map[string]route{"s": func(_ context.Context, in request, _ *ingest.Buffer) (result, error) {
			return result{Cursor: in.Cursor}, nil
		}})
		s, err := New(Config{Store: db})
		require.NoError(b, err)
		due := map[string]time.Time{}
		s.Subscribe(func(c Change) {
			mu.Lock()
			defer mu.Unlock()
			switch c.Kind {
			case RunStarted:
				if at := due[c.ConnectionID]; measuring && !at.IsZero() {
					delays = append(delays, time.Since(at))
				}
			case RunFinished:
				state, _ := s.State(c.ConnectionID, c.Stream)
				due[c.ConnectionID] = state.Next
			case PageCommitted, StreamChanged:
			}
		})
		now := time.Now()
		var ids []string
		for i := range fleet {
			c, err := db.EnsureConnection(b.Context(), store.Connection{Project: "default", Name: fmt.Sprint("c", i), Connector: "test", Type: "source", Enabled: true})
			require.NoError(b, err)
			ids = append(ids, c.ID)
			require.NoError(b, s.Add(Stream{
				ConnectionID: c.ID, Connection: c.Name, Key: "s", Project: "default", Schedule: at(b, "*/1 * * * *"), Binding: empty,
				Status: store.StreamStatus{LastSuccessAt: now, NextRunAt: now.Add(rand.N(time.Minute))},
			}))
		}
		require.NoError(b, s.Start(b.Context()))
		<-time.After(90 * time.Second) // the fleet must have settled
		runtime.GC()
		mu.Lock()
		measuring = true
		mu.Unlock()
		cpu, begun := processTime(), time.Now()
		<-time.After(2 * time.Minute)
		took, used := time.Since(begun), processTime()-cpu
		mu.Lock()
		slices.Sort(delays)
		b.ReportMetric(float64(len(delays))/took.Seconds(), "runs/s")
		b.ReportMetric(delays[len(delays)*99/100].Seconds()*1000, "p99-ms")
		mu.Unlock()
		b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
		b.ReportMetric(resident(b), "MB")
		for _, id := range ids {
			require.NoError(b, s.Pause(b.Context(), id, "s"))
		}
		<-time.After(10 * time.Second) // what was kept back is flushed every 5 s
		cpu, begun = processTime(), time.Now()
		<-time.After(time.Minute)
		b.ReportMetric(100*(processTime()-cpu).Seconds()/time.Since(begun).Seconds(), "%core-paused")
		require.NoError(b, s.Stop(b.Context()))
		require.NoError(b, db.Close())
	}
}

func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of the process in MB, where the system tells it.
func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000
		}
	}
	return 0
}

package scheduler

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

const fleet = 10_000

// forgetful is a store that says yes and keeps nothing, so that what is measured
// is the scheduler.
type forgetful struct{}

func (*forgetful) Epoch(string) (int64, bool)                            { return 1, true }
func (*forgetful) SetPaused(context.Context, string, string, bool) error { return nil }

func (*forgetful) States(context.Context, string, string) ([]store.State, error) { return nil, nil }

func (*forgetful) Commit(context.Context, store.Unit) (store.Receipt, error) {
	return store.Receipt{}, nil
}

func (*forgetful) Checkpoint(context.Context, string, string, string) (store.Checkpoint, bool, error) {
	return store.Checkpoint{}, false, nil
}

// newFleet returns a scheduler of many streams whose pages are empty. round
// gets one message each time that as many runs have ended.
func newFleet(b *testing.B, status store.StreamStatus) (s *Scheduler, round chan struct{}) {
	b.Helper()
	s, err := New(Config{Store: &forgetful{}})
	require.NoError(b, err)
	var ended atomic.Int64
	round = make(chan struct{}, 1)
	s.Subscribe(func(c Change) {
		if c.Kind == RunFinished && ended.Add(1)%fleet == 0 {
			round <- struct{}{}
		}
	})
	empty := binding(b, map[string]route{"s": idle})
	for i := range fleet {
		require.NoError(b, s.Add(Stream{
			ConnectionID: fmt.Sprintf("con_%d", i), Connection: fmt.Sprint(i), Key: "s", Project: "default",
			Schedule: at(b, "*/15 * * * *"), Binding: empty, Status: status,
		}))
	}
	return s, round
}

// BenchmarkEmptyRuns measures runs that find nothing, from their turn to their
// recorded success. An operation is 10,000 of them, due at once.
func BenchmarkEmptyRuns(b *testing.B) {
	s, round := newFleet(b, store.StreamStatus{})
	var before, after runtime.MemStats
	require.NoError(b, s.Start(b.Context()))
	<-round
	runtime.ReadMemStats(&before)
	for b.Loop() {
		for i := range fleet {
			for { // its runner may still be putting it away
				if _, err := s.RunNow(fmt.Sprintf("con_%d", i), "s"); err == nil {
					break
				}
				runtime.Gosched()
			}
		}
		<-round
	}
	runtime.ReadMemStats(&after)
	runs := float64(b.N) * fleet
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/runs, "ns/run")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/runs, "allocs/run")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/runs, "B/run")
	require.NoError(b, s.Stop(b.Context()))
}

// BenchmarkIdleStreams measures what waiting streams hold. An operation adds
// 10,000.
func BenchmarkIdleStreams(b *testing.B) {
	for b.Loop() {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		now := time.Now()
		s, _ := newFleet(b, store.StreamStatus{LastSuccessAt: now, NextRunAt: now.Add(time.Hour)})
		require.NoError(b, s.Start(b.Context()))
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/fleet, "B/stream")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
		require.NoError(b, s.Stop(b.Context()))
	}
}

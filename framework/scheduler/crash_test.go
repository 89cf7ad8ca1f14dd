package scheduler

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// crash does to the rows what the next start does after the process has died.
func (m *memory) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.runs {
		if r.State == store.RunRunning {
			r.State, r.FinishedAt = store.RunInterrupted, time.Now()
			m.runs[id] = r
		}
	}
}

// snapshot returns what a process that dies now leaves behind.
func (m *memory) snapshot() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	statuses := maps.Clone(m.statuses)
	for key, status := range statuses {
		kept := *status
		statuses[key] = &kept
	}
	return &memory{checkpoints: maps.Clone(m.checkpoints), runs: maps.Clone(m.runs), statuses: statuses}
}

func (m *memory) restore(dead *memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checkpoints, m.runs, m.statuses = dead.checkpoints, dead.runs, dead.statuses
}

// crashes counts those of a stream as the runtime does.
func (m *memory) crashes(stream string) int {
	var newest []store.Run
	for _, r := range m.history() {
		if r.Stream == stream {
			newest = append([]store.Run{r}, newest...)
		}
	}
	return CountCrashes(newest)
}

func TestAStreamThatEndsTheProcessAgainAndAgainIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fatal := true
		// live is one life of the process; it dies when the first page of "s" is
		// asked for. A run that never returns stands for that.
		live := func() (*rig, chan struct{}, func()) {
			r := newRig(t, m, Config{})
			died, buried := make(chan struct{}, 1), make(chan struct{})
			innocent := r.streamOf("con_1", "innocent", "@every 1h", numbered("innocent", 1))
			culprit := r.stream("@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
				if fatal {
					died <- struct{}{}
					<-buried
				}
				return result{Cursor: 1}, nil
			})
			innocent.Crashes, culprit.Crashes = m.crashes("innocent"), m.crashes("s")
			r.add(innocent, culprit)
			r.start()
			return r, died, func() { close(buried); r.stop() }
		}
		for crashed := range 3 {
			require.Equal(t, crashed, m.crashes("s"))
			_, died, bury := live()
			<-died
			dead := m.snapshot()
			bury()
			m.restore(dead) // a dead process writes nothing
			m.crash()
		}
		require.Equal(t, 3, m.crashes("s"))
		require.Zero(t, m.crashes("innocent"), "its page was read")

		r, died, bury := live()
		pass(5 * time.Hour)
		require.Empty(t, died, "it is not called")
		require.True(t, r.state().Quarantined)
		require.Zero(t, r.state().Next)
		status := m.status("con_1", "s")
		require.Contains(t, status.LastError, "quarantined because the process ended")
		require.Equal(t, "bug", status.LastErrorClass)
		require.True(t, status.NextRunAt.IsZero())
		_, err := r.s.RunNow("con_1", "s")
		require.ErrorIs(t, err, ErrCrashing)
		require.Equal(t, 3, m.crashes("s"), "it stays so over the next start")

		fatal = false
		require.NoError(t, r.s.Resume(t.Context(), "con_1", "s"))
		pass(time.Minute)
		require.Empty(t, m.status("con_1", "s").LastError)
		require.Zero(t, m.crashes("s"))
		bury()
	})
}

func TestAStopDuringTheFirstPageIsNoCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := newRig(t, m, Config{})
		release := make(chan struct{})
		r.add(r.stream("@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
			<-release
			return result{Cursor: 1}, nil
		}))
		r.start()
		synctest.Wait()
		require.Equal(t, store.RunRunning, m.history()[0].State, "the run is on record before its first page")
		stop := make(chan error, 1)
		go func() { stop <- r.s.Stop(t.Context()) }()
		synctest.Wait()
		require.Equal(t, store.RunInterrupted, m.history()[0].State)
		m.crash() // killed by somebody who does not wait
		require.Zero(t, m.crashes("s"))

		close(release)
		require.NoError(t, <-stop)
		require.Equal(t, store.RunSucceeded, m.history()[0].State, "the page came in time after all")
	})
}

func TestSuspectsStartOneAfterAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		begun := make(chan string, 3)
		for _, key := range []string{"free", "first", "second"} {
			s := r.streamOf("con_1", key, "@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
				begun <- key
				return result{}, nil
			})
			if key != "free" {
				s.Crashes = 1
			}
			r.add(s)
		}
		r.start()
		synctest.Wait()
		for _, key := range []string{"free", "first", "second"} {
			require.Len(t, begun, 1)
			require.Equal(t, key, <-begun)
			pass(suspectGap)
		}
		require.Empty(t, begun)
	})
}

func TestCountsRunsThatEndedWithTheirProcessAndBroughtNothing(t *testing.T) {
	t.Parallel()
	crash := store.Run{State: store.RunInterrupted}
	require.Zero(t, CountCrashes(nil))
	require.Equal(t, 2, CountCrashes([]store.Run{crash, crash, {State: store.RunSucceeded}, crash}))
	require.Zero(t, CountCrashes([]store.Run{{State: store.RunInterrupted, Pages: 1}, crash}), "a run that got on is no crash of its page")
	require.Zero(t, CountCrashes([]store.Run{{State: store.RunInterrupted, Error: stopped}, crash}))
}

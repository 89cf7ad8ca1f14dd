package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestPausedStreamsDoNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.statusOf("con_1", "s").Paused = true
		r.add(r.stream("@every 1m", numbered("s", 1)))
		r.start()
		pass(time.Hour)
		require.Empty(t, r.store.history())
		require.Zero(t, r.state().Next)
		_, err := r.s.RunNow("con_1", "s")
		require.ErrorIs(t, err, ErrPaused)

		require.NoError(t, r.s.Resume(t.Context(), "con_1", "s"))
		synctest.Wait()
		require.Len(t, r.store.history(), 1)
		require.False(t, r.store.status("con_1", "s").Paused)

		require.NoError(t, r.s.Pause(t.Context(), "con_1", "s"))
		units := len(r.store.committed())
		pass(time.Hour)
		require.Len(t, r.store.committed(), units)
		require.True(t, r.store.status("con_1", "s").Paused)
	})
}

func TestAPauseEndsARunAfterItsPageAndItGoesOnLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		pages := numbered("s", 5)
		r.add(r.stream("@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			<-time.After(10 * time.Second)
			return pages(ctx, in, out)
		}))
		r.start()
		pass(15 * time.Second)
		require.NoError(t, r.s.Pause(t.Context(), "con_1", "s"))
		pass(time.Hour)
		require.Equal(t, numbers(1, 2), r.store.recorded("con_1", "s"))
		require.Equal(t, store.RunCanceled, r.store.history()[0].State)
		require.EqualValues(t, 2, r.store.history()[0].Pages)

		require.NoError(t, r.s.Resume(t.Context(), "con_1", "s"))
		pass(time.Minute)
		require.Equal(t, numbers(1, 5), r.store.recorded("con_1", "s"))
		require.Zero(t, r.store.status("con_1", "s").Duplicates)
	})
}

func TestRunNowRunsWhateverTheScheduleSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var slow atomic.Bool
		r.add(r.stream("@every 24h", func(context.Context, request, *ingest.Buffer) (result, error) {
			if slow.Load() {
				<-time.After(10 * time.Second)
			}
			return result{}, nil
		}))
		r.start()
		pass(time.Minute)
		slow.Store(true)
		id, err := r.s.RunNow("con_1", "s")
		require.NoError(t, err)
		require.Equal(t, id, r.state().RunID)
		require.True(t, r.state().Running)
		_, err = r.s.RunNow("con_1", "s")
		var busy *BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, id, busy.RunID)
		pass(11 * time.Second)
		runs := r.store.history()
		require.Equal(t, id, runs[len(runs)-1].ID)
		require.Equal(t, "manual", runs[len(runs)-1].Trigger)
		require.Equal(t, store.RunSucceeded, runs[len(runs)-1].State)
		require.False(t, r.state().Running)
		require.WithinDuration(t, time.Now().Add(24*time.Hour), r.state().Next, 2*time.Minute)
	})
}

func TestRunNowWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{Limits: Limits{Runs: 1}})
		slow := func(context.Context, request, *ingest.Buffer) (result, error) {
			<-time.After(10 * time.Second)
			return result{Cursor: 1}, nil
		}
		r.add(r.streamOf("con_2", "s", "@every 24h", slow))
		r.start()
		synctest.Wait()
		r.add(r.stream("@every 24h", slow))
		id, err := r.s.RunNow("con_1", "s")
		require.NoError(t, err)
		require.False(t, r.state().Running)
		require.Equal(t, id, r.state().RunID)
		var busy *BusyError
		_, err = r.s.RunNow("con_1", "s")
		require.ErrorAs(t, err, &busy)
		pass(time.Minute)
		require.Equal(t, store.RunSucceeded, r.store.history()[1].State)
		require.Equal(t, id, r.store.history()[1].ID)
	})
}

func TestNamesAnUnknownStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, newMemory(), Config{})
	_, err := r.s.RunNow("con_9", "s")
	require.ErrorIs(t, err, ErrUnknownStream)
	require.ErrorContains(t, err, "con_9")
	_, err = r.s.Page(t.Context(), "con_9", "s", PageOptions{})
	require.ErrorIs(t, err, ErrUnknownStream)
	require.ErrorIs(t, r.s.Pause(t.Context(), "con_9", "s"), ErrUnknownStream)
	require.NoError(t, r.s.Remove(t.Context(), "con_9"))
	_, ok := r.s.State("con_9", "s")
	require.False(t, ok)
}

func TestRefusesAStreamThatCannotBeScheduled(t *testing.T) {
	t.Parallel()
	r := newRig(t, newMemory(), Config{})
	err := r.s.Add(Stream{Lookback: -1})
	for _, part := range []string{"connection id", "stream key", "schedule", "binding", "lookback"} {
		require.ErrorContains(t, err, part)
	}
	in := r.stream("@every 1m", idle)
	r.add(in)
	require.ErrorIs(t, r.s.Add(in), ErrExists)
}

func TestRefusesLimitsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Limits: Limits{Runs: -1, BackoffBase: time.Hour, BackoffCap: time.Minute}})
	for _, part := range []string{"no store", "Runs is negative", "BackoffCap"} {
		require.ErrorContains(t, err, part)
	}
}

func TestRemoveWaitsForThePageInFlightAndForNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		pages := numbered("s", 100)
		in := r.stream("@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			<-time.After(10 * time.Second)
			return pages(ctx, in, out)
		})
		r.add(in)
		r.start()
		pass(15 * time.Second)
		begun := time.Now()
		require.NoError(t, r.s.Remove(t.Context(), "con_1"))
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.Equal(t, numbers(1, 2), r.store.recorded("con_1", "s"))
		require.Equal(t, store.RunInterrupted, r.store.history()[0].State)
		_, ok := r.s.State("con_1", "s")
		require.False(t, ok)

		in.Status = r.store.status("con_1", "s")
		r.add(in) // the next revision goes on where this one was
		pass(20 * time.Minute)
		require.Equal(t, numbers(1, 100), r.store.recorded("con_1", "s"))
	})
}

func TestStopLetsPagesInFlightCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{Limits: Limits{Runs: 2}})
		slow := func(key string) route {
			pages := numbered(key, 100)
			return func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
				<-time.After(24 * time.Second)
				return pages(ctx, in, out)
			}
		}
		for _, key := range []string{"a", "b", "c"} {
			r.add(r.streamOf("con_1", key, "@every 1h", slow(key)))
		}
		r.start()
		synctest.Wait()
		begun := time.Now()
		r.stop()
		require.Equal(t, 24*time.Second, time.Since(begun))
		recorded := 0
		for _, key := range []string{"a", "b", "c"} {
			recorded += len(r.store.recorded("con_1", key))
		}
		require.Equal(t, 2, recorded, "what was in flight is recorded, and nothing began")
		for _, run := range r.store.history() {
			require.Equal(t, store.RunInterrupted, run.State)
			require.Equal(t, stopped, run.Error)
			require.False(t, run.FinishedAt.IsZero())
		}
		_, err := r.s.RunNow("con_1", "a")
		require.ErrorIs(t, err, ErrStopped)
		require.ErrorIs(t, r.s.Add(r.stream("@every 1h", idle)), ErrStopped)
		r.stop() // twice is fine
	})
}

func TestWhatOnlyWaitsInAPageEndsWithIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rig){
		"stop":   func(r *rig) { r.stop() },
		"remove": func(r *rig) { require.NoError(r.t, r.s.Remove(r.t.Context(), "con_1")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				r.add(r.stream("@every 1h", func(ctx context.Context, _ request, out *ingest.Buffer) (result, error) {
					select {
					case <-time.After(20 * time.Second):
					case <-framework.Ending(ctx):
					}
					return result{}, ctx.Err()
				}))
				r.start()
				synctest.Wait()
				begun := time.Now()
				end(r)
				require.Zero(t, time.Since(begun))
				for _, run := range r.store.history() {
					require.Equal(t, store.RunSucceeded, run.State, "the page itself went on")
				}
				r.stop()
			})
		})
	}
}

func TestStopEndsRunsThatWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{Limits: Limits{Runs: 1, PagesPerTurn: 1}})
		for i := range 5 {
			key := fmt.Sprintf("s%d", i)
			pages := numbered(key, 100)
			r.add(r.streamOf("con_1", key, "@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
				<-time.After(10 * time.Second)
				return pages(ctx, in, out)
			}))
		}
		r.start()
		pass(75 * time.Second)
		begun := time.Now()
		r.stop()
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.Len(t, r.store.history(), 5)
		for _, run := range r.store.history() {
			require.Equal(t, store.RunInterrupted, run.State)
		}
	})
}

func TestStopCancelsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		release := make(chan struct{})
		defer close(release)
		r.add(
			r.stream("@every 1h", func(ctx context.Context, _ request, _ *ingest.Buffer) (result, error) {
				<-ctx.Done()
				return result{}, ctx.Err()
			}),
			r.streamOf("con_2", "s", "@every 1h", func(context.Context, request, *ingest.Buffer) (result, error) {
				<-release
				return result{}, nil
			}),
		)
		r.start()
		synctest.Wait()
		begun := time.Now()
		require.ErrorIs(t, r.s.Stop(t.Context()), errPatience)
		require.Equal(t, 27*time.Second, time.Since(begun), "25 s of patience and 2 s for a handler that does not listen")
		require.Len(t, r.store.history(), 2)
		for _, run := range r.store.history() {
			require.Equal(t, store.RunInterrupted, run.State, "a cancellation is no failure")
			require.Equal(t, stopped, run.Error)
		}
		require.Zero(t, CountCrashes(r.store.history()), "and no crash")
		require.Zero(t, r.store.status("con_1", "s").ConsecutiveFailures)
	})
}

func TestStopObeysItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", func(ctx context.Context, _ request, _ *ingest.Buffer) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		}))
		r.start()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		require.ErrorIs(t, r.s.Stop(ctx), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}

func TestEndsWithTheContextOfStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", func(ctx context.Context, _ request, _ *ingest.Buffer) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, r.s.Start(ctx))
		require.ErrorIs(t, r.s.Start(ctx), ErrStarted)
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.False(t, r.state().Running)
		r.stop()
		require.ErrorIs(t, r.s.Start(ctx), ErrStopped)
	})
}

func TestStopsBeforeItWasStarted(t *testing.T) {
	t.Parallel()
	r := newRig(t, newMemory(), Config{})
	r.add(r.stream("@every 1h", idle))
	_, err := r.s.RunNow("con_1", "s")
	require.NoError(t, err)
	r.stop()
	require.Empty(t, r.store.history())
}

func TestTellsItsSubscribers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var kinds []ChangeKind
		end := r.s.Subscribe(func(c Change) {
			require.Equal(t, "name-of-con_1", c.Connection)
			kinds = append(kinds, c.Kind)
		})
		stopPanicking := r.s.Subscribe(func(Change) { panic("a subscriber's own") })
		r.add(r.stream("@every 1m", numbered("s", 2)))
		r.start()
		synctest.Wait()
		require.Equal(t, []ChangeKind{StreamChanged, RunStarted, PageCommitted, PageCommitted, RunFinished}, kinds)
		require.Equal(t, store.RunSucceeded, r.store.history()[0].State)
		end()
		stopPanicking()
		pass(5 * time.Minute)
		require.Len(t, kinds, 5)
	})
}

func TestIdleStreamsCostNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		in := r.stream("@every 1h", idle)
		in.Status = store.StreamStatus{LastSuccessAt: time.Now(), NextRunAt: time.Now().Add(time.Hour)}
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			in.ConnectionID = fmt.Sprintf("con_%d", i/10)
			in.Key = fmt.Sprintf("s%d", i)
			r.add(in)
		}
		r.start()
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine()-before, 50, "other tests run beside this one")
	})
}

func TestForgetsAConnectionThatTheStoreDoesNotKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.failWith(func(store.Unit) error { return fmt.Errorf("connection con_1: %w", store.ErrNotFound) }, nil)
		calls := 0
		r.add(r.stream("@every 1m", func(context.Context, request, *ingest.Buffer) (result, error) {
			calls++
			return result{}, errors.New("down")
		}))
		r.start()
		pass(time.Hour)
		require.Zero(t, calls, "the run could not even be announced")
		require.Equal(t, 2, r.store.asked, "the run, and its failure; then never again")
	})
}

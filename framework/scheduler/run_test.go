package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestReadsAllPagesOfANewStreamAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1m", numbered("s", 25)))
		r.start()
		synctest.Wait()
		require.Equal(t, numbers(1, 25), r.store.recorded("con_1", "s"))
		runs := r.store.history()
		require.Len(t, runs, 1)
		require.Equal(t, store.RunSucceeded, runs[0].State)
		require.Equal(t, "start", runs[0].Trigger)
		require.EqualValues(t, 25, runs[0].Pages)
		require.EqualValues(t, 25, runs[0].Events)
		status := r.store.status("con_1", "s")
		require.False(t, status.LastSuccessAt.IsZero())
		require.Equal(t, r.state().Next, status.NextRunAt)
		require.Equal(t, "25", string(r.store.checkpoint("con_1", "s").Cursor))
	})
}

func TestCommitsEachPageWithItsCheckpointAndRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1m", numbered("s", 3)))
		r.start()
		synctest.Wait()
		units := r.store.committed()
		require.Len(t, units, 4)
		require.Equal(t, store.RunRunning, units[0].Run.Run.State, "the first run of a process is announced")
		require.Nil(t, units[0].Checkpoint)
		units = units[1:]
		previous := ""
		for i, u := range units {
			require.Len(t, u.Emissions, 1)
			require.Equal(t, fmt.Sprint(i+1), string(u.Checkpoint.Cursor))
			require.Equal(t, previous, u.Checkpoint.Previous)
			require.Equal(t, u.Run.Run.ID, u.Checkpoint.RunID)
			require.EqualValues(t, 1, u.Run.Pages)
			require.EqualValues(t, 1, u.Epoch)
			previous = u.ID
		}
		require.Equal(t, store.RunRunning, units[0].Run.Run.State)
		require.Equal(t, store.RunSucceeded, units[2].Run.Run.State)
		require.True(t, units[2].Streams[0].Succeeded)
	})
}

func TestObservesEventsAtTheStartOfTheirPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		begun := time.Now()
		r.add(r.stream("@every 1m", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			<-time.After(7 * time.Second)
			return result{}, emit(out, pollStream("s"), "a")
		}))
		r.start()
		pass(10 * time.Second)
		u := r.store.committed()[1]
		require.True(t, u.ObservedAt.Equal(begun))
		require.True(t, u.At.Equal(begun.Add(7*time.Second)))
	})
}

// processes runs a stream through several lives of the process. In life i the
// store dies at commit deaths[i], before or after it was written.
func dieAt(m *memory, commit int, written bool) {
	n := 0
	fail := func(store.Unit) error {
		if n++; n > commit {
			return store.ErrClosed
		}
		return nil
	}
	if written {
		m.failWith(nil, fail)
	} else {
		m.failWith(fail, nil)
	}
}

func TestResumesAtThePageAfterACrash(t *testing.T) {
	t.Parallel()
	const pages = 5
	for death := range pages {
		for _, written := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d written %v", death, written), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := newMemory()
					reads := 0
					// A page that is read again has other records: a key alone
					// does not hide that it was recorded before.
					changing := func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
						reads++
						page := in.Cursor + 1
						return result{Cursor: page, HasMore: page < pages}, emit(out, pollStream("s"), fmt.Sprintf("%d/read %d", page, reads))
					}
					first := newRig(t, m, Config{})
					dieAt(m, death, written)
					first.add(first.stream("@every 1h", changing))
					first.start()
					pass(time.Minute)
					first.stop()

					m.reopen()
					second := newRig(t, m, Config{})
					second.add(second.stream("@every 1h", changing))
					second.start()
					pass(2 * time.Minute)

					var got []string
					for _, subject := range m.recorded("con_1", "s") {
						page, _, _ := strings.Cut(subject, "/")
						got = append(got, page)
					}
					want := numbers(1, pages)
					if death == pages-1 && written {
						// The run was complete; at most the next tick reads on.
						got = got[:pages]
					}
					require.Equal(t, want, got)
				})
			})
		}
	}
}

func TestGivesLongRunsTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{Limits: Limits{Runs: 1, PagesPerTurn: 3}})
		var order []string
		trace := func(name string, n int) route {
			pages := numbered(name, n)
			return func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
				order = append(order, name)
				return pages(ctx, in, out)
			}
		}
		r.add(
			r.streamOf("con_a", "long", "@every 1h", trace("long", 12)),
			r.streamOf("con_a", "longer", "@every 1h", trace("longer", 7)),
			r.streamOf("con_b", "short", "@every 1h", trace("short", 1)),
		)
		r.start()
		synctest.Wait()
		require.Equal(t, "long long long short longer longer longer long long long longer longer longer long long long longer long long long",
			strings.Join(order, " "))
	})
}

func TestSharesRunnersBetweenConnections(t *testing.T) {
	t.Parallel()
	for _, limits := range []struct{ runs, a, b int }{
		{runs: 4, a: 2, b: 2},
		{runs: 16, a: 4, b: 3}, // con_a has more streams than a connection may run
	} {
		t.Run(fmt.Sprint(limits.runs), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{Limits: Limits{Runs: limits.runs}})
				var busyA, busyB atomic.Int64
				hold := func(n *atomic.Int64) route {
					return func(context.Context, request, *ingest.Buffer) (result, error) {
						n.Add(1)
						defer n.Add(-1)
						<-time.After(10 * time.Second)
						return result{}, nil
					}
				}
				for i := range 9 {
					r.add(r.streamOf("con_a", fmt.Sprintf("s%d", i), "@every 1h", hold(&busyA)))
				}
				for i := range 3 {
					r.add(r.streamOf("con_b", fmt.Sprintf("s%d", i), "@every 1h", hold(&busyB)))
				}
				r.start()
				synctest.Wait()
				require.EqualValues(t, limits.a, busyA.Load())
				require.EqualValues(t, limits.b, busyB.Load())
				pass(time.Minute)
				require.Len(t, r.finished(), 12)
			})
		})
	}
}

func TestNeverRunsAStreamTwiceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var live, most, runs int64
		slow := func(context.Context, request, *ingest.Buffer) (result, error) {
			runs++
			live++
			most = max(most, live)
			<-time.After(3500 * time.Millisecond)
			live--
			return result{}, nil
		}
		r.add(r.stream("@every 1s", slow))
		r.start()
		for range 200 {
			pass(317 * time.Millisecond)
			_, _ = r.s.RunNow("con_1", "s")
			go func() { _, _ = r.s.Page(t.Context(), "con_1", "s", PageOptions{Cursor: []byte("1")}) }()
		}
		pass(time.Minute)
		require.EqualValues(t, 1, most)
		require.Greater(t, runs, int64(10))
		require.Positive(t, r.state().Skipped)
	})
}

func TestCountsTicksSkippedDuringARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 10s", func(context.Context, request, *ingest.Buffer) (result, error) {
			<-time.After(45 * time.Second)
			return result{}, nil
		}))
		r.start()
		pass(46 * time.Second)
		require.EqualValues(t, 4, r.state().Skipped)
		require.Equal(t, 4, r.finished()[0].Skipped)
	})
}

func TestStopsACursorThatDoesNotAdvance(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(int) int{
		"stays":      func(c int) int { return min(c+1, 4) },
		"comes back": func(c int) int { return (c + 1) % 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				calls := 0
				r.add(r.stream("@every 1h", func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
					calls++
					return result{Cursor: next(in.Cursor), HasMore: true}, emit(out, pollStream("s"), fmt.Sprint(calls))
				}))
				r.start()
				pass(time.Minute)
				runs := r.store.history()
				require.Len(t, runs, 1)
				require.Equal(t, store.RunFailed, runs[0].State)
				require.Equal(t, string(framework.ClassBug), runs[0].ErrorClass)
				require.Contains(t, runs[0].Error, "cursor did not advance")
				require.Less(t, calls, 30)
				require.Len(t, r.store.recorded("con_1", "s"), calls, "what was read is recorded")
				require.EqualValues(t, calls, runs[0].Pages)
				require.Contains(t, r.store.status("con_1", "s").LastError, "cursor did not advance")
			})
		})
	}
}

func TestNeverStartsOverFromAnUnreadableCursor(t *testing.T) {
	t.Parallel()
	kind := binding(t, map[string]route{"s": idle}).CursorType("s")
	for name, saved := range map[string]store.CheckpointWrite{
		"other version": {Cursor: []byte("7"), CursorVersion: kind.Version + 1, CursorDigest: kind.Digest},
		"other shape":   {Cursor: []byte("7"), CursorVersion: kind.Version, CursorDigest: "0123"},
		"other JSON":    {Cursor: []byte(`{"page":7}`), CursorVersion: kind.Version, CursorDigest: kind.Digest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.checkpoints["con_1/s/live"] = store.Checkpoint{CheckpointWrite: saved, CommitID: "old"}
				r := newRig(t, m, Config{})
				called := false
				r.add(r.stream("@every 1m", func(context.Context, request, *ingest.Buffer) (result, error) {
					called = true
					return result{}, nil
				}))
				r.start()
				pass(10 * time.Minute)
				require.False(t, called)
				require.GreaterOrEqual(t, len(m.history()), 9, "it is tried at each tick, so that restored code goes on")
				for _, run := range m.history() {
					require.Equal(t, store.RunFailed, run.State)
					require.Equal(t, string(framework.ClassBug), run.ErrorClass)
				}
				status := m.status("con_1", "s")
				want := framework.ErrCursorUnreadable
				if saved.CursorVersion > kind.Version {
					want = framework.ErrNewerConnector
				}
				require.True(t, strings.HasPrefix(status.LastError, want.Error()), status.LastError)
				require.Contains(t, status.LastError, "reset the stream")
				require.Equal(t, saved, m.checkpoint("con_1", "s").CheckpointWrite, "the checkpoint stays as it was")
				_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
				require.ErrorIs(t, err, want)
			})
		})
	}
}

func TestAnEmptyRunLeavesNoRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var fail atomic.Bool
		r.add(r.stream("@every 1m", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			if fail.Load() {
				return result{}, errors.New("down")
			}
			return result{Cursor: 1}, nil
		}))
		r.start()
		pass(10 * time.Minute)
		require.Len(t, r.store.history(), 1, "the first run moves the cursor")
		units := r.store.committed()
		require.Greater(t, len(units), 9)
		last := units[len(units)-1]
		require.Nil(t, last.Run)
		require.Nil(t, last.Checkpoint)
		require.True(t, last.Streams[0].Succeeded)
		require.WithinDuration(t, time.Now(), r.store.status("con_1", "s").LastSuccessAt, 2*time.Minute)

		fail.Store(true)
		pass(2 * time.Minute)
		fail.Store(false)
		pass(2 * time.Minute)
		runs := r.store.history()
		require.Equal(t, store.RunSucceeded, runs[len(runs)-1].State, "the run that ends the failures has its row")

		id, err := r.s.RunNow("con_1", "s")
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, store.RunSucceeded, r.store.runs[id].State, "so has one that was asked for")
	})
}

func TestWindowsFollowEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var seen []request
		var fail atomic.Bool
		fail.Store(true)
		in := r.stream("@every 1h", func(_ context.Context, in request, _ *ingest.Buffer) (result, error) {
			seen = append(seen, in)
			if len(seen) == 2 && fail.Load() {
				return result{}, framework.Permanent(errors.New("no"))
			}
			return result{Cursor: in.Cursor + 1, HasMore: len(seen) < 3}, nil
		})
		in.Window, in.Lookback = true, 10*time.Minute
		start := time.Now().UTC()
		r.add(in)
		r.start()
		pass(time.Minute)
		require.Equal(t, request{First: true, To: start}, seen[0])
		require.Equal(t, request{Cursor: 1, To: start}, seen[1], "all pages have the window of the first")
		require.True(t, r.store.checkpoint("con_1", "s").To.Equal(start))
		require.True(t, r.store.checkpoint("con_1", "s").WindowDone.IsZero())

		fail.Store(false)
		pass(time.Hour)
		require.Equal(t, request{Cursor: 1, To: start}, seen[2], "a window that was left half read goes on")
		require.True(t, r.store.checkpoint("con_1", "s").WindowDone.Equal(start))
		require.True(t, r.store.checkpoint("con_1", "s").To.IsZero())

		pass(time.Hour)
		require.Len(t, seen, 4)
		require.Equal(t, start.Add(-10*time.Minute), seen[3].From)
		require.WithinDuration(t, start.Add(2*time.Hour), seen[3].To, 5*time.Minute)
		require.True(t, r.store.checkpoint("con_1", "s").WindowDone.Equal(seen[3].To), "an empty window counts as read")
	})
}

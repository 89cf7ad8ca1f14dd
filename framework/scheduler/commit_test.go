package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestKeepsAPageWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]error{
		"unavailable": fmt.Errorf("disk full: %w", store.ErrUnavailable),
		"busy":        store.ErrBusy,
		"slow":        context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				var reads atomic.Int64
				r.store.failWith(func(store.Unit) error { return away }, nil)
				r.add(r.stream("@every 1h", func(_ context.Context, _ request, out *ingest.Buffer) (result, error) {
					reads.Add(1)
					return result{Cursor: 1}, emit(out, pollStream("s"), "a")
				}))
				r.start()
				pass(10 * time.Minute)
				require.Empty(t, r.store.history())
				r.store.failWith(nil, nil)
				pass(storeRetryMost)
				require.EqualValues(t, 1, reads.Load(), "the provider is not asked again")
				require.Equal(t, []string{"a"}, r.store.recorded("con_1", "s"))
				require.Equal(t, store.RunSucceeded, r.store.history()[0].State)
			})
		})
	}
}

func TestAnUncertainCommitIsAskedForAgainAndCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		n := 0
		r.store.failWith(nil, func(store.Unit) error {
			if n++; n%2 == 1 {
				return context.DeadlineExceeded // written, and nobody heard
			}
			return nil
		})
		r.add(r.stream("@every 1h", numbered("s", 5)))
		r.start()
		pass(time.Minute)
		require.Equal(t, numbers(1, 5), r.store.recorded("con_1", "s"))
		run := r.store.history()[0]
		require.Equal(t, store.RunSucceeded, run.State)
		require.EqualValues(t, 5, run.Pages)
		require.EqualValues(t, 5, run.Events)
		require.Zero(t, run.Duplicates)
		require.Zero(t, r.store.status("con_1", "s").Duplicates)
	})
}

func TestACheckpointMovedBySomebodyElseFailsTheRunAndIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var seen []int
		r.add(r.stream("@every 1h", func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
			seen = append(seen, in.Cursor)
			if len(seen) == 2 {
				r.store.mu.Lock()
				c := r.store.checkpoints["con_1/s/live"]
				c.Cursor, c.CommitID = []byte("40"), "somebody else's"
				r.store.checkpoints["con_1/s/live"] = c
				r.store.mu.Unlock()
			}
			return result{Cursor: in.Cursor + 1, HasMore: in.Cursor < 41}, emit(out, pollStream("s"), fmt.Sprint(in.Cursor))
		}))
		r.start()
		pass(time.Minute)
		require.Equal(t, []int{0, 1, 2, 40, 41}, seen)
		require.Equal(t, []string{"0", "40", "41"}, r.store.recorded("con_1", "s"), "nothing of the page is recorded")
		require.Equal(t, store.RunFailed, r.store.history()[0].State)
		require.Contains(t, r.store.history()[0].Error, "moved by another writer")
		require.Equal(t, store.RunSucceeded, r.store.history()[1].State)
	})
}

func TestAPageThatTheStoreRefusesFailsItsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.failWith(func(u store.Unit) error {
			if len(u.Emissions) > 0 {
				return fmt.Errorf("payload too odd: %w", store.ErrInvalid)
			}
			return nil
		}, nil)
		r.add(r.stream("@every 1h", numbered("s", 5)))
		r.start()
		pass(time.Minute)
		run := r.store.history()[0]
		require.Equal(t, store.RunFailed, run.State)
		require.Equal(t, string(framework.ClassPermanent), run.ErrorClass)
		require.Contains(t, run.Error, "payload too odd")
		require.Len(t, r.store.history(), 1, "the same page would be refused again")
	})
}

func TestAStuckPageThatTheStoreRefusesStillFailsItsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.failWith(func(u store.Unit) error {
			if u.Run != nil && u.Run.Run.State == store.RunFailed && len(u.Emissions) > 0 {
				return store.ErrInvalid
			}
			return nil
		}, nil)
		r.add(r.stream("@every 1h", func(_ context.Context, _ request, out *ingest.Buffer) (result, error) {
			return result{Cursor: 1, HasMore: true}, emit(out, pollStream("s"), "a")
		}))
		r.start()
		pass(time.Minute)
		require.Contains(t, r.store.history()[0].Error, "cursor did not advance")
		require.Equal(t, store.RunFailed, r.store.history()[0].State)
	})
}

func TestEverythingStopsWhenTheStoreIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 2)
		var s *Scheduler
		r := newRig(t, newMemory(), Config{Fenced: func(connectionID string, err error) {
			_ = s.Stop(context.Background()) //nolint:usetesting // the callback may come while the test ends
			told <- err
			if connectionID != "" {
				t.Errorf("only connection %s was ended", connectionID)
			}
		}})
		s = r.s
		calls := r.pages("con_1")
		r.add(r.streamOf("con_2", "s", "@every 1m", func(ctx context.Context, _ request, _ *ingest.Buffer) (result, error) {
			<-ctx.Done()
			return result{}, ctx.Err()
		}))
		r.start()
		pass(12 * time.Second)
		recorded := len(r.store.recorded("con_1", "s"))
		require.Equal(t, 2, recorded)
		r.store.failWith(func(store.Unit) error { return store.ErrClosed }, nil)
		require.ErrorIs(t, <-told, store.ErrClosed)
		n := calls.Load()
		pass(time.Hour)
		require.Equal(t, n, calls.Load())
		require.Len(t, r.store.recorded("con_1", "s"), recorded)
		require.Empty(t, told, "it is told once")
		_, err := r.s.RunNow("con_1", "s")
		require.ErrorIs(t, err, ErrStopped)
	})
}

// pages adds a stream with a page every five seconds and counts the calls.
func (r *rig) pages(connectionID string) *atomic.Int64 {
	calls := &atomic.Int64{}
	r.add(r.streamOf(connectionID, "s", "@every 1m", func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
		calls.Add(1)
		<-time.After(5 * time.Second)
		return result{Cursor: in.Cursor + 1, HasMore: true}, emit(out, pollStream("s"), fmt.Sprint(in.Cursor))
	}))
	return calls
}

func TestAConnectionWhoseLeaseHasMovedEndsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 2)
		r := newRig(t, newMemory(), Config{Fenced: func(connectionID string, err error) {
			if !errors.Is(err, store.ErrFenced) {
				t.Errorf("told %v", err)
			}
			told <- connectionID
		}})
		moved, kept := r.pages("con_1"), r.pages("con_2")
		r.start()
		pass(12 * time.Second)
		r.store.failWith(func(u store.Unit) error {
			if u.ConnectionID == "con_1" {
				return store.ErrFenced
			}
			return nil
		}, nil)
		require.Equal(t, "con_1", <-told)
		synctest.Wait() // a page that was being read ahead has begun by now
		n, before := moved.Load(), len(r.store.recorded("con_2", "s"))
		pass(time.Minute)
		require.Equal(t, n, moved.Load(), "a run went on without its lease")
		require.Greater(t, kept.Load(), n)
		require.Greater(t, len(r.store.recorded("con_2", "s")), before)
		_, err := r.s.RunNow("con_1", "s")
		require.ErrorIs(t, err, ErrStopped)

		// The lease comes back: the connection is removed and added again.
		r.store.failWith(nil, nil)
		require.NoError(t, r.s.Remove(t.Context(), "con_1"))
		again := r.pages("con_1")
		pass(time.Minute)
		require.Positive(t, again.Load())
		require.Empty(t, told, "it is told once")
	})
}

func TestAStaleEpochWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := newRig(t, m, Config{})
		r.add(r.stream("@every 1h", func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
			m.mu.Lock()
			m.epoch++ // another process takes the lease while the page is read
			m.mu.Unlock()
			return result{Cursor: 1}, emit(out, pollStream("s"), "a")
		}))
		// The unit carries the epoch that its process holds, not the newest.
		held := epochHolder{memory: m, epoch: 1}
		r.s.store = held
		r.start()
		pass(time.Hour)
		require.Len(t, m.committed(), 1, "that the run began, before the lease was taken")
		require.Empty(t, m.recorded("con_1", "s"))
		require.Empty(t, m.checkpoint("con_1", "s").CommitID)
	})
}

// epochHolder is a store handle whose lease does not follow the store's.
type epochHolder struct {
	*memory
	epoch int64
}

func (h epochHolder) Epoch(string) (int64, bool) { return h.epoch, true }

func TestKeepsSecretsOutOfErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`Get "https://api.example.com/v1/x?key=hush&b=2": dial tcp: refused`: `Get "https://api.example.com/v1/x?…": dial tcp: refused`,
		`parse "https://u:hush@example.com/%zz": invalid URL escape`:         `parse "https://example.com/%zz": invalid URL escape`,
		`see https://example.com/#token=hush and http://b/?hush`:             `see https://example.com/?… and http://b/?…`,
		`postgres://weir:hush@db/weir?sslmode=off`:                           `postgres://db/weir?…`,
		`Authorization: Bearer hush-hush-hush`:                               `Authorization: Bearer …`,
		`why? because the basic plan has no a://`:                            `why? because the basic plan has no a://`,
	} {
		text, _ := describe(errors.New(in))
		require.Equal(t, want, text)
	}
	text, _ := describe(&url.Error{Op: "Get", URL: "https://example.com/a?secret=hush", Err: errors.New("EOF")})
	require.NotContains(t, text, "hush")
	text, stack := describe(&framework.PanicError{Value: "http://a/?k=hush", Stack: "main.f(http://a/?k=hush)"})
	require.NotContains(t, text+stack, "hush")
}

func TestBoundsTheTextOfErrors(t *testing.T) {
	t.Parallel()
	long := make([]rune, 100_000)
	for i := range long {
		long[i] = 'é'
	}
	text, _ := describe(errors.New(string(long) + "\x00\xff"))
	require.Less(t, len(text), maxErrorBytes+8)
	require.NotContains(t, text, "\uFFFD")
}

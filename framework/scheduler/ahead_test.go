package scheduler

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestThePageAheadIsReadWhileOneIsCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var mu sync.Mutex
		reads, commits, ahead := 0, 0, 0
		r.store.failWith(func(u store.Unit) error {
			if len(u.Emissions) > 0 {
				<-time.After(time.Second)
				mu.Lock()
				commits++
				mu.Unlock()
			}
			return nil
		}, nil)
		pages := numbered("s", 10)
		begun := time.Now()
		var took time.Duration
		r.add(r.stream("@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			mu.Lock()
			reads++
			ahead = max(ahead, reads-commits)
			mu.Unlock()
			<-time.After(time.Second)
			took = time.Since(begun)
			return pages(ctx, in, out)
		}))
		r.start()
		pass(time.Minute)
		require.Equal(t, numbers(1, 10), r.store.recorded("con_1", "s"))
		require.Equal(t, 2, ahead, "one page is committed, and one is read ahead of it, never more")
		require.Equal(t, 10*time.Second, took, "reading and committing overlap")
	})
}

func TestAPageReadAheadIsThrownAwayWhenTheCommitBeforeItFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		refuse := true
		r.store.failWith(func(u store.Unit) error {
			if refuse && len(u.Emissions) > 0 && u.Emissions[0].Key.Subject() == "2" {
				<-time.After(time.Second) // page 3 has been read by then
				refuse = false
				return fmt.Errorf("not this one: %w", store.ErrInvalid)
			}
			return nil
		}, nil)
		var asked []int
		pages := numbered("s", 5)
		r.add(r.stream("@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			asked = append(asked, in.Cursor+1)
			return pages(ctx, in, out)
		}))
		r.start()
		pass(time.Minute)
		require.Equal(t, []int{1, 2, 3}, asked, "page 3 was read ahead")
		require.Equal(t, numbers(1, 1), r.store.recorded("con_1", "s"), "and nothing of it was recorded")
		require.Equal(t, []byte("1"), r.store.checkpoint("con_1", "s").Cursor)
		require.Equal(t, store.RunFailed, r.store.history()[0].State)
		pass(time.Hour + time.Minute)
		require.Equal(t, []int{1, 2, 3, 2, 3, 4, 5}, asked, "the next run reads again what was not recorded")
		require.Equal(t, numbers(1, 5), r.store.recorded("con_1", "s"))
	})
}

func TestAPageReadAheadEndsWithItsRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.store.failWith(func(u store.Unit) error {
			if len(u.Emissions) > 0 {
				<-time.After(time.Second)
				return fmt.Errorf("not this one: %w", store.ErrInvalid)
			}
			return nil
		}, nil)
		ended := false
		r.add(r.stream("@every 1h", func(ctx context.Context, in request, out *ingest.Buffer) (result, error) {
			if in.Cursor == 0 {
				return result{Cursor: 1, HasMore: true}, emit(out, pollStream("s"), "1")
			}
			<-ctx.Done() // a provider that does not answer
			ended = true
			return result{}, ctx.Err()
		}))
		r.start()
		pass(2 * time.Second)
		require.True(t, ended, "the handler was told that its page is not needed")
		require.False(t, r.state().Running, "and the run does not wait for its deadline")
		require.Zero(t, r.state().RetryAt, "the failure is that of the commit")
	})
}

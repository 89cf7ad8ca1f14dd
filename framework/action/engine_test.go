package action

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// faulty is a store whose writes can be made to fail.
type faulty struct {
	store.Store

	broken atomic.Bool
	writes atomic.Int64
}

func (f *faulty) WriteActions(ctx context.Context, w []store.ActionWrite) ([]error, error) {
	if f.broken.Load() {
		return nil, store.ErrUnavailable
	}
	f.writes.Add(1)
	return f.Store.WriteActions(ctx, w)
}

// bench is an engine at work on a store of its own.
type bench struct {
	*Engine

	store *faulty
	con   store.Connection
}

func setup(t *testing.T, c Config) *bench {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	b := &bench{store: &faulty{Store: opened}}
	b.con, err = opened.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: "hook", Connector: "http", Type: "trigger", Enabled: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	b.Engine = b.engine(t, c)
	return b
}

// engine starts one more process on the same store.
func (b *bench) engine(t *testing.T, c Config) *Engine {
	t.Helper()
	c.Store = b.store
	orDefault(&c.Beat, 10*time.Millisecond)
	orDefault(&c.Poll, 5*time.Millisecond)
	e, err := New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var work sync.WaitGroup
	work.Go(func() { e.Run(ctx) })
	t.Cleanup(func() {
		stopping, end := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer end()
		require.NoError(t, e.Stop(stopping))
		cancel()
		work.Wait()
	})
	return e
}

func (b *bench) call(do func(context.Context, framework.Progress) ([]byte, error)) Call {
	return Call{ConnectionID: b.con.ID, Action: "shop.reindex", Origin: "trigger", Timeout: time.Minute, Limit: 10, Do: do}
}

func (b *bench) start(t *testing.T, do func(context.Context, framework.Progress) ([]byte, error)) string {
	t.Helper()
	id, err := b.Start(t.Context(), b.call(do))
	require.NoError(t, err)
	return id
}

// frames reads everything that a watcher brings until the end of the run.
func frames(t *testing.T, e *Engine, id string, after int64) (all []Frame) {
	t.Helper()
	w, err := e.Watch(t.Context(), id, after)
	require.NoError(t, err)
	for {
		f, ok, err := w.Next(t.Context(), nil)
		require.NoError(t, err)
		if !ok {
			return all
		}
		all = append(all, f)
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func percents(all []Frame) (out []int) {
	for _, f := range all {
		if f.End == nil {
			out = append(out, f.Progress.Percent)
		}
	}
	return out
}

func last(all []Frame) store.ActionRun { return *all[len(all)-1].End }

func TestARunTellsItsProgressAndItsOutput(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Coalesce: time.Nanosecond})
	step := make(chan struct{})
	id := b.start(t, func(_ context.Context, progress framework.Progress) ([]byte, error) {
		for _, p := range []int{25, 25, 50} {
			<-step
			progress(p, "")
		}
		<-step
		return []byte(`{"n":9007199254740993}`), nil
	})
	other := b.engine(t, Config{Silence: time.Hour})
	watched := make(chan []Frame, 2)
	for _, e := range []*Engine{b.Engine, other} {
		go func() { watched <- frames(t, e, id, 0) }()
	}
	for range 4 {
		step <- struct{}{}
	}
	for range 2 {
		all := <-watched
		require.Equal(t, []int{0, 25, 50}, percents(all), "the same report twice is one")
		for i, f := range all {
			require.Equal(t, int64(i+1), f.Sequence)
		}
		end := last(all)
		require.Equal(t, []any{store.RunSucceeded, `{"n":9007199254740993}`, 100}, []any{end.State, string(end.Output), end.Percent})
	}
	// Whoever was away goes on where they were, here and on another node.
	for _, e := range []*Engine{b.Engine, other} {
		require.Equal(t, []int{50}, percents(frames(t, e, id, 2)))
		require.Len(t, frames(t, e, id, 3), 1)
		require.Empty(t, frames(t, e, id, 4))
	}
	_, err := b.Watch(t.Context(), "run_unknown", 0)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestTheLogSaysWhyAnActionFailed(t *testing.T) {
	t.Parallel()
	var text lines
	b := setup(t, Config{Log: slog.New(slog.NewTextHandler(&text, nil))})
	for _, err := range []error{nil, errors.New("the provider is away")} {
		c := b.call(func(context.Context, framework.Progress) ([]byte, error) { return []byte("1"), err })
		c.Project, c.Connection = "default", "hook"
		id, started := b.Start(t.Context(), c)
		require.NoError(t, started)
		frames(t, b.Engine, id, 0)
		require.NoError(t, b.Stop(t.Context()))
		require.Equal(t, err != nil, strings.Contains(text.String(), fmt.Sprintf(
			`msg="an action failed" project=default connection=hook action=shop.reindex run=%s class=transient err="the provider is away"`, id)), text.String())
		b.Engine = b.engine(t, b.cfg)
	}
}

func TestReportsThatFollowEachOtherCloselyAreOne(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Coalesce: 20 * time.Millisecond})
	id := b.start(t, func(_ context.Context, progress framework.Progress) ([]byte, error) {
		for i := range 5000 {
			progress(i/50, fmt.Sprint(i))
		}
		return nil, errors.New("after all")
	})
	all := frames(t, b.Engine, id, 0)
	require.Less(t, len(all), 300)
	require.Equal(t, "4999", all[len(all)-2].Progress.Message, "the last one is never left out")
	require.Equal(t, []any{store.RunFailed, "after all", "transient"}, []any{last(all).State, last(all).Error, last(all).ErrorClass})
}

func TestARunIsCanceledFromAnyNode(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	other := b.engine(t, Config{Silence: time.Hour})
	for _, e := range []*Engine{b.Engine, other} {
		id := b.start(t, func(ctx context.Context, _ framework.Progress) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		require.NoError(t, e.Cancel(t.Context(), id))
		require.Equal(t, store.RunCanceled, last(frames(t, b.Engine, id, 0)).State)
		require.ErrorIs(t, e.Cancel(t.Context(), id), ErrEnded)
	}
	require.ErrorIs(t, b.Cancel(t.Context(), "run_unknown"), store.ErrNotFound)
}

func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{MaxRunning: 2})
	release := make(chan struct{})
	hold := func(context.Context, framework.Progress) ([]byte, error) { <-release; return nil, nil }
	c := b.call(hold)
	c.Limit = 1
	first, err := b.Start(t.Context(), c)
	require.NoError(t, err)
	_, err = b.Start(t.Context(), c)
	require.ErrorIs(t, err, ErrTooMany, "of this action")
	c.Action = "other"
	second, err := b.Start(t.Context(), c)
	require.NoError(t, err)
	c.Action = "third"
	_, err = b.Start(t.Context(), c)
	require.ErrorIs(t, err, ErrTooMany, "of this process")
	close(release)
	for _, id := range []string{first, second} {
		require.Equal(t, store.RunSucceeded, last(frames(t, b.Engine, id, 0)).State)
	}
	c = b.call(func(context.Context, framework.Progress) ([]byte, error) {
		return make([]byte, store.MaxOutputBytes+1), nil
	})
	id, err := b.Start(t.Context(), c)
	require.NoError(t, err)
	require.ErrorContains(t, errors.New(last(frames(t, b.Engine, id, 0)).Error), "larger than 1 MiB")
	c.Timeout = time.Millisecond
	c.Do = func(ctx context.Context, _ framework.Progress) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	id, err = b.Start(t.Context(), c)
	require.NoError(t, err)
	require.Contains(t, last(frames(t, b.Engine, id, 0)).Error, "did not end within its timeout")
}

func TestTheRunsOfADeadProcessAreInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	now := time.Now()
	_, err := b.store.Store.WriteActions(t.Context(), []store.ActionWrite{{Begin: true, Run: store.ActionRun{
		ID: "run_dead", ConnectionID: b.con.ID, Action: "a", Origin: "trigger", State: store.RunRunning, Owner: "own_dead", StartedAt: now, Events: 1,
	}, Progress: []store.ActionProgress{{Sequence: 1, At: now}}}})
	require.NoError(t, err)
	watched := make(chan []Frame, 1)
	go func() { watched <- frames(t, b.Engine, "run_dead", 0) }()
	b.engine(t, Config{}) // a process that starts, on a store that nobody else has
	all := <-watched
	require.Equal(t, []any{store.RunInterrupted, store.InterruptedAction, int64(2)}, []any{last(all).State, last(all).Error, all[len(all)-1].Sequence})
}

func TestNothingIsShownThatIsNotDurable(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Coalesce: time.Nanosecond})
	step, reported := make(chan struct{}), make(chan struct{})
	id := b.start(t, func(_ context.Context, progress framework.Progress) ([]byte, error) {
		<-step
		progress(50, "")
		close(reported)
		return []byte("1"), nil
	})
	w, err := b.Watch(t.Context(), id, 1)
	require.NoError(t, err)
	b.store.broken.Store(true)
	step <- struct{}{}
	<-reported
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, _, err = w.Next(short, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = b.Start(t.Context(), b.call(nil))
	require.ErrorIs(t, err, store.ErrUnavailable, "what cannot be written is not begun")
	b.store.broken.Store(false)
	all := frames(t, b.Engine, id, 1)
	require.Equal(t, []int{50}, percents(all))
	require.Equal(t, "1", string(last(all).Output))
}

func TestAStopWaitsAndThenInterrupts(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{Silence: time.Hour})
	e := b.engine(t, Config{Silence: time.Hour})
	release := make(chan struct{})
	c := b.call(func(context.Context, framework.Progress) ([]byte, error) { <-release; return []byte("1"), nil })
	waits, err := e.Start(t.Context(), c)
	require.NoError(t, err)
	c.Do = func(ctx context.Context, _ framework.Progress) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	hangs, err := e.Start(t.Context(), c)
	require.NoError(t, err)
	w, err := e.Watch(t.Context(), hangs, 1)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	close(release)
	e.CloseWatchers()
	_, _, err = w.Next(t.Context(), nil)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, e.Stop(ctx))
	_, err = e.Start(t.Context(), c)
	require.ErrorIs(t, err, ErrStopping)
	require.Equal(t, store.RunSucceeded, last(frames(t, b.Engine, waits, 0)).State)
	require.Equal(t, store.RunInterrupted, last(frames(t, b.Engine, hangs, 0)).State)
}

func TestAProcessThatWasTakenForDeadStops(t *testing.T) {
	t.Parallel()
	b := setup(t, Config{})
	gone := make(chan error, 1)
	id := b.start(t, func(ctx context.Context, progress framework.Progress) ([]byte, error) {
		for i := 0; ctx.Err() == nil; i++ {
			progress(i%100, "")
		}
		gone <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	n, err := b.store.InterruptActions(t.Context(), "own_other", 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorIs(t, <-gone, errLost)
	require.Equal(t, store.RunInterrupted, last(frames(t, b.Engine, id, 0)).State)
}

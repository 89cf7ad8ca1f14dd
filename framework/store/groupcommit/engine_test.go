package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errContent = errors.New("bad row")
	errRetry   = errors.New("deadlock")
	errDown    = errors.New("connection lost")
)

// script is a backend that keeps only keys, heads and markers, and fails as told.
// Transactions work on a copy.
type script struct {
	mu     sync.Mutex
	state  state
	opened int
	// step is called at every call of the backend and may fail it. For "commit"
	// and "committed lost" see tx.Commit.
	step func(call string) error
	// final makes its transactions a FinalTx.
	final bool
}

type state struct {
	heads  map[StreamKey]Head
	keys   map[keyKey]int64
	marker string
}

func (s state) clone() state {
	c := state{map[StreamKey]Head{}, map[keyKey]int64{}, s.marker}
	maps.Copy(c.heads, s.heads)
	maps.Copy(c.keys, s.keys)
	return c
}

func (s *script) call(name string) error {
	if s.step == nil {
		return nil
	}
	return s.step(name)
}

func (s *script) Begin(context.Context) (Tx, error) {
	tx := &scriptTx{s: s, state: s.state.clone()}
	if s.final {
		return finalTx{tx}, s.call("begin")
	}
	return tx, s.call("begin")
}

// finalTx knows what became of the changes when they were refused.
type finalTx struct{ *scriptTx }

func (t finalTx) WriteAndCommit(ctx context.Context, c *Changes) (undone bool, err error) {
	if err := t.Write(ctx, c); err != nil {
		return true, err
	}
	return false, t.Commit(ctx)
}

func (s *script) Classify(err error) Class {
	switch {
	case errors.Is(err, errContent):
		return Content
	case errors.Is(err, errRetry):
		return Retry
	}
	return Unavailable
}

func (s *script) Reopen(context.Context) error {
	s.opened++
	return s.call("reopen")
}

func (s *script) Committed(_ context.Context, marker string) (bool, error) {
	return s.state.marker == marker, s.call("committed")
}

type scriptTx struct {
	s           *script
	state, save state
}

func (t *scriptTx) Guard(_ context.Context, w Wanted) (Guarded, error) {
	g := Guarded{Epochs: map[string]int64{}}
	for _, c := range w.Connections {
		g.Epochs[c] = 1
	}
	return g, t.s.call("guard")
}

func (t *scriptTx) LockHeads(_ context.Context, keys []StreamKey) ([]*Head, error) {
	var out []*Head
	for _, k := range keys {
		h, ok := t.state.heads[k]
		if !ok {
			h.ConnectionID, h.Stream, h.ID = k.ConnectionID, k.Stream, int64(len(t.state.heads)+1)
			t.state.heads[k] = h
		}
		out = append(out, &h)
	}
	return out, t.s.call("heads")
}

func (t *scriptTx) Lookup(_ context.Context, _ []*Entity, keys []*Key) error {
	for _, k := range keys {
		k.Sequence = t.state.keys[keyKey{streamOf(k.Head), k.Hash}]
	}
	return t.s.call("lookup")
}

func (t *scriptTx) EventKeys(context.Context, []EventRef) ([]string, error) { return nil, nil }

func (t *scriptTx) Write(_ context.Context, c *Changes) error {
	for _, k := range c.Keys {
		t.state.keys[keyKey{streamOf(k.Head), k.Hash}] = k.Sequence
	}
	for _, h := range c.Heads {
		t.state.heads[streamOf(h)] = *h
	}
	t.state.marker = c.Marker
	for _, e := range c.Events {
		if e.Type == "poison" {
			return errContent
		}
		if e.Type == "bomb" {
			panic("bomb")
		}
	}
	return t.s.call("write")
}

func (t *scriptTx) Savepoint(context.Context) error {
	t.save = t.state.clone()
	return t.s.call("savepoint")
}

func (t *scriptTx) RollbackTo(context.Context) error {
	t.state = t.save.clone()
	return t.s.call("rollback to")
}

// Commit fails after the commit for "commit" and before it for "lose".
func (t *scriptTx) Commit(context.Context) error {
	if err := t.s.call("lose"); err != nil {
		return err
	}
	t.s.mu.Lock()
	t.s.state = t.state
	t.s.mu.Unlock()
	return t.s.call("commit")
}

func (t *scriptTx) Rollback(context.Context) error { return t.s.call("rollback") }

func (s *script) head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.heads[StreamKey{"con_1", "s"}].Head
}

func start(t *testing.T, step func(call string) error) (*Engine, *script) {
	t.Helper()
	s := &script{state: state{}.clone(), step: step}
	e, err := New(s, Config{Secret: []byte("0123456789abcdef"), QueueUnits: 8})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e, s
}

func unit(kind, id string) store.Unit {
	return store.Unit{
		ID: store.NewCommitID(), ConnectionID: "con_1", Epoch: 1, At: time.Unix(1, 0),
		Emissions: []ingest.Emission{{Stream: "s", Type: kind, Operation: ingest.Upsert, Key: ingest.EventKey(id), Payload: []byte(`{}`)}},
	}
}

// times fails the first n times that the call is made.
func times(n int, name string, err error) func(string) error {
	return func(call string) error {
		if call == name && n > 0 {
			n--
			return err
		}
		return nil
	}
}

// startFinal is start with a backend that commits with the changes.
func startFinal(t *testing.T, step func(call string) error) (*Engine, *script) {
	t.Helper()
	s := &script{state: state{}.clone(), step: step, final: true}
	e, err := New(s, Config{Secret: []byte("0123456789abcdef"), QueueUnits: 8})
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e, s
}

func TestACommitInOneStepIsAskedForWhenNobodyKnows(t *testing.T) {
	t.Parallel()
	for call, opened := range map[string]int{"commit": 1, "lose": 1, "write": 0} {
		fail := errDown
		if call == "write" {
			fail = errRetry
		}
		e, s := startFinal(t, times(1, call, fail))
		r, err := e.Commit(t.Context(), unit("t", "1"))
		require.NoError(t, err, call)
		require.False(t, r.Events[0].Duplicate, call)
		require.Equal(t, int64(1), s.head(), call)
		require.Equal(t, opened, s.opened, call)
		require.Equal(t, int64(1), e.Stats().Batches, call)
	}
}

func TestACommitInOneStepThatIsRefusedIsDoneInHalves(t *testing.T) {
	t.Parallel()
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	e, s := startFinal(t, func(call string) error {
		if call == "guard" {
			once.Do(func() { close(held); <-hold })
		}
		return nil
	})
	answers := make(chan error, 4)
	commit := func(kind, id string) {
		_, err := e.Commit(t.Context(), unit(kind, id))
		answers <- err
	}
	go commit("t", "first")
	<-held
	for _, kind := range []string{"t", "poison", "t"} {
		go commit(kind, store.NewCommitID())
	}
	require.Eventually(t, func() bool { return e.Stats().Waiting == 3 }, time.Minute, time.Millisecond)
	close(hold)
	refused := 0
	for range 4 {
		if err := <-answers; err != nil {
			require.ErrorIs(t, err, store.ErrInvalid)
			refused++
		}
	}
	require.Equal(t, 1, refused)
	require.Equal(t, int64(3), s.head())
}

func TestAPanicWhileCommittingInOneStepIsAskedFor(t *testing.T) {
	t.Parallel()
	armed := true
	e, s := startFinal(t, func(call string) error {
		if call == "commit" && armed {
			armed = false
			panic("after the commit")
		}
		return nil
	})
	r, err := e.Commit(t.Context(), unit("t", "1"))
	require.NoError(t, err)
	require.False(t, r.Events[0].Duplicate)
	require.Equal(t, int64(1), s.head())
}

func TestDeadlocksAreTriedAgainUnseen(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"begin", "guard", "heads", "lookup", "write", "lose"} {
		e, s := start(t, times(3, call, errRetry))
		r, err := e.Commit(t.Context(), unit("t", "1"))
		require.NoError(t, err, call)
		require.Equal(t, int64(1), r.Events[0].Sequence)
		require.Equal(t, int64(1), s.head())
	}
}

func TestEndlessDeadlocksAreUnavailable(t *testing.T) {
	t.Parallel()
	e, _ := start(t, times(1000, "write", errRetry))
	_, err := e.Commit(t.Context(), unit("t", "1"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, errRetry)
}

func TestCommitThatHappenedDespiteItsErrorIsSuccess(t *testing.T) {
	t.Parallel()
	e, s := start(t, times(1, "commit", errDown))
	r, err := e.Commit(t.Context(), unit("t", "1"))
	require.NoError(t, err)
	require.Equal(t, 1, r.Appended)
	require.False(t, r.Events[0].Duplicate)
	require.Equal(t, int64(1), s.head())
	require.Equal(t, 1, s.opened, "the backend was not reopened before it was asked")
}

func TestCommitThatDidNotHappenIsDoneAgain(t *testing.T) {
	t.Parallel()
	e, s := start(t, times(1, "lose", errDown))
	r, err := e.Commit(t.Context(), unit("t", "1"))
	require.NoError(t, err)
	require.Equal(t, int64(1), r.Events[0].Sequence)
	require.Equal(t, int64(1), s.head())
}

func TestNobodyIsAnsweredBeforeTheLostBackendWasAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		down := true
		e, s := start(t, func(call string) error {
			mu.Lock()
			defer mu.Unlock()
			if down && (call == "commit" || call == "reopen" || call == "committed") {
				return errDown
			}
			return nil
		})
		answered := make(chan error, 1)
		go func() {
			_, err := e.Commit(t.Context(), unit("t", "1"))
			answered <- err
		}()
		time.Sleep(time.Minute) // the bubble's clock: many attempts to reopen
		select {
		case err := <-answered:
			require.Fail(t, "answered without knowing", "%v", err)
		default:
		}
		_, err := e.Commit(t.Context(), unit("t", "2"))
		require.ErrorIs(t, err, store.ErrUnavailable, "others must be refused, not kept waiting")
		mu.Lock()
		down = false
		mu.Unlock()
		require.NoError(t, <-answered)
		_, err = e.Commit(t.Context(), unit("t", "2"))
		require.NoError(t, err)
		require.Equal(t, int64(2), s.head())
		e.Close()
	})
}

func TestCloseEndsTheWaitForALostBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, func(call string) error {
			if call == "commit" || call == "reopen" {
				return errDown
			}
			return nil
		})
		answered := make(chan error, 1)
		go func() {
			_, err := e.Commit(t.Context(), unit("t", "1"))
			answered <- err
		}()
		synctest.Wait()
		e.Close()
		require.ErrorIs(t, <-answered, store.ErrUnavailable)
	})
}

func TestPanicsFailOnlyTheUnitThatCausesThem(t *testing.T) {
	t.Parallel()
	e, s := start(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		wg.Go(func() {
			kind := "t"
			if i%16 == 7 {
				kind = "bomb"
			}
			_, errs[i] = e.Commit(t.Context(), unit(kind, fmt.Sprint(i)))
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%16 == 7 {
			require.ErrorContains(t, err, "panic while committing: bomb")
		} else {
			require.NoError(t, err)
		}
	}
	require.Equal(t, int64(60), s.head())
}

func TestPanicOfTheBackendIsItsFailure(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"begin", "lose", "reopen", "rollback"} {
		left := 1
		e, s := start(t, func(c string) error {
			if c == "write" && left > 0 && (call == "reopen" || call == "rollback") {
				return errDown
			}
			if c == call && left > 0 {
				left--
				panic("backend")
			}
			return nil
		})
		_, err := e.Commit(t.Context(), unit("t", "1"))
		if call != "lose" {
			require.ErrorIs(t, err, store.ErrUnavailable, call)
		}
		require.Eventually(t, func() bool {
			_, err = e.Commit(t.Context(), unit("t", "1"))
			return err == nil
		}, time.Second, time.Millisecond, call)
		require.Equal(t, int64(1), s.head())
	}
}

func TestBisectionThatMeetsALostBackendFailsAllAlike(t *testing.T) {
	t.Parallel()
	e, s := start(t, times(1, "savepoint", errDown))
	gate := make(chan struct{})
	held := make(chan struct{})
	go func() { _ = e.Do(t.Context(), func(context.Context) error { close(held); <-gate; return nil }) }()
	<-held
	errs := make(chan error, 4)
	for i := range 4 {
		kind := "t"
		if i == 2 {
			kind = "poison"
		}
		go func() {
			_, err := e.Commit(t.Context(), unit(kind, fmt.Sprint(i)))
			errs <- err
		}()
	}
	require.Eventually(t, func() bool { return e.Stats().Waiting == 4 }, time.Second, time.Millisecond)
	close(gate)
	for range 4 {
		require.ErrorIs(t, <-errs, store.ErrUnavailable)
	}
	require.Zero(t, s.head())
}

func TestTextsOfFailuresAreCutToWhatCanBeStored(t *testing.T) {
	t.Parallel()
	require.Equal(t, "fine", cut("fine", 10))
	require.Equal(t, "a\uFFFDb", cut("a\x00b", 10))
	long := cut(strings.Repeat("ü", 100), 51)
	require.LessOrEqual(t, len(long), 51)
	require.True(t, validText(long))
	require.True(t, strings.HasSuffix(long, "… (cut)"))
}

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(&script{}, Config{QueueUnits: -1, Retries: -1})
	require.ErrorContains(t, err, "secret")
	require.ErrorContains(t, err, "queue units")
	require.ErrorContains(t, err, "retries")
}

package budget_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
)

// books keeps records, as a store does that several nodes share.
type books struct {
	shelf

	turn    chan struct{} // in a bubble a mutex would stop the clock
	records map[string][]byte
	// delay is how long a change takes to come, and its answer.
	delay func() time.Duration
	fail  error
}

func newBooks(delay func() time.Duration) *books {
	return &books{shelf: shelf{states: map[string][]byte{}}, turn: make(chan struct{}, 1), records: map[string][]byte{}, delay: delay}
}

func (b *books) Amend(_ context.Context, name string, f func(time.Time, []byte) ([]byte, error)) error {
	time.Sleep(b.delay())
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if b.fail != nil {
		return b.fail
	}
	value, err := f(time.Now(), b.records[name])
	if err != nil {
		return err
	}
	b.records[name] = value
	time.Sleep(b.delay())
	return nil
}

// node is a process with a client of a connection of its own.
func node(t require.TestingT, s budget.Store, connection string, rate budget.Rate, call func(*http.Request) *http.Response) (*http.Client, *budget.Keeper) {
	k := budget.NewKeeper(s, nil)
	b, err := k.Open("default", connection, "api", rate, budget.Rate{})
	require.NoError(t, err)
	return &http.Client{Transport: budget.Transport(roundTrip(call), b)}, k
}

func get(ctx context.Context, c *http.Client, host string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return err
	}
	response, err := c.Do(r)
	if err == nil {
		err = response.Body.Close()
	}
	return err
}

func TestNodesTogetherStayWithinASharedBudget(t *testing.T) {
	t.Parallel()
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		rate := budget.Rate{Count: rapid.IntRange(1, 30).Draw(t, "count"), Per: time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second}
		most := rapid.SampledFrom([]int{10, 400}).Draw(t, "longest delay")
		delays := rapid.SliceOfN(rapid.IntRange(0, most), 8, 8).Draw(t, "delays")
		nodes := rapid.IntRange(2, 5).Draw(t, "nodes")
		var calls []time.Time
		synctest.Test(outer, func(t *testing.T) {
			var mu sync.Mutex
			at := 0
			s := newBooks(func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				at++
				return time.Duration(delays[at%len(delays)]) * time.Millisecond
			})
			var working sync.WaitGroup
			for n := range nodes {
				client, _ := node(t, s, fmt.Sprintf("con_%d", n), rate, func(*http.Request) *http.Response {
					mu.Lock()
					calls = append(calls, time.Now())
					mu.Unlock()
					return httptest.NewRecorder().Result()
				})
				// A node joins after the others, and dies without a word.
				begins, ends := time.Duration(n)*rate.Per/3, 3*rate.Per+time.Duration(n)*rate.Per/2
				for range 3 {
					working.Go(func() {
						time.Sleep(begins)
						ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), ends)
						defer cancel()
						for ctx.Err() == nil {
							if err := get(ctx, client, "h"); err != nil {
								time.Sleep(max(framework.RetryDelay(err), time.Millisecond))
							}
						}
					})
				}
			}
			working.Wait()
		})
		for i := rate.Count; i < len(calls); i++ {
			if span := calls[i].Sub(calls[i-rate.Count]); span < rate.Per {
				t.Fatalf("%d calls in %s with a rate of %s", rate.Count+1, span, rate)
			}
		}
		if most == 10 && len(calls) < 2*rate.Count {
			t.Fatalf("only %d calls in more than three times %s", len(calls), rate)
		}
	})
}

func TestWhatOneNodeIsToldHoldsForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBooks(func() time.Duration { return time.Millisecond })
		answer := httptest.NewRecorder()
		answer.Header().Set("Retry-After", "600")
		answer.Code = http.StatusTooManyRequests
		one, _ := node(t, s, "con_1", budget.Rate{}, func(*http.Request) *http.Response { return answer.Result() })
		asked := 0
		two, _ := node(t, s, "con_2", budget.Rate{}, func(*http.Request) *http.Response {
			asked++
			return httptest.NewRecorder().Result()
		})
		require.NoError(t, get(t.Context(), one, "slow"))
		err := get(t.Context(), two, "slow")
		require.ErrorIs(t, err, framework.ErrRateLimited)
		require.InDelta(t, 600, framework.RetryDelay(err).Seconds(), 2)
		require.Zero(t, asked)
		require.NoError(t, get(t.Context(), two, "other"))
		time.Sleep(10*time.Minute + time.Second)
		require.NoError(t, get(t.Context(), two, "slow"))
	})
}

func TestABudgetThatCannotBeReadAllowsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBooks(func() time.Duration { return 0 })
		s.fail = errors.New("gone")
		asked := 0
		client, _ := node(t, s, "con_1", budget.Rate{Count: 10, Per: time.Second}, func(*http.Request) *http.Response {
			asked++
			return httptest.NewRecorder().Result()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		require.ErrorIs(t, get(ctx, client, "h"), framework.ErrRateLimited)
		require.Zero(t, asked)
		s.fail = nil
		require.NoError(t, get(t.Context(), client, "h"))
	})
}

// In the middle of a rolling restart with another rate, the one that the record was
// begun with is in force; the new one holds when nobody has that any more.
func TestNodesWithDifferentRatesGoByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newBooks(func() time.Duration { return 0 })
		calls := 0
		count := func(*http.Request) *http.Response {
			calls++
			return httptest.NewRecorder().Result()
		}
		old, _ := node(t, s, "con_1", budget.Rate{Count: 4, Per: 10 * time.Minute}, count)
		next, _ := node(t, s, "con_2", budget.Rate{Count: 6, Per: 10 * time.Minute}, count)
		for range 2 {
			require.NoError(t, get(t.Context(), old, "h"))
			require.NoError(t, get(t.Context(), next, "h"))
		}
		require.ErrorIs(t, get(t.Context(), next, "h"), framework.ErrRateLimited)
		require.ErrorIs(t, get(t.Context(), old, "h"), framework.ErrRateLimited)
		time.Sleep(61 * time.Second)
		require.NoError(t, get(t.Context(), next, "h"))
		require.NoError(t, get(t.Context(), next, "h"))
		require.ErrorIs(t, get(t.Context(), next, "h"), framework.ErrRateLimited, "what was used before counts")
		require.Equal(t, 6, calls)
	})
}

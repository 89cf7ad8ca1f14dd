package budget_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/store"
)

// counted is a shelf that counts what is written to it.
type counted struct {
	*shelf
	commits *int
}

func (c counted) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	c.mu.Lock()
	*c.commits++
	c.mu.Unlock()
	return c.shelf.Commit(ctx, u)
}

func TestAProcessThatDiesForgetsNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []budget.Rate{{Count: 320, Per: time.Minute}, {Count: 5, Per: 4 * time.Second}, {Count: 1000, Per: 24 * time.Hour}} {
			commits := 0
			s := counted{&shelf{states: map[string][]byte{}}, &commits}
			k := budget.NewKeeper(s, nil)
			b, err := k.Open("default", "con_a", "", rate, budget.Rate{})
			require.NoError(t, err)
			client := &http.Client{Transport: budget.Transport(roundTrip(func(*http.Request) *http.Response {
				return httptest.NewRecorder().Result()
			}), b)}
			made := rate.Count / 2
			var calls sync.WaitGroup
			for i := range made {
				calls.Go(func() { // some at once
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", nil)
					require.NoError(t, err)
					response, err := client.Do(r)
					require.NoError(t, err)
					_ = response.Body.Close()
				})
				if i%7 == 0 {
					calls.Wait()
					time.Sleep(rate.Per / 1000)
				}
				if i%50 == 49 {
					k.Save(t.Context())
				}
			}
			calls.Wait()
			require.LessOrEqual(t, commits, 70, "%s: nearly each call waits for the disk", rate)

			// No Save: the process is gone.
			next := budget.NewKeeper(s, nil)
			b, err = next.Open("default", "con_a", "", rate, budget.Rate{})
			require.NoError(t, err)
			next.Recall("con_a", s.all())
			left := 0
			for b.Take("h", false) == 0 {
				left++
			}
			require.LessOrEqual(t, made+left, rate.Count, "%s: calls were forgotten", rate)
			require.GreaterOrEqual(t, made+left, rate.Count-rate.Count/16-1, "%s: calls were counted that nobody made", rate)
		}
	})
}

// held is a shelf that keeps its writes waiting.
type held struct {
	*shelf
	gate chan struct{}
}

func (h held) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	<-h.gate
	return h.shelf.Commit(ctx, u)
}

func TestACallWaitsForAnAdvanceThatIsBeingStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := held{&shelf{states: map[string][]byte{}}, make(chan struct{})}
		b, err := budget.NewKeeper(s, nil).Open("default", "con_a", "", budget.Rate{Count: 320, Per: time.Minute}, budget.Rate{})
		require.NoError(t, err)
		var made atomic.Int64
		client := &http.Client{Transport: budget.Transport(roundTrip(func(*http.Request) *http.Response {
			made.Add(1)
			return httptest.NewRecorder().Result()
		}), b)}
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", nil)
				require.NoError(t, err)
				response, err := client.Do(r)
				require.NoError(t, err)
				_ = response.Body.Close()
			})
			synctest.Wait()
		}
		require.Zero(t, made.Load(), "the store counts neither of them yet")
		close(s.gate)
		calls.Wait()
		require.EqualValues(t, 2, made.Load())
	})
}

package budget_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/internal/ending"
	"github.com/weirhq/weir/framework/store"
)

func TestRatesAreReadAndWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"100/min": "100/min", "5/s": "5/s", "1000 / 10min": "1000/10min", "60/60s": "60/min", "1/d": "1/d", "7/hour": "7/h"} {
		rate, err := budget.ParseRate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, rate.String())
	}
	for _, text := range []string{"", "100", "/min", "0/min", "-1/s", "1/fortnight", "1/0s", "1000001/s", "1/99999999999999999999s", "1/8d", "1.5/s"} {
		_, err := budget.ParseRate(text)
		require.ErrorIs(t, err, budget.ErrRate, text)
	}
}

func TestADeclaredRateIsNeverExceededInAnySpan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		rate := budget.Rate{Count: rapid.IntRange(1, 20).Draw(t, "count"), Per: time.Duration(rapid.IntRange(1, 100).Draw(t, "per")) * time.Second}
		b := budget.New(rate, func() time.Time { return now })
		var taken []time.Time
		for range 200 {
			if wait := b.Take("h", false); wait == 0 {
				taken = append(taken, now)
			} else if rapid.Bool().Draw(t, "patient") {
				now = now.Add(wait)
				if b.Take("h", false) != 0 {
					t.Fatalf("a wait of %s was not enough", wait)
				}
				taken = append(taken, now)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(rate.Per)/4).Draw(t, "step")))
		}
		for i := rate.Count; i < len(taken); i++ {
			if span := taken[i].Sub(taken[i-rate.Count]); span < rate.Per {
				t.Fatalf("%d calls in %s with a rate of %s", rate.Count+1, span, rate)
			}
		}
	})
}

func TestYieldingCallsLeaveATenth(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Rate{Count: 20, Per: time.Minute}, nil)
	yielded := 0
	for b.Take("h", true) == 0 {
		yielded++
	}
	require.Equal(t, 18, yielded)
	require.Zero(t, b.Take("h", false))
	require.Zero(t, b.Take("h", false))
	require.Positive(t, b.Take("h", false))
}

func TestAProvidersAnswersAreObeyed(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		status int
		header map[string]string
		want   time.Duration
	}{
		"Retry-After in seconds":      {429, map[string]string{"Retry-After": "90"}, 90 * time.Second},
		"Retry-After as a date":       {503, map[string]string{"Retry-After": now.Add(time.Minute).UTC().Format(http.TimeFormat)}, time.Minute},
		"Retry-After without end":     {429, map[string]string{"Retry-After": "99999999"}, time.Hour},
		"Retry-After of a success":    {200, map[string]string{"Retry-After": "90"}, 0},
		"newer draft":                 {200, map[string]string{"RateLimit": `"burst";r=0;t=7, "day";r=100;t=4000`}, 7 * time.Second},
		"older draft, one field":      {200, map[string]string{"RateLimit": "limit=100, remaining=0, reset=50"}, 50 * time.Second},
		"older draft, three fields":   {200, map[string]string{"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "0", "RateLimit-Reset": "50"}, 50 * time.Second},
		"epoch seconds":               {200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Unix()+30, 10)}, 30 * time.Second},
		"epoch milliseconds":          {200, map[string]string{"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": strconv.FormatInt(now.UnixMilli()+30_000, 10)}, 30 * time.Second},
		"some are left":               {200, map[string]string{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}, 0},
		"a window of ten years":       {200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "315360000"}, time.Hour},
		"no end of the window":        {200, map[string]string{"X-RateLimit-Remaining": "0"}, 0},
		"nonsense":                    {200, map[string]string{"X-RateLimit-Remaining": "many", "X-RateLimit-Reset": "-5", "RateLimit": ";;=,"}, 0},
		"the window was over already": {200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(now.Unix()-5, 10)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := budget.New(budget.Rate{}, func() time.Time { return now })
			header := http.Header{}
			for k, v := range c.header {
				header.Set(k, v)
			}
			b.Learn("api.example", c.status, header)
			require.Equal(t, c.want, b.Take("api.example", false))
			require.Zero(t, b.Take("other.example", false), "another host has said nothing")
		})
	}
}

func TestWhatIsLeftIsCountedDownBetweenAnswers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	b := budget.New(budget.Rate{}, func() time.Time { return now })
	b.Learn("h", 200, http.Header{"X-Ratelimit-Remaining": {"2"}, "X-Ratelimit-Reset": {"60"}})
	require.Zero(t, b.Take("h", false))
	require.Zero(t, b.Take("h", false))
	require.Equal(t, time.Minute, b.Take("h", false))
	now = now.Add(time.Second)
	b.Learn("h", 200, http.Header{"X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"59"}})
	require.Positive(t, b.Take("h", false), "an answer that comes late gives nothing back")
	now = now.Add(time.Minute)
	require.Zero(t, b.Take("h", false))
}

func TestARequestWaitsWithinItsDeadlineAndElseEndsThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget.New(budget.Rate{Count: 1, Per: 8 * time.Second}, nil)
		calls := 0
		client := &http.Client{Transport: budget.Transport(roundTrip(func(*http.Request) *http.Response {
			calls++
			return httptest.NewRecorder().Result()
		}), b)}
		get := func(d time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			begun := time.Now()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://h/", nil)
			require.NoError(t, err)
			response, err := client.Do(r)
			if err == nil {
				_ = response.Body.Close()
			}
			return time.Since(begun), err
		}
		_, err := get(time.Minute)
		require.NoError(t, err)
		took, err := get(time.Minute)
		require.NoError(t, err)
		require.InDelta(t, 8, took.Seconds(), 0.5)
		took, err = get(15 * time.Second)
		require.ErrorIs(t, err, framework.ErrRateLimited)
		require.Zero(t, took, "what would not be in time is not waited for")
		require.InDelta(t, 8, framework.RetryDelay(err).Seconds(), 0.5)
		// Nor is a page that is the last one for now.
		last := make(chan struct{})
		close(last)
		r, err := http.NewRequestWithContext(ending.With(t.Context(), last), http.MethodGet, "http://h/", nil)
		require.NoError(t, err)
		begun := time.Now()
		_, err = client.Do(r)
		require.ErrorIs(t, err, framework.ErrRateLimited)
		require.Zero(t, time.Since(begun))
		require.Equal(t, 2, calls)
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// shelf keeps states.
type shelf struct {
	mu     sync.Mutex
	states map[string][]byte
	fail   error
}

func (s *shelf) Epoch(string) (int64, bool) { return 1, true }

func (s *shelf) Commit(_ context.Context, u store.Unit) (store.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return store.Receipt{}, s.fail
	}
	for _, w := range u.State {
		s.states[u.ConnectionID+"|"+w.Name] = w.Value
	}
	return store.Receipt{}, nil
}

// all lists what it has.
func (s *shelf) all() (out []store.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.states {
		id, name, _ := strings.Cut(k, "|")
		out = append(out, store.State{ConnectionID: id, Name: name, Value: v})
	}
	return out
}

func TestBudgetsSurviveARestartAndAreSharedByName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rate := budget.Rate{Count: 3, Per: time.Minute}
		s := &shelf{states: map[string][]byte{}}
		k := budget.NewKeeper(s, nil)
		a, err := k.Open("default", "con_a", "api", rate, budget.Rate{})
		require.NoError(t, err)
		b, err := k.Open("default", "con_b", "api", budget.Rate{}, budget.Rate{})
		require.NoError(t, err)
		require.Same(t, a, b)
		elsewhere, err := k.Open("other", "con_c", "api", rate, budget.Rate{})
		require.NoError(t, err)
		require.NotSame(t, a, elsewhere, "a name is one of its project")
		_, err = k.Open("default", "con_d", "api", budget.Rate{Count: 4, Per: time.Minute}, budget.Rate{})
		require.ErrorIs(t, err, budget.ErrRates)

		require.Zero(t, a.Take("h", false))
		require.Zero(t, b.Take("h", false))
		require.Zero(t, a.Take("h", false))
		a.Learn("slow", 429, http.Header{"Retry-After": {"600"}})
		k.Save(t.Context())
		time.Sleep(20 * time.Second)

		next := budget.NewKeeper(s, nil)
		b, err = next.Open("default", "con_b", "api", rate, budget.Rate{})
		require.NoError(t, err)
		next.Recall("con_b", s.all())
		require.InDelta(t, 40, b.Take("h", false).Seconds(), 3, "what con_a used counts after the restart")
		require.InDelta(t, 580, b.Take("slow", false).Seconds(), 1)
	})
}

func TestABudgetMovesWithItsConnectionAndIsStoredAgainWhenThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rate := budget.Rate{Count: 3, Per: time.Minute}
		s := &shelf{states: map[string][]byte{}}
		here, there := budget.NewKeeper(s, nil), budget.NewKeeper(s, nil)
		a, err := here.Open("default", "con_a", "", rate, budget.Rate{})
		require.NoError(t, err)
		other, err := here.Open("default", "con_b", "", rate, budget.Rate{})
		require.NoError(t, err)
		b, err := there.Open("default", "con_a", "", rate, budget.Rate{})
		require.NoError(t, err)
		for range 3 {
			require.Zero(t, a.Take("h", false))
		}
		require.Zero(t, other.Take("h", false))
		here.Leave(t.Context(), "con_a")
		require.Len(t, s.all(), 1, "only its own is stored")
		there.Recall("con_a", s.all())
		require.Positive(t, b.Take("h", false), "what was used at the other node counts")

		// And back: the same client goes on with the same budget.
		time.Sleep(2 * time.Minute)
		require.Zero(t, b.Take("h", false))
		require.Zero(t, b.Take("h", false))
		s.fail = errors.New("gone")
		there.Leave(t.Context(), "con_a")
		s.fail = nil
		there.Save(t.Context())
		here.Recall("con_a", s.all())
		require.Zero(t, a.Take("h", false))
		require.Positive(t, a.Take("h", false), "two were used there, and one here")
	})
}

func TestAClockThatIsSetMakesNoWaitLonger(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	b := budget.New(budget.Rate{Count: 2, Per: time.Minute}, func() time.Time { return now })
	b.Take("h", false)
	b.Take("h", false)
	b.Learn("g", 429, http.Header{"Retry-After": {"600"}})
	now = now.Add(-time.Hour)
	require.LessOrEqual(t, b.Take("h", false), 62*time.Second)
	require.Positive(t, b.Take("h", false), "and forgets nothing")
	require.LessOrEqual(t, b.Take("g", false), time.Hour)
	now = now.Add(3 * time.Hour)
	require.Zero(t, b.Take("h", false))
	require.Zero(t, b.Take("g", false))
}

func TestAConfiguredRateWinsOverThoseThatConnectorsDeclare(t *testing.T) {
	t.Parallel()
	rate := func(n int) budget.Rate { return budget.Rate{Count: n, Per: time.Minute} }
	k := budget.NewKeeper(&shelf{}, nil)
	open := func(id, name string, configured, declared budget.Rate) budget.Rate {
		b, err := k.Open("default", id, name, configured, declared)
		require.NoError(t, err)
		return b.Rate()
	}
	require.Equal(t, rate(100), open("con_1", "", budget.Rate{}, rate(100)))
	require.Equal(t, rate(50), open("con_2", "", rate(50), rate(100)))
	require.Equal(t, rate(100), open("con_3", "api", budget.Rate{}, rate(100)))
	require.Equal(t, rate(80), open("con_4", "api", budget.Rate{}, rate(80)), "the strictest, in any order")
	require.Equal(t, rate(80), open("con_5", "api", budget.Rate{}, rate(90)))
	require.Equal(t, rate(500), open("con_6", "api", rate(500), rate(90)))
	require.Equal(t, rate(500), open("con_7", "api", budget.Rate{}, rate(80)))
	_, err := k.Open("default", "con_8", "api", rate(400), rate(80))
	require.ErrorIs(t, err, budget.ErrRates)
}

package sink_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func answered(status int, number int, retryAfter string) sink.Attempt {
	h := http.Header{}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return sink.Attempt{Answer: sink.Answer{Status: status, Header: h}, Number: number, First: noon, Now: noon, Events: 1}
}

func TestRetryAfterIsObeyedUpToItsCap(t *testing.T) {
	t.Parallel()
	p := sink.Standard{Random: func() float64 { return 0 }, MaxRetryAfter: 2 * time.Hour}
	for value, want := range map[string]time.Duration{
		"120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "7200": 2 * time.Hour,
		"-1": 0, "NaN": 0, "1e308": 0, "1.5": 0, "+5": 0, "soon": 0, "": 0,
		"99999999999999999999999": 2 * time.Hour, "86400": 2 * time.Hour,
		"Mon, 02 Mar 2026 12:10:00 GMT": 10 * time.Minute, "Mon, 02 Mar 2026 11:00:00 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": 2 * time.Hour,
	} {
		d := p.Decide(answered(429, 1, value))
		require.Equal(t, sink.Retry, d.Verdict)
		require.Equal(t, want, d.After, "%q", value)
	}
}

func TestRetriesOfAThousandFailuresAreSpread(t *testing.T) {
	t.Parallel()
	const buckets = 10
	for number := 1; number <= 4; number++ {
		bound := 5 * time.Second << (number - 1)
		var histogram [buckets]int
		for range 1000 {
			after := sink.Standard{}.Decide(answered(503, number, "")).After
			require.Less(t, after, bound)
			histogram[after*buckets/bound]++
		}
		for i, n := range histogram {
			require.InDelta(t, 100, n, 60, "bucket %d of attempt %d", i, number)
		}
	}
}

func TestOnlySuccessSucceedsAndEachStatusHasItsRule(t *testing.T) {
	t.Parallel()
	for status := 100; status <= 599; status++ {
		want := sink.Retry
		switch {
		case status >= 200 && status <= 299:
			want = sink.Delivered
		case status == 410:
			want = sink.Disable
		case status == 400, status == 413, status == 415, status == 422:
			want = sink.Split
		}
		require.Equal(t, want, sink.Standard{}.Decide(answered(status, 1, "")).Verdict, status)
	}
	require.Equal(t, sink.GiveUp, sink.Standard{}.Decide(answered(500, 6, "")).Verdict, "1 and 5 retries")
	old := answered(500, 2, "")
	old.Now = noon.Add(time.Hour)
	require.Equal(t, sink.GiveUp, sink.Standard{MaxAge: time.Hour}.Decide(old).Verdict)
}

func TestAStatusMayHaveARuleOfItsOwn(t *testing.T) {
	t.Parallel()
	p := sink.Standard{Statuses: map[int]sink.Verdict{
		404: sink.GiveUp, 409: sink.Delivered, 400: sink.Retry, 410: sink.Retry, 503: sink.Stop, 500: sink.Disable, 401: sink.Split, 200: sink.Stop,
	}}
	for status, want := range p.Statuses {
		if status == 200 {
			want = sink.Delivered // success is no matter of rules
		}
		require.Equal(t, want, p.Decide(answered(status, 1, "")).Verdict, status)
	}
	require.Equal(t, sink.GiveUp, p.Decide(answered(400, 6, "")).Verdict, "the bounds stay")
	require.Equal(t, sink.Split, p.Decide(answered(422, 1, "")).Verdict, "the others stay")
	require.False(t, p.Decide(answered(404, 1, "")).Endpoint, "the event's fault opens no breaker")
	broken := answered(409, 1, "")
	broken.Err = errors.New("it broke off")
	require.Equal(t, sink.Retry, p.Decide(broken).Verdict)
}

func TestWaitsMayBeListed(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0, 0.999} {
		p := sink.Standard{Waits: []time.Duration{5 * time.Second, 5 * time.Minute}, MaxAttempts: 4, Random: func() float64 { return random }}
		for number, listed := range []time.Duration{5 * time.Second, 5 * time.Minute, 5 * time.Minute} {
			after := p.Decide(answered(500, number+1, "")).After
			require.GreaterOrEqual(t, after, listed)
			require.LessOrEqual(t, after, listed+listed/10)
		}
		require.Equal(t, sink.GiveUp, p.Decide(answered(500, 4, "")).Verdict)
		require.Equal(t, 10*time.Minute, p.Decide(answered(429, 1, "600")).After, "Retry-After is obeyed")
	}
}

// The rules of the HTTP sink for Kafka Connect, as its users know them: what becomes
// of a message by what the receiver answers each time. "5 retries, then" stands for
// the list of waits.
func TestExceptionStrategiesFollowTheirRules(t *testing.T) {
	t.Parallel()
	const (
		delivered = "delivered"
		drop      = "dropped at once"
		stop      = "stops at once"
		backDrop  = "5 retries, then dropped"
		backStop  = "5 retries, then stops"
	)
	// In the order of the strategies: PROGRESS_BACK_OFF_DROP_MESSAGE,
	// PROGRESS_BACK_OFF_STOP_TASK, DROP_MESSAGE, STOP_TASK.
	all := func(s string) [4]string { return [4]string{s, s, s, s} }
	byStrategy := [4]string{backDrop, backStop, drop, stop}
	for _, c := range []struct {
		statuses []int
		body     string
		want     [4]string
	}{
		// 2xx is success unless its body has the flag.
		{[]int{200, 201, 202, 204, 299}, ``, all(delivered)},
		{[]int{200}, `{"message": "fine"}`, all(delivered)},
		{[]int{200}, `{"retry": false, "message": "not found"}`, all(delivered)},
		{[]int{200}, `{"retry": "false"}`, all(delivered)},
		{[]int{200}, `{"retry": 1}`, all(delivered)}, // no flag
		{[]int{200}, `{"retry": null}`, all(delivered)},
		{[]int{200}, `[{"retry": true}]`, all(delivered)},
		{[]int{200}, `{"retry": true`, all(delivered)}, // no JSON
		{[]int{200, 201}, `{"retry": true, "message": "unhandled"}`, byStrategy},
		{[]int{200}, `{"retry": "true"}`, byStrategy},
		// Everything else that says retry: false is not tried again.
		{[]int{400, 404, 410, 429, 500, 301, 502, 503, 504, 401, 403, 405, 406}, `{"retry": false}`, all(drop)},
		{[]int{500}, `{"retry": "False"}`, all(drop)},
		// Without a flag, and without an answer, it counts as retry: true.
		{[]int{500, 501, 505, 400, 402, 404, 407, 408, 409, 410, 413, 422, 429, 300, 301, 302, 303, 304, 307, 308, 100}, ``, byStrategy},
		{[]int{500, 404}, `{"message": "unhandled"}`, byStrategy},
		{[]int{500, 404, 410, 429}, `{"retry": true}`, byStrategy},
		{[]int{0}, ``, byStrategy},
		{[]int{0}, `{"retry": false}`, byStrategy}, // of an answer that broke off nothing is believed
		// These back off and then stop, whatever the strategy, unless there is a flag.
		{[]int{502, 503, 504, 401, 403, 405, 406}, ``, all(backStop)},
		{[]int{502, 503, 504, 401, 403, 405, 406}, `{"retry": true}`, byStrategy},
	} {
		for _, status := range c.statuses {
			for i, strategy := range sink.ExceptionStrategies() {
				require.Equal(t, c.want[i], fateOf(t, sink.Strategy{Strategy: strategy}, status, c.body), "%s, %d %s", strategy, status, c.body)
			}
			require.Equal(t, c.want[0], fateOf(t, sink.Strategy{}, status, c.body), "the default is the first")
		}
	}
	// The path of the flag, and the list, may be others.
	nested := sink.Strategy{RetryFlag: "error.again"}
	require.Equal(t, backDrop, fateOf(t, nested, 200, `{"error": {"again": true}}`))
	require.Equal(t, delivered, fateOf(t, nested, 200, `{"retry": true, "error": "again"}`))
	require.Equal(t, drop, fateOf(t, nested, 500, `{"error": {"again": false}}`))
	one := sink.Strategy{Backoff: []time.Duration{time.Second}}
	require.Equal(t, "1 retries, then dropped", fateOf(t, one, 500, ``))
	// The list is exact: neither chance nor the receiver moves a wait.
	waits := []time.Duration{}
	for number := 1; number <= 5; number++ {
		a := answered(503, number, "86400")
		waits = append(waits, sink.Strategy{}.Decide(a).After)
	}
	require.Equal(t, []time.Duration{5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}, waits)
}

// fateOf answers every attempt at a message in the same way until its fate is known;
// status 0 stands for no whole answer.
func fateOf(t *testing.T, p sink.Strategy, status int, body string) string {
	t.Helper()
	for number := 1; ; number++ {
		a := answered(status, number, "")
		a.Body = []byte(body)
		if status == 0 {
			a.Err = errors.New("connection reset")
		}
		d := p.Decide(a)
		if d.Verdict == sink.Retry {
			require.Less(t, number, 10, "it is tried for ever")
			continue
		}
		end := map[sink.Verdict]string{sink.GiveUp: "dropped", sink.Stop: "stops"}[d.Verdict]
		switch {
		case d.Verdict == sink.Delivered:
			return "delivered"
		case number == 1:
			return end + " at once"
		}
		return fmt.Sprintf("%d retries, then %s", number-1, end)
	}
}

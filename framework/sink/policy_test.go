package sink_test

import (
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

// The rules of the HTTP sink for Kafka Connect, one by one.
func TestExceptionStrategiesFollowTheirRules(t *testing.T) {
	t.Parallel()
	flag := func(status int, body string, number int) sink.Attempt {
		a := answered(status, number, "")
		a.Body = []byte(body)
		return a
	}
	def := sink.Strategy{}
	require.Equal(t, sink.Delivered, def.Decide(flag(200, `{"message":"fine"}`, 1)).Verdict)
	require.Equal(t, sink.Delivered, def.Decide(flag(200, `{"retry":false}`, 1)).Verdict)
	require.Equal(t, sink.Retry, def.Decide(flag(200, `{"retry":true}`, 1)).Verdict, "an error inside a 200")
	require.Equal(t, sink.Retry, def.Decide(flag(200, `{"retry":"true"}`, 1)).Verdict)
	require.Equal(t, sink.GiveUp, def.Decide(flag(500, `{"retry":false}`, 1)).Verdict, "no retry, and kept as a dead letter")
	require.Equal(t, sink.Retry, def.Decide(flag(404, `no JSON`, 1)).Verdict, "without a flag it counts as retry")
	waits := []time.Duration{}
	for number := 1; number <= 5; number++ {
		waits = append(waits, def.Decide(flag(500, "", number)).After)
	}
	require.Equal(t, []time.Duration{5 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}, waits)
	require.Equal(t, sink.GiveUp, def.Decide(flag(500, "", 6)).Verdict, "1 and 5 requests, then dropped")

	stop := sink.Strategy{Strategy: sink.ProgressBackOffStopTask}
	require.Equal(t, sink.Retry, stop.Decide(flag(500, "", 5)).Verdict)
	require.Equal(t, sink.Stop, stop.Decide(flag(500, "", 6)).Verdict)
	require.Equal(t, sink.GiveUp, sink.Strategy{Strategy: sink.DropMessage}.Decide(flag(500, "", 1)).Verdict)
	require.Equal(t, sink.Stop, sink.Strategy{Strategy: sink.StopTask}.Decide(flag(500, "", 1)).Verdict)
	for _, status := range []int{502, 503, 504, 401, 403, 405, 406} {
		for _, s := range sink.ExceptionStrategies() {
			p := sink.Strategy{Strategy: s}
			require.Equal(t, sink.Retry, p.Decide(flag(status, "", 1)).Verdict, "%d backs off, %s", status, s)
			require.Equal(t, sink.Stop, p.Decide(flag(status, "", 6)).Verdict, "%d stops, %s", status, s)
			require.Equal(t, sink.GiveUp, p.Decide(flag(status, `{"retry":false}`, 1)).Verdict, "with a flag it decides")
		}
		require.Equal(t, sink.GiveUp, def.Decide(flag(status, `{"retry":true}`, 6)).Verdict, "with a flag the strategy decides")
	}
	nested := sink.Strategy{RetryFlag: "error.again"}
	require.Equal(t, sink.Retry, nested.Decide(flag(200, `{"error":{"again":true}}`, 1)).Verdict)
	require.Equal(t, sink.Delivered, nested.Decide(flag(200, `{"retry":true}`, 1)).Verdict)
}

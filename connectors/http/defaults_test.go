package http_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/sink"
)

// What nobody sets is as the documents of the systems say that sinks come from.
func TestWhatIsNotSetIsAsDocumented(t *testing.T) {
	t.Parallel()
	in := receive(t, nil)
	spec := openSink(t, map[string]any{"endpoint": in.url}).WithDefaults()
	require.Equal(t, sink.Batch{MaxEvents: 1, Wait: time.Second, MaxBytes: 1 << 20}, spec.Batch)
	require.Equal(t, 30*time.Second, spec.Timeout)
	require.Equal(t, sink.Ordered, spec.Order)
	require.Zero(t, spec.Delay)
	after := func(spec sink.Spec, number int) sink.Decision {
		return spec.Policy.Decide(sink.Attempt{Answer: sink.Answer{Status: 500}, Number: number, Events: 1})
	}
	require.Equal(t, sink.Retry, after(spec, 5).Verdict)
	require.Equal(t, sink.GiveUp, after(spec, 6).Verdict, "five retries after the first try")
	send(t, spec, order(1, exact))
	r := in.only(t)
	require.Equal(t, http.MethodPost, r.Method)
	require.Empty(t, r.Header.Get("Content-Encoding"))

	// The waits of the exception strategies, and the first of these.
	for _, given := range []map[string]any{
		{"endpoint": in.url, "exception.strategy": "PROGRESS_BACK_OFF_DROP_MESSAGE"}, {"endpoint": in.url, "retry.backoff.sec": "5,30,60,300,600"},
	} {
		spec = openSink(t, given)
		for i, seconds := range []int{5, 30, 60, 300, 600} {
			d := after(spec, i+1)
			require.Equal(t, sink.Retry, d.Verdict)
			require.Equal(t, time.Duration(seconds)*time.Second, d.After)
		}
		require.Equal(t, sink.GiveUp, after(spec, 6).Verdict, "it is dropped, not stopped")
	}
}

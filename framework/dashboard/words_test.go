package dashboard

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTimesAreSaidRelativeToNow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "just now", 1900 * time.Millisecond: "just now", 2 * time.Second: "2 s ago", 59 * time.Second: "59 s ago", time.Minute: "1 min ago",
		59*time.Minute + 59*time.Second: "59 min ago", time.Hour: "1 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 days ago",
		-500 * time.Millisecond: "now", -time.Second: "in 1 s", -90 * time.Second: "in 1 min", -100 * time.Hour: "in 4 days",
	} {
		require.Equal(t, want, relative(now.Add(-ago), now))
	}
	for d, want := range map[time.Duration]string{
		-1: "0 ms", 412 * time.Millisecond: "412 ms", 1500 * time.Millisecond: "1.5 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 01 s", 3*time.Hour + 4*time.Minute: "3 h 04 min",
	} {
		require.Equal(t, want, took(d))
	}
}

func TestCountsAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", -1234567: "-1\u202f234\u202f567"} {
		require.Equal(t, want, thousands(n))
	}
	require.Equal(t, "1 stream", countWords(1, "stream"))
	require.Equal(t, "0 streams", countWords(0, "stream"))
}

func TestPayloadsAreLaidOutAndNothingElse(t *testing.T) {
	t.Parallel()
	text, cut := pretty([]byte(`{"b":9007199254740993,"a":1e400,"u":"\u003c\u2028","z":[]}`), 1000)
	require.False(t, cut)
	require.Equal(t, "{\n  \"b\": 9007199254740993,\n  \"a\": 1e400,\n  \"u\": \"\\u003c\\u2028\",\n  \"z\": []\n}", text) //nolint:testifylint // the layout counts, not only the meaning
	text, cut = pretty([]byte(`"éé"`), 4)
	require.True(t, cut)
	require.Equal(t, `"é…`, text)
	text, _ = pretty([]byte("not json\x00"), 100)
	require.Equal(t, `not json\u0000`, text)
}

func TestWhatIsVisibleHidesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, r := range visible(rapid.String().Draw(t, "text")) {
			require.False(t, isHidden(r))
		}
	})
	require.Equal(t, "plain\n\ttext", visible("plain\n\ttext"))
}

func TestSparklinesScaleToTheirHighestHour(t *testing.T) {
	t.Parallel()
	s := newSparkline([]int64{0, 1, 1000, 500})
	require.Equal(t, []bar{{0, 23, 4, 1, true}, {5, 21, 4, 3, false}, {10, 0, 4, 24, false}, {15, 12, 4, 12, false}}, s.Bars)
	require.Equal(t, "M5 21h4v3h-4zM10 0h4v24h-4zM15 12h4v12h-4z", s.Full)
	require.Equal(t, "M0 23h4v1h-4z", s.Empty)
	require.Equal(t, "events an hour over the last 4 hours: at most 1\u202f000, in this hour 500", s.Text)
	require.Equal(t, "no events in the last 24 hours", newSparkline(make([]int64, 24)).Text)
	rapid.Check(t, func(t *rapid.T) {
		for _, b := range newSparkline(rapid.SliceOfN(rapid.Int64Range(0, 1<<50), 0, 24).Draw(t, "hours")).Bars {
			require.Equal(t, barHeight, b.Y+b.Height)
			require.GreaterOrEqual(t, b.Y, 0)
			require.Positive(t, b.Height)
		}
	})
}

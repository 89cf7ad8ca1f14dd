package schedule_test

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the tests name zones that a bare machine lacks

	"github.com/stretchr/testify/require"
)

func TestNextIsStrictlyAfter(t *testing.T) {
	t.Parallel()
	s := must(t, "*/15 * * * *")
	noon := at(t, "2026-01-01T12:00:00Z")
	require.Equal(t, noon, s.Next(noon.Add(-time.Nanosecond)))
	require.Equal(t, noon.Add(15*time.Minute), s.Next(noon))
	require.Equal(t, noon.Add(15*time.Minute), s.Next(noon.Add(time.Nanosecond)))
}

func TestNextFollowsDaylightSaving(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, spec, after string
		want              []string
	}{
		{
			"berlin spring skips 02:30", "TZ=Europe/Berlin 30 2 * * *", "2026-03-27T12:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"},
		},
		{
			"berlin autumn fires 02:30 twice", "TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
		},
		{
			"berlin morning moves with the clock", "TZ=Europe/Berlin 0 6 * * *", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z"},
		},
		{
			"berlin half hours stay even in autumn", "TZ=Europe/Berlin */30 * * * *", "2026-10-24T23:45:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"},
		},
		{
			"berlin half hours stay even in spring", "TZ=Europe/Berlin */30 * * * *", "2026-03-29T00:15:00Z",
			[]string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"},
		},
		{
			"new york spring skips 02:30", "TZ=America/New_York 30 2 * * *", "2026-03-07T00:00:00Z",
			[]string{"2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z"},
		},
		{
			"new york autumn fires 01:30 twice", "TZ=America/New_York 30 1 * * *", "2026-10-31T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"},
		},
		{
			"new york every counts through", "TZ=America/New_York @every 1h", "2026-11-01T04:30:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"},
		},
		{
			"a day without midnight is skipped", "TZ=America/Sao_Paulo 0 0 * * *", "2018-11-02T12:00:00Z",
			[]string{"2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z"},
		},
		{
			"lord howe turns by half an hour", "TZ=Australia/Lord_Howe 0 * * * *", "2026-10-03T14:00:00Z",
			[]string{"2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, n := range must(t, row.spec).NextN(at(t, row.after), len(row.want)) {
				got = append(got, n.Format(time.RFC3339))
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestNextFromInsideARepeatedHourIsAfterIt(t *testing.T) {
	t.Parallel()
	s := must(t, "TZ=Europe/Berlin 15,45 2 * * *")
	start := at(t, "2026-10-25T00:00:00Z")
	want := []string{"00:15", "00:45", "01:15", "01:45"}
	for i := range 120 { // each minute of both local 02:00 hours
		after := start.Add(time.Duration(i) * time.Minute)
		next := s.Next(after)
		require.True(t, next.After(after))
		expected := "01:15" // of the next day, when all four are past
		for _, w := range want {
			if w > after.Format("15:04") {
				expected = w
				break
			}
		}
		require.Equal(t, expected, next.Format("15:04"), after)
	}
}

func TestNextFindsLeapDaysAcrossACenturyWithout(t *testing.T) {
	t.Parallel()
	s := must(t, "TZ=Europe/Berlin 30 12 29 2 *")
	require.Equal(t, at(t, "2104-02-29T11:30:00Z"), s.Next(at(t, "2096-02-29T11:30:00Z")))
	require.Equal(t, at(t, "2104-02-29T11:30:00Z"), s.Next(at(t, "2099-12-31T23:59:59Z")))
	require.Equal(t, at(t, "2096-02-29T11:30:00Z"), s.Next(at(t, "2092-02-29T11:30:00Z")))
}

func TestNextSurvivesAbsurdTimes(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"* * * * *", "TZ=Europe/Berlin 0 0 29 2 *", "@every 2562047h47m16s"} {
		s := must(t, spec)
		for _, after := range []time.Time{{}, time.Unix(-1<<55, 0), time.Unix(0, 0), time.Unix(1<<55, 0), time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC)} {
			next := s.Next(after)
			require.True(t, next.After(after), "%s after %s", spec, after)
			require.False(t, next.IsZero())
		}
	}
}

func TestNextNListsRisingFirings(t *testing.T) {
	t.Parallel()
	s := must(t, "0 0 1 */6 *")
	got := s.NextN(at(t, "2026-03-01T00:00:00Z"), 3)
	require.Equal(t, []time.Time{at(t, "2026-07-01T00:00:00Z"), at(t, "2027-01-01T00:00:00Z"), at(t, "2027-07-01T00:00:00Z")}, got)
	require.Empty(t, s.NextN(got[0], 0))
	require.Empty(t, s.NextN(got[0], -1))
}

func TestIntervalIsTheGapThatFollows(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		spec, at string
		want     time.Duration
	}{
		{"*/15 * * * *", "2026-01-01T00:07:00Z", 15 * time.Minute},
		{"*/45 * * * *", "2026-01-01T00:00:00Z", 15 * time.Minute},
		{"*/45 * * * *", "2026-01-01T00:50:00Z", 45 * time.Minute},
		{"0 7 * * 1-5", "2026-01-01T12:00:00Z", 72 * time.Hour}, // Friday to Monday
		{"@every 10s", "2026-01-01T00:00:00.5Z", 10 * time.Second},
		{"0 0 29 2 *", "2095-01-01T00:00:00Z", (8*365 + 1) * 24 * time.Hour},
		{"TZ=Europe/Berlin 0 6 * * *", "2026-03-27T12:00:00Z", 23 * time.Hour},
	} {
		require.Equal(t, row.want, must(t, row.spec).Interval(at(t, row.at)), row.spec)
	}
}

func TestSpreadStaysBelowATenthAndAMinute(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-01T00:00:00Z")
	for _, row := range []struct {
		spec string
		room time.Duration
	}{
		{"@every 1s", 100 * time.Millisecond},
		{"@every 10s", time.Second},
		{"* * * * *", 6 * time.Second},
		{"*/10 * * * *", time.Minute},
		{"0 6 * * *", time.Minute},
	} {
		s := must(t, row.spec)
		var thirds [3]int
		for i := range 600 {
			d := s.Spread(fmt.Sprintf("con_%d.customers", i), now)
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.Less(t, d, row.room)
			thirds[min(int(3*d/row.room), 2)]++
		}
		for _, n := range thirds { // 200 are expected; 600 keys vary by about 12
			require.InDelta(t, 200, n, 60, row.spec)
		}
	}
}

func TestSpreadIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	s := must(t, "*/15 * * * *")
	now := at(t, "2026-01-01T00:00:00Z")
	// The value is pinned: nodes of two versions must agree on when a stream runs.
	const spreadOfDemo = 11950158 * time.Microsecond
	require.Equal(t, spreadOfDemo, s.Spread("demo.customers", now))
	require.Equal(t, spreadOfDemo, s.Spread("demo.customers", now.Add(time.Hour)))
	require.NotEqual(t, spreadOfDemo, s.Spread("demo.orders", now))
}

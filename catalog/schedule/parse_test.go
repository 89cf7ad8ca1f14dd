package schedule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog/schedule"
)

func must(t testing.TB, spec string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(spec)
	require.NoError(t, err)
	return s
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return out
}

func TestParseAcceptsEveryDocumentedForm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ spec, zone string }{
		{"*/15 * * * *", "UTC"},
		{"? ? ? ? ?", "UTC"},
		{"\t0  6 * jan-MAR Mon,5 ", "UTC"},
		{"TZ=UTC 0 6 * * *", "UTC"},
		{"TZ=Europe/Berlin 0 6 * * *", "Europe/Berlin"},
		{"CRON_TZ=America/New_York @daily", "America/New_York"},
		{"TZ=Europe/Berlin @every 5m", "Europe/Berlin"},
		{"TZ=Etc/GMT+5 * * * * *", "Etc/GMT+5"},
		{"@hourly", "UTC"},
		{"@midnight", "UTC"},
		{"@annually", "UTC"},
		{"@every 1h30m", "UTC"},
		{"@every 1s", "UTC"},
		{"007 06 * * *", "UTC"},
	} {
		s, err := schedule.Parse(row.spec)
		require.NoError(t, err, row.spec)
		require.Equal(t, row.spec, s.String())
		require.Equal(t, row.zone, s.Zone())
		require.False(t, s.IsZero())
	}
}

func TestParseIgnoresTheMachineZone(t *testing.T) { //nolint:paralleltest // time.Local belongs to the whole process
	old := time.Local
	time.Local = time.FixedZone("machine", 5*3600+1800)
	defer func() { time.Local = old }()

	s := must(t, "0 6 * * *")
	for _, after := range []time.Time{
		time.Date(2026, 1, 1, 5, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 10, 30, 0, 0, time.Local),
	} {
		next := s.Next(after)
		require.Equal(t, time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC), next)
		require.Equal(t, time.UTC, next.Location())
	}
}

func TestParseErrorHoldsEveryErrorAsAProblem(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("99 24 * * *")
	var first *schedule.Problem
	require.ErrorAs(t, err, &first)
	require.Equal(t, "SC110", first.Rule)
	require.Equal(t, schedule.Error, first.Severity)
	require.ErrorContains(t, err, `minute field: "99" is not between 0 and 59`)
	require.ErrorContains(t, err, `hour field: "24" is not between 0 and 23`)

	_, err = schedule.Parse("TZ=UTC")
	var only *schedule.Problem
	require.ErrorAs(t, err, &only)
	require.Equal(t, only.Error(), err.Error())
	require.True(t, strings.HasPrefix(err.Error(), "SC112 "))
}

func TestParseRefusesExactlyWhatCheckCallsAnError(t *testing.T) {
	t.Parallel()
	for _, row := range checkTable {
		_, err := schedule.Parse(row.spec)
		bad := false
		for _, p := range schedule.Check(row.spec) {
			bad = bad || p.Severity == schedule.Error
		}
		require.Equal(t, bad, err != nil, row.spec)
		var p *schedule.Problem
		require.Equal(t, bad, errors.As(err, &p), row.spec)
	}
}

func TestParseRefusesLongSpecsWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	ok := "*" + strings.Repeat(" ", 248) + "* * * *"
	require.Len(t, ok, 256)
	require.NotNil(t, must(t, ok))
	_, err := schedule.Parse(ok + " ")
	require.ErrorContains(t, err, "257 bytes")
	require.Less(t, len(err.Error()), 120)
}

func TestMessagesEscapeAndShortenForeignText(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"\x1b[31m * * * *", "* * * *\r\nfake: line", "\xff\xfe", strings.Repeat("é", 100), strings.Repeat("x", 200) + " * * * *"} {
		found := schedule.Check(spec)
		require.NotEmpty(t, found)
		for _, p := range found {
			require.Less(t, len(p.Message), 400)
			require.False(t, strings.ContainsAny(p.Message, "\x1b\r\n"), "%q", p.Message)
		}
	}
}

func TestZeroScheduleIsNeverDue(t *testing.T) {
	t.Parallel()
	var s schedule.Schedule
	now := at(t, "2026-01-01T00:00:00Z")
	require.True(t, s.IsZero())
	require.True(t, s.Next(now).IsZero())
	require.Empty(t, s.NextN(now, 3))
	require.Zero(t, s.Interval(now))
	require.Zero(t, s.Spread("a", now))
	require.Equal(t, "never", s.Words())
	require.Empty(t, s.String())
	require.Equal(t, "UTC", s.Zone())
}

func TestSeverityIsWrittenAsAWord(t *testing.T) {
	t.Parallel()
	out, err := json.Marshal([]schedule.Severity{schedule.Error, schedule.Warning})
	require.NoError(t, err)
	require.JSONEq(t, `["error","warning"]`, string(out))
	require.Equal(t, "severity(0)", schedule.Severity(0).String())
}

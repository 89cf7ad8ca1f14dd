package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog/schedule"
)

func seed(f *testing.F) {
	f.Helper()
	for i, row := range checkTable {
		f.Add(row.spec, int64(1_700_000_000+i*86_399), int64(i))
	}
	for _, spec := range []string{"TZ=America/New_York 30 1 * * *", "TZ=Australia/Lord_Howe */20 2 1-7 4,10 *", "TZ=Africa/Cairo 0 0 * * fri", "TZ=Asia/Kathmandu 7/15 * * * *"} {
		f.Add(spec, int64(1_792_886_400), int64(1))
	}
}

// window brings fuzzed seconds into the years 1970 to 2160: zone history before is full of odd minutes.
func window(sec, nsec int64) time.Time {
	const span = 6_000_000_000
	return time.Unix((sec%span+span)%span, (nsec%1e9+1e9)%1e9)
}

// FuzzParse holds the promises of the package for any text: no panic, an error exactly where Check has
// one, fixes that mend, and firings that rise.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, spec string, sec, nsec int64) {
		found := schedule.Check(spec)
		s, err := schedule.Parse(spec)
		refused := count(found, "", schedule.Error)
		require.Equal(t, refused > 0, err != nil)
		for _, p := range found {
			require.Regexp(t, `^SC11[0-6]$`, p.Rule)
			require.NotEmpty(t, p.Message)
			if p.Fix == "" {
				continue
			}
			mended := schedule.Check(p.Fix)
			require.Less(t, count(mended, p.Rule, 0), count(found, p.Rule, 0), "fix %q of %q: %v", p.Fix, spec, mended)
		}
		if err != nil {
			var p *schedule.Problem
			require.ErrorAs(t, err, &p)
			require.True(t, s.IsZero())
			return
		}
		require.Equal(t, spec, s.String())
		require.NotEmpty(t, s.Words())
		after := window(sec, nsec)
		for _, next := range s.NextN(after, 4) {
			require.True(t, next.After(after), "%s after %s", next, after)
			require.Equal(t, time.UTC, next.Location())
			require.Zero(t, next.Nanosecond())
			after = next
		}
		gap := s.Interval(after)
		require.Positive(t, gap)
		spread := s.Spread(spec, after)
		require.GreaterOrEqual(t, spread, time.Duration(0))
		require.Less(t, spread, min(gap/10, time.Minute))
	})
}

func count(found []schedule.Problem, rule string, severity schedule.Severity) int {
	n := 0
	for _, p := range found {
		if (rule == "" || p.Rule == rule) && (severity == 0 || p.Severity == severity) {
			n++
		}
	}
	return n
}

// FuzzAgreesWithCron compares with the library wherever the library has an answer: what we accept fires
// when it says, and what we refuse although it accepts is on the list of its traps.
func FuzzAgreesWithCron(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, spec string, sec, nsec int64) {
		s, err := schedule.Parse(spec)
		theirSpec := strings.Join(strings.Fields(spec), " ")
		if !strings.HasPrefix(theirSpec, "TZ=") && !strings.HasPrefix(theirSpec, "CRON_TZ=") {
			theirSpec = "TZ=UTC " + theirSpec
		}
		if !strings.Contains(theirSpec, " ") {
			require.Error(t, err) // the library panics here
			return
		}
		theirs, theirErr := cron.ParseStandard(theirSpec)
		if theirErr != nil {
			require.Error(t, err, "cron refuses %q: %v", theirSpec, theirErr)
			return
		}
		after := window(sec, nsec).UTC()
		if err != nil {
			require.True(t, stricter(schedule.Check(spec), theirs, after), "only we refuse %q: %v", spec, err)
			return
		}
		want := theirs.Next(after)
		if want.IsZero() { // it looks five years ahead only
			require.Greater(t, s.Next(after).Sub(after), 5*365*24*time.Hour)
			return
		}
		require.Equal(t, want, s.Next(after))
	})
}

// stricter reports that the refusal is one that we mean.
func stricter(found []schedule.Problem, theirs cron.Schedule, after time.Time) bool {
	for _, p := range found {
		if p.Severity != schedule.Error {
			continue
		}
		switch p.Rule {
		case "SC111":
			return theirs.Next(after).IsZero()
		case "SC112":
			return strings.Contains(p.Message, "zone is empty") || strings.Contains(p.Message, "differs from machine")
		case "SC114":
			return true
		}
		for _, trap := range []string{"an entry of the list is empty", `"*" is not`, `"?" is not`, "is not printable ASCII", "bytes long", "part of a second", "is not a whole number", `"+`, `"-0`, "without spaces"} {
			if strings.Contains(p.Message, trap) {
				return true
			}
		}
	}
	return false
}

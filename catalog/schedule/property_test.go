package schedule_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog/schedule"
)

// specs draws specs of five fields that Parse may or may not accept, most of them accepted.
func specs(zones ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		column := func(lo, hi int) string {
			one := func() string {
				a := rapid.IntRange(lo, hi).Draw(t, "a")
				switch rapid.IntRange(0, 5).Draw(t, "form") {
				case 0:
					return "*"
				case 1:
					return fmt.Sprintf("*/%d", rapid.IntRange(1, hi-lo+1).Draw(t, "step"))
				case 2:
					return fmt.Sprintf("%d-%d", a, rapid.IntRange(a, hi).Draw(t, "b"))
				case 3:
					return fmt.Sprintf("%d-%d/%d", a, rapid.IntRange(a, hi).Draw(t, "b"), rapid.IntRange(1, 9).Draw(t, "step"))
				case 4:
					return fmt.Sprintf("%d/%d", a, rapid.IntRange(1, hi-lo+1).Draw(t, "step"))
				default:
					return strconv.Itoa(a)
				}
			}
			if rapid.IntRange(0, 2).Draw(t, "plain") == 0 {
				return "*"
			}
			out := one()
			for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "more") {
				out += "," + one()
			}
			return out
		}
		spec := strings.Join([]string{column(0, 59), column(0, 23), column(1, 31), column(1, 12), column(0, 6)}, " ")
		if zone := rapid.SampledFrom(zones).Draw(t, "zone"); zone != "" {
			spec = "TZ=" + zone + " " + spec
		}
		return spec
	})
}

var claim = regexp.MustCompile(`^every (?:(\d+) )?(minute|hour)s?\b`)

// TestWordsClaimAGapOnlyWhereItHolds checks the sentence that an operator relies on most: "every N
// minutes" or hours without a restriction is true of every gap, also where clocks change; with
// one ("on Mondays", "from 09:00 to 17:00"), of every gap inside a day.
func TestWordsClaimAGapOnlyWhereItHolds(t *testing.T) {
	t.Parallel()
	claims := 0
	rapid.Check(t, func(rt *rapid.T) {
		s, err := schedule.Parse(specs("", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu").Draw(rt, "spec"))
		if err != nil {
			return
		}
		words := s.Words()
		m := claim.FindStringSubmatch(words)
		rest := words[len(claim.FindString(words)):]
		if m == nil || strings.HasPrefix(rest, " at minute") {
			return
		}
		claims++
		n := 1
		if m[1] != "" {
			n, err = strconv.Atoi(m[1])
			require.NoError(rt, err)
		}
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour}[m[2]]
		zone, err := time.LoadLocation(s.Zone())
		require.NoError(rt, err)
		restricted := rest != "" && !strings.HasPrefix(rest, " from minute") && !regexp.MustCompile(`^ from \d\d:\d\d UTC$`).MatchString(rest)
		for _, start := range []time.Time{
			time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
			time.Date(2026, time.March, 29, 0, 10, 0, 0, time.UTC),   // Berlin
			time.Date(2026, time.November, 1, 4, 10, 0, 0, time.UTC), // New York
			time.Date(2026, time.October, 3, 14, 0, 0, 0, time.UTC),  // Lord Howe
		} {
			fired := s.NextN(start, 30)
			for i := 1; i < len(fired); i++ {
				a, b := fired[i-1], fired[i]
				if restricted && a.In(zone).Format(time.DateOnly) != b.In(zone).Format(time.DateOnly) {
					continue
				}
				require.Equal(rt, time.Duration(n)*unit, b.Sub(a), "%q says %q, but %s and %s", s, words, a, b)
			}
		}
	})
	t.Logf("%d specs made a claim", claims)
	require.Greater(t, claims, 5, "too few of the drawn specs make a claim to say anything")
}

// TestWordsSayExactlyWhatFires reads each sentence back with a reader that knows nothing of cron, and
// compares what it promises with what fires: on the dates of four years, and minute by minute within days.
func TestWordsSayExactlyWhatFires(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		// Zones without daylight saving, so that every date has every minute.
		s, err := schedule.Parse(specs("", "UTC", "Asia/Kolkata").Draw(rt, "spec"))
		if err != nil {
			return
		}
		words := s.Words()
		told, err := readWords(words, s.Zone())
		require.NoError(rt, err, "%q says %q", s, words)
		zone, err := time.LoadLocation(s.Zone())
		require.NoError(rt, err)

		checkedDays := 0
		var next time.Time
		for day := time.Date(2024, time.January, 1, 0, 0, 0, 0, zone); day.Year() < 2028; day = day.AddDate(0, 0, 1) {
			last := day.AddDate(0, 0, 1)
			if next.Before(day) {
				next = s.Next(day.Add(-time.Second))
			}
			require.Equal(rt, told.date(day), next.Before(last), "%q says %q on %s", s, words, day)
			if !next.Before(last) || checkedDays > 2 {
				continue
			}
			checkedDays++
			for m := range 24 * 60 {
				at := day.Add(time.Duration(m) * time.Minute)
				if at.After(next) {
					next = s.Next(at.Add(-time.Second))
				}
				require.Equal(rt, told.minutes[m], at.Equal(next), "%q says %q at %s", s, words, at)
			}
		}
	})
}

// TestNextAgreesWithCronOnValidSpecs is the drawn sibling of FuzzAgreesWithCron: whole specs, zones with
// odd clock changes, and a calendar's own answer to whether a spec ever fires.
func TestNextAgreesWithCronOnValidSpecs(t *testing.T) {
	t.Parallel()
	zones := []string{"", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo", "Atlantic/Azores", "Pacific/Apia", "Asia/Kathmandu"}
	rapid.Check(t, func(rt *rapid.T) {
		spec := specs(zones...).Draw(rt, "spec")
		after := time.Unix(rapid.Int64Range(946_684_800, 4_102_444_800).Draw(rt, "after"), 0).UTC()
		theirSpec := spec
		if !strings.HasPrefix(spec, "TZ=") {
			theirSpec = "TZ=UTC " + spec
		}
		theirs, err := cron.ParseStandard(theirSpec)
		require.NoError(rt, err)
		s, err := schedule.Parse(spec)
		if err != nil {
			// The only errors in these drawn specs: no date in eight years, or a step beyond the field.
			if count(schedule.Check(spec), "SC111", schedule.Error) > 0 {
				for year := 2000; year < 2012; year += 4 {
					require.Zero(rt, theirs.Next(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)), spec)
				}
				return
			}
			require.Positive(rt, count(schedule.Check(spec), "SC114", schedule.Error), "%q: %v", spec, err)
			return
		}
		for range 5 {
			next, want := s.Next(after), theirs.Next(after)
			require.True(rt, next.After(after))
			if !want.IsZero() {
				require.Equal(rt, want, next, spec)
			} else {
				require.GreaterOrEqual(rt, next.Year(), after.Year()+5, spec)
			}
			after = next
		}
	})
}

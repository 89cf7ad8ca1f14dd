package schedule_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog/schedule"
)

// checkTable lists specs with the rule ids that Check finds, an "!" behind those of severity Error. The
// near misses, which are fine, stand beside what they resemble.
var checkTable = []struct{ spec, rules string }{
	{"*/15 * * * *", ""},
	{"@hourly", ""},
	{"@every 1s", ""},
	{"TZ=UTC 0 6 * * *", ""},

	{"", "SC110!"},
	{"   ", "SC110!"},
	{"* * * *", "SC110!"},
	{"* * * * * *", "SC110!"},
	{"0 */5 * * * *", "SC110!"},
	{"60 * * * *", "SC110!"},
	{"60 24 0 13 7", "SC110! SC110! SC110! SC110! SC110!"},
	{"* * * * 7", "SC110!"},
	{"* * * * 5-7", "SC110!"},
	{"1,,2 * * * *", "SC110!"},
	{", * * * *", "SC110! SC110!"},
	{"*-5 * * * *", "SC110!"},
	{"+5 * * * *", "SC110!"},
	{"-5 * * * *", "SC110!"},
	{"5-1 * * * *", "SC110!"},
	{"1-2-3 * * * *", "SC110!"},
	{"*/0 * * * *", "SC110!"},
	{"*/ * * * *", "SC110!"},
	{"*/5/5 * * * *", "SC110!"},
	{"99999999999999999999 * * * *", "SC110!"},
	{"* * * * *\n", "SC110!"},
	{"*\u00a0* * * *", "SC110!"},
	{"@reboot", "SC110!"},
	{"@Daily", "SC110!"},
	{"@daily extra", "SC110!"},
	{"@every", "SC110!"},
	{"@every 5", "SC110!"},
	{"@every 1h 30m", "SC110!"},
	{"@every 1500ms", "SC110!"},
	{"@EVERY 5m", "SC110!"},
	{"tz=UTC * * * * *", "SC110!"},

	{"TZ=UTC 0 0 30 2 *", "SC111!"},
	{"TZ=UTC 0 0 31 4 *", "SC111!"},
	{"TZ=UTC 0 0 31 2,4,6,9,11 *", "SC111!"},
	{"TZ=UTC 0 0 30,31 feb ?", "SC111!"},
	{"TZ=UTC 0 0 30 2 */1", "SC111!"},
	{"TZ=UTC 0 0 29 2 *", ""},
	{"TZ=UTC 0 0 31 4,5 *", ""},
	{"TZ=UTC 0 0 29-31 2 *", ""},
	{"TZ=UTC 0 0 30 2 1", "SC115"}, // every Monday in February
	{"TZ=UTC 0 0 30 2 0-6", "SC115"},
	{"0 0 30 2 *", "SC111! SC116"},

	{"TZ=UTC", "SC112!"},
	{"CRON_TZ=Europe/Paris", "SC112!"},
	{"TZ=", "SC112! SC112!"},
	{"TZ=Mars/Olympus", "SC112! SC112!"},
	{"TZ=Mars/Olympus 0 6 * * *", "SC112!"},
	{"TZ=Mars/Olympus 0 66 * * *", "SC110! SC112!"},
	{"TZ= 0 6 * * *", "SC112!"},
	{"TZ=Local 0 6 * * *", "SC112!"},
	{"TZ=localtime 0 6 * * *", "SC112!"},
	{"TZ=../../etc/passwd 0 6 * * *", "SC112!"},
	{"TZ=/etc/passwd 0 6 * * *", "SC112!"},
	{"TZ=UTC\t0 6 * * *", ""},

	{"*/45 * * * *", "SC113"},
	{"*/7 * * * *", "SC113"},
	{"0-59/7 * * * *", "SC113"},
	{"20/15 * * * *", "SC113"},
	{"0 */5 * * *", "SC113"},
	{"TZ=UTC 0 0 */2 * *", "SC113"},
	{"TZ=UTC 0 0 1 */5 *", "SC113"},
	{"TZ=UTC 0 0 * * */2", "SC113"},
	{"10-20/30 * * * *", "SC113"},
	{"*/45,*/7 * * * *", "SC113 SC113"},
	{"*/40,20 * * * *", ""}, // together they are even
	{"5/15 * * * *", ""},
	{"*/60 * * * *", ""},
	{"*/1 * * * *", ""},
	{"TZ=UTC */20 9-17/2 * * *", ""},
	{"0 */6 * * *", ""},

	{"*/99 * * * *", "SC114!"},
	{"*/61 * * * *", "SC114!"},
	{"5/99 * * * *", "SC114!"},
	{"0 */36 * * *", "SC114! SC116"},
	{"TZ=UTC 0 0 */32 * *", "SC114!"},
	{"TZ=UTC 0 0 1 */13 *", "SC114!"},
	{"TZ=UTC 0 0 * * */8", "SC114!"},
	{"*/9223372036854775807 * * * *", "SC114!"},
	{"*/99999999999999999999 * * * *", "SC114!"},
	{"@every 0s", "SC114!"},
	{"@every -5m", "SC114!"},
	{"@every 999ms", "SC114!"},

	{"TZ=UTC 0 0 13 * 5", "SC115"},
	{"TZ=UTC 0 0 1-31 * 5", "SC115"},
	{"TZ=UTC 0 0 * * 5", ""},
	{"TZ=UTC 0 0 ? * 5", ""},
	{"TZ=UTC 0 0 13 * */1", ""},

	{"0 6 * * *", "SC116"},
	{"@daily", "SC116"},
	{"* * * * 1", "SC116"},
	{"0 */24 * * *", "SC116"},
	{"0 * 1 * *", "SC116"},
	{"0 * * 6 *", "SC116"},
	{"0 0 13 * 5", "SC115 SC116"},
	{"*/45 6 13 * 5", "SC113 SC115 SC116"},
}

func TestCheckFindsExactlyTheseRules(t *testing.T) {
	t.Parallel()
	for _, row := range checkTable {
		t.Run(row.spec, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range schedule.Check(row.spec) {
				mark := ""
				if p.Severity == schedule.Error {
					mark = "!"
				}
				got = append(got, p.Rule+mark)
				require.NotEmpty(t, p.Message)
			}
			require.Equal(t, row.rules, strings.Join(got, " "))
		})
	}
}

func TestCheckOffersTheseFixes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ spec, rule, fix string }{
		{"*/45 * * * *", "SC113", "*/30 * * * *"},
		{"*/7 * * * *", "SC113", "*/6 * * * *"},
		{"20/15 * * * *", "SC113", "5/15 * * * *"},
		{"5,*/7 * * * *", "SC113", "5,*/6 * * * *"},
		{"CRON_TZ=Europe/Berlin 0 */5 * * *", "SC113", "CRON_TZ=Europe/Berlin 0 */4 * * *"},
		{"10-20/30 * * * *", "SC113", "10 * * * *"},
		{"TZ=UTC 0 0 */2 * *", "SC113", ""},
		{"*/99 * * * *", "SC114", "@every 99m"},
		{"TZ=UTC 0 */36 * * *", "SC114", "TZ=UTC @every 36h"},
		{"5 */36 * * *", "SC114", ""},
		{"@every 200ms", "SC114", "@every 1s"},
		{"@every 0s", "SC114", ""},
		{"0 6 * * *", "SC116", "TZ=UTC 0 6 * * *"},
		{"@daily", "SC116", "TZ=UTC @daily"},
		{"* * * * 7", "SC110", "* * * * 0"},
		{"* * * * 5-7", "SC110", "* * * * 5-6,0"},
		{"0 22-2 * * *", "SC110", "0 22-23,0-2 * * *"},
		{"* * * * fri-mon", "SC110", "* * * * 5-6,0-1"},
		{"1,,2 * * * *", "SC110", "1,2 * * * *"},
		{"0 */5 * * * *", "SC110", "*/5 * * * *"},
		{"@Daily", "SC110", "@daily"},
		{"@every 90", "SC110", "@every 90s"},
		{"@every 1h 30m", "SC110", "@every 1h30m"},
		{"*\u00a0* * *\n*", "SC110", "* * * * *"},
		{"0 0 30 2 *", "SC111", ""},
	} {
		found := schedule.Check(row.spec)
		fixes := map[string]string{}
		for _, p := range found {
			fixes[p.Rule] = p.Fix
		}
		require.Contains(t, fixes, row.rule, row.spec)
		require.Equal(t, row.fix, fixes[row.rule], row.spec)
	}
}

func TestCheckMessagesSayTheFactAndTheWayOut(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ spec, message string }{
		{"*/45 * * * *", `minute field: "*/45" leaves gaps of 45 and 15 minutes; write "*/30" for equal gaps, or @every 45m`},
		{"TZ=UTC 0 0 31 2,4 *", `schedule never fires: no day 31 exists in February or April; choose a day that the month has`},
		{"TZ=UTC", `schedule "TZ=UTC" names a zone and no times; add the five fields, such as "TZ=UTC 0 6 * * *"`},
		{"TZ=Mars 0 6 * * *", `zone "Mars" is not in the time zone database; write a name such as UTC or Europe/Berlin`},
		{"* * * 13 *", `month field: "13" is not between 1 and 12`},
		{"* * * foo *", `month field: "foo" is not a number from 1 to 12 or a name from jan to dec`},
		{"@every -5m", `@every -5m is not a positive duration; write, for example, @every 5m`},
	} {
		found := schedule.Check(row.spec)
		require.Len(t, found, 1, row.spec)
		require.Equal(t, row.message, found[0].Message)
	}
}

package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Words says the schedule in plain English, as a dashboard shows it: "every 15 minutes", "every Monday
// at 02:30 UTC". Whatever has no short name is told field by field. A phrase that depends on the zone
// names it, save that minutes of the hour are UTC's when no zone is named.
func (s Schedule) Words() string {
	switch {
	case s.delay > 0:
		return everyWords(s.delay)
	case s.table != nil:
		return s.table.words(s.Zone(), wholeHours(s.zone))
	default:
		return "never"
	}
}

// everyWords says an @every: hours stay hours, because "every day" would promise a time of day.
func everyWords(d time.Duration) string {
	parts := []struct {
		n    int64
		unit string
	}{
		{int64(d / time.Hour), "hour"},
		{int64(d % time.Hour / time.Minute), "minute"},
		{int64(d % time.Minute / time.Second), "second"},
	}
	var out []string
	for _, p := range parts {
		if p.n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", p.n, p.unit)
		if p.n > 1 {
			text += "s"
		}
		out = append(out, text)
	}
	if len(out) == 1 && strings.HasPrefix(out[0], "1 ") {
		return "every " + strings.TrimPrefix(out[0], "1 ")
	}
	return "every " + strings.Join(out, " ")
}

// phrase is the part of the day, in one of two grammars. A rhythm ("every 15 minutes") is followed by
// its days; a time ("at 06:00") follows them.
type phrase struct {
	text   string
	rhythm bool
	window bool // the rhythm ends with a time of day, to which the zone belongs
	zoned  bool // the rhythm depends on the zone even when it runs every day
}

func (t *timetable) words(zone string, steadyClock bool) string {
	p := t.timeWords(zone, steadyClock)
	switch {
	case !p.rhythm:
		return t.dayWords() + " " + p.text + " " + zone
	case p.window:
		return p.text + " " + zone + t.rhythmDayWords()
	}
	days := t.rhythmDayWords()
	if days == "" && (!p.zoned || zone == "UTC") {
		return p.text
	}
	return p.text + days + " (" + zone + ")"
}

const (
	// mostTimes is how many times of day are listed before the phrase goes field by field.
	mostTimes = 8
	hoursADay = 24
	minutes   = 60
)

// timeWords says the minute and hour fields.
func (t *timetable) timeWords(zone string, steadyClock bool) phrase {
	m, h := t.fields[minute].set, t.fields[hour].set
	gap := m.gap(minutes)
	// Where clocks change by half an hour, only a gap that divides it survives the change.
	steady := gap > 0 && (steadyClock || 30%gap == 0)
	allHours := h.count() == hoursADay
	switch {
	case allHours && steady && gap < minutes:
		return minuteRhythm(m, gap)
	case allHours && steady && m.first() == 0:
		return phrase{text: "every hour", rhythm: true}
	case allHours:
		return phrase{text: "every hour at " + count("minute", numbers(m)), rhythm: true, zoned: true}
	case steady && gap < minutes && contiguous(h):
		return within(everyMinutes(gap), clockTime(h.first(), m.first()), clockTime(h.last(), m.last()))
	case zone == "UTC" && m.count() == 1 && h.count() > 1 && h.gap(hoursADay) > 0 && !t.dated():
		text := fmt.Sprintf("every %d hours", h.gap(hoursADay))
		if h.first() != 0 || m.first() != 0 {
			text += " from " + clockTime(h.first(), m.first()) + " UTC"
		}
		return phrase{text: text, rhythm: true}
	case steady && gap == minutes && contiguous(h) && h.count() > 2:
		return within("every hour", clockTime(h.first(), m.first()), clockTime(h.last(), m.first()))
	case m.count()*h.count() <= mostTimes || m.count() == 1:
		return phrase{text: "at " + joinAnd(clockTimes(h, m))}
	default:
		return phrase{text: "at " + count("minute", numbers(m)) + " of " + count("hour", numbers(h))}
	}
}

// wholeHours reports that the clocks of the zone change by whole hours only, so that the minutes of the
// hour are never shifted. The years are those that schedules are read in, with rules as known today.
func wholeHours(zone *time.Location) bool {
	at := time.Date(1990, time.January, 1, 0, 0, 0, 0, time.UTC)
	for at.Year() < 2038 {
		_, before := at.In(zone).Zone()
		_, end := at.In(zone).ZoneBounds()
		if end.IsZero() {
			break
		}
		if _, now := end.Zone(); (now-before)%3600 != 0 {
			return false
		}
		at = end
	}
	return true
}

func within(rhythm, from, to string) phrase {
	return phrase{text: rhythm + " from " + from + " to " + to, rhythm: true, window: true}
}

func minuteRhythm(m values, gap int) phrase {
	if m.first() == 0 {
		return phrase{text: everyMinutes(gap), rhythm: true}
	}
	if m.count() <= mostTimes {
		return phrase{text: "every hour at " + count("minute", numbers(m)), rhythm: true, zoned: true}
	}
	return phrase{text: fmt.Sprintf("%s from minute %d", everyMinutes(gap), m.first()), rhythm: true, zoned: true}
}

func everyMinutes(gap int) string {
	if gap == 1 {
		return "every minute"
	}
	return fmt.Sprintf("every %d minutes", gap)
}

// dated reports that not every date matches.
func (t *timetable) dated() bool {
	byMonth, byWeek := t.days()
	return byMonth || byWeek || t.someMonths()
}

// dayWords says the three date fields before a time: "every Monday", "on day 1 of every month".
func (t *timetable) dayWords() string {
	byMonth, byWeek := t.days()
	switch {
	case byMonth && byWeek:
		return t.eitherWords() + ","
	case byMonth:
		return t.monthDayWords()
	case byWeek:
		return weekWords(t.fields[dayOfWeek].set) + t.inMonths()
	default:
		return "every day" + t.inMonths()
	}
}

// rhythmDayWords says them after a rhythm: " on Mondays", ", Monday to Friday", or nothing for every day.
func (t *timetable) rhythmDayWords() string {
	byMonth, byWeek := t.days()
	switch {
	case byMonth && byWeek:
		return " " + t.eitherWords()
	case byMonth:
		return " " + t.monthDayWords()
	case byWeek:
		return weekWordsAfter(t.fields[dayOfWeek].set) + t.inMonths()
	default:
		return t.inMonths()
	}
}

// eitherWords says two restricted day fields: a date matches either. "Also" keeps it from reading as both.
func (t *timetable) eitherWords() string {
	months := "every month"
	if t.someMonths() {
		months = joinAnd(monthNames(t.fields[month].set))
	}
	return "on " + count("day", numbers(t.fields[dayOfMonth].set)) + " of " + months +
		", and also " + weekWords(t.fields[dayOfWeek].set) + t.inMonths()
}

// monthDayWords leaves out the months that have none of the days: nothing fires in them.
func (t *timetable) monthDayWords() string {
	months := "every month"
	if t.someMonths() {
		months = joinAnd(monthNames(t.reachable()))
	}
	return "on " + count("day", numbers(t.fields[dayOfMonth].set)) + " of " + months + t.rareDay()
}

func (t *timetable) inMonths() string {
	if !t.someMonths() {
		return ""
	}
	return " in " + joinAnd(monthNames(t.fields[month].set))
}

func (t *timetable) someMonths() bool {
	return t.fields[month].set.count() < t.fields[month].size()
}

// rareDay adds that some of the named months lack the day.
func (t *timetable) rareDay() string {
	first, months := t.fields[dayOfMonth].set.first(), t.reachable()
	switch {
	case first == 29 && months == 1<<time.February:
		return " (leap years)"
	case first > 28 && !t.someMonths():
		return " that has it"
	default:
		return ""
	}
}

// weekOrder is the week from Monday, as most of the world writes a working week.
var weekOrder = []time.Weekday{
	time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday,
}

// weekdays names the days; run reports that there are at least three and that they follow each other.
func weekdays(set values) (names []string, run bool) {
	var at []int
	for i, d := range weekOrder {
		if set.has(int(d)) {
			names = append(names, d.String())
			at = append(at, i)
		}
	}
	return names, len(at) > 2 && at[len(at)-1]-at[0] == len(at)-1
}

func weekWords(set values) string {
	names, run := weekdays(set)
	if run {
		return "every day from " + names[0] + " to " + names[len(names)-1]
	}
	return "every " + joinAnd(names)
}

func weekWordsAfter(set values) string {
	names, run := weekdays(set)
	if run {
		return ", " + names[0] + " to " + names[len(names)-1]
	}
	for i := range names {
		names[i] += "s"
	}
	return " on " + joinAnd(names)
}

func clockTime(h, m int) string { return fmt.Sprintf("%02d:%02d", h, m) }

func clockTimes(hours, mins values) []string {
	var out []string
	for _, h := range hours.list() {
		for _, m := range mins.list() {
			out = append(out, clockTime(h, m))
		}
	}
	return out
}

func contiguous(v values) bool { return v.last()-v.first() == v.count()-1 }

func monthNames(v values) []string {
	var out []string
	for _, m := range v.list() {
		out = append(out, time.Month(m).String())
	}
	return out
}

// numbers lists the members, three or more in a row as "5 to 9".
func numbers(v values) []string {
	var out []string
	all := v.list()
	for i := 0; i < len(all); {
		j := i
		for j+1 < len(all) && all[j+1] == all[j]+1 {
			j++
		}
		if j-i < 2 {
			out = append(out, strconv.Itoa(all[i]))
			i++
			continue
		}
		out = append(out, fmt.Sprintf("%d to %d", all[i], all[j]))
		i = j + 1
	}
	return out
}

// count puts the noun before the values, in the plural where there are several.
func count(noun string, list []string) string {
	if len(list) > 1 || strings.Contains(list[0], " ") {
		noun += "s"
	}
	return noun + " " + joinAnd(list)
}

func joinAnd(list []string) string { return join(list, " and ") }
func joinOr(list []string) string  { return join(list, " or ") }

func join(list []string, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	n := len(list) - 1
	return strings.Join(list[:n], ", ") + last + list[n]
}

package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	// maxLength bounds a spec, in bytes. The longest sensible ones are below 100.
	maxLength = 256
	// minEvery is the shortest @every: the parser counts in seconds.
	minEvery = time.Second
)

// descriptors are the named schedules, by the fields that they stand for.
var descriptors = map[string]string{
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
	"@monthly":  "0 0 1 * *",
	"@weekly":   "0 0 * * 0",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@hourly":   "0 * * * *",
}

// Check returns every finding about the spec, ordered by rule id, or nothing when it is fine. Several
// findings may share a rule. A spec with a finding of severity Error is refused by Parse, any other
// is accepted.
func Check(spec string) []Problem {
	_, found := analyze(spec)
	return found
}

// Parse reads a spec of five fields, a descriptor (@hourly, @daily, @weekly, @monthly, @yearly, @every
// with a Go duration) or either after a TZ=zone or CRON_TZ=zone prefix. Without a prefix the zone is
// UTC, never the machine's. The error is a *Problem, or several joined, all of severity Error.
func Parse(spec string) (Schedule, error) {
	s, found := analyze(spec)
	var refused []error
	for _, p := range found {
		if p.Severity == Error {
			refused = append(refused, &p)
		}
	}
	switch len(refused) {
	case 0:
		return s, nil
	case 1:
		return Schedule{}, refused[0]
	default:
		return Schedule{}, errors.Join(refused...)
	}
}

// analysis collects the findings about one spec.
type analysis struct {
	prefix string         // "TZ=Europe/Berlin " as written, or empty
	zone   *time.Location // UTC unless the prefix says otherwise
	found  []Problem
}

func (a *analysis) add(rule string, severity Severity, fix, format string, args ...any) {
	a.found = append(a.found, Problem{Rule: rule, Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (a *analysis) refused() bool {
	return slices.ContainsFunc(a.found, func(p Problem) bool { return p.Severity == Error })
}

// analyze does the work of Check and Parse. The schedule is usable only when no finding is an Error.
func analyze(spec string) (Schedule, []Problem) {
	a := &analysis{zone: time.UTC}
	s := Schedule{spec: spec, zone: time.UTC}
	if rest := a.split(spec); len(rest) > 0 {
		if strings.HasPrefix(rest[0], "@") {
			s.delay, s.table = a.descriptor(rest)
		} else {
			s.table = a.fields(rest, strings.Join(rest, " "))
		}
		if !a.refused() {
			s.zone = a.zone
			s.clock = a.clock(strings.Join(rest, " "))
		}
	}
	for i, p := range a.found {
		if len(p.Fix) > maxLength {
			a.found[i].Fix = ""
		}
	}
	slices.SortStableFunc(a.found, func(x, y Problem) int { return strings.Compare(x.Rule, y.Rule) })
	return s, a.found
}

// split checks the text as a whole, takes the zone off and returns what follows it.
func (a *analysis) split(spec string) []string {
	if len(spec) > maxLength {
		a.add(ruleInvalid, Error, "", "schedule is %d bytes long; at most %d are allowed", len(spec), maxLength)
		return nil
	}
	if i := strings.IndexFunc(spec, foreign); i >= 0 {
		// Pasted text often brings line ends and no-break spaces.
		fix := strings.Join(strings.Fields(spec), " ")
		if strings.IndexFunc(fix, foreign) >= 0 || !accepted(fix) {
			fix = ""
		}
		a.add(ruleInvalid, Error, fix, "schedule %s has a character at byte %d that is not printable ASCII; write five fields separated by spaces", quote(spec), i)
		return nil
	}
	rest := strings.Fields(spec)
	if len(rest) == 0 {
		a.add(ruleInvalid, Error, "", "schedule is empty; write five fields, such as \"*/15 * * * *\", or @hourly")
		return nil
	}
	key, name, ok := strings.Cut(rest[0], "=")
	if !ok || (key != "TZ" && key != "CRON_TZ") {
		return rest
	}
	a.prefix = rest[0] + " "
	a.loadZone(name)
	if rest = rest[1:]; len(rest) == 0 {
		a.add(ruleZone, Error, "", "schedule %s names a zone and no times; add the five fields, such as \"%s 0 6 * * *\"", quote(spec), key+"=UTC")
	}
	return rest
}

// accepted reports that a rewritten spec is worth proposing.
func accepted(fix string) bool {
	_, err := Parse(fix)
	return err == nil
}

func foreign(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }

func (a *analysis) loadZone(name string) {
	switch {
	case name == "":
		a.add(ruleZone, Error, "", "zone is empty; write TZ=UTC or a name of the IANA database, such as TZ=Europe/Berlin")
		return
	case strings.EqualFold(name, "local"), strings.EqualFold(name, "localtime"):
		// These would follow the machine that happens to run the schedule.
		a.add(ruleZone, Error, "", "zone %s differs from machine to machine; name the zone, such as TZ=UTC or TZ=Europe/Berlin", quote(name))
		return
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		a.add(ruleZone, Error, "", "zone %s is not in the time zone database; write a name such as UTC or Europe/Berlin", quote(name))
		return
	}
	a.zone = zone
}

// descriptor reads @hourly and its like (a timetable) and @every (a delay).
func (a *analysis) descriptor(rest []string) (time.Duration, *timetable) {
	name := rest[0]
	if strings.EqualFold(name, "@every") {
		return a.every(rest), nil
	}
	same, known := descriptors[name]
	if !known {
		fix := ""
		if lower := strings.ToLower(name); descriptors[lower] != "" && len(rest) == 1 {
			fix = a.prefix + lower
		}
		a.add(ruleInvalid, Error, fix, "%s is no descriptor; write @hourly, @daily, @weekly, @monthly, @yearly, or @every with a duration such as 5m", quote(name))
		return 0, nil
	}
	if len(rest) > 1 {
		a.add(ruleInvalid, Error, a.prefix+name, "%s stands alone; remove what follows it", name)
		return 0, nil
	}
	return 0, a.fields(strings.Fields(same), name)
}

func (a *analysis) every(rest []string) time.Duration {
	length := strings.Join(rest[1:], "")
	delay, err := time.ParseDuration(length)
	written := a.prefix + "@every " + length
	switch {
	case err != nil:
		fix := ""
		if n, ok := number(length); ok && n > 0 && n < beyond {
			fix = written + "s"
		}
		a.add(ruleInvalid, Error, fix, "@every %s is not a duration; write, for example, @every 90s, @every 5m or @every 1h30m", quote(strings.Join(rest[1:], " ")))
	case delay <= 0:
		a.add(ruleStep, Error, "", "@every %s is not a positive duration; write, for example, @every 5m", length)
	case delay < minEvery:
		a.add(ruleStep, Error, a.prefix+"@every "+minEvery.String(), "@every %s is shorter than the minimum of %s; write @every %s or longer", length, minEvery, minEvery)
	case delay%time.Second != 0:
		fix := delay.Truncate(time.Second)
		a.add(ruleInvalid, Error, a.prefix+"@every "+fix.String(), "@every %s has a part of a second, and schedules count whole seconds; write @every %s", length, fix)
	case len(rest) != 2 || rest[0] != "@every":
		a.add(ruleInvalid, Error, written, "@every takes one duration, without spaces in it, and is written small; write @every %s", length)
	}
	return delay
}

// fields reads the five fields. text is what the author wrote: the fields, or a descriptor for them.
func (a *analysis) fields(words []string, text string) *timetable {
	if len(words) != columnCount {
		fix := ""
		if fewer := a.prefix + strings.Join(words[1:], " "); words[0] == "0" && len(words) == columnCount+1 && accepted(fewer) {
			fix = fewer
		}
		a.add(ruleInvalid, Error, fix, "schedule has %d fields, not 5; write minute, hour, day of month, month and day of week (seconds are not part of it)", len(words))
		return nil
	}
	t := &timetable{}
	usable := true
	for i, word := range words {
		f, remarks := parseField(word, &columns[i])
		t.fields[i] = f
		for _, r := range remarks {
			fix := ""
			if r.fix != "" {
				fixed := slices.Clone(words)
				fixed[i] = r.fix
				fix = a.prefix + strings.Join(fixed, " ")
			}
			if r.rule == ruleStep {
				fix = a.longStepFix(words, f, i)
			}
			a.add(r.rule, r.severity, fix, "%s", r.message)
			usable = usable && r.rule != ruleInvalid
		}
	}
	if usable {
		a.judge(t, text)
	}
	return t
}

// longStepFix turns "*/99 * * * *" into the @every that its author meant, where nothing else is asked.
func (a *analysis) longStepFix(words []string, f field, i int) string {
	const most = 10_000
	e := f.entries[0]
	if len(f.entries) != 1 || !e.star || e.step > most || slices.ContainsFunc(words[i+1:], func(w string) bool { return w != "*" }) {
		return ""
	}
	switch {
	case i == minute:
		return fmt.Sprintf("%s@every %dm", a.prefix, e.step)
	case i == hour && words[minute] == "0":
		return fmt.Sprintf("%s@every %dh", a.prefix, e.step)
	default:
		return ""
	}
}

// judge applies the rules that look at several fields together.
func (a *analysis) judge(t *timetable, text string) {
	if t.never() {
		days, months := t.fields[dayOfMonth].set, t.fields[month].set
		a.add(ruleNever, Error, "", "schedule never fires: no day %s exists in %s; choose a day that the month has",
			joinOr(numbers(days)), joinOr(monthNames(months)))
	}
	if !t.fields[dayOfMonth].star && !t.fields[dayOfWeek].star {
		a.add(ruleEitherDay, Warning, "", "day of month and day of week are both set, which means either and not both; set one of them to *, or declare two streams")
	}
	if a.prefix == "" && t.hourFixed() {
		a.add(ruleNoZone, Warning, "TZ=UTC "+text, "schedule %s fixes the hour or the day and names no zone, so it runs by UTC; write %s, or your zone", quote(text), quote("TZ=UTC "+text))
	}
}

var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// clock has the cron library read what was found valid. The zone is set here, because the library takes
// the machine's when none is written. What it still refuses, or panics on, is one more finding.
func (a *analysis) clock(text string) (c cron.Schedule) {
	defer func() {
		if r := recover(); r != nil {
			c = nil
			a.add(ruleInvalid, Error, "", "schedule %s cannot be read; write five fields, such as \"*/15 * * * *\"", quote(text))
		}
	}()
	c, err := parser.Parse("TZ=UTC " + text)
	if err != nil {
		a.add(ruleInvalid, Error, "", "schedule %s cannot be read: %v", quote(text), err)
		return nil
	}
	if s, ok := c.(*cron.SpecSchedule); ok {
		s.Location = a.zone
	}
	return c
}

package schedule_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// told is what a sentence promises: minutes of a day, and dates.
type told struct {
	minutes [24 * 60]bool
	days    []int // of the month
	weekday []string
	months  []string
}

func (w *told) date(t time.Time) bool {
	if len(w.months) > 0 && !slices.Contains(w.months, t.Month().String()) {
		return false
	}
	byDay, byWeek := slices.Contains(w.days, t.Day()), slices.Contains(w.weekday, t.Weekday().String())
	if len(w.days) == 0 && len(w.weekday) == 0 {
		return true
	}
	return byDay || byWeek
}

const clock = `\d\d:\d\d`

var (
	readMinutes  = regexp.MustCompile(`^every (?:(\d+) minutes|minute)(?: from minute (\d+))?`)
	readHours    = regexp.MustCompile(`^every (\d+) hours(?: from (` + clock + `) UTC)?`)
	readHour     = regexp.MustCompile(`^every hour(?: at minutes? (` + numberList + `))?`)
	readWindow   = regexp.MustCompile(`^every (?:(\d+) minutes|minute|(hour)) from (` + clock + `) to (` + clock + `) `)
	readTimes    = regexp.MustCompile(` at ((?:` + clock + `(?:, | and )?)+) `)
	readFields   = regexp.MustCompile(` at minutes? (` + numberList + `) of hours? (` + numberList + `) `)
	readDays     = regexp.MustCompile(`on days? (` + numberList + `) of ([A-Z][A-Za-z, ]*?|every month)(?: \(leap years\)| that has it)?(?: at|, and also| \(| *$)`)
	readMonths   = regexp.MustCompile(` in ((?:` + monthName + `(?:, | and )?)+)`)
	readWeekRun  = regexp.MustCompile(`(` + dayName + `) to (` + dayName + `)`)
	readWeekList = regexp.MustCompile(`(?:every|on) ((?:` + dayName + `s?(?:, | and )?)+)`)
)

const (
	numberList = `(?:\d+(?: to \d+)?(?:, | and )?)+`
	dayName    = `(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day`
	monthName  = `(?:January|February|March|April|May|June|July|August|September|October|November|December)`
)

// readWords reads a sentence of Words back. It knows the language only, not the specs.
func readWords(words, zone string) (*told, error) {
	w := &told{}
	rest := words + " "
	switch {
	case readWindow.MatchString(rest):
		m := readWindow.FindStringSubmatch(rest)
		step := 1
		if m[1] != "" {
			step = atoi(m[1])
		} else if m[2] != "" {
			step = 60
		}
		for i := ofDay(m[3]); i <= ofDay(m[4]); i += step {
			w.minutes[i] = true
		}
		rest = rest[len(m[0]):]
	case readHours.MatchString(rest):
		m := readHours.FindStringSubmatch(rest)
		for i := ofDay(m[2]); i < len(w.minutes); i += 60 * atoi(m[1]) {
			w.minutes[i] = true
		}
		rest = rest[len(m[0]):]
	case readMinutes.MatchString(rest):
		m := readMinutes.FindStringSubmatch(rest)
		for i := atoi(m[2]); i < len(w.minutes); i += max(atoi(m[1]), 1) {
			w.minutes[i] = true
		}
		rest = rest[len(m[0]):]
	case readHour.MatchString(rest):
		m := readHour.FindStringSubmatch(rest)
		list := []int{0}
		if m[1] != "" {
			list = readNumbers(m[1])
		}
		for h := range 24 {
			for _, i := range list {
				w.minutes[60*h+i] = true
			}
		}
		rest = rest[len(m[0]):]
	case readFields.MatchString(rest):
		m := readFields.FindStringSubmatch(rest)
		for _, h := range readNumbers(m[2]) {
			for _, i := range readNumbers(m[1]) {
				w.minutes[60*h+i] = true
			}
		}
	case readTimes.MatchString(rest):
		for _, c := range regexp.MustCompile(clock).FindAllString(readTimes.FindString(rest), -1) {
			w.minutes[ofDay(c)] = true
		}
	default:
		return nil, fmt.Errorf("read no time in %q", words)
	}
	if !strings.Contains(words, zone) && strings.ContainsAny(rest, "dM:") {
		return nil, fmt.Errorf("read no zone in %q", words)
	}
	w.readDate(rest)
	return w, nil
}

func (w *told) readDate(rest string) {
	if m := readDays.FindStringSubmatch(rest); m != nil {
		w.days = readNumbers(m[1])
		w.months = regexp.MustCompile(monthName).FindAllString(m[2], -1)
	}
	if m := readMonths.FindStringSubmatch(rest); m != nil {
		w.months = regexp.MustCompile(monthName).FindAllString(m[1], -1)
	}
	week := []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	if m := readWeekRun.FindStringSubmatch(rest); m != nil {
		w.weekday = week[slices.Index(week, m[1]) : slices.Index(week, m[2])+1]
	} else if m := readWeekList.FindStringSubmatch(rest); m != nil {
		w.weekday = regexp.MustCompile(dayName).FindAllString(m[1], -1)
	}
}

func readNumbers(text string) []int {
	var out []int
	for part := range strings.SplitSeq(strings.ReplaceAll(strings.Trim(text, ", "), " and ", ", "), ", ") {
		lo, hi, ranged := strings.Cut(part, " to ")
		if !ranged {
			hi = lo
		}
		for i := atoi(lo); i <= atoi(hi); i++ {
			out = append(out, i)
		}
	}
	return out
}

func ofDay(clock string) int {
	h, m, _ := strings.Cut(clock, ":")
	return 60*atoi(h) + atoi(m)
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text) // an absent group is 0
	return n
}

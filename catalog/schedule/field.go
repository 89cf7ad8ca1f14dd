package schedule

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// column describes one of the five fields.
type column struct {
	name     string
	unit     string // what a gap is counted in
	min, max int
	names    []string // three-letter names of the values from min on; nil when there are none
	every    string   // the unit of a Go duration, for a rhythm that a step cannot give
	even     bool     // the field has a fixed length, so a step can divide it and a fix can say which
}

const (
	minute = iota
	hour
	dayOfMonth
	month
	dayOfWeek
	columnCount
)

var columns = [columnCount]column{
	minute:     {name: "minute", unit: "minutes", min: 0, max: 59, every: "m", even: true},
	hour:       {name: "hour", unit: "hours", min: 0, max: 23, every: "h", even: true},
	dayOfMonth: {name: "day of month", unit: "days", min: 1, max: 31},
	month: {
		name: "month", unit: "months", min: 1, max: 12, even: true,
		names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
	},
	dayOfWeek: {
		name: "day of week", unit: "days", min: 0, max: 6,
		names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"},
	},
}

func (c *column) size() int { return c.max - c.min + 1 }

// values is a set of field values, bit n for value n.
type values uint64

func span(lo, hi, step int) values {
	var v values
	for i := lo; i <= hi; i += step {
		v |= 1 << i
	}
	return v
}

func (v values) has(i int) bool { return v&(1<<i) != 0 }
func (v values) count() int     { return bits.OnesCount64(uint64(v)) }
func (v values) first() int     { return bits.TrailingZeros64(uint64(v)) }
func (v values) last() int      { return 63 - bits.LeadingZeros64(uint64(v)) }

// list gives the members in rising order.
func (v values) list() []int {
	out := make([]int, 0, v.count())
	for i := range 64 {
		if v.has(i) {
			out = append(out, i)
		}
	}
	return out
}

// gaps gives the distances from each member to the next, going round a field of that size.
func (v values) gaps(size int) []int {
	all := v.list()
	out := make([]int, len(all))
	for i := range all {
		if i+1 < len(all) {
			out[i] = all[i+1] - all[i]
		} else {
			out[i] = all[0] + size - all[i]
		}
	}
	return out
}

// gap is the one distance between members going round, or 0 when distances differ.
func (v values) gap(size int) int {
	g := v.gaps(size)
	if len(g) == 0 || slices.Min(g) != slices.Max(g) {
		return 0
	}
	return g[0]
}

// entry is one member of a field's comma-separated list.
type entry struct {
	text   string
	star   bool // * or ?
	open   bool // a/n: from a to the end of the field
	lo, hi int
	step   int // 0 when none is written
}

func (e entry) values() values { return span(e.lo, e.hi, max(e.step, 1)) }

// field is one parsed column of a spec.
type field struct {
	*column
	entries []entry
	set     values
	star    bool // says "any", which decides how the two day fields combine
}

// remark is a finding about one field; fix, when set, is the field's replacement.
type remark struct {
	rule     string
	severity Severity
	message  string
	fix      string
}

// parseField reads one field. Remarks of severity Error with rule SC110 mean that the field has no value.
func parseField(text string, c *column) (field, []remark) {
	f := field{column: c}
	var remarks []remark
	parts := strings.Split(text, ",")
	for i, part := range parts {
		e, r := parseEntry(part, c)
		if r != nil {
			if r.fix != "" || part == "" {
				r.fix = replaceEntry(parts, i, r.fix)
			}
			remarks = append(remarks, *r)
			continue
		}
		f.entries = append(f.entries, e)
		f.set |= e.values()
		f.star = f.star || (e.star && e.step <= 1)
	}
	if len(remarks) > 0 {
		return f, remarks
	}
	for i, e := range f.entries {
		if r := f.stepRemark(e); r != nil {
			if r.fix != "" {
				r.fix = replaceEntry(parts, i, r.fix)
			}
			remarks = append(remarks, *r)
		}
	}
	return f, remarks
}

func replaceEntry(parts []string, i int, by string) string {
	out := slices.Clone(parts)
	if by == "" {
		out = slices.Delete(out, i, i+1)
	} else {
		out[i] = by
	}
	return strings.Join(out, ",")
}

func invalid(c *column, format string, args ...any) *remark {
	return &remark{rule: ruleInvalid, severity: Error, message: c.name + " field: " + fmt.Sprintf(format, args...)}
}

// parseEntry reads "*", "n", "a-b", each with an optional "/step".
func parseEntry(text string, c *column) (entry, *remark) {
	e := entry{text: text}
	if text == "" {
		return e, invalid(c, "an entry of the list is empty; remove the extra comma")
	}
	base, step, stepped := strings.Cut(text, "/")
	if strings.Contains(step, "/") {
		return e, invalid(c, "%s has more than one slash; write start-end/step", quote(text))
	}
	if base == "*" || base == "?" {
		e.star, e.lo, e.hi = true, c.min, c.max
	} else if r := e.parseRange(base, stepped, c); r != nil {
		return e, r
	}
	if stepped {
		n, ok := number(step)
		if !ok || n == 0 {
			return e, invalid(c, "step %s is not a whole number from 1; write, for example, */5", quote(step))
		}
		e.step = n
	}
	return e, nil
}

func (e *entry) parseRange(base string, stepped bool, c *column) *remark {
	low, high, ranged := strings.Cut(base, "-")
	var r *remark
	if e.lo, r = c.value(low); r != nil {
		return r
	}
	switch {
	case ranged:
		if e.hi, r = c.value(high); r != nil {
			if c == &columns[dayOfWeek] && high == "7" && !stepped {
				r.fix = fmt.Sprintf("%s-6,0", low)
			} else {
				r.fix = ""
			}
			return r
		}
	case stepped:
		e.open, e.hi = true, c.max
	default:
		e.hi = e.lo
	}
	if e.lo > e.hi {
		r = invalid(c, "range %s runs backwards; write it as two ranges, or the other way round", quote(base))
		if !stepped {
			r.fix = c.spanText(e.lo, c.max) + "," + c.spanText(c.min, e.hi)
		}
		return r
	}
	return nil
}

func (c *column) spanText(lo, hi int) string {
	if lo == hi {
		return strconv.Itoa(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

// value reads a number or a name within the field's bounds.
func (c *column) value(text string) (int, *remark) {
	if i := slices.Index(c.names, strings.ToLower(text)); i >= 0 {
		return c.min + i, nil
	}
	n, ok := number(text)
	if !ok {
		allowed := fmt.Sprintf("a number from %d to %d", c.min, c.max)
		if c.names != nil {
			allowed += fmt.Sprintf(" or a name from %s to %s", c.names[0], c.names[len(c.names)-1])
		}
		return 0, invalid(c, "%s is not %s", quote(text), allowed)
	}
	if n < c.min || n > c.max {
		r := invalid(c, "%s is not between %d and %d", quote(text), c.min, c.max)
		if c == &columns[dayOfWeek] && n == 7 {
			r.message += "; Sunday is 0"
			r.fix = "0"
		}
		return 0, r
	}
	return n, nil
}

// beyond is larger than every field and every sensible step; numbers that do not fit read as it.
const beyond = 1_000_000_000

// number reads decimal digits only: strconv alone would also take a sign.
func number(text string) (int, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > beyond {
		return beyond, true
	}
	return n, true
}

// stepRemark judges the step of one entry in the light of the whole field.
func (f *field) stepRemark(e entry) *remark {
	switch {
	case e.step > f.size():
		return &remark{rule: ruleStep, severity: Error, message: fmt.Sprintf(
			"%s field: step %s is larger than the field, which has %d values, so only %d ever fires; write a step of at most %d, or use @every for longer gaps",
			f.name, stepText(e.step), f.size(), e.lo, f.size())}
	case e.step <= 1:
		return nil
	case e.step > e.hi-e.lo && !e.star && !e.open:
		return &remark{rule: ruleUneven, severity: Warning, fix: f.spanText(e.lo, e.lo), message: fmt.Sprintf(
			"%s field: step %d is larger than the range %s, so only %d fires; write %d alone, or a smaller step",
			f.name, e.step, quote(e.text), e.lo, e.lo)}
	}
	whole := e.star || e.open || (e.lo == f.min && e.hi == f.max)
	// A range such as 9-17/2 leaves the night out on purpose: only a step over the whole field promises equal gaps.
	if !whole || f.gapOf(f.set) != 0 || f.gapOf(e.values()) != 0 {
		return nil
	}
	if !f.even {
		return &remark{rule: ruleUneven, severity: Warning, message: fmt.Sprintf(
			"%s field: %s starts again at %d, so the last gap is shorter than %d days; name the days, or use @every %dh",
			f.name, quote(e.text), f.min, e.step, 24*e.step)}
	}
	by := nearestDivisor(e.step, f.size())
	fix := fmt.Sprintf("*/%d", by)
	if !e.star {
		// The first value of the same rhythm: 20/15 leaves out minute 5.
		fix = fmt.Sprintf("%d/%d", f.min+(e.lo-f.min)%by, by)
	}
	message := fmt.Sprintf("%s field: %s leaves gaps of %s %s; write %s for equal gaps",
		f.name, quote(e.text), joinAnd(distinct(e.values().gaps(f.size()))), f.unit, quote(fix))
	if f.every != "" {
		message += fmt.Sprintf(", or @every %d%s", e.step, f.every)
	}
	return &remark{rule: ruleUneven, severity: Warning, fix: fix, message: message}
}

// gapOf is the one distance between the members, or 0 when they differ. Months differ in length, so
// among days of the month only "every day" and "one day" count as equal.
func (f *field) gapOf(v values) int {
	if f.column == &columns[dayOfMonth] && v.count() > 1 && v.count() < f.size() {
		return 0
	}
	return v.gap(f.size())
}

func stepText(n int) string {
	if n >= beyond {
		return "of a billion or more"
	}
	return strconv.Itoa(n)
}

// nearestDivisor is the divisor of size closest to step; of two equally close the smaller, because
// more often is the safer mistake.
func nearestDivisor(step, size int) int {
	best := 1
	for d := 1; d <= size; d++ {
		if size%d == 0 && max(d-step, step-d) < max(best-step, step-best) {
			best = d
		}
	}
	return best
}

func distinct(in []int) []string {
	var out []string
	for _, n := range in {
		if s := strconv.Itoa(n); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

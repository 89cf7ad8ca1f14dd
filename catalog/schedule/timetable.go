package schedule

import "time"

// timetable is the meaning of five fields.
type timetable struct {
	fields [columnCount]field
}

// daysIn holds the most days that a month can have, by month; February has 29 in leap years.
var daysIn = [...]int{
	time.January: 31, time.February: 29, time.March: 31, time.April: 30, time.May: 31, time.June: 30,
	time.July: 31, time.August: 31, time.September: 30, time.October: 31, time.November: 30, time.December: 31,
}

// never reports that no date matches. Only the day of month can fail to exist, and it decides alone
// only when the day of week says "any": two restricted day fields mean either, and every weekday comes.
func (t *timetable) never() bool {
	return t.fields[dayOfWeek].star && t.reachable() == 0
}

// reachable gives the months that have one of the days of month.
func (t *timetable) reachable() values {
	var out values
	for _, m := range t.fields[month].set.list() {
		if t.fields[dayOfMonth].set.first() <= daysIn[m] {
			out |= 1 << m
		}
	}
	return out
}

// days tells which day fields decide: a field that says "any" leaves it to the other; without any
// "any" a date needs to match one of the two, so a full one makes it every day.
func (t *timetable) days() (byMonth, byWeek bool) {
	dom, dow := &t.fields[dayOfMonth], &t.fields[dayOfWeek]
	domFull, dowFull := dom.set.count() == dom.size(), dow.set.count() == dow.size()
	switch {
	case dom.star && dow.star:
		return false, false
	case dom.star:
		return false, !dowFull
	case dow.star:
		return !domFull, false
	case domFull || dowFull:
		return false, false
	default:
		return true, true
	}
}

// hourFixed reports that the zone decides when it fires: an hour is written as a number, or the day
// or month is restricted. A bare step such as */6 asks for a rhythm, not for an hour.
func (t *timetable) hourFixed() bool {
	for _, e := range t.fields[hour].entries {
		if !e.star {
			return true
		}
	}
	return t.dated() || t.fields[hour].set.count() == 1
}

package schedule

import (
	"fmt"
	"strings"
)

// Severity says whether a finding refuses a schedule or only remarks on it.
type Severity int

const (
	// Error refuses the schedule: Parse fails.
	Error Severity = iota + 1
	// Warning accepts the schedule, but it probably does not do what its author meant.
	Warning
)

// String is "error" or "warning".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	default:
		return fmt.Sprintf("severity(%d)", int(s))
	}
}

// MarshalText writes the severity as its word, so that JSON shows "error" and not a number.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// The stable ids of the findings. An id is never given another meaning.
const (
	ruleInvalid   = "SC110" // not a cron expression
	ruleNever     = "SC111" // no date matches
	ruleZone      = "SC112" // prefix without fields, or a zone nobody knows
	ruleUneven    = "SC113" // the step leaves a shorter gap where the field starts again
	ruleStep      = "SC114" // the step is larger than the field; @every below its minimum
	ruleEitherDay = "SC115" // day of month and day of week together mean "or"
	ruleNoZone    = "SC116" // the hour is fixed, the zone is not written
)

// Problem is one finding about a schedule. It is an error value: Parse returns the findings of
// severity Error as such, so errors.As with a *Problem reaches the first of them.
type Problem struct {
	// Rule is the stable id, such as "SC113".
	Rule string
	// Severity is Error or Warning.
	Severity Severity
	// Message is a complete sentence part: the fact, then what to do.
	Message string
	// Fix is a whole spec without this finding, to put in place of the checked one. It is empty
	// where the right spec is the author's to choose.
	Fix string
}

// Error is the rule id and the message.
func (p *Problem) Error() string { return p.Rule + " " + p.Message }

// quote shows foreign text in a message: escaped, and never longer than a line.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

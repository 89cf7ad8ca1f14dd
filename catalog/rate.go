package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may happen: Count times in every Per. The zero
// value is no rate at all.
type Rate struct {
	Count int
	Per   time.Duration
}

// ErrRate says that a text is no rate.
var ErrRate = errors.New("write a rate as 100/min: a whole number from 1 to 1000000, and s, min, h or d, with a number before it if there are several (100/10s)")

var rateUnits = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour,
}

const (
	mostCount   = 1_000_000
	longestRate = 7 * 24 * time.Hour
)

// ParseRate reads a rate such as "100/min", "5/s" or "1000/10min".
func ParseRate(text string) (Rate, error) {
	bad := func() (Rate, error) { return Rate{}, fmt.Errorf("%q is no rate: %w", text, ErrRate) }
	left, right, found := strings.Cut(strings.ReplaceAll(text, " ", ""), "/")
	if !found {
		return bad()
	}
	count, err := strconv.Atoi(left)
	if err != nil || count < 1 || count > mostCount {
		return bad()
	}
	digits := len(right) - len(strings.TrimLeft(right, "0123456789"))
	times := 1
	if digits > 0 {
		if times, err = strconv.Atoi(right[:digits]); err != nil || times < 1 {
			return bad()
		}
	}
	unit, ok := rateUnits[right[digits:]]
	if !ok || times > int(longestRate/unit) {
		return bad()
	}
	return Rate{count, time.Duration(times) * unit}, nil
}

// IsZero reports that there is no rate.
func (r Rate) IsZero() bool { return r.Count == 0 || r.Per == 0 }

// Every is the mean time between two of them, 0 without a rate.
func (r Rate) Every() time.Duration {
	if r.IsZero() {
		return 0
	}
	return r.Per / time.Duration(r.Count)
}

// String writes r as [ParseRate] reads it, "" for no rate.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if n := r.Per / u.unit; n*u.unit == r.Per && n > 0 {
			if n == 1 {
				return fmt.Sprintf("%d/%s", r.Count, u.name)
			}
			return fmt.Sprintf("%d/%d%s", r.Count, n, u.name)
		}
	}
	return fmt.Sprintf("%d/%s", r.Count, r.Per)
}

// MarshalText writes r as [ParseRate] reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [ParseRate] reads; an empty text is no rate.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Rate{}
		return nil
	}
	*r, err = ParseRate(string(text))
	return err
}

// Package retryafter reads the header by which a server says when to come back.
package retryafter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Max is the longest wait that a provider may ask for.
const Max = time.Hour

// Parse reads a Retry-After header (RFC 9110, section 10.2.3): whole
// seconds, or an HTTP date relative to now. What it cannot read is 0, and the
// result lies in [0, Max].
func Parse(value string, now time.Time) time.Duration { return UpTo(value, now, Max) }

// UpTo is Parse with a result in [0, most].
func UpTo(value string, now time.Time, most time.Duration) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if allDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(most/time.Second) {
			return most
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}

func allDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

package framework

import (
	"time"

	"github.com/weirhq/weir/framework/internal/retryafter"
)

// MaxRetryAfter is the longest wait that a provider may ask for.
const MaxRetryAfter = retryafter.Max

// ParseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): whole
// seconds, or an HTTP date relative to now. What it cannot read is 0, and the
// result lies in [0, MaxRetryAfter].
func ParseRetryAfter(value string, now time.Time) time.Duration { return retryafter.Parse(value, now) }

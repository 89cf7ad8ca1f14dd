package intake

import (
	"math"
	"mime"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Policy is what an operator decides for one endpoint. The zero Policy means the
// defaults.
type Policy struct {
	// RateLimit is how many verified deliveries a second are taken; 0 is no limit.
	RateLimit float64
	// Burst is how many may come at once within RateLimit. The default is what
	// comes in a second, at least 1.
	Burst int
	// MaxHandlers bounds the handlers at work. The default is Config.MaxHandlers.
	MaxHandlers int
	// Keep is how long every handled delivery is kept, so that it can be
	// replayed; 0 keeps only those that wait or were given up.
	Keep time.Duration
	// ContentTypes are the media types that are taken, such as
	// "application/json". None means that every body is taken as it is.
	ContentTypes []string
}

func (p Policy) equal(o Policy) bool {
	return p.RateLimit == o.RateLimit && p.Burst == o.Burst && p.MaxHandlers == o.MaxHandlers && p.Keep == o.Keep &&
		slices.Equal(p.ContentTypes, o.ContentTypes)
}

// takes reports whether the policy takes a body of the request's type.
func (p Policy) takes(header http.Header) bool {
	if len(p.ContentTypes) == 0 {
		return true
	}
	values := header.Values("Content-Type")
	if len(values) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && slices.Contains(p.ContentTypes, media)
}

// limiter returns the limiter of the policy, or nil for none.
func (p Policy) limiter() *rate.Limiter {
	if p.RateLimit <= 0 {
		return nil
	}
	burst := p.Burst
	if burst <= 0 {
		burst = max(1, int(math.Ceil(p.RateLimit)))
	}
	return rate.NewLimiter(rate.Limit(p.RateLimit), burst)
}

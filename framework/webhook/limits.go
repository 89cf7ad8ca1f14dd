package webhook

import "time"

const (
	// DefaultMaxBody is the largest body of an endpoint that says nothing else.
	DefaultMaxBody = 1 << 20
	// MaxMaxBody bounds what an endpoint may ask for: the bodies in flight of
	// one connection are bounded too, and several must fit.
	MaxMaxBody = 32 << 20
	// DefaultDeadline is the handler's time where no provider's limit is known.
	DefaultDeadline = 10 * time.Second
	// MaxDeadline bounds what an endpoint may ask for.
	MaxDeadline = time.Minute
	// DefaultTolerance is how far a signed timestamp may lie from the present,
	// in either direction, inclusive.
	DefaultTolerance = 5 * time.Minute
	// MinSigningSecret is the shortest secret, in bytes, that may sign.
	MinSigningSecret = 16
)

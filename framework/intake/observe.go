package intake

import "time"

// Verdict is what became of a delivery.
type Verdict string

const (
	// Accepted deliveries were handled and committed.
	Accepted Verdict = "accepted"
	// Duplicate deliveries had been accepted or stored before.
	Duplicate Verdict = "duplicate"
	// Unverified deliveries did not prove who sent them.
	Unverified Verdict = "unverified"
	// TooLarge deliveries had a body over the endpoint's limit.
	TooLarge Verdict = "too_large"
	// Refused deliveries were no proper requests: method, encoding, a body that
	// ended early or came too slowly.
	Refused Verdict = "refused"
	// Stored deliveries wait for their handler to be called again.
	Stored Verdict = "stored"
	// Dead deliveries were given up and kept.
	Dead Verdict = "dead"
	// Failed deliveries could not be recorded in the store.
	Failed Verdict = "failed"
	// Busy deliveries were turned away because too much was at work.
	Busy Verdict = "busy"
	// Handshake requests are no deliveries: the sender asked whether the
	// endpoint is ours, and was answered.
	Handshake Verdict = "handshake"
	// Limited deliveries came faster than the endpoint's rate.
	Limited Verdict = "limited"
)

// Verdicts lists every verdict.
func Verdicts() []Verdict {
	return []Verdict{Accepted, Duplicate, Unverified, TooLarge, Refused, Stored, Dead, Failed, Busy, Limited, Handshake}
}

// taken reports whether the delivery was verified and is in the store.
func (v Verdict) taken() bool {
	return v == Accepted || v == Duplicate || v == Stored || v == Dead
}

// Observation is one delivery, or one later call of its handler, for metrics.
type Observation struct {
	Project, Connection, ConnectionID, Endpoint string
	Verdict                                     Verdict
	// Events counts the events that were appended.
	Events int
	// Bytes is the size of the body as far as it was read.
	Bytes int
	// Took is the time from the request's header to the verdict.
	Took time.Duration
	// Retry says that a stored delivery's handler was called again.
	Retry bool
}

func observationOf(t Target, v Verdict) Observation {
	return Observation{Project: t.Project, Connection: t.Connection, ConnectionID: t.ConnectionID, Endpoint: t.Endpoint, Verdict: v}
}

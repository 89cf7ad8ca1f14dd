package intake

import (
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

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
)

// Verdicts lists every verdict.
func Verdicts() []Verdict {
	return []Verdict{Accepted, Duplicate, Unverified, TooLarge, Refused, Stored, Dead, Failed, Busy}
}

// Observation is one delivery, or one later call of its handler, for metrics.
type Observation struct {
	Project, Connection, ConnectionID, Endpoint string
	Verdict                                     Verdict
	// Events counts the events that were appended.
	Events int
	// Streams counts what was recorded for each stream that was emitted to.
	Streams []StreamCount
	// Bytes is the size of the body as far as it was read.
	Bytes int
	// Took is the time from the request's header to the verdict.
	Took time.Duration
	// Retry says that a stored delivery's handler was called again.
	Retry bool
}

// StreamCount counts what a delivery brought to one stream.
type StreamCount struct {
	Stream string
	// Appended and Duplicates count the emissions that were recorded, and those
	// that had been before.
	Appended, Duplicates int
}

// countStreams counts the emissions of a committed unit.
func countStreams(emissions []ingest.Emission, receipt store.Receipt) []StreamCount {
	if len(receipt.Events) != len(emissions) {
		return nil // a duplicate delivery: nothing was written
	}
	var counts []StreamCount
	for i, e := range emissions {
		at := slices.IndexFunc(counts, func(c StreamCount) bool { return c.Stream == e.Stream })
		if at < 0 {
			at = len(counts)
			counts = append(counts, StreamCount{Stream: e.Stream})
		}
		if receipt.Events[i].Duplicate {
			counts[at].Duplicates++
		} else {
			counts[at].Appended++
		}
	}
	return counts
}

func observationOf(t Target, v Verdict) Observation {
	return Observation{Project: t.Project, Connection: t.Connection, ConnectionID: t.ConnectionID, Endpoint: t.Endpoint, Verdict: v}
}

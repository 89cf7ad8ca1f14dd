package store

import "time"

// DeliveryState says what a stored delivery waits for.
type DeliveryState string

// States of a stored delivery.
const (
	// DeliveryWaiting is tried again by itself.
	DeliveryWaiting DeliveryState = "waiting"
	// DeliveryDead was given up: no more attempts are made by themselves.
	DeliveryDead DeliveryState = "dead"
	// DeliveryKept was handled, and is kept so that it can be replayed.
	DeliveryKept DeliveryState = "kept"
	// DeliveryDiscarded was a dead letter or kept until an operator erased it.
	DeliveryDiscarded DeliveryState = "discarded"
)

// DeliverySummary is a stored delivery without its header and body, which may
// be large.
type DeliverySummary struct {
	// ID is "dlv_…".
	ID           string
	ConnectionID string
	Endpoint     string
	Key          string
	ReceivedAt   time.Time
	// Attempts counts the calls of the handler.
	Attempts int
	// NextAttemptAt is when the handler is called again; zero for a dead letter.
	NextAttemptAt time.Time
	State         DeliveryState
	LastError     string
	// BodyBytes is the length of the body.
	BodyBytes int64
	// ExpiresAt is when it may be removed; zero is never.
	ExpiresAt time.Time
	// Note is why it was discarded, or "".
	Note string
}

// DeliveryCount counts the stored deliveries of a connection that wait or were
// given up.
type DeliveryCount struct {
	ConnectionID  string
	Waiting, Dead int64
	// Bytes is the length of the headers and bodies of these.
	Bytes int64
}

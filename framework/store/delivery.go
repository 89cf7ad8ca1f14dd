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
}

// DeliveryCount counts the stored deliveries of a connection.
type DeliveryCount struct {
	ConnectionID  string
	Waiting, Dead int64
}

// StateOf names what dead says of a stored delivery.
func StateOf(dead bool) DeliveryState {
	if dead {
		return DeliveryDead
	}
	return DeliveryWaiting
}

// Package alert says what an operator should hear of, as events of a stream that
// a sink can deliver: the stream "alerts" of each connection of class alerts.
package alert

import (
	"time"
)

// Connector is the key of the connector whose streams take alerts, and Stream
// that of the stream.
const (
	Connector = "alerts"
	Stream    = "alerts"
)

// Kinds of alerts about streams. Those about sinks are the happenings of package
// delivery, such as "sink.failed".
const (
	// StreamLate says that a success is overdue; StreamFailing that runs fail; and
	// StreamQuiet that runs succeed and bring nothing any more.
	StreamLate    = "stream.late"
	StreamFailing = "stream.failing"
	StreamQuiet   = "stream.quiet"
	// StreamRecovered says that none of them holds any longer.
	StreamRecovered = "stream.recovered"
)

// Alert is the data of an event.
type Alert struct {
	// ID names this alert: the same trouble has the same id on every node.
	ID string `json:"id"`
	// Kind is what has happened.
	Kind string `json:"kind"`
	// Project, Connection and ConnectionID say whose trouble it is, Stream which
	// stream's, "" for a whole sink.
	Project      string `json:"project"`
	Connection   string `json:"connection"`
	ConnectionID string `json:"connection_id"`
	Stream       string `json:"stream,omitempty"`
	// Reason says it for people, without secrets.
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

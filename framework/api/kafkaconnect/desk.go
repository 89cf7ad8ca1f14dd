package kafkaconnect

import (
	"context"
	"encoding/json"
	"errors"
)

// Types of a connection that this face shows. Triggers never appear.
const (
	typeSource = "source"
	typeSink   = "sink"
)

// Spec is a connection as it is configured.
type Spec struct {
	// Name is the connection's name, Type "source" or "sink", and Connector the
	// key of its connector.
	Name, Type, Connector string
	// Streams are what a sink subscribes to, or what a source selects.
	Streams []string
	// Start is where a sink begins in a stream: "earliest", "latest" or "" for
	// the default.
	Start string
	// Settings are the settings in their canonical form. Secrets read as "***",
	// and "***" leaves what is there.
	Settings map[string]any
	// Extra are texts that only this face knows: keys that have no meaning here,
	// and the name that the caller gave.
	Extra map[string]string
}

// State is what a connection is doing.
type State string

// States of a connection.
const (
	StateRunning  State = "running"
	StatePaused   State = "paused"
	StateStopped  State = "stopped"
	StateFailed   State = "failed"
	StateDisabled State = "disabled"
	StateDraft    State = "draft"
)

// Connection is a connection as it is.
type Connection struct {
	Spec
	State State
	// Broken says that the connection itself cannot be opened; a failed one that
	// is not broken stopped at an event or page.
	Broken bool
	// Trace says why it failed.
	Trace string
	// Node is the process that works on it, host:port; "" when nobody knows.
	Node string
}

// Action is something to be done with a connection.
type Action string

// Actions on a connection.
const (
	ActionPause   Action = "pause"
	ActionResume  Action = "resume"
	ActionStop    Action = "stop"
	ActionRestart Action = "restart"
)

// Offset is how far a connection has got in one stream.
type Offset struct {
	// Stream is the stream's id for a sink, and its key for a source.
	Stream string
	// Next is the sequence of the next event that a sink delivers.
	Next int64
	// Cursor is where a source reads on, as JSON; nil at the beginning.
	Cursor json.RawMessage
	// Reset moves the stream to its beginning, where offsets are changed.
	Reset bool
}

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Path names the setting, such as "batch.max_events", or the part of the
	// connection: "name", "streams", "connector"; "" for the whole.
	Path string
	// Reason says what is wrong and what to do. It never holds a secret.
	Reason string
}

// InvalidError lists everything that is wrong with a connection.
type InvalidError struct{ Faults []Fault }

// Error returns the reasons, one a line.
func (e *InvalidError) Error() string {
	var text []byte
	for i, f := range e.Faults {
		if i > 0 {
			text = append(text, '\n')
		}
		if f.Path != "" {
			text = append(append(text, f.Path...), ": "...)
		}
		text = append(text, f.Reason...)
	}
	return string(text)
}

// Errors of a [Desk].
var (
	// ErrNotFound says that the project has no such connection.
	ErrNotFound = errors.New("connection does not exist")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("connection exists already")
)

// Desk is what this face does with the connections of a project. Other errors
// than those above that are the caller's to mend, such as a connection that
// belongs to the configuration file, wrap [ErrRefused].
type Desk interface {
	// List returns the sources and sinks of a project, by name.
	List(ctx context.Context, project string) ([]Connection, error)
	// Get returns one of them, or ErrNotFound.
	Get(ctx context.Context, project, name string) (Connection, error)
	// Check returns what is wrong with a connection, an *InvalidError, and saves nothing.
	Check(ctx context.Context, project string, spec Spec) error
	// Create saves a new connection that is to be in a state: running, paused or
	// stopped. It fails with ErrExists, or with an *InvalidError.
	Create(ctx context.Context, project string, spec Spec, state State) error
	// Replace saves another revision of a connection, which is deployed at once.
	Replace(ctx context.Context, project string, spec Spec) error
	// Delete removes a connection.
	Delete(ctx context.Context, project, name string) error
	// Act does something with a connection.
	Act(ctx context.Context, project, name string, action Action) error
	// Offsets lists the offsets of a connection.
	Offsets(ctx context.Context, project, name string) ([]Offset, error)
	// Move changes offsets of a stopped connection, all or none.
	Move(ctx context.Context, project, name string, offsets []Offset) error
}

// ErrRefused says that the state of a connection, or who owns it, does not allow
// what was asked.
var ErrRefused = errors.New("refused")

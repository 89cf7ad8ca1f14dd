package store

import (
	"context"
	"time"
)

// Source names a stream that a sink reads.
type Source struct{ ConnectionID, Stream string }

// SinkWrite is what a unit says of the work of its connection, a sink. An offset
// and the parked and given up events that it passes are in one unit: an event
// is never behind the offset and nowhere.
type SinkWrite struct {
	// Offsets are moved. A stream that does not exist any more is left out.
	Offsets []OffsetWrite
	// Park adds events that wait for their own retry, or replaces them by
	// their position.
	Park []ParkedEvent
	// Unpark removes parked events. One that is not there is no error.
	Unpark []Position
	// Bury adds dead letters.
	Bury []DeadEvent
	// Raise removes dead letters by id: they were parked again. One that is not
	// there is no error.
	Raise []string
	// Discard marks dead letters as settled by an operator.
	Discard []Discarding
}

// Position names an event of the log.
type Position struct {
	Source
	Sequence int64
}

// OffsetWrite moves the offset of a sink in one stream.
type OffsetWrite struct {
	Source
	// Next is the sequence of the next event to deliver.
	Next int64
	// Delivered and Dead are added to the counts.
	Delivered, Dead int64
	// DeliveredAt is the time of the last delivery, and ends a row of failures;
	// zero leaves both alone.
	DeliveredAt time.Time
	// Failure records that delivering fails.
	Failure *Failure
}

// Offset is how far a sink has got in a stream.
type Offset struct {
	// ConnectionID is the sink's.
	ConnectionID string
	Source
	// Next is the sequence of the next event to deliver: every event before it
	// was delivered, is parked, or was given up.
	Next int64
	// LowWater is the sequence of the oldest event that the sink still needs:
	// the oldest parked one, else Next. Retention stops there.
	LowWater int64
	// Parked counts the events that wait for their own retry now; Delivered and
	// Dead count events since the sink began.
	Parked, Delivered, Dead int64
	DeliveredAt             time.Time
	// LastError is the last failure since the last delivery, or "".
	LastError           string
	LastErrorAt         time.Time
	ConsecutiveFailures int
	UpdatedAt           time.Time
}

// ParkedEvent is an event that waits for its own retry while later ones go on.
type ParkedEvent struct {
	Position
	// Attempts counts the requests that were made for it.
	Attempts int
	// ParkedAt is when it was parked first.
	ParkedAt time.Time
	// NextAttemptAt is when it is tried again.
	NextAttemptAt time.Time
	LastError     string
	// Status is that of the last answer, 0 for none.
	Status int
	// Event is the event as it is to be delivered, encoded, where it is not the
	// one in the log: a dead letter that was edited, or that has outlived the log.
	Event []byte
}

// DeadEvent is an event that a sink has given up.
type DeadEvent struct {
	// ID is "dlt_…".
	ID string
	// ConnectionID is the sink's. A unit's own is written.
	ConnectionID string
	Position
	// Event is the event as it was to be delivered, encoded.
	Event []byte
	// Reason says why it was given up, for people.
	Reason   string
	Attempts int
	// Status is that of the last answer, 0 for none.
	Status int
	// Request and Response are what was sent of it last, without secrets, and the
	// beginning of what came back: at most MaxRequestBytes and MaxResponseBytes.
	Request, Response []byte
	// FirstAt is when it was tried first, DeadAt when it was given up.
	FirstAt, DeadAt time.Time
	// Discarded says that an operator has settled it, with a Note.
	Discarded bool
	Note      string
}

// Discarding settles a dead letter with a reason.
type Discarding struct{ ID, Note string }

// DeadEvents selects dead letters of sinks. Zero fields select all.
type DeadEvents struct {
	ConnectionID string
	Source       Source
	Discarded    bool
	// From and To bound DeadAt, half-open.
	From, To time.Time
	// Before and After are ids of dead letters, between which those are that are
	// meant; Before is the last of a page, which has the newest first.
	Before, After string
	// OldestFirst lists them the other way round: After is the last of a page.
	OldestFirst bool
}

// Bounds of what is kept of a request of a sink, but for the line that says that it
// was cut, and of the answer to it.
const (
	MaxRequestBytes  = 16 << 10
	MaxResponseBytes = 16 << 10
)

// Sinks is the part of a store that keeps what sinks have delivered.
type Sinks interface {
	// Offsets lists the offsets of a sink, or of all for "", by sink and source.
	Offsets(ctx context.Context, connectionID string) ([]Offset, error)
	// ParkedEvents lists the parked events of a sink after a position of a
	// source ("" for the first), by source and sequence.
	ParkedEvents(ctx context.Context, connectionID string, after Position, limit int) ([]ParkedEvent, error)
	// DeadEvents lists dead letters, newest first, without Event, Request and Response.
	DeadEvents(ctx context.Context, which DeadEvents, limit int) ([]DeadEvent, error)
	// CountDeadEvents counts the dead letters that which selects.
	CountDeadEvents(ctx context.Context, which DeadEvents) (int, error)
	// DeadCounts counts the dead letters that nobody has settled, by sink; of one,
	// or of all for "". A sink without any is left out.
	DeadCounts(ctx context.Context, connectionID string) (map[string]int64, error)
	// DeadEvent returns one dead letter of a sink, or ErrNotFound.
	DeadEvent(ctx context.Context, connectionID, id string) (DeadEvent, error)
	// Heads says how far streams are, in no order. One that is unknown, or has had
	// no events, is left out.
	Heads(ctx context.Context, sources []Source) ([]Hint, error)
}

package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/ingest"
)

// Unit is what is committed atomically for one connection: a page, a delivery,
// or a change of a run or stream without events.
type Unit struct {
	// ID identifies the commit, see [NewCommitID]. A checkpoint keeps it.
	ID string
	// ConnectionID is the connection that everything in the unit belongs to.
	ConnectionID string
	// Epoch is that of the lease under which the unit was made. It may be 0 for
	// a unit that needs none, see [Unit.NeedsLease].
	Epoch int64
	// At is when the unit was made, on the runtime's clock. It becomes the
	// events' RecordedAt and decides the hour they are counted in.
	At time.Time
	// Emissions are the events to record, in order.
	Emissions []ingest.Emission
	// ObservedAt is the Time of emissions that have none: when the request that
	// read them was sent, or the delivery arrived. Zero means At.
	ObservedAt time.Time
	// Checkpoint moves a checkpoint, if set.
	Checkpoint *CheckpointWrite
	// Run writes a run, if set.
	Run *RunWrite
	// Streams changes the status of streams.
	Streams []StreamWrite
	// Sink says what the connection, a sink, has delivered and what not.
	Sink *SinkWrite
	// State replaces or removes named pieces of the connection's state.
	State []StateWrite
	// Reserve records the key of a delivery. When it was recorded before,
	// nothing of the unit is written and the receipt says DuplicateDelivery.
	Reserve *DeliveryKey
	// Keep stores a delivery's raw request, or replaces it by its id.
	Keep *StoredDelivery
	// Settle removes the stored delivery with this id.
	Settle string
}

// Receipt says what a committed unit did.
type Receipt struct {
	// Appended and Duplicates count the unit's emissions.
	Appended, Duplicates int
	// Events has one entry an emission, in order.
	Events []EventReceipt
	// DuplicateDelivery says that the reserved key was known and nothing was
	// written. First is then the id of the first event of that delivery, or "".
	DuplicateDelivery bool
	First             string
	// AlreadyCommitted says that the saved checkpoint has the unit's own id: the
	// unit was committed before, and nothing is written or counted again. Its
	// emissions are then all duplicates.
	AlreadyCommitted bool
}

// EventReceipt says what became of one emission.
type EventReceipt struct {
	// ID and Sequence are those of the recorded event. For a duplicate they
	// are those of the event recorded first.
	ID       string
	Sequence int64
	// Duplicate says that nothing was appended.
	Duplicate bool
}

// CheckpointWrite moves the checkpoint of one lane of a stream. It fails with
// [ErrConflict] unless Previous is the commit id of the saved checkpoint; that
// the saved commit id is the unit's own is success.
type CheckpointWrite struct {
	Stream string
	// Lane is "live", or the id of a backfill.
	Lane string
	// Previous is the commit id of the checkpoint that was read, "" for none.
	Previous string
	// Cursor is the encoded cursor; nil clears it.
	Cursor []byte
	// CursorVersion and CursorDigest identify the cursor's type.
	CursorVersion int
	CursorDigest  string
	// From and To are the window that is being read, zero for none.
	From, To time.Time
	// WindowDone is the To of the last window that was read completely.
	WindowDone time.Time
	// RunID is the run that wrote the checkpoint.
	RunID string
}

// LaneLive is the lane of a stream's live checkpoint.
const LaneLive = "live"

// Checkpoint is a saved checkpoint.
type Checkpoint struct {
	CheckpointWrite
	// CommitID is the id of the unit that wrote it.
	CommitID  string
	UpdatedAt time.Time
}

// RunState is the state of a run.
type RunState string

// States of a run.
const (
	RunRunning   RunState = "running"
	RunSucceeded RunState = "succeeded"
	RunFailed    RunState = "failed"
	RunCanceled  RunState = "canceled"
	// RunInterrupted runs were going when the process died.
	RunInterrupted RunState = "interrupted"
)

// Run is one execution of a sync.
type Run struct {
	// ID is "run_…".
	ID           string
	ConnectionID string
	Stream       string
	// Trigger says why it started: "schedule", "start", "retry", "manual".
	Trigger    string
	State      RunState
	StartedAt  time.Time
	FinishedAt time.Time
	// Pages, Events and Duplicates count what was committed.
	Pages, Events, Duplicates int64
	// Error, ErrorClass and Stack say why the run failed.
	Error, ErrorClass, Stack string
}

// RunWrite inserts a run or replaces it by its id. Pages is the number of pages
// to add; events and duplicates of the unit are added as they are counted.
// Run.Pages, Run.Events and Run.Duplicates are not read.
type RunWrite struct {
	Run   Run
	Pages int64
}

// StreamWrite changes the status of a stream.
type StreamWrite struct {
	Stream string
	// Succeeded sets the last success to the unit's At and ends a row of failures.
	Succeeded bool
	// Failure records a failure.
	Failure *Failure
	// NextRunAt replaces the next due time, unless it is nil. The zero time
	// means none.
	NextRunAt *time.Time
	// At is when a success happened that is recorded later, zero for the unit's
	// At. When a success or failure is recorded that is not older, all but Runs is
	// ignored.
	At time.Time
	// Runs counts successful runs that have no row.
	Runs int64
}

// Failure is why a run failed.
type Failure struct{ Error, Class string }

// StreamStatus is the status of one stream of one connection.
type StreamStatus struct {
	ConnectionID, Stream string
	// Head is the last sequence, and so the number of events ever recorded.
	Head int64
	// Duplicates counts the emissions that were recorded before.
	Duplicates    int64
	LastSuccessAt time.Time
	NextRunAt     time.Time
	// LastError is the last failure since the last success, or "".
	LastError, LastErrorClass string
	LastErrorAt               time.Time
	ConsecutiveFailures       int
	// Paused says that an operator stopped the stream's polls.
	Paused bool
	// Running says that the row of one of its runs says so: that run is going on,
	// in this process or another, or ended with its process a short time ago. Short
	// runs have no row before they end.
	Running bool
}

// DeliveryKey is a delivery's key within an endpoint of the connection.
type DeliveryKey struct {
	Endpoint, Key string
	// DeliveryID is "dlv_…".
	DeliveryID string
}

// StoredDelivery is a verified raw request that waits for its handler to
// succeed, or was given up.
type StoredDelivery struct {
	// ID is "dlv_…".
	ID           string
	ConnectionID string
	Endpoint     string
	Key          string
	ReceivedAt   time.Time
	// Header is the request's header as JSON, without credentials.
	Header []byte
	Body   []byte
	// Attempts counts the calls of the handler.
	Attempts int
	// NextAttemptAt is when the handler is called again; zero for a dead letter.
	NextAttemptAt time.Time
	// Dead says that it was given up: no more attempts are made by themselves.
	Dead bool
	// Kept says that it was handled, and is kept so that it can be replayed.
	// Without Dead and Kept it waits.
	Kept      bool
	LastError string
	// WrittenAt is when NextAttemptAt was decided: the two are a wait. Zero means
	// that the wait is not clamped when the clock is set back.
	WrittenAt time.Time
	// ExpiresAt is when a handled delivery may be removed. One that waits keeps it
	// for when it was handled. Zero means that it is removed when it was handled.
	ExpiresAt time.Time
}

// HourlyCount counts what happened to a stream in one hour.
type HourlyCount struct {
	ConnectionID, Stream string
	// Hour is the start of the hour, UTC.
	Hour                               time.Time
	Events, Duplicates, Runs, Failures int64
}

// Connection is a configured instance of a connector in a project.
type Connection struct {
	// ID is immutable: "con_…".
	ID                             string
	Project, Name, Connector, Type string
	Enabled                        bool
	CreatedAt                      time.Time
}

// Errors of a store. A backend wraps them.
var (
	// ErrConflict says that a checkpoint was moved by somebody else.
	ErrConflict = errors.New("checkpoint was moved by another writer")
	// ErrRenamed says that a stream has another key now: whoever uses this one is
	// older than the rename.
	ErrRenamed = errors.New("a newer version of the connector renamed the stream")
	// ErrFenced says that the unit's epoch is stale.
	ErrFenced = errors.New("lease has moved to another process")
	// ErrNotFound says that the named row does not exist.
	ErrNotFound = errors.New("not found")
	// ErrBusy says that too many units wait. Try again later.
	ErrBusy = errors.New("store is busy")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrUnavailable says that the backend cannot be written now: a full disk, a
	// lost connection. It heals by itself when the cause goes.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrDiskLow is an ErrUnavailable: the disk is nearly full, so a store takes
	// nothing more that it would grow by. It heals when there is room.
	ErrDiskLow = fmt.Errorf("%w: the disk is nearly full", ErrUnavailable)
	// ErrNewerSchema says that a later version of Weir made the store.
	ErrNewerSchema = errors.New("store was written by a newer version of Weir")
	// ErrInvalid says that a unit holds what a store cannot keep: a missing id,
	// a value over its limit. The error lists everything that is wrong.
	ErrInvalid = errors.New("unit is not valid")
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("store is in use")
)

package store

import (
	"context"
	"time"

	"github.com/weirhq/weir/ingest"
)

// Store is everything a backend provides. It is here for the conformance suite
// and for the package that opens a store; users of a store declare the part
// that they need. The set of methods is not stable: do not implement it.
type Store interface {
	// Log reads events. It fails with ErrNotFound for an unknown connection; an
	// unknown stream has no events.
	ingest.Log

	// Epoch is that of the lease under which this process does the work of the
	// connection: runs, retries of stored deliveries. ok is false when no work may
	// begin: another process has the lease, or this one is to give it up. epoch is
	// 0 once nothing can be finished either. A store that one process has to
	// itself has one epoch, and ok is always true.
	Epoch(connectionID string) (epoch int64, ok bool)
	// Shards returns the leases under which work may begin, and a channel that is
	// closed when they change; nil when they never do.
	Shards() (held ShardEpochs, changed <-chan struct{})
	// Yield gives the leases of shards up, which Shards no longer holds, once
	// all work of their connections has ended. Others are left alone.
	Yield(ctx context.Context, shards []int) error

	// Commit records u durably and says what it did. The context ends the wait
	// only: a unit that was taken into a transaction is committed, and its
	// receipt discarded. Errors: ErrConflict, ErrFenced, ErrNotFound (unknown
	// connection), ErrRenamed (an emission or the checkpoint is of a stream under a
	// key that it no longer has), ErrBusy (the queue is full and u came from Offer), ErrClosed,
	// ErrUnavailable, or ErrInvalid with all that is wrong with the unit's
	// content. The unit's slices must not be changed until it is committed, which
	// may be after an early return because ctx ended.
	Commit(ctx context.Context, u Unit) (Receipt, error)
	// Offer is Commit for callers that may be turned away: it fails with
	// ErrBusy at once when too many units wait.
	Offer(ctx context.Context, u Unit) (Receipt, error)

	// EnsureConnection returns the connection with c's project and name, making
	// it when there is none, and updates its Type and Enabled. A connection of
	// another connector is ErrInvalid: a name keeps its connector until deleted.
	EnsureConnection(ctx context.Context, c Connection) (Connection, error)
	// DeleteConnection removes the connection with everything in it; its id is
	// never used again. It is gone at once, its rows follow in the background.
	DeleteConnection(ctx context.Context, id string) error
	// RenameStreams gives the streams of a connection the keys that its connector
	// declares now, with everything that they have: checkpoints, events, keys,
	// runs. Ids of events do not change. Call it before the connection runs, with
	// all declared streams. An unknown connection is ErrNotFound.
	RenameStreams(ctx context.Context, connectionID string, declared []DeclaredStream) (Renames, error)
	// Connections lists the connections by project and name.
	Connections(ctx context.Context) ([]Connection, error)

	// Checkpoint returns a lane's checkpoint. ok is false when there is none.
	Checkpoint(ctx context.Context, connectionID, stream, lane string) (c Checkpoint, ok bool, err error)
	// Statuses lists the status of every stream that has one, of one
	// connection, or of all for "".
	Statuses(ctx context.Context, connectionID string) ([]StreamStatus, error)
	// SetPaused pauses a stream's polls or resumes them.
	SetPaused(ctx context.Context, connectionID, stream string, paused bool) error
	// Runs lists a stream's runs, newest first, before the run with the given
	// id ("" for the newest).
	Runs(ctx context.Context, connectionID, stream, before string, limit int) ([]Run, error)
	// Run returns one run, or ErrNotFound.
	Run(ctx context.Context, id string) (Run, error)
	// InterruptRuns ends the runs that another process, or this one under an
	// earlier epoch, left running in the shards that this one holds, and
	// returns how many there were.
	InterruptRuns(ctx context.Context, at time.Time) (int, error)
	// Hourly lists the hourly counts since the given time, of one connection,
	// or of all for "".
	Hourly(ctx context.Context, connectionID string, since time.Time) ([]HourlyCount, error)

	// StoredDeliveries lists the stored deliveries of a connection, or of all
	// for "", by receipt: those due at or before due, or, when dead, the dead letters.
	StoredDeliveries(ctx context.Context, connectionID string, dead bool, due time.Time, limit int) ([]StoredDelivery, error)
	// Deliveries lists the stored deliveries of a connection in a state, or those
	// that wait or were given up for "", newest id first, before the one with the
	// given id ("" for the newest), without their bodies.
	Deliveries(ctx context.Context, connectionID string, state DeliveryState, before string, limit int) ([]DeliverySummary, error)
	// DeliveryCounts counts the stored deliveries of a connection that wait or
	// were given up, or those of each for "". Connections without any are left out.
	DeliveryCounts(ctx context.Context, connectionID string) ([]DeliveryCount, error)
	DeadLetters
	Configurations
	Sinks
	Eraser
	Tokens
	Audit
	ActionRuns

	// States lists the named pieces of state of a connection, or of all for "",
	// whose names begin with prefix, by connection id and name.
	States(ctx context.Context, connectionID, prefix string) ([]State, error)
	// StatesOf is States for some connections at once.
	StatesOf(ctx context.Context, connectionIDs []string, prefix string) ([]State, error)
	StateSwaps

	// LogEpoch identifies the log that is read: it is raised when the store is
	// restored from a backup, because sequences after the backup are used again. It
	// does not change while the store is open.
	LogEpoch() int64

	// SetRetention replaces what is kept; until it is called, everything is. The
	// rest is removed in the background, at once and every hour. It fails with
	// ErrInvalid.
	SetRetention(p RetentionPolicy) error

	// Ping checks that the store can be written.
	Ping(ctx context.Context) error
	// Close commits what waits and closes the store.
	Close() error
}

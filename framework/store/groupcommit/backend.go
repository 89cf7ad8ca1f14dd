package groupcommit

import (
	"cmp"
	"context"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Class says what an error of a backend means for the transaction it ended.
type Class int

const (
	// Unavailable says that the database cannot be written now. Nothing was committed,
	// unless the error came from [Tx.Commit]: then nobody knows.
	Unavailable Class = iota
	// Content says that a row was refused for what it holds. Never committed.
	Content
	// Retry says that it was a deadlock, a serialization failure or a lost race.
	// Never committed; the same batch may succeed at once.
	Retry
)

// Backend is a database that the engine writes. Only the engine's one writer
// goroutine calls it, never concurrently.
type Backend interface {
	// Begin starts a write transaction.
	Begin(ctx context.Context) (Tx, error)
	// Classify says what an error of a Tx or of Begin means. The engine asks
	// with errors as the backend returned them.
	Classify(err error) Class
	// Reopen replaces the writing connection after an error that left its state
	// in doubt. When it returns nil, what [Backend.Committed] says is final: a
	// transaction of the old connection can no longer become visible or vanish.
	Reopen(ctx context.Context) error
	// Committed says whether the transaction that wrote the marker is durable.
	// It is asked about the last transaction only.
	Committed(ctx context.Context, marker string) (bool, error)
}

// Tx is a write transaction. After Commit or Rollback it is not used again.
// Slices that the engine passes are sorted, so that locks are taken in one order
// and a B-tree is walked in one direction; they are valid during the call only.
type Tx interface {
	// Guard returns what decides whether units are refused, and locks it where
	// other processes write too.
	Guard(ctx context.Context, w Wanted) (Guarded, error)
	// LockHeads locks the head rows of the streams, in the order of their ids,
	// making those that are missing, and returns them as they are, aligned with
	// keys. The connections exist: Guard returned their leases.
	LockHeads(ctx context.Context, keys []StreamKey) ([]*Head, error)
	// Lookup fills in the entities and keys that are recorded. For a stream that
	// was renamed they may be others than were announced ahead.
	Lookup(ctx context.Context, entities []*Entity, keys []*Key) error
	// EventKeys returns the key texts of the given events, aligned with refs,
	// "" for an event that is gone. It is rarely called.
	EventKeys(ctx context.Context, refs []EventRef) ([]string, error)
	// Write writes the changes. A row that another process changed or inserted
	// since Guard is an error of class Retry.
	Write(ctx context.Context, c *Changes) error
	// Savepoint sets the one savepoint, replacing the last.
	Savepoint(ctx context.Context) error
	// RollbackTo undoes everything since the savepoint, also after a failed
	// statement.
	RollbackTo(ctx context.Context) error
	// Commit returns when the transaction is durable.
	Commit(ctx context.Context) error
	// Rollback ends the transaction. An error says that the connection is in
	// doubt; the engine then calls Reopen before it begins again.
	Rollback(ctx context.Context) error
}

// AheadTx is a [Tx] for which a round trip is dear. Before Guard it is told what
// LockHeads and Lookup will be asked for if no unit is refused, so that it can
// do all of it at once. What is asked for later may be less, and a little else.
type AheadTx interface {
	Tx
	// Ahead takes streams, entities and keys, each sorted and without duplicates.
	Ahead(streams []StreamKey, entities, keys []Place)
}

// FinalTx is a [Tx] for which a round trip is dear: it commits with the changes.
type FinalTx interface {
	Tx
	// WriteAndCommit is Write and Commit. After an error, undone says that for sure
	// nothing is committed; otherwise nobody knows.
	WriteAndCommit(ctx context.Context, c *Changes) (undone bool, err error)
}

// Place names the row of an entity or key before the number of its stream is known.
type Place struct {
	StreamKey
	Hash Hash
}

// StreamKey names a stream of a connection.
type StreamKey struct{ ConnectionID, Stream string }

// CheckpointKey names a checkpoint.
type CheckpointKey struct{ ConnectionID, Stream, Lane string }

// DeliveryKey names a delivery within an endpoint. Hash is the keyed hash of
// the key's text, which is not stored.
type DeliveryKey struct {
	ConnectionID, Endpoint string
	Hash                   Hash
}

// Hash is a 16-byte keyed hash. Keys and entity ids may be personal data, so a
// store keeps them for ever only in this form. The hash of an entity never equals
// that of a key, and the keys of an entity begin with the same 8 bytes as it does.
type Hash [16]byte

// Wanted is what [Tx.Guard] is asked for. Each slice is sorted and without
// duplicates.
type Wanted struct {
	Connections []string
	// Leased are the connections with a unit that is made under a lease.
	Leased      []string
	Checkpoints []CheckpointKey
	Deliveries  []DeliveryKey
	Runs        []string
	// Fed are the streams that get events or a checkpoint.
	Fed []StreamKey
}

// Guarded is the answer of [Tx.Guard]. What is not there is not in the map.
type Guarded struct {
	// Epochs holds, for each connection that exists, the epoch of this process's
	// lease, locked against a takeover; 0 when it has none. It may be 0 also where
	// no lease was asked for.
	Epochs map[string]int64
	// Checkpoints holds the commit id of each saved checkpoint.
	Checkpoints map[CheckpointKey]string
	// Deliveries holds the id of the first event of each recorded delivery.
	Deliveries map[DeliveryKey]string
	// Runs holds the state of each recorded run.
	Runs map[string]store.RunState
	// Renamed holds today's keys of streams that were fed under a former one.
	Renamed map[StreamKey]string
}

// Head is the row of a stream: its last sequence and its status.
type Head struct {
	store.StreamStatus
	// ID is the backend's own number of the stream; entities and keys are
	// sorted by it first.
	ID int64
	// Origin is the key in which ids of events and hashes of keys are made, or
	// "" for the stream's own.
	Origin string
}

// Entity is the row of an entity: its newest recorded version.
type Entity struct {
	Head *Head
	Hash Hash
	// Found says that the row exists.
	Found bool
	// Time, Payload, Sequence are those of the newest version.
	Time     time.Time
	Payload  Hash
	Sequence int64
	// Revision counts the recorded versions that were newest when they came.
	Revision int64
	// Latest says that the newest version's key was made from Revision and Payload.
	Latest bool
}

// Key is the row of an idempotency key. Sequence is 0 until it is recorded.
type Key struct {
	Head     *Head
	Hash     Hash
	Sequence int64
}

// EventRef names a recorded event.
type EventRef struct {
	Head     *Head
	Sequence int64
}

// origin is the key in which ids of events and hashes of keys are made: a rename
// changes neither.
func (h *Head) origin() string { return cmp.Or(h.Origin, h.Stream) }

// eventID is the id of the event with the given key text.
func (h *Head) eventID(key string) string {
	return ingest.EventID(h.ConnectionID, h.origin(), key)
}

// Event is the row of an event. Its id is not stored, see [ingest.EventID].
type Event struct {
	Head       *Head
	Sequence   int64
	Type       string
	Subject    string
	Operation  ingest.Operation
	Key        string
	Time       time.Time
	RecordedAt time.Time
	Late       bool
	Payload    []byte
}

// Changes is all that a batch writes.
type Changes struct {
	// Marker identifies the transaction for [Backend.Committed]. It replaces
	// the marker of this writer's last transaction.
	Marker string
	// Events to insert, by stream and sequence.
	Events []Event
	// Keys to insert. None exists.
	Keys []*Key
	// Entities to insert or replace.
	Entities []*Entity
	// Heads to update: everything but Paused.
	Heads []*Head
	// Checkpoints to insert where Was is "", else to replace where the saved
	// commit id is Was.
	Checkpoints []CheckpointChange
	// Runs to insert, or to replace while Pages, Events and Duplicates are added.
	Runs []RunChange
	// Hourly counts to add.
	Hourly []store.HourlyCount
	// Deliveries are keys to insert. None exists.
	Deliveries []DeliveryChange
	// Keep are stored deliveries to insert or replace by id, Settle the ids of
	// those to delete; an unknown one is no error.
	Keep   []store.StoredDelivery
	Settle []SettledDelivery
	// States to write or remove. Each name is there once.
	States []StateChange
	// Sinks are what sinks have done.
	Sinks SinkChanges
}

// CheckpointChange writes a checkpoint. ConnectionID belongs to it; Previous is
// not to be read.
type CheckpointChange struct {
	ConnectionID string
	store.Checkpoint
	// Was is the commit id that the database holds, "" for no row.
	Was string
}

// RunChange writes a run. Pages, Events and Duplicates are to be added.
type RunChange struct {
	store.Run
	// Epoch is that of the process that executes it.
	Epoch int64
}

// DeliveryChange records a delivery's key.
type DeliveryChange struct {
	DeliveryKey
	DeliveryID string
	// First is the id of the delivery's first event, or "".
	First string
	// At is when it was recorded; it expires [DeliveryKeyAge] later.
	At time.Time
}

// SettledDelivery names a stored delivery to remove.
type SettledDelivery struct{ ConnectionID, ID string }

// DeliveryKeyAge is how long a delivery's key is kept at least.
const DeliveryKeyAge = 7 * 24 * time.Hour

package store

import (
	"context"
	"time"
)

// Shared is what a store has that several processes share, beside [Store].
type Shared interface {
	// Peers is how many other processes share the store.
	Peers() int
	// Ask hands a request about a connection to the process that has its lease,
	// and waits for the answer. A request that nobody has taken when ctx ends is
	// never carried out.
	Ask(ctx context.Context, connectionID string, request []byte) (answer []byte, err error)
	// AskPeers hands a request to every other process that shares the store. It
	// returns the answers that came until ctx ended, and how many were asked: to
	// go without the others is no error.
	AskPeers(ctx context.Context, request []byte) (answers [][]byte, asked int, err error)
	// Commands takes the requests to this process, and those about connections
	// whose work it does. Each is given out once.
	Commands(ctx context.Context) ([]Command, error)
	// Prefer says which shards this process is to have and not to have, beside its
	// share. It replaces what was said before.
	Prefer(p ShardPreference)
	// Answer answers a command that was taken.
	Answer(ctx context.Context, id string, answer []byte) error
}

// Hinting is what a store has whose processes tell each other what they record.
type Hinting interface {
	// Hints returns what other processes say they have recorded. Hints may be lost:
	// who takes them looks for itself too, at times. The channel is never closed.
	Hints() <-chan Hint
}

// Hint says that a stream has events up to a sequence.
type Hint struct {
	Source Source `json:"source"`
	Head   int64  `json:"head"`
}

// Ledger is what a store has that keeps records for several processes at once, which
// belong to no connection and need no lease.
type Ledger interface {
	// Amend changes a record: f makes of what is kept, nil for nothing, what is kept
	// from then on. now is the database's clock. Changes of one record come one after
	// the other. f may be called more than once, and after an error the change may
	// have been made.
	Amend(ctx context.Context, name string, f func(now time.Time, kept []byte) ([]byte, error)) error
}

// Command is a request that was made at another process.
type Command struct {
	// ID is "cmd_…".
	ID      string
	Request []byte
}

package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Store is what the scheduler needs of a store. See package store for what each
// method promises.
type Store interface {
	// Epoch is that of the lease under which this process works on the
	// connection; ok is false when it may not begin any work.
	Epoch(connectionID string) (epoch int64, ok bool)
	// Commit records u durably.
	Commit(ctx context.Context, u store.Unit) (store.Receipt, error)
	// Checkpoint reads a lane's checkpoint; ok is false when there is none.
	Checkpoint(ctx context.Context, connectionID, stream, lane string) (c store.Checkpoint, ok bool, err error)
	// States lists the named pieces of state of a connection.
	States(ctx context.Context, connectionID, prefix string) ([]store.State, error)
	// SetPaused pauses a stream's polls or resumes them.
	SetPaused(ctx context.Context, connectionID, stream string, paused bool) error
}

// Binding is what the scheduler needs of an opened connection. Page must return
// soon after its context has ended; [framework.Binding] leaves a handler behind
// that does not.
type Binding interface {
	// CursorType is what a checkpoint of the stream must say about its cursor.
	CursorType(stream string) framework.CursorType
	// ReadCursor returns the cursor of a checkpoint as today's code takes it.
	ReadCursor(stream string, saved framework.CursorType, cursor []byte) ([]byte, error)
	// Page reads one page of the stream.
	Page(ctx context.Context, stream string, in framework.PageCall) (framework.PageReturn, []ingest.Emission, error)
}

var (
	_ Binding = (*framework.Binding)(nil)
	_ Store   = store.Store(nil)
)

// Config says what a scheduler works with.
type Config struct {
	// Store is required.
	Store Store
	// Logger gets what happens to runs, with the keys project, connection,
	// stream, run and err. Without it nothing is logged.
	Logger *slog.Logger
	// Limits bound the scheduler. Zero fields take their defaults.
	Limits Limits
	// NoSpread has every stream run at its very ticks. Without it a stream runs a
	// fixed part of its interval later, which differs from stream to stream, so
	// that those of one schedule do not all start at the same moment.
	NoSpread bool
	// Fenced is called on a goroutine of its own when the store no longer takes
	// this process's writes: of one connection, because its lease has moved
	// (store.ErrFenced), or of all, for "" (store.ErrClosed, once). By then every run
	// concerned has been canceled and no other will start. A connection that was
	// fenced is to be removed, and added again when its lease is held again.
	Fenced func(connectionID string, err error)
}

// Limits is the table of bounds and deadlines.
type Limits struct {
	// Runs is how many runs may work at the same time. Default 16.
	Runs int
	// RunsPerConnection is how many of them may belong to one connection.
	// Default 4.
	RunsPerConnection int
	// PagesPerTurn is how many pages a run reads before others have their turn.
	// Default 10.
	PagesPerTurn int
	// PageTimeout bounds one call of a sync route. Default 60 s.
	PageTimeout time.Duration
	// StoreTimeout bounds one read or one try of a commit. Default 30 s.
	StoreTimeout time.Duration
	// StopTimeout is how long pages in flight may still take when the scheduler
	// stops. Default 25 s.
	StopTimeout time.Duration
	// BackoffBase and BackoffCap bound the wait after a transient failure.
	// Defaults 5 s and 15 min.
	BackoffBase, BackoffCap time.Duration
	// AbandonedInARow is how many handlers of a connection may be abandoned,
	// with none of the same stream returning in between, before the connection
	// is quarantined. Default 3.
	AbandonedInARow int
	// Crashes is how many runs of a stream in a row may end with the process,
	// none of them with a page, before the stream is quarantined. Default 3.
	Crashes int
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Runs, 16)
	setDefault(&l.RunsPerConnection, 4)
	setDefault(&l.PagesPerTurn, 10)
	setDefault(&l.PageTimeout, 60*time.Second)
	setDefault(&l.StoreTimeout, 30*time.Second)
	setDefault(&l.StopTimeout, 25*time.Second)
	setDefault(&l.BackoffBase, 5*time.Second)
	setDefault(&l.BackoffCap, 15*time.Minute)
	setDefault(&l.AbandonedInARow, 3)
	setDefault(&l.Crashes, 3)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (l Limits) validate() error {
	var errs []error
	for _, c := range []struct {
		name  string
		value int64
	}{
		{"Runs", int64(l.Runs)},
		{"RunsPerConnection", int64(l.RunsPerConnection)},
		{"PagesPerTurn", int64(l.PagesPerTurn)},
		{"PageTimeout", int64(l.PageTimeout)},
		{"StoreTimeout", int64(l.StoreTimeout)},
		{"StopTimeout", int64(l.StopTimeout)},
		{"BackoffBase", int64(l.BackoffBase)},
		{"BackoffCap", int64(l.BackoffCap)},
		{"AbandonedInARow", int64(l.AbandonedInARow)},
		{"Crashes", int64(l.Crashes)},
	} {
		if c.value < 0 {
			errs = append(errs, fmt.Errorf("limit %s is negative; leave it 0 for the default", c.name))
		}
	}
	if l.BackoffCap < l.BackoffBase {
		errs = append(errs, fmt.Errorf("limit BackoffCap (%s) is below BackoffBase (%s); raise it", l.BackoffCap, l.BackoffBase))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("no store is given"))
	}
	return errors.Join(append(errs, c.Limits.validate())...)
}

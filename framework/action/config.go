package action

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// Config is what an [Engine] is made of. Zero values of all but Store mean the
// defaults.
type Config struct {
	// Store keeps the runs. Required.
	Store store.ActionRuns
	// Log gets what cannot be told to anybody else.
	Log *slog.Logger
	// Changed is called when a run of a connection has begun, moved on or ended. It
	// must return quickly.
	Changed func(connectionID string)
	// Silence is how long a process may say nothing before its runs are taken for
	// interrupted. 0 is for a store that one process has to itself: all others are
	// gone then. The default is 0.
	Silence time.Duration

	// MaxRunning bounds the runs that go on at a time. The default is 4,096.
	MaxRunning int
	// Coalesce is the least time between two reports of a run that are kept; a long
	// run keeps fewer. The default is 50 ms.
	Coalesce time.Duration
	// Beat is how often this process shows that it lives, and looks for runs that
	// are to be canceled. The default is 1 s.
	Beat time.Duration
	// Poll is how often a run of another process is looked at by those who watch
	// it. The default is 250 ms.
	Poll time.Duration
	// StartTimeout bounds the wait for the row of a new run. The default is 10 s.
	StartTimeout time.Duration
	// KeepFor and KeepRuns say what is kept of runs that have ended: how long, and
	// how many of a connection. The defaults are 30 days and 1,000.
	KeepFor  time.Duration
	KeepRuns int
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	orDefault(&c.MaxRunning, 4096)
	orDefault(&c.Coalesce, 50*time.Millisecond)
	orDefault(&c.Beat, time.Second)
	orDefault(&c.Poll, 250*time.Millisecond)
	orDefault(&c.StartTimeout, 10*time.Second)
	orDefault(&c.KeepFor, 30*24*time.Hour)
	orDefault(&c.KeepRuns, 1000)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	if c.Store == nil {
		return errors.New("no Store is given")
	}
	if min(c.Silence, c.Coalesce, c.Beat, c.Poll, c.StartTimeout, c.KeepFor) < 0 || min(c.MaxRunning, c.KeepRuns) < 1 {
		return errors.New("durations and bounds must be positive")
	}
	return nil
}

// Call is what [Engine.Start] begins.
type Call struct {
	// ConnectionID is who was asked, TargetID whose action it is, "" for none.
	ConnectionID, TargetID string
	// Project and Connection are the names of who was asked, for the log.
	Project, Connection string
	// Action is its name, as triggers write it; Origin says who asked.
	Action, Origin string
	// Timeout bounds the run. Required.
	Timeout time.Duration
	// Limit bounds the runs of the action and the connections that go on at a time.
	// Required.
	Limit int
	// Do carries it out and returns its output as JSON.
	Do func(ctx context.Context, progress framework.Progress) ([]byte, error)
}

// Errors of an engine.
var (
	// ErrTooMany says that as many runs go on as may.
	ErrTooMany = errors.New("as many runs go on as may at a time; try again when one has ended")
	// ErrStopping says that the process is going to end.
	ErrStopping = errors.New("this process is stopping; ask again")
	// ErrCanceled is why the context of a canceled run has ended.
	ErrCanceled = errors.New("the run was canceled")
	// ErrEnded says that a run is over.
	ErrEnded = errors.New("the run has ended")

	errTimeout = errors.New("the action did not end within its timeout")
	errLost    = errors.New("the run was taken for interrupted: the store did not hear of this process for too long")
)

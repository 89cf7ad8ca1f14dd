package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// Stream is a polled stream of one connection, as it is given to
// [Scheduler.Add].
type Stream struct {
	// Project and Connection are names, ConnectionID is the immutable id. Key is
	// the stream's key.
	Project, ConnectionID, Connection, Key string
	// Schedule says when the stream is due. Required.
	Schedule schedule.Schedule
	// Binding reads the pages. Required.
	Binding Binding
	// Window gives each run a window, and Lookback is how far it reaches back
	// into the one before.
	Window   bool
	Lookback time.Duration
	// Paused keeps the stream from running until [Scheduler.Resume]. It is also
	// paused if Status says so.
	Paused bool
	// Status is what the store knows of the stream; the zero value for a new one.
	Status store.StreamStatus
	// Former are the keys that the stream had before.
	Former []string
	// States are those of the connection, as the store has them: backfills and
	// alarms.
	States []store.State
	// Crashes is what [CountCrashes] says of the stream's last runs. Add streams
	// with fewer of them first: those that have some start one after another.
	Crashes int
}

func (s Stream) validate() error {
	var errs []error
	if s.ConnectionID == "" {
		errs = append(errs, errors.New("no connection id is given"))
	}
	if s.Key == "" {
		errs = append(errs, errors.New("no stream key is given"))
	}
	if s.Schedule.IsZero() {
		errs = append(errs, errors.New("no schedule is given; webhook streams are not scheduled"))
	}
	if s.Binding == nil {
		errs = append(errs, errors.New("no binding is given"))
	}
	if s.Lookback < 0 {
		errs = append(errs, fmt.Errorf("lookback %s is negative", s.Lookback))
	}
	return errors.Join(errs...)
}

// State is what a stream is doing.
type State struct {
	// Running says that a run is going, RunID and Trigger which. RunID is also
	// set for a run that was asked for and waits for its turn.
	Running        bool
	RunID, Trigger string
	// Next is when the next run is due, or zero if none is: the stream is paused
	// or its connection quarantined.
	Next time.Time
	// RetryAt is Next if that run is a retry after a failure, else zero.
	RetryAt time.Time
	// Paused and Quarantined say why no run starts.
	Paused, Quarantined bool
	// Failures counts the failed runs since the last success.
	Failures int
	// Skipped counts the ticks since the process started that came while the
	// stream was still running.
	Skipped int64
}

// Triggers of a run.
const (
	triggerSchedule = "schedule"
	triggerStart    = "start"
	triggerRetry    = "retry"
	triggerManual   = "manual"
	triggerBackfill = "backfill"
)

// place is where a stream is between the parts of the scheduler.
type place int

const (
	placeParked  place = iota // nowhere: paused, quarantined, removed
	placeWaiting              // in the heap
	placeReady                // in its connection's line
	placeRunning              // with a runner
)

// stream is a scheduled stream. Its fields are guarded by Scheduler.mu, but for
// the embedded Stream and key, which never change, and what run points to, which
// belongs to the runner; the run's id and trigger never change and may be read.
type stream struct {
	Stream
	conn *connection
	key  string // of Schedule.Spread
	// exact says that e runs at its ticks, without a spread.
	exact bool
	// epoch is that of the lease under which the stream was added: all that it
	// writes is written under this lease, or not at all.
	epoch int64

	place place
	index int           // in the heap, or -1
	at    time.Duration // when it is due, on the monotonic clock
	next  appointment

	run      *run   // the live run, also between its turns
	asked    string // id of a run that was asked for and has not begun
	paging   bool   // a page on demand is being read
	deferred bool   // became due meanwhile
	paused   bool
	gone     bool // the store does not know the connection any more
	failures int
	skipped  int64
	unsaved  *store.StreamWrite // a success that was not recorded yet
	watch    watch
	// abandoned counts the handlers left behind since one of the stream's last
	// returned.
	abandoned int
	// crashing keeps the stream from running until it is resumed.
	crashing bool
	// survived says that a page was read in this process.
	survived bool

	// backfills are those of a stream, by id. A backfill is itself a stream, with
	// backfill set, and owner the stream that it reads.
	backfills map[string]*stream
	owner     *stream
	backfill  *backfill
}

func (e *stream) rank() rank {
	if e.backfill != nil {
		return rankBackfill
	}
	return rankLive
}

// lane is that of the checkpoint.
func (e *stream) lane() string {
	if e.backfill != nil {
		return e.backfill.id
	}
	return store.LaneLive
}

// appointment is when a stream runs next, and why.
type appointment struct {
	due     time.Time
	trigger string
	// spread is the part of due that lies behind the schedule's tick.
	spread time.Duration
	// skipped counts the ticks passed over since the last run began.
	skipped int
}

// connection holds what the streams of one connection share. Its fields are
// guarded by Scheduler.mu.
type connection struct {
	id     string
	ctx    context.Context
	cancel context.CancelCauseFunc
	// ending ends when no page begins any more; those in flight may go on.
	ending  context.Context
	end     context.CancelFunc
	streams map[string]*stream

	ready [ranks]ready

	active      sync.WaitGroup // live runs and pages on demand
	closing     bool
	fenced      bool // its lease has moved; it waits for its removal
	quarantined bool
}

// run is a live run of a stream.
type run struct {
	store.Run
	// spread is how long after its tick the run was due.
	spread time.Duration
	// loaded says that the checkpoint was read, recorded that the run has a row,
	// announced that the row was written before the first page.
	loaded, recorded, announced bool
	// checkpoint is the saved one, as it would be written again.
	checkpoint store.CheckpointWrite
	// saved is the commit id of the saved checkpoint, "" for none.
	saved string
	kind  framework.CursorType
	// migrated says that the saved cursor is of an earlier version.
	migrated bool
	loop     loopDetector
	// ahead is the next page, which is being read while one is committed.
	ahead *read
	// appended and duplicates count what its pages brought.
	appended, duplicates int
}

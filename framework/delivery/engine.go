package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Store is what the engine needs of a store. See package store for what each
// method promises.
type Store interface {
	ingest.Log
	// Epoch is that of the lease under which a sink works.
	Epoch(connectionID string) (epoch int64, ok bool)
	// Commit records u durably.
	Commit(ctx context.Context, u store.Unit) (store.Receipt, error)
	// Offsets lists the offsets of a sink.
	Offsets(ctx context.Context, connectionID string) ([]store.Offset, error)
	// ParkedEvents lists the parked events of a sink after a position.
	ParkedEvents(ctx context.Context, connectionID string, after store.Position, limit int) ([]store.ParkedEvent, error)
	// DeadEvents lists dead letters of a sink.
	DeadEvents(ctx context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error)
	// CountDeadEvents counts them.
	CountDeadEvents(ctx context.Context, which store.DeadEvents) (int, error)
	// DeadEvent returns one dead letter of a sink.
	DeadEvent(ctx context.Context, connectionID, id string) (store.DeadEvent, error)
	// States lists the pieces of state of a connection by a prefix of their names.
	States(ctx context.Context, connectionID, prefix string) ([]store.State, error)
	// Heads says how far streams are.
	Heads(ctx context.Context, sources []store.Source) ([]store.Hint, error)
}

var _ Store = store.Store(nil)

// Config says what an engine works with.
type Config struct {
	// Store is required.
	Store Store
	// Logger gets what happens to sinks. Without it nothing is logged.
	Logger *slog.Logger
	// Poll is how often the heads of the sinks' streams are read, in case nobody
	// called [Engine.Wake]: another process may have recorded something. Where they
	// are many it is less often, but every second. Default 1 s.
	Poll time.Duration
	// StopTimeout is how long requests on their way may still take when a sink
	// ends. Default 25 s.
	StopTimeout time.Duration
	// Changed is called when a sink changes its state or moves on, and must
	// return quickly. Optional.
	Changed func(connectionID string)
	// Attempted is called after each attempt, and Notice when an operator should
	// hear of something; both must return quickly. Optional.
	Attempted func(id Identity, a Recent)
	Notice    func(n Notice)
}

// Engine runs sinks.
type Engine struct {
	config Config

	mu    sync.Mutex
	sinks map[string]*runner
	// readers are the sinks of each stream: every commit looks there.
	readers map[store.Source][]*runner
	closed  bool
	work    sync.WaitGroup
	// held are the payloads that all sinks have in memory, in bytes.
	held atomic.Int64
}

// Errors of an engine.
var (
	// ErrUnknownSink says that no such sink runs in this process.
	ErrUnknownSink = errors.New("sink does not run here")
	// ErrState says that the sink's state forbids what was asked.
	ErrState = errors.New("the state of the sink forbids it")
	// ErrStopped says that the engine is stopping.
	ErrStopped = errors.New("delivery is stopping")
)

// New returns an engine without sinks.
func New(c Config) (*Engine, error) {
	if c.Store == nil {
		return nil, errors.New("configure delivery: no store is given")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	if c.Attempted == nil {
		c.Attempted = func(Identity, Recent) {}
	}
	if c.Notice == nil {
		c.Notice = func(Notice) {}
	}
	c.Poll = cmp.Or(c.Poll, time.Second)
	c.StopTimeout = cmp.Or(c.StopTimeout, 25*time.Second)
	return &Engine{config: c, sinks: map[string]*runner{}, readers: map[store.Source][]*runner{}}, nil
}

// Run looks for what other processes have recorded until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	look := time.NewTimer(e.config.Poll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		sources := e.sources()
		if len(sources) > 0 {
			heads, err := e.config.Store.Heads(ctx, sources)
			if err != nil && ctx.Err() == nil {
				e.config.Logger.Error("read the heads of streams", "err", err)
			}
			for _, h := range heads {
				e.wake(h.Source, h.Head)
			}
		}
		look.Reset(max(e.config.Poll, min(time.Duration(len(sources))*lookCost, time.Second)))
	}
}

// lookCost is how much longer a look at the heads waits for each stream: to look
// costs some microseconds a stream.
const lookCost = 200 * time.Microsecond

// sources are the streams that sinks read.
func (e *Engine) sources() []store.Source {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.readers))
}

// Identity names the connection that is a sink: Project and Connection are names,
// ConnectionID is the immutable id.
type Identity struct{ Project, Connection, ConnectionID string }

// Add starts a sink that reads the given streams. It fails with store.ErrFenced
// when this process does not have the lease of the connection.
func (e *Engine) Add(ctx context.Context, id Identity, spec sink.Spec, sources []store.Source) error {
	spec = spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("start sink %q: %w", id.Connection, err)
	}
	s := newRunner(e, id, spec)
	if err := s.load(ctx, sources); err != nil {
		return fmt.Errorf("start sink %q: %w", id.Connection, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrStopped
	case e.sinks[id.ConnectionID] != nil:
		return fmt.Errorf("start sink %q: it runs already", id.Connection)
	}
	e.sinks[id.ConnectionID] = s
	for _, l := range s.bySource {
		e.readers[l.source] = append(e.readers[l.source], s)
	}
	e.work.Go(s.run)
	return nil
}

// Remove ends a sink after the requests on their way, and commits its offsets.
// It is no error that there is no such sink.
func (e *Engine) Remove(ctx context.Context, connectionID string) error {
	e.mu.Lock()
	s := e.sinks[connectionID]
	delete(e.sinks, connectionID)
	e.mu.Unlock()
	if s == nil {
		return nil
	}
	s.end()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop sink %q: %w", s.Connection, ctx.Err())
	}
}

// Stop ends all sinks.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	for _, s := range e.sinks {
		s.end()
	}
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		e.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop delivery: %w", ctx.Err())
	}
}

// Wake tells the sinks of a stream that events were recorded up to head.
func (e *Engine) Wake(connectionID, stream string, head int64) {
	e.wake(store.Source{ConnectionID: connectionID, Stream: stream}, head)
}

func (e *Engine) wake(source store.Source, head int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.readers[source] {
		s.told(source, head)
	}
}

// forget drops a sink that has ended.
func (e *Engine) forget(s *runner) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sinks[s.ConnectionID] == s {
		delete(e.sinks, s.ConnectionID)
	}
	for _, l := range s.bySource {
		rest := slices.DeleteFunc(e.readers[l.source], func(other *runner) bool { return other == s })
		if e.readers[l.source] = rest; len(rest) == 0 {
			delete(e.readers, l.source)
		}
	}
}

// find returns a sink that runs here.
func (e *Engine) find(connectionID string) (*runner, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.sinks[connectionID]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("connection %s: %w", connectionID, ErrUnknownSink)
}

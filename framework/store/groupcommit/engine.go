package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Config are the engine's settings. Zero fields take their defaults.
type Config struct {
	// Secret keys the hashes. It belongs to the store and never changes.
	Secret []byte
	// Logger takes failures of the backend. Default: none.
	Logger *slog.Logger
	// QueueUnits and QueueBytes bound what waits. Defaults: 4,096 and 64 MiB.
	QueueUnits, QueueBytes int
	// BatchUnits, BatchEvents and BatchBytes bound one transaction; a single
	// unit may pass them. Defaults: 1,024, 10,000 and 16 MiB.
	BatchUnits, BatchEvents, BatchBytes int
	// Timeout is the deadline of one transaction. Default: 30 s.
	Timeout time.Duration
	// Retries is how often a deadlock or serialization failure is tried again
	// before it is ErrUnavailable. Default: 10.
	Retries int
}

// Defaults of [Config].
const (
	DefaultQueueUnits  = 4096
	DefaultQueueBytes  = 64 << 20
	DefaultBatchUnits  = 1024
	DefaultBatchEvents = 10_000
	DefaultBatchBytes  = 16 << 20
	DefaultTimeout     = 30 * time.Second
	DefaultRetries     = 10
)

func (c Config) withDefaults() Config {
	orDefault(&c.QueueUnits, DefaultQueueUnits)
	orDefault(&c.QueueBytes, DefaultQueueBytes)
	orDefault(&c.BatchUnits, DefaultBatchUnits)
	orDefault(&c.BatchEvents, DefaultBatchEvents)
	orDefault(&c.BatchBytes, DefaultBatchBytes)
	orDefault(&c.Timeout, DefaultTimeout)
	orDefault(&c.Retries, DefaultRetries)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (c Config) validate() error {
	var errs []error
	if len(c.Secret) < 16 {
		errs = append(errs, errors.New("the secret must have at least 16 bytes"))
	}
	for name, v := range map[string]int{
		"queue units": c.QueueUnits, "queue bytes": c.QueueBytes, "batch units": c.BatchUnits,
		"batch events": c.BatchEvents, "batch bytes": c.BatchBytes, "retries": c.Retries, "timeout": int(c.Timeout),
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", name))
		}
	}
	return errors.Join(errs...)
}

// Engine commits units to a backend. It is safe for concurrent use.
type Engine struct {
	backend Backend
	config  Config
	hash    *hasher
	queue   queue
	done    chan struct{}
	// closing ends waits between attempts to reach a lost backend.
	closing chan struct{}
	once    sync.Once
	// doubt is set while the connection has to be replaced before it is used.
	doubt bool
	// lost holds why the outcome of the last commit cannot be found out now.
	lost  atomic.Pointer[string]
	stats stats
}

// New starts an engine. Close ends it; the backend stays the caller's.
func New(backend Backend, config Config) (*Engine, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure store writer: %w", err)
	}
	e := &Engine{
		backend: backend, config: config, hash: newHasher(config.Secret),
		done: make(chan struct{}), closing: make(chan struct{}),
	}
	e.queue.init(config)
	go e.run()
	return e, nil
}

// Commit is [store.Store.Commit]. The unit's slices must not be changed until
// it is committed or refused, which may be after Commit returned early because
// ctx ended.
func (e *Engine) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	return e.submit(ctx, u, true)
}

// Offer is [store.Store.Offer].
func (e *Engine) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	return e.submit(ctx, u, false)
}

func (e *Engine) submit(ctx context.Context, u store.Unit, wait bool) (store.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return store.Receipt{}, err
	}
	o, err := e.hash.prepare(u)
	if err != nil {
		return store.Receipt{}, fmt.Errorf("commit unit %q: %w", u.ID, err)
	}
	answer, err := e.wait(ctx, o, wait)
	if err == nil {
		err = answer.err
	}
	if err != nil {
		return store.Receipt{}, fmt.Errorf("commit unit %q: %w", u.ID, err)
	}
	return answer.receipt, nil
}

// ErrDoubt is wrapped by a function given to [Engine.Do] to say that the
// connection must be reopened before it is used again.
var ErrDoubt = errors.New("state of the connection is in doubt")

// Do runs f in the writer's goroutine, between transactions. It is for backends
// with one writing connection. f must respect its context, which does not end
// with ctx: that ends the wait only.
func (e *Engine) Do(ctx context.Context, f func(context.Context) error) error {
	a, err := e.wait(ctx, &op{do: f, done: make(chan answer, 1)}, true)
	return errors.Join(err, a.err)
}

func (e *Engine) wait(ctx context.Context, o *op, room bool) (answer, error) {
	if why := e.lost.Load(); why != nil {
		return answer{}, fmt.Errorf("%w: %s", store.ErrUnavailable, *why)
	}
	if err := e.queue.put(ctx, o, room); err != nil {
		return answer{}, err
	}
	select {
	case a := <-o.done:
		return a, nil
	case <-ctx.Done():
		e.queue.cancel(o)
		return answer{}, ctx.Err()
	}
}

// Close refuses new units, commits those that wait and returns when the writer
// has ended. It may be called more than once.
func (e *Engine) Close() {
	e.once.Do(func() {
		close(e.closing)
		e.queue.close()
	})
	<-e.done
}

// Stats are counts since the start.
type Stats struct {
	// Batches counts transactions, Units and Events what they committed.
	Batches, Units, Events int64
	// Bisected counts batches that failed for their content.
	Bisected int64
	// Seconds is the time spent in transactions.
	Seconds float64
	// Waiting is the number of units in the queue now.
	Waiting int
}

type stats struct{ batches, units, events, bisected, nanos atomic.Int64 }

// Stats returns the counts.
func (e *Engine) Stats() Stats {
	return Stats{
		Batches: e.stats.batches.Load(), Units: e.stats.units.Load(), Events: e.stats.events.Load(),
		Bisected: e.stats.bisected.Load(), Seconds: time.Duration(e.stats.nanos.Load()).Seconds(), Waiting: e.queue.len(),
	}
}

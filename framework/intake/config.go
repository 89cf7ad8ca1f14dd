package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Store is the part of a store that intake writes and reads.
type Store interface {
	// Epoch is that of the lease under which this process handles the stored
	// deliveries of the connection; ok is false when another one does.
	Epoch(connectionID string) (epoch int64, ok bool)
	// Offer commits u durably, or fails with store.ErrBusy when too many units wait.
	Offer(ctx context.Context, u store.Unit) (store.Receipt, error)
	// Commit commits u durably, and waits for its turn.
	Commit(ctx context.Context, u store.Unit) (store.Receipt, error)
	// StoredDeliveries lists the deliveries of a connection that are due.
	StoredDeliveries(ctx context.Context, connectionID string, dead bool, due time.Time, limit int) ([]store.StoredDelivery, error)
	// DeliveryCounts counts what waits or was given up, for each connection.
	DeliveryCounts(ctx context.Context, connectionID string) ([]store.DeliveryCount, error)
	// ClampDeliveries begins the waits again that began after now.
	ClampDeliveries(ctx context.Context, now time.Time) (int, error)
	// TrimDeliveries removes what has expired, and handled ones over the bounds.
	TrimDeliveries(ctx context.Context, connectionID string, now time.Time, bounds store.DeliveryBounds, limit int) (int, error)
}

// Config is what a [Handler] is made of. Zero values of all but Targets and
// Store mean the defaults.
type Config struct {
	// Targets finds the endpoint of a request. Required.
	Targets Targets
	// Store keeps events, keys and stored deliveries. Required.
	Store Store
	// Log gets failures, and a sample of what was refused.
	Log *slog.Logger
	// Now is the clock. The default is time.Now.
	Now func() time.Time
	// Observe is called once for every request that found its endpoint, and
	// for every later call of a handler. It must return quickly.
	Observe func(Observation)

	// TrustedProxies are those whose X-Forwarded-For is believed, for endpoints
	// that allow only some senders' addresses.
	TrustedProxies []netip.Prefix
	// Journal is the file that remembers which handlers are at work, so that one
	// that ends the process is not called for ever; "" for none.
	Journal string

	// MaxInFlight bounds the bytes of all bodies in memory. One connection may
	// hold as much as is left free: half of it, and a third when another one does
	// the same. The default is 128 MiB.
	MaxInFlight int64
	// MaxHandlers bounds the handlers at work for one endpoint. The default is 64.
	MaxHandlers int
	// HandlerWait is how long a delivery waits for a free handler before it is
	// stored for later. The default is 1 s.
	HandlerWait time.Duration
	// BodyTimeout is how long the sender may take to send a body. The default is 30 s.
	BodyTimeout time.Duration
	// CommitTimeout bounds the wait for the store. The default is 10 s.
	CommitTimeout time.Duration
	// LogEvery is the least time between two log lines about refused requests
	// of one endpoint. The default is 10 s.
	LogEvery time.Duration

	// MaxStored and MaxStoredBytes bound what waits or was given up, for each
	// connection; over them a delivery whose handler fails is refused with 503.
	// The defaults are 10,000 and 1 GiB.
	MaxStored, MaxStoredBytes int64
	// MaxKept and MaxKeptBytes bound the handled deliveries that a connection
	// keeps; over them the oldest are removed. The defaults are 100,000 and 1 GiB.
	MaxKept, MaxKeptBytes int64

	// RetryPoll is how often [Handler.Run] looks for stored deliveries. The default is 15 s.
	RetryPoll time.Duration
	// RetryBase and RetryCap bound the wait before a stored delivery's handler
	// is called again. The defaults are 1 minute and 1 hour.
	RetryBase, RetryCap time.Duration
	// RetryFor and RetryAttempts say when a delivery is given up: when it is
	// older and its handler was called at least so often. The defaults are 72
	// hours and 12.
	RetryFor      time.Duration
	RetryAttempts int
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
	orDefault(&c.MaxInFlight, 128<<20)
	orDefault(&c.MaxHandlers, 64)
	orDefault(&c.HandlerWait, time.Second)
	orDefault(&c.BodyTimeout, 30*time.Second)
	orDefault(&c.CommitTimeout, 10*time.Second)
	orDefault(&c.LogEvery, 10*time.Second)
	orDefault(&c.MaxStored, 10_000)
	orDefault(&c.MaxStoredBytes, 1<<30)
	orDefault(&c.MaxKept, 100_000)
	orDefault(&c.MaxKeptBytes, 1<<30)
	orDefault(&c.RetryPoll, 15*time.Second)
	orDefault(&c.RetryBase, time.Minute)
	orDefault(&c.RetryCap, time.Hour)
	orDefault(&c.RetryFor, 72*time.Hour)
	orDefault(&c.RetryAttempts, 12)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	var errs []error
	if c.Targets == nil {
		errs = append(errs, errors.New("Targets is missing"))
	}
	if c.Store == nil {
		errs = append(errs, errors.New("Store is missing"))
	}
	if c.MaxInFlight < 0 || c.MaxHandlers < 0 || c.RetryAttempts < 0 || min(c.MaxStored, c.MaxStoredBytes, c.MaxKept, c.MaxKeptBytes) < 0 {
		errs = append(errs, errors.New("MaxInFlight, MaxHandlers, RetryAttempts and the bounds of what is stored must be positive"))
	}
	for _, d := range []time.Duration{c.HandlerWait, c.BodyTimeout, c.CommitTimeout, c.LogEvery, c.RetryPoll, c.RetryBase, c.RetryCap, c.RetryFor} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("a duration of %s is negative", d))
		}
	}
	if c.RetryCap < c.RetryBase {
		errs = append(errs, errors.New("RetryCap is shorter than RetryBase"))
	}
	return errors.Join(errs...)
}

// Handler receives webhook deliveries. Make one with [New], serve it, and let
// [Handler.Run] handle what had to be stored.
type Handler struct {
	config    Config
	gate      gate
	budget    *budget
	endpoints endpointStates
	shelf     *shelf
	journal   *journal
	retrying  sync.Mutex
	wake      chan struct{}
	// trimmed is when the stored deliveries were trimmed last; retrying guards it.
	trimmed time.Time
	// survived has the ids of connections that handled a stored delivery in this
	// process, and the process is still here.
	survived sync.Map
	// returned has the ids of stored deliveries that are marked and in which this
	// process has not ended: their handler came back, or was not called. They stay
	// until what became of it is recorded.
	returned sync.Map
	// random is uniform in [0, 1).
	random func() float64
}

// New returns a handler, or every error of its configuration.
func New(c Config) (*Handler, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configure intake: %w", err)
	}
	journal, err := openJournal(c.Journal, mapped)
	if err != nil {
		return nil, fmt.Errorf("configure intake: %w", err)
	}
	return &Handler{
		config: c, budget: newBudget(c.MaxInFlight), endpoints: endpointStates{handlers: c.MaxHandlers},
		shelf: newShelf(c.MaxStored, c.MaxStoredBytes), journal: journal, wake: make(chan struct{}, 1), random: rand.Float64,
	}, nil
}

// Close ends the journal of a handler that serves no more: what is at work then
// did not end the process. It is safe to call twice.
func (h *Handler) Close() error { return h.journal.close() }

// Wake makes [Handler.Run] look for due deliveries at once.
func (h *Handler) Wake() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Drain refuses new deliveries with 503 and waits until those at work have
// ended, or until ctx has.
func (h *Handler) Drain(ctx context.Context) error {
	if err := h.gate.drain(ctx); err != nil {
		return fmt.Errorf("drain intake: %w", err)
	}
	return nil
}

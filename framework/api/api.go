package api

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Store is what the API reads beside its [health.Board]; the store has it.
type Store interface {
	ingest.Log
	// LogEpoch identifies the log: it changes when the store is restored from a
	// backup, and sequences after the backup are used again.
	LogEpoch() int64
	// Runs lists a stream's runs, newest first, before the run with the given
	// id ("" for the newest).
	Runs(ctx context.Context, connectionID, stream, before string, limit int) ([]store.Run, error)
	// Run returns one run, or store.ErrNotFound.
	Run(ctx context.Context, id string) (store.Run, error)
	// Deliveries lists the stored deliveries of a connection in a state, or in
	// any for "", newest first, before the one with the given id ("" for the
	// newest).
	Deliveries(ctx context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error)
}

// Operations is what an operator may ask of the runtime. Errors that the state
// of the stream is the reason of are [ConflictError]s.
type Operations interface {
	// Page runs one page of a poll stream and waits for it.
	Page(ctx context.Context, call PageCall) (PageResult, error)
	// RunNow starts a live run of a poll stream at once, without waiting for it.
	RunNow(ctx context.Context, connectionID, stream string) error
	// SetPaused pauses the polls of a stream, or resumes them.
	SetPaused(ctx context.Context, connectionID, stream string, paused bool) error
	// Reset moves the checkpoint of a poll stream: its next run reads from the
	// beginning or from elsewhere, and records nothing twice.
	Reset(ctx context.Context, connectionID, stream string, to scheduler.ResetTo) error
	// Backfills lists the backfills of a connection, oldest first.
	Backfills(ctx context.Context, connectionID string) ([]scheduler.Backfill, error)
	// Backfill starts a backfill.
	Backfill(ctx context.Context, connectionID, stream string, spec scheduler.BackfillSpec) (scheduler.Backfill, error)
	// CancelBackfill ends a backfill.
	CancelBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error)
	// ResumeBackfill has a backfill go on that failed or was canceled.
	ResumeBackfill(ctx context.Context, connectionID, id string) (scheduler.Backfill, error)
}

// PageCall asks for one page of a poll stream.
type PageCall struct {
	ConnectionID, Stream string
	// Explicit says that the caller named a place: the events are committed,
	// and the checkpoint is neither read nor moved.
	Explicit bool
	// From and To bound the records, zero for no bound.
	From, To time.Time
	// Cursor is where the page starts, as JSON; nil for the beginning.
	Cursor []byte
}

// PageResult is what became of a page.
type PageResult struct {
	// Cursor is where the next page starts, as JSON.
	Cursor []byte
	// HasMore says that the provider has more to read at once.
	HasMore bool
	// Emitted counts the events that were recorded, Duplicates those that had
	// been recorded before.
	Emitted, Duplicates int
}

// Config is what [New] needs.
type Config struct {
	// Board, Store, Operations and Feed are required.
	Board      *health.Board
	Store      Store
	Operations Operations
	Feed       *Feed
	// Connections carries out what is asked of connections; nil leaves its routes out.
	Connections *connection.Desk
	// Deliveries are the webhooks that came in; nil leaves their routes out.
	Deliveries Deliveries
	// Sinks are the connections that deliver; nil leaves their routes out.
	Sinks Sinks
	// Keyring knows the tokens that callers may have, Audit what they did, and
	// Secrets what is sealed; nil leaves their routes out.
	Keyring *Keyring
	Audit   AuditStore
	Secrets Secrets
	// Actions are what connections can be asked to do; nil leaves their routes out.
	Actions Actions
	// Ready says why the process should get no traffic now: it starts, stops, or
	// its store cannot be written. The default says that it is ready.
	Ready func(ctx context.Context) error
	// Address is how senders reach this process. The default is the address of
	// each request.
	Address health.Address
	// Log gets the causes of answers in the 500s. The default writes nothing.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	return c
}

func (c Config) validate() error {
	if c.Board == nil || c.Store == nil || c.Operations == nil || c.Feed == nil {
		return errors.New("management API: Board, Store, Operations and Feed are required")
	}
	return nil
}

// API is the management API. Serve it behind a [Gate].
type API struct {
	cfg    Config
	router *chi.Mux

	open   atomic.Int64
	once   sync.Once
	closed chan struct{}
}

// New returns the management API.
func New(cfg Config) (*API, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &API{cfg: cfg.withDefaults(), router: chi.NewRouter(), closed: make(chan struct{})}
	a.router.Get("/healthz", a.serveHealth)
	a.router.Get("/readyz", a.serveReady)
	a.router.Get("/api/v1/changes", a.serveChanges)
	a.accessRoutes()
	for _, prefix := range []string{projectPrefix, aliasPrefix} {
		stream := prefix + "/connections/{connection}/streams/{stream}"
		a.router.Get(prefix+"/streams", a.answer(a.listStreams))
		a.router.Get(prefix+"/connections", a.answer(a.listConnections))
		a.router.Get(prefix+"/connections/{connection}/deliveries", a.answer(a.listDeliveries))
		if cfg.Sinks != nil {
			a.sinkRoutes(prefix)
		}
		if cfg.Deliveries != nil {
			a.webhookRoutes(prefix)
		}
		if cfg.Actions != nil {
			a.actionRoutes(prefix)
		}
		a.router.Get(prefix+"/runs/{run_id}", a.answer(a.getRun))
		a.router.Get(stream, a.answer(a.getStream))
		a.router.Get(stream+"/events", a.answer(a.listEvents))
		a.router.Get(stream+"/runs", a.answer(a.listRuns))
		a.router.Post(stream+"/pause", a.answer(a.pause))
		a.router.Post(stream+"/resume", a.answer(a.resume))
		a.router.Post(stream+"/run", a.answer(a.runNow))
		a.router.Post(stream+"/reset", a.answer(a.reset))
		a.router.Get(stream+"/backfills", a.answer(a.listBackfills))
		a.router.Post(stream+"/backfills", a.answer(a.startBackfill))
		a.router.Get(prefix+"/connections/{connection}/backfills/{backfill}", a.answer(a.getBackfill))
		a.router.Post(prefix+"/connections/{connection}/backfills/{backfill}/cancel", a.answer(a.cancelBackfill))
		a.router.Post(prefix+"/connections/{connection}/backfills/{backfill}/resume", a.answer(a.resumeBackfill))
		a.router.Post(prefix+"/connections/{connection}/pause", a.answer(a.pauseConnection))
		a.router.Post(prefix+"/connections/{connection}/resume", a.answer(a.resumeConnection))
		a.router.Post(prefix+"/connections/{connection}/sync/{stream}", a.answer(a.syncPage))
	}
	if cfg.Connections != nil {
		a.configurationRoutes() // in place of those above that have the same paths
	}
	return a, nil
}

// Handler returns the routes of the API, for [Gate.Handler].
func (a *API) Handler() http.Handler { return a.router }

// CloseFeeds ends every open feed of changes, so that a stopping server does not
// wait for them. Browsers connect again by themselves.
func (a *API) CloseFeeds() { a.once.Do(func() { close(a.closed) }) }

// reply is a successful answer: a value for JSON, or encoded JSON.
type reply struct {
	status int
	value  any
	raw    []byte
	header http.Header
}

func ok(value any) (reply, error) { return reply{status: http.StatusOK, value: value}, nil }

// answer turns a function that returns its answer into a handler.
func (a *API) answer(f func(r *http.Request) (reply, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r)
		maps.Copy(w.Header(), out.header)
		switch {
		case err != nil:
			fail(w, r, a.cfg.Log, err)
		case out.raw != nil:
			writeBytes(w, out.status, "application/json", out.raw)
		default:
			writeJSON(w, out.status, "application/json", out.value)
		}
	}
}

// project is the project that the path names, or the default.
func project(r *http.Request) string {
	if p := chi.URLParam(r, "project"); p != "" {
		return p
	}
	return health.DefaultProject
}

// target finds the stream that the path names.
func (a *API) target(r *http.Request) (health.Target, error) {
	return a.cfg.Board.Find(r.Context(), project(r), chi.URLParam(r, "connection"), chi.URLParam(r, "stream"))
}

// recorded is target for what was recorded, also of a connection that is deleted.
func (a *API) recorded(r *http.Request) (health.Target, error) {
	return a.cfg.Board.FindRecorded(r.Context(), project(r), chi.URLParam(r, "connection"), chi.URLParam(r, "stream"))
}

func (a *API) serveHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

func (a *API) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := a.cfg.Ready(r.Context()); err != nil {
		// The log has the cause: a probe is public.
		a.cfg.Log.WarnContext(r.Context(), "not ready", "err", err)
		p := newProblem(http.StatusServiceUnavailable, "not_ready", "this process should get no traffic now")
		if errors.Is(err, store.ErrDiskLow) {
			p = ProblemOf(err)
		}
		p.retryAfter = busySeconds
		p.write(w)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ready"})
}

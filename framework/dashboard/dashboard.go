package dashboard

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Store is what the pages read beside the [health.Board]; the store has it.
type Store interface {
	ingest.Log
	// Checkpoint returns a lane's checkpoint.
	Checkpoint(ctx context.Context, connectionID, stream, lane string) (c store.Checkpoint, ok bool, err error)
	// Runs lists a stream's runs, newest first, before the run with the given
	// id ("" for the newest).
	Runs(ctx context.Context, connectionID, stream, before string, limit int) ([]store.Run, error)
	// Deliveries lists the stored deliveries of a connection in a state, or in
	// any for "", newest first, before the one with the given id ("" for the
	// newest).
	Deliveries(ctx context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error)
	// DeliveryCounts counts the stored deliveries of a connection, or of each
	// for "".
	DeliveryCounts(ctx context.Context, connectionID string) ([]store.DeliveryCount, error)
}

// Operations is what the buttons do. Errors that the state of the stream is the
// reason of are [api.ConflictError]s.
type Operations interface {
	// RunNow starts a live run of a poll stream at once, without waiting for it.
	RunNow(ctx context.Context, connectionID, stream string) error
	// SetPaused pauses the polls of a stream, or resumes them.
	SetPaused(ctx context.Context, connectionID, stream string, paused bool) error
	// Backfills lists the backfills of a connection, oldest first.
	Backfills(ctx context.Context, connectionID string) ([]scheduler.Backfill, error)
}

// Sessions logs people in and out; [api.Gate] does.
type Sessions interface {
	// NeedsSignIn reports that there is something to log in to.
	NeedsSignIn() bool
	// SignIn opens a session when token is one. It fails with an [api.Problem] when
	// too many wrong ones were sent.
	SignIn(w http.ResponseWriter, r *http.Request, token string) (bool, error)
	// SignOut ends the session of the request.
	SignOut(w http.ResponseWriter, r *http.Request)
}

var _ Sessions = (*api.Gate)(nil)

// Config is what [New] needs.
type Config struct {
	// Board, Store, Operations, Deliveries, Sessions and Feed are required.
	Board      *health.Board
	Store      Store
	Operations Operations
	Deliveries Deliveries
	Sessions   Sessions
	// Connections carries out what is asked of connections; without it they have no
	// pages of their own.
	Connections *connection.Desk
	// Sinks are the connections that deliver; without it they have no pages.
	Sinks api.Sinks
	// Actions are what connections can be asked to do; nil for nothing.
	Actions Actions
	// Feed is told of what the buttons did.
	Feed *api.Feed
	// Address is how senders reach this process. The default is the address of
	// each request.
	Address health.Address
	// Machine answers the front page to callers that ask for no page; nil leaves it
	// to all.
	Machine http.HandlerFunc
	// Version is shown at the foot of each page.
	Version string
	// Log gets the causes of error pages. The default writes nothing.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if c.Board == nil || c.Store == nil || c.Operations == nil || c.Deliveries == nil || c.Sessions == nil || c.Feed == nil {
		return errors.New("dashboard: Board, Store, Operations, Deliveries, Sessions and Feed are required")
	}
	return nil
}

// Dashboard serves the pages. Serve it behind an [api.Gate].
type Dashboard struct {
	cfg    Config
	router *chi.Mux
}

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"asset": assetURL, "visible": visible, "count": countWords, "thousands": thousands, "exact": exact, "waiting": waiting,
	"alarm": func(kind string) string { return strings.ReplaceAll(kind, "_", " ") },
}).ParseFS(pageFiles, "pages/*.html"))

// New returns the dashboard.
func New(cfg Config) (*Dashboard, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d := &Dashboard{cfg: cfg.withDefaults(), router: chi.NewRouter()}
	d.router.Get("/", d.overview)
	d.router.Get("/streams/{project}/{connection}/{stream}", d.stream)
	d.router.Post("/streams/{project}/{connection}/{stream}/{action}", d.act)
	d.router.Get("/deliveries/{project}/{connection}/{delivery}", d.delivery)
	d.router.Post("/deliveries/{project}/{connection}/{delivery}/redeliver", d.redeliver)
	d.router.Post("/deliveries/{project}/{connection}/{delivery}/discard", d.discard)
	d.router.Post("/endpoints/{project}/{connection}/{path}/resume", d.resumeEndpoint)
	d.router.Post("/endpoints/{project}/{connection}/{path}/redeliver", d.redeliverAll)
	d.router.Post("/endpoints/{project}/{connection}/{path}/discard", d.discardAll)
	if d.cfg.Connections != nil {
		d.router.Get("/connections/{project}/{connection}", d.configured)
		d.router.Post("/connections/{project}/{connection}/{action}", d.actOnConnection)
		d.router.Post("/connections/{project}/{connection}/deploy", d.deployConnection)
		d.router.Post("/connections/{project}/{connection}/rollback", d.rollbackConnection)
	}
	d.router.Get("/sinks/{project}/{connection}", d.sink)
	d.router.Post("/sinks/{project}/{connection}/{action}", d.actOnSink)
	d.router.Post("/sinks/{project}/{connection}/dead-letters/redeliver", d.redeliverLetters)
	d.router.Post("/sinks/{project}/{connection}/dead-letters/discard", d.discardLetters)
	d.router.Post("/sinks/{project}/{connection}/redeliveries/{redelivery}/cancel", d.cancelRedelivery)
	d.router.Get("/sinks/{project}/{connection}/dead-letters/{letter}", d.letter)
	d.router.Post("/sinks/{project}/{connection}/dead-letters/{letter}/redeliver", d.redeliverLetter)
	d.router.Post("/sinks/{project}/{connection}/dead-letters/{letter}/discard", d.discardLetter)
	d.router.Get("/actions/{project}/{connection}", d.actions)
	d.router.Post("/actions/{project}/{connection}/{run_id}/cancel", d.cancelAction)
	d.router.Get("/login", d.signInPage)
	d.router.Post("/login", d.signIn)
	d.router.Post("/logout", d.signOut)
	d.router.Get("/assets/{name}", serveAsset)
	return d, nil
}

// Handler returns the routes of the dashboard, for [api.Gate.Handler].
func (d *Dashboard) Handler() http.Handler { return d.router }

// page is what every page shows around its own content.
type page struct {
	Title   string
	Version string
	// SignedIn says that there is a session to end.
	SignedIn bool
	// Live says that the page follows the feed of changes.
	Live bool
	Body any
}

// render answers with a page. It is made whole first, so that an error in the
// middle is an error page and not half a page.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Version = d.cfg.Version
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		d.cfg.Log.ErrorContext(r.Context(), "render page", "path", r.URL.Path, "err", err)
		http.Error(w, "this page cannot be shown; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller has gone: nobody is left to tell
}

type errorBody struct {
	Status        int
	Title, Detail string
}

// ErrorPage answers with a page that says what is wrong. It is the
// [api.GateConfig]'s ErrorPage.
func ErrorPage(w http.ResponseWriter, _ *http.Request, status int, title, detail string) {
	var b bytes.Buffer
	p := page{Title: title, Body: errorBody{status, title, detail}}
	if err := pages.ExecuteTemplate(&b, "error.html", p); err != nil {
		http.Error(w, fmt.Sprintf("%d %s", status, title), status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller has gone: nobody is left to tell
}

func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := api.ProblemOf(err)
	if p.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		d.cfg.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "status", p.Status, "err", err)
	}
	ErrorPage(w, r, p.Status, p.Title, p.Detail)
}

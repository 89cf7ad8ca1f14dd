package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// Prefix is where triggers are, on every listener.
const Prefix = "/sink/trigger/http/"

// Runs starts runs and watches them; [action.Engine] does.
type Runs interface {
	// Start begins a run and returns its id once its row is durable.
	Start(ctx context.Context, c action.Call) (id string, err error)
	// Watch reads the frames of a run after a sequence.
	Watch(ctx context.Context, id string, after int64) (*action.Watcher, error)
}

// Config is what a [Handler] is made of. Zero values of all but Targets, Runs and
// Run mean the defaults.
type Config struct {
	// Targets finds the trigger of a request. Required.
	Targets *Table
	// Runs starts runs. Required.
	Runs Runs
	// Run reads one run, for those who come back. Required.
	Run func(ctx context.Context, id string) (store.ActionRun, error)
	// Log gets why runs could not be started.
	Log *slog.Logger
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Streaming says how progress is sent.
	Streaming Streaming
	// MaxBodies bounds the bytes of all bodies in memory. The default is 64 MiB.
	MaxBodies int64
	// BodyTimeout is how long a body may take to come. The default is 30 s.
	BodyTimeout time.Duration
	// MaxCallers bounds the callers that are being answered. The default is 4,096.
	MaxCallers int64
}

func orDefault[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

// Handler serves triggers.
type Handler struct {
	cfg    Config
	bodies bodies
	open   bodies
}

// New returns a handler, or what is wrong with its configuration.
func New(cfg Config) (*Handler, error) {
	if cfg.Targets == nil || cfg.Runs == nil || cfg.Run == nil {
		return nil, errors.New("configure triggers: Targets, Runs and Run are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&cfg.MaxBodies, 64<<20)
	orDefault(&cfg.BodyTimeout, 30*time.Second)
	orDefault(&cfg.MaxCallers, 4096)
	return &Handler{cfg: cfg, bodies: bodies{most: cfg.MaxBodies}, open: bodies{most: cfg.MaxCallers}}, nil
}

// Local reports whether a path that nothing else has may be a trigger's short one,
// /{project}/{path}.
func (h *Handler) Local(escaped string) bool {
	project, _, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	return catalog.ValidPath(project) && h.cfg.Targets.Project(project)
}

// splitPath reads the project and the path of a trigger. The project is read as it
// was sent; the rest is decoded once.
func splitPath(escaped string) (project, path string, ok bool) {
	rest, long := strings.CutPrefix(escaped, Prefix)
	if !long {
		rest = strings.TrimPrefix(escaped, "/")
	}
	project, rest, found := strings.Cut(rest, "/")
	path, err := url.PathUnescape("/" + rest)
	return project, path, found && err == nil && catalog.ValidPath(project)
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	project, path, ok := splitPath(r.URL.EscapedPath())
	if !ok {
		notFound().write(w, r)
		return
	}
	target, allowed := h.cfg.Targets.Lookup(project, path, r.Method)
	switch {
	case len(allowed) == 0:
		notFound().write(w, r)
		return
	case target.Prepare == nil:
		wrongMethod(allowed).write(w, r)
		return
	}
	if !h.open.grow(1) {
		h.refuse(w, r, target, busy("too many callers"))
		return
	}
	defer h.open.used.Add(-1)
	if no := h.serve(w, r, target); no != nil {
		h.refuse(w, r, target, no)
	}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, t Target, no *refusal) {
	if no.cause != nil {
		h.cfg.Log.WarnContext(r.Context(), "a trigger started nothing", "project", t.Project, "connection", t.Connection, "status", no.status, "err", no.cause)
	}
	no.write(w, r)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, t Target) *refusal {
	if t.Verifier == nil {
		no := unverified("")
		no.unread = true
		return no
	}
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return &refusal{
			status: http.StatusUnsupportedMediaType, code: "encoded", detail: "send the body without Content-Encoding",
			header: map[string]string{"Accept-Encoding": "identity"}, unread: true,
		}
	}
	body, release, no := h.bodies.read(w, r, h.cfg.BodyTimeout)
	started := false
	defer func() {
		if !started {
			release()
		}
	}()
	if no != nil {
		return no
	}
	// The connection may have been changed while the body came: what it says now
	// counts.
	if t, no = h.still(r, t); no != nil {
		return no
	}
	request := webhook.Request{
		Method: r.Method, URI: r.URL.RequestURI(), Header: r.Header, Body: body, TLS: r.TLS,
		Remote: webhook.ClientIP(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), h.cfg.TrustedProxies),
	}
	check := sync.OnceValue(func() error { return t.Verifier.Verify(time.Now(), request) })
	if t.Verifier.Handshakes() {
		// Of a webhook's endpoint every other method than POST is a handshake; here it
		// may be a call.
		reply, handled, err := t.Verifier.Handshake(r.Context(), time.Now(), request, check)
		if handled && (err == nil || r.Method == http.MethodPost || errors.Is(err, webhook.ErrHandshake)) {
			return answerHandshake(w, t, reply, err)
		}
	}
	if err := check(); err != nil {
		return unverified(t.Verifier.Challenge())
	}
	if values := r.Header.Values("Last-Event-ID"); len(values) > 0 {
		return h.resume(w, r, t, values)
	}
	input, err := inputOf(r, body)
	if err != nil {
		return refusalOf(err)
	}
	named := body
	if len(named) == 0 {
		named = input.JSON
	}
	// Once the request is here its run is started, whether its caller waits or not.
	ctx := context.WithoutCancel(r.Context())
	call, err := t.Prepare(ctx, Request{Input: input, Key: t.Verifier.DeliveryKey(r.Header, named)})
	if err != nil {
		return refusalOf(err)
	}
	// The input stays in memory as long as its run works with it.
	do := call.Do
	call.Do = func(ctx context.Context, progress framework.Progress) ([]byte, error) {
		defer release()
		return do(ctx, progress)
	}
	id, err := h.cfg.Runs.Start(ctx, call)
	if err != nil {
		return refusalOf(err)
	}
	started = true
	if prefersAsync(r.Header) || r.Method == http.MethodHead {
		w.Header().Set("Location", fmt.Sprintf("/api/v1/projects/%s/runs/%s", t.Project, id))
		w.Header().Set("Preference-Applied", "respond-async")
		writeJSON(w, http.StatusAccepted, "application/json", message{Type: "accepted", RunID: id})
		return nil
	}
	return h.follow(w, r, id, 0)
}

// still is the target of a request as it is now.
func (h *Handler) still(r *http.Request, was Target) (Target, *refusal) {
	_, path, _ := splitPath(r.URL.EscapedPath())
	t, allowed := h.cfg.Targets.Lookup(was.Project, path, r.Method)
	no := notFound()
	switch {
	case len(allowed) == 0:
	case t.Prepare == nil:
		no = wrongMethod(allowed)
	case t.Verifier == nil:
		no = unverified("")
	default:
		return t, nil
	}
	no.unread = false
	return t, no
}

// answerHandshake answers a request by which a sender learns that the trigger is
// ours. It starts nothing.
func answerHandshake(w http.ResponseWriter, t Target, reply webhook.Reply, err error) *refusal {
	switch {
	case errors.Is(err, webhook.ErrHandshake):
		return busy(err.Error())
	case err != nil:
		return unverified(t.Verifier.Challenge())
	}
	h := w.Header()
	for name, values := range reply.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Del("Content-Type")
	if reply.ContentType != "" {
		h.Set("Content-Type", reply.ContentType)
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	w.WriteHeader(reply.Status)
	// The sender may be gone; it will ask again.
	_, _ = w.Write(reply.Body)
	return nil
}

// resume goes on with a run of this trigger that its caller has lost.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request, t Target, values []string) *refusal {
	unknown := &refusal{status: http.StatusNotFound, code: "unknown_run", detail: "Last-Event-ID names no run of this trigger; call without it to start one"}
	id, after, ok := ReadEventID(values[0])
	if !ok || len(values) > 1 {
		return unknown
	}
	run, err := h.cfg.Run(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && run.ConnectionID != t.ConnectionID:
		return unknown
	case err != nil:
		no := busy(err.Error())
		no.unread = false
		return no
	case run.State != store.RunRunning && after > run.Events:
		// There is nothing more to say: a browser stops coming back.
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return h.follow(w, r, id, after)
}

// follow answers with the frames of a run.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, id string, after int64) *refusal {
	watcher, err := h.cfg.Runs.Watch(r.Context(), id, after)
	if err != nil {
		return refusalOf(err)
	}
	if wantsJSON(r.Header) {
		Wait(w, r, id, watcher)
	} else {
		h.cfg.Streaming.Stream(w, r, id, watcher)
	}
	return nil
}

// wantsJSON reports that the caller asks for JSON by name, and not for events.
func wantsJSON(h http.Header) bool {
	asked := false
	for _, line := range h.Values("Accept") {
		for one := range strings.SplitSeq(line, ",") {
			kind, params, err := mime.ParseMediaType(one)
			if err != nil || params["q"] == "0" {
				continue
			}
			if kind == "text/event-stream" {
				return false
			}
			asked = asked || kind == "application/json"
		}
	}
	return asked
}

// prefersAsync reports that the caller does not want to wait (RFC 7240).
func prefersAsync(h http.Header) bool {
	for _, line := range h.Values("Prefer") {
		for one := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
				return true
			}
		}
	}
	return false
}

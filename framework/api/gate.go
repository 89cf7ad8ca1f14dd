package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// GateConfig is what [NewGate] needs.
type GateConfig struct {
	// Policy says where the process listens and what admits a caller. It must
	// pass [CheckListen].
	Policy ListenPolicy
	// ErrorPage answers a browser that asked for a page with an error. Without
	// it, browsers get problem documents too.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, title, detail string)
	// Keyring knows the tokens of the store; nil for none but the admin token of
	// the policy.
	Keyring *Keyring
	// Audit remembers what callers do; nil for nobody.
	Audit AuditStore
	// TrustedProxies are those whose X-Forwarded-For says where a request comes
	// from.
	TrustedProxies []netip.Prefix
	// Foreign answers errors of paths whose errors have another form, and reports
	// whether it did; nil for none.
	Foreign func(w http.ResponseWriter, r *http.Request, status int, message string) bool
	// Triggers answers what nothing else is there for, on a loopback listener, where
	// it says that it may; nil for nobody.
	Triggers Fallback
	// Log gets panics. The default writes nothing.
	Log *slog.Logger
	// Now is the clock of the sessions. The default is time.Now.
	Now func() time.Time
}

func (c GateConfig) withDefaults() GateConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Fallback answers requests that no route is there for.
type Fallback interface {
	http.Handler
	// Local reports whether it answers a path, as it was sent.
	Local(escaped string) bool
}

// Gate stands before every face of the process.
type Gate struct {
	cfg      GateConfig
	loopback bool
	hosts    []string
	token    *[sha256.Size]byte
	forgery  *http.CrossOriginProtection
	rows     map[routeName]Route
	sessions *sessions
	throttle *throttle
	guesses  guesses
	refusals *refusals
}

// NewGate returns the guard of a process, or what [CheckListen] finds.
func NewGate(cfg GateConfig) (*Gate, error) {
	cfg = cfg.withDefaults()
	if err := CheckListen(cfg.Policy); err != nil {
		return nil, err
	}
	g := &Gate{
		cfg: cfg, loopback: IsLoopback(cfg.Policy.Listen), forgery: http.NewCrossOriginProtection(),
		rows: map[routeName]Route{}, sessions: newSessions(cfg.Now), throttle: newThrottle(cfg.Now), refusals: &refusals{},
	}
	for _, row := range Routes() {
		g.rows[routeName{row.Method, row.Pattern}] = row
	}
	for _, h := range cfg.Policy.AllowedHosts {
		g.hosts = append(g.hosts, hostOf(h))
	}
	if cfg.Policy.PublicURL != "" {
		origin, host, err := originOf(cfg.Policy.PublicURL)
		if err != nil {
			return nil, err
		}
		if err := g.forgery.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("trust public_url %q: %w", cfg.Policy.PublicURL, err)
		}
		g.hosts = append(g.hosts, host)
	}
	if cfg.Policy.Token != "" {
		sum := sha256.Sum256([]byte(cfg.Policy.Token))
		g.token = &sum
	}
	return g, nil
}

// part is one of the routers behind the gate.
type part interface {
	http.Handler
	chi.Routes
}

// Handler puts the gate before parts: routers made with chi, of which the first
// that has a route for a request answers it. It fails when a part is no router,
// or serves a route without a row in the table.
func (g *Gate) Handler(parts ...http.Handler) (http.Handler, error) {
	var (
		routers []part
		errs    []error
	)
	for i, p := range parts {
		router, ok := p.(part)
		if !ok {
			errs = append(errs, fmt.Errorf("part %d of the server (%T) is no router, so its routes cannot be checked", i, p))
			continue
		}
		errs = append(errs, CheckRoutes(router))
		routers = append(routers, router)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, routers) }), nil
}

// PublicHandler is [Gate.Handler] for a listener that everybody may reach: it
// serves the intake alone, and nothing else is there.
func (g *Gate) PublicHandler(parts ...http.Handler) (http.Handler, error) {
	public := &Gate{
		cfg: g.cfg, loopback: g.loopback, hosts: g.hosts, token: g.token, forgery: g.forgery, sessions: g.sessions, throttle: g.throttle, refusals: g.refusals,
	}
	// The short addresses of triggers are for callers on this machine.
	public.cfg.Triggers = nil
	public.rows = maps.Clone(g.rows)
	maps.DeleteFunc(public.rows, func(_ routeName, r Route) bool { return r.Face != FaceIntake })
	return public.Handler(parts...)
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request, routers []part) {
	defer func() {
		if v := recover(); v != nil {
			g.contain(w, r, v)
		}
	}()
	path := routePath(r)
	router, row, params, ok := g.find(routers, r.Method, path)
	if row.Face != FaceIntake {
		// Its answers are for programs, and say themselves what they need.
		setHeaders(w.Header())
	}
	if !ok {
		no := g.absent(w, routers, path)
		if no.Status == http.StatusNotFound && g.loopback && g.cfg.Triggers != nil && g.cfg.Triggers.Local(path) {
			// The deadlines are the handler's own, as for every trigger.
			setDeadlines(w, time.Time{})
			g.cfg.Triggers.ServeHTTP(w, r)
			return
		}
		g.refuse(w, r, no, wantsPage(r))
		return
	}
	page := row.Face == FaceDashboard && wantsPage(r)
	caller := Caller{}
	if row.Face != FaceIntake {
		if p := g.checkOrigin(r, row); p != nil {
			g.refuse(w, r, p, page)
			return
		}
		var answered bool
		if w, caller, answered = g.admit(w, r, row, params, page); answered {
			return
		}
	}
	if row.BodyLimit != OwnLimit {
		if r.ContentLength > row.BodyLimit {
			if row.Face != FaceIntake {
				swallow(w, r)
			}
			g.refuse(w, r, ProblemOf(&http.MaxBytesError{Limit: row.BodyLimit}), page)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, row.BodyLimit)
	}
	ctx := r.Context()
	if row.Face != FaceIntake {
		ctx = WithCaller(ctx, caller)
	}
	ctx, cancel := withDeadline(w, ctx, row.Deadline)
	defer cancel()
	if a, ok := w.(*audited); ok {
		ctx = context.WithValue(ctx, auditKey{}, a.note)
		defer a.finish()
	}
	route := chi.NewRouteContext()
	route.Routes, route.RouteMethod = router, row.Method
	router.ServeHTTP(w, r.WithContext(context.WithValue(ctx, chi.RouteCtxKey, route)))
	if a, ok := w.(*audited); ok {
		a.returned = true
	}
}

// admit lets a caller in who may call a route, or answers them. What they do is
// recorded when the answer that it returns has been given.
func (g *Gate) admit(w http.ResponseWriter, r *http.Request, row Route, params chi.RouteParams, page bool) (http.ResponseWriter, Caller, bool) {
	if row.Role == RolePublic {
		return w, Caller{}, false
	}
	caller, known, err := g.identify(r)
	if err != nil {
		p := ProblemOf(err)
		if p.Status >= http.StatusInternalServerError {
			g.cfg.Log.ErrorContext(r.Context(), "the tokens cannot be read", "err", err)
		}
		g.refuse(w, r, p, page)
		return w, caller, true
	}
	if caller.Name == "" {
		g.challenge(w, r, row, known)
		return w, caller, true
	}
	p := authorize(caller, row, param(params, "project"))
	if p == nil && !acts(row) {
		return w, caller, false
	}
	entry := auditEntry(caller, row, params)
	if p == nil {
		return &audited{ResponseWriter: w, gate: g, ctx: r.Context(), entry: entry, note: &auditNote{}}, caller, false
	}
	entry.Status = p.Status
	// Not by the project: names in a path are free to invent.
	if acts(row) || g.refusals.first(entry.Actor+" "+entry.Action, g.cfg.Now()) {
		g.record(r.Context(), entry)
	}
	g.refuse(w, r, p, page)
	return w, caller, true
}

// param is the value of a part of a path, or "".
func param(params chi.RouteParams, name string) string {
	for i, key := range params.Keys {
		if key == name && i < len(params.Values) {
			return params.Values[i]
		}
	}
	return ""
}

// find returns the router and the row of a request, with the parts of its path. A route without a row is
// not served. HEAD is answered as GET where nothing else is said.
func (g *Gate) find(routers []part, method, path string) (part, Route, chi.RouteParams, bool) {
	methods := []string{method}
	if method == http.MethodHead {
		methods = append(methods, http.MethodGet)
	}
	for _, m := range methods {
		for _, router := range routers {
			route := chi.NewRouteContext()
			if router.Match(route, m, path) {
				if row, ok := g.rows[routeName{m, CleanPattern(route.RoutePattern())}]; ok {
					return router, row, route.URLParams, true
				}
			}
		}
	}
	return nil, Route{}, chi.RouteParams{}, false
}

// absent is the problem of a request that no route is there for.
func (g *Gate) absent(w http.ResponseWriter, routers []part, path string) *Problem {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if _, _, _, ok := g.find(routers, m, path); ok {
			allowed = append(allowed, m)
			if m == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		return newProblem(http.StatusNotFound, "unknown_path", "there is nothing at "+shown(path))
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return newProblem(http.StatusMethodNotAllowed, "method_not_allowed", shown(path)+" takes "+strings.Join(allowed, ", "))
}

// checkOrigin refuses a request that another site made a browser send: by a
// name of its own that points to this machine, or by a form.
func (g *Gate) checkOrigin(r *http.Request, row Route) *Problem {
	if g.loopback {
		if host := hostOf(r.Host); !isLoopbackHost(host) && !slices.Contains(g.hosts, host) {
			return newProblem(http.StatusMisdirectedRequest, "unknown_host",
				"this process does not answer to the host name "+shown(r.Host)+"; use localhost, or add the name to allowed_hosts")
		}
	}
	// A site cannot read the answer to what it embeds, but making it costs as
	// much, and an open feed holds one of few places. Links may lead here.
	site, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Dest")
	embedded := (site == "cross-site" || site == "same-site") && dest != "document"
	// A GET that changes something is no page's to make: an image would do. Who
	// states a token is no image.
	acting := acts(row) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Authorization") == "" &&
		(r.Header.Get("Origin") != "" || (site != "" && site != "none"))
	if err := g.forgery.Check(r); err != nil || embedded || acting {
		return newProblem(http.StatusForbidden, "cross_origin", "a browser sent this request for another site; use the pages of this process, or no browser")
	}
	return nil
}

// refuse answers with a problem, or a page that says the same. It ends only when
// the rest of the body has come or some time has passed: net/http reads it to use
// the connection again.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, p *Problem, page bool) {
	setDeadlines(w, time.Now().Add(refusalWait))
	if page && g.cfg.ErrorPage != nil {
		g.cfg.ErrorPage(w, r, p.Status, p.Title, p.Detail)
		return
	}
	g.write(w, r, p)
}

// swallowed bounds what is read of a body that is refused for its size.
const swallowed = 32 << 20

// swallow reads the body of a caller who was let in and sends too much: many
// programs read no answer before they have sent all of it, and would see nothing but
// a connection that broke.
func swallow(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > swallowed || r.Header.Get("Expect") != "" {
		return
	}
	setDeadlines(w, time.Now().Add(refusalWait))
	_, _ = io.Copy(io.Discard, r.Body) // it is refused, whatever comes
}

// write answers with a problem in the form that its path has.
func (g *Gate) write(w http.ResponseWriter, r *http.Request, p *Problem) {
	if g.cfg.Foreign != nil && g.cfg.Foreign(w, r, p.Status, p.Detail) {
		return
	}
	p.write(w)
}

// contain answers for a handler that panicked with v.
func (g *Gate) contain(w http.ResponseWriter, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	g.cfg.Log.ErrorContext(r.Context(), "handler panicked", "method", r.Method, "path", r.URL.Path, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
	g.write(w, r, newProblem(http.StatusInternalServerError, "internal", "something failed inside; the log says what"))
}

// securityPolicy lets pages load only what this process serves, and nothing
// inline: a payload that becomes markup still does nothing.
const securityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", securityPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

// routePath is the path that routes are matched with: as it was sent, so that an
// escaped slash is no slash.
func routePath(r *http.Request) string {
	switch {
	case r.URL.RawPath != "":
		return r.URL.RawPath
	case r.URL.Path != "":
		return r.URL.Path
	default:
		return "/"
	}
}

// wantsPage reports that a person looks at the answer.
func wantsPage(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// writeGrace is how long an answer may still take after the handler's deadline,
// so that the answer can say that it has passed.
const writeGrace = 5 * time.Second

// refusalWait bounds what is refused before a handler is called.
const refusalWait = 5 * time.Second

// withDeadline bounds the handler and the connection. A connection keeps its
// deadlines from request to request, so they are set each time, also to none.
func withDeadline(w http.ResponseWriter, ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) { //nolint:revive // the writer comes first as in a handler
	if d == 0 {
		setDeadlines(w, time.Time{})
		return ctx, func() {}
	}
	setDeadlines(w, time.Now().Add(d+writeGrace))
	return context.WithTimeout(ctx, d)
}

// setDeadlines bounds reading from the connection, and writing to it a little
// later: who sends too slowly is still answered.
func setDeadlines(w http.ResponseWriter, read time.Time) {
	write := read
	if !read.IsZero() {
		write = read.Add(writeGrace)
	}
	control := http.NewResponseController(w)
	// A recorder in a test has no connection.
	_ = control.SetReadDeadline(read)
	_ = control.SetWriteDeadline(write)
}

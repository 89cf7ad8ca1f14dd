package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

const (
	sessionCookie = "weir_session"
	// sessionLife is how long a login lasts.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the memory of sessions; the oldest goes.
	maxSessions = 1024
)

// session is a login.
type session struct {
	until time.Time
	// tokenID is the token that was shown; "" for the admin token of the
	// configuration.
	tokenID string
}

// sessions remembers the logins of this process by the digest of their cookie.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[[sha256.Size]byte]session{}}
}

// begin opens a session and returns the value of its cookie.
func (s *sessions) begin(tokenID string) string {
	var b [32]byte
	// crypto/rand never fails: https://pkg.go.dev/crypto/rand#Read
	_, _ = rand.Read(b[:])
	value := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest [sha256.Size]byte
	for key, one := range s.open {
		if !now.Before(one.until) {
			delete(s.open, key)
		} else if first, ok := s.open[oldest]; !ok || one.until.Before(first.until) {
			oldest = key
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	// The digest is of the text, so another spelling of the same bytes is
	// another cookie.
	s.open[sha256.Sum256([]byte(value))] = session{now.Add(sessionLife), tokenID}
	return value
}

func (s *sessions) get(value string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.open[sha256.Sum256([]byte(value))]
	return one, ok && s.now().Before(one.until)
}

func (s *sessions) shut(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(value)))
}

// callerOf is the caller who has a token of the store.
func callerOf(t store.Token) Caller {
	return Caller{Name: t.Name, TokenID: t.ID, Role: Role(t.Role), Project: t.Project}
}

// identify returns who makes a request. known says that they showed something,
// right or wrong.
func (g *Gate) identify(r *http.Request) (c Caller, known bool, err error) {
	address := g.address(r)
	defer func() { c.Address = shownAddress(address) }()
	// What is stated counts before a cookie, also when it is wrong, and also where
	// nothing needs to be stated.
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		if len(headers) > 1 {
			return Caller{}, true, nil
		}
		c, err = g.recognize(r, address, credential(r))
		return c, true, err
	}
	if g.token == nil {
		return Caller{Name: CallerLoopback, Role: RoleAdmin}, false, nil
	}
	cookies := r.CookiesNamed(sessionCookie)
	if len(cookies) != 1 {
		return Caller{}, len(cookies) > 0, nil
	}
	one, ok := g.sessions.get(cookies[0].Value)
	switch {
	case !ok:
		return Caller{}, true, nil
	case one.tokenID == "":
		return Caller{Name: CallerAdmin, Role: RoleAdmin}, true, nil
	}
	// A session ends with its token.
	t, ok, err := g.cfg.Keyring.get(r.Context(), one.tokenID)
	if err != nil || !ok {
		return Caller{}, true, err
	}
	return callerOf(t), true, nil
}

// credential is what the one Authorization header of a request states: a token
// as Bearer, or as the password of Basic, whoever the user is.
func credential(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// recognize returns who has a token; nobody when it is wrong. It fails with the
// problem of somebody who has guessed too often.
func (g *Gate) recognize(r *http.Request, address netip.Addr, token string) (Caller, error) {
	t, ok, err := g.cfg.Keyring.find(r.Context(), token)
	switch {
	case err != nil:
		return Caller{}, err
	case ok:
		return callerOf(t), nil
	}
	if wait := g.throttle.wait(address); wait > 0 {
		p := newProblem(http.StatusTooManyRequests, "too_many_attempts", "too many wrong tokens were sent; wait, or use a token made by weir token create")
		p.retryAfter = int(wait.Seconds())
		return Caller{}, p
	}
	if g.isToken(token) {
		g.throttle.right(address)
		return Caller{Name: CallerAdmin, Role: RoleAdmin}, nil
	}
	g.throttle.wrong(address)
	g.wrongToken(r, address)
	return Caller{}, nil
}

// address is where a request comes from.
func (g *Gate) address(r *http.Request) netip.Addr {
	return webhook.ClientIP(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), g.cfg.TrustedProxies)
}

func shownAddress(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// isToken reports that a text is the admin token of the configuration. It
// compares digests, so that neither the length nor the place of the first
// difference shows in the time it takes.
func (g *Gate) isToken(candidate string) bool {
	sum := sha256.Sum256([]byte(candidate))
	return g.token != nil && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// guessEvery is the least time between two log lines about wrong tokens: a flood
// of them must not fill the log.
const guessEvery = 10 * time.Second

// guesses counts the wrong tokens since the last log line about them.
type guesses struct {
	mu       sync.Mutex
	loggedAt time.Time
	since    int
}

// wrongToken tells the operator that somebody tries tokens.
func (g *Gate) wrongToken(r *http.Request, address netip.Addr) {
	now := g.cfg.Now()
	g.guesses.mu.Lock()
	g.guesses.since++
	since, told := g.guesses.since, now.Sub(g.guesses.loggedAt) >= guessEvery
	if told {
		g.guesses.since, g.guesses.loggedAt = 0, now
	}
	g.guesses.mu.Unlock()
	if told {
		g.cfg.Log.WarnContext(r.Context(), "a wrong token was sent", "from", shownAddress(address), "path", r.URL.Path, "wrong", since)
		g.record(r.Context(), store.AuditEntry{
			Actor: "nobody", Address: shownAddress(address), Action: "wrong token", Status: http.StatusUnauthorized,
			Detail: fmt.Sprintf("%d since the last entry like this", since),
		})
	}
}

// challenge turns away a caller who may not: a person to the login page, a
// program with 401.
func (g *Gate) challenge(w http.ResponseWriter, r *http.Request, row Route, known bool) {
	setDeadlines(w, time.Now().Add(refusalWait))
	if row.Face == FaceDashboard && g.cfg.ErrorPage != nil {
		target := "/login"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			target += "?next=" + url.QueryEscape(r.URL.Path)
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
		return
	}
	detail := "this needs a token; send it as \"Authorization: Bearer …\""
	if known {
		detail = "the token or session is not valid, or has ended; send a token as \"Authorization: Bearer …\""
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
	if row.Face == FaceConnect {
		// Its tools know nothing else.
		w.Header().Add("WWW-Authenticate", `Basic realm="weir"`)
	}
	g.write(w, r, newProblem(http.StatusUnauthorized, "unauthorized", detail))
}

// NeedsSignIn reports that an admin token is configured, so that people log in.
func (g *Gate) NeedsSignIn() bool { return g.token != nil }

// SignIn opens a session and sets its cookie when token is the admin token or
// one of the store. It fails with a [*Problem] when too many wrong ones were
// sent, and when the tokens cannot be read.
func (g *Gate) SignIn(w http.ResponseWriter, r *http.Request, token string) (bool, error) {
	if g.token == nil {
		return false, nil
	}
	address := g.address(r)
	c, err := g.recognize(r, address, token)
	if err != nil || c.Name == "" {
		return false, err
	}
	c.Address = shownAddress(address)
	g.setCookie(w, r, g.sessions.begin(c.TokenID), int(sessionLife.Seconds()))
	g.record(r.Context(), store.AuditEntry{
		Actor: c.Name, Role: string(c.Role), Address: c.Address, Action: "log in", Project: c.Project, Status: http.StatusSeeOther,
	})
	return true, nil
}

// SignOut ends the session of the request.
func (g *Gate) SignOut(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.CookiesNamed(sessionCookie) {
		g.sessions.shut(c.Value)
	}
	g.setCookie(w, r, "", -1)
}

func (g *Gate) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the connection, see below; the rest is set
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// On loopback there is no TLS, and some browsers drop a Secure cookie there.
		Secure: r.TLS != nil || strings.HasPrefix(g.cfg.Policy.PublicURL, "https://"),
	})
}

// originOf returns the origin and the host name of a public URL.
func originOf(publicURL string) (origin, host string, err error) {
	u, err := url.Parse(publicURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return "", "", fmt.Errorf("public_url %q is no address; write for example https://weir.example.com", publicURL)
	}
	return u.Scheme + "://" + u.Host, hostOf(u.Host), nil
}

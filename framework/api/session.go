package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "weir_session"
	// sessionLife is how long a login lasts.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the memory of sessions; the oldest goes.
	maxSessions = 1024
)

// sessions remembers the logins of this process by the digest of their cookie.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, until: map[[sha256.Size]byte]time.Time{}}
}

func (s *sessions) open() string {
	var b [32]byte
	// crypto/rand never fails: https://pkg.go.dev/crypto/rand#Read
	_, _ = rand.Read(b[:])
	value := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var oldest [sha256.Size]byte
	for key, until := range s.until {
		if !now.Before(until) {
			delete(s.until, key)
		} else if first, ok := s.until[oldest]; !ok || until.Before(first) {
			oldest = key
		}
	}
	if len(s.until) >= maxSessions {
		delete(s.until, oldest)
	}
	// The digest is of the text, so another spelling of the same bytes is
	// another cookie.
	s.until[sha256.Sum256([]byte(value))] = now.Add(sessionLife)
	return value
}

func (s *sessions) has(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[sha256.Sum256([]byte(value))]
	return ok && s.now().Before(until)
}

func (s *sessions) shut(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, sha256.Sum256([]byte(value)))
}

// identify returns the role of the caller. known says that they showed
// something, right or wrong.
func (g *Gate) identify(r *http.Request) (role Role, known bool) {
	if g.token == nil {
		return RoleOperator, false
	}
	// A stated token counts before a cookie, also when it is wrong.
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		scheme, token, _ := strings.Cut(headers[0], " ")
		if len(headers) == 1 && strings.EqualFold(scheme, "Bearer") && g.isToken(token) {
			return RoleOperator, true
		}
		g.wrongToken(r)
		return RolePublic, true
	}
	cookies := r.CookiesNamed(sessionCookie)
	if len(cookies) == 1 && g.sessions.has(cookies[0].Value) {
		return RoleOperator, true
	}
	return RolePublic, len(cookies) > 0
}

// isToken compares digests, so that neither the length nor the place of the
// first difference shows in the time it takes.
func (g *Gate) isToken(candidate string) bool {
	sum := sha256.Sum256([]byte(candidate))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
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

// wrongToken tells the operator that somebody tries tokens. The right one is
// long, and is never kept out for the wrong ones of others: that would let
// everybody lock the operator out.
func (g *Gate) wrongToken(r *http.Request) {
	now := g.cfg.Now()
	g.guesses.mu.Lock()
	g.guesses.since++
	since, told := g.guesses.since, now.Sub(g.guesses.loggedAt) >= guessEvery
	if told {
		g.guesses.since, g.guesses.loggedAt = 0, now
	}
	g.guesses.mu.Unlock()
	if told {
		g.cfg.Log.WarnContext(r.Context(), "a wrong admin token was sent", "from", r.RemoteAddr, "path", r.URL.Path, "wrong", since)
	}
}

// challenge turns away a caller who may not: a person to the login page, a
// program with 401.
func (g *Gate) challenge(w http.ResponseWriter, r *http.Request, row Route, known bool) {
	if row.Face == FaceDashboard && g.cfg.ErrorPage != nil {
		target := "/login"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			target += "?next=" + url.QueryEscape(r.URL.Path)
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
		return
	}
	detail := "this needs the admin token; send it as \"Authorization: Bearer …\""
	if known {
		detail = "the admin token or session is not valid; send the token as \"Authorization: Bearer …\""
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
	newProblem(http.StatusUnauthorized, "unauthorized", detail).write(w)
}

// NeedsSignIn reports that an admin token is configured, so that people log in.
func (g *Gate) NeedsSignIn() bool { return g.token != nil }

// SignIn opens a session and sets its cookie when token is the admin token.
func (g *Gate) SignIn(w http.ResponseWriter, r *http.Request, token string) bool {
	if g.token == nil {
		return false
	}
	if !g.isToken(token) {
		g.wrongToken(r)
		return false
	}
	g.setCookie(w, r, g.sessions.open(), int(sessionLife.Seconds()))
	return true
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

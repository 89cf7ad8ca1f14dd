package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/store"
)

// accessRoutes are about who may call, what they did, and the secrets of all
// projects.
func (a *API) accessRoutes() {
	if a.cfg.Keyring != nil {
		a.router.Get("/api/v1/tokens", a.answer(a.listTokens))
		a.router.Post("/api/v1/tokens", a.answer(a.createToken))
		a.router.Delete("/api/v1/tokens/{token}", a.answer(a.revokeToken))
	}
	if a.cfg.Audit != nil {
		a.router.Get("/api/v1/audit", a.answer(a.listAudit))
	}
	if a.cfg.Secrets != nil {
		a.router.Post("/api/v1/secrets/rotate", a.answer(a.rotateSecrets))
	}
}

func accessTable() []Route {
	return []Route{
		{http.MethodGet, "/api/v1/tokens", RoleAdmin, 0, readDeadline, FaceAPI},
		{http.MethodPost, "/api/v1/tokens", RoleAdmin, formLimit, actDeadline, FaceAPI},
		{http.MethodDelete, "/api/v1/tokens/{token}", RoleAdmin, 0, actDeadline, FaceAPI},
		{http.MethodGet, "/api/v1/audit", RoleAdmin, 0, readDeadline, FaceAPI},
		{http.MethodPost, "/api/v1/secrets/rotate", RoleAdmin, formLimit, pageDeadline, FaceAPI},
	}
}

// tokenRow is a token as it is listed: never the token itself, nor its digest.
type tokenRow struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Project   *string    `json:"project"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Expired   bool       `json:"expired"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// Token is shown once, in the answer that makes it.
	Token string `json:"token,omitempty"`
}

func newTokenRow(t store.Token, now time.Time) tokenRow {
	row := tokenRow{ID: t.ID, Name: t.Name, Role: t.Role, CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt.UTC()}
	if t.Project != "" {
		row.Project = &t.Project
	}
	if !t.ExpiresAt.IsZero() {
		at := t.ExpiresAt.UTC()
		row.ExpiresAt, row.Expired = &at, !now.Before(at)
	}
	if !t.RevokedAt.IsZero() {
		at := t.RevokedAt.UTC()
		row.RevokedAt = &at
	}
	return row
}

func (a *API) listTokens(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	list, err := a.cfg.Keyring.list(r.Context())
	if err != nil {
		return reply{}, err
	}
	out := struct {
		Tokens []tokenRow `json:"tokens"`
		Next   *string    `json:"next"`
	}{Tokens: []tokenRow{}}
	for _, t := range list {
		out.Tokens = append(out.Tokens, newTokenRow(t, a.cfg.Keyring.now()))
	}
	return ok(out)
}

var (
	// tokenName keeps names of tokens fit for lists, logs and addresses.
	tokenName = regexp.MustCompile(`^[\pL\pN][\pL\pN ._@-]{0,99}$`)
	// projectName is what names of projects look like.
	projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
)

// nobody is the actor of what was refused to somebody unknown.
const nobody = "nobody"

type tokenRequest struct {
	Name      string     `json:"name"`
	Role      Role       `json:"role"`
	Project   string     `json:"project"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func (t tokenRequest) faults(now time.Time) []Fault {
	var faults []Fault
	add := func(name, format string, args ...any) {
		faults = append(faults, Fault{Parameter: name, Detail: fmt.Sprintf(format, args...)})
	}
	switch {
	case !tokenName.MatchString(t.Name):
		add("name", "is %s; it must have 1 to 100 letters, digits, spaces or any of . _ @ - and begin with a letter or a digit", shown(t.Name))
	case slices.Contains([]string{CallerAdmin, CallerLoopback, nobody}, strings.ToLower(t.Name)):
		add("name", "is %s, which the audit log uses itself; choose another", shown(t.Name))
	}
	if !slices.Contains(TokenRoles(), t.Role) {
		add("role", "is %s; it must be viewer, operator or admin", shown(string(t.Role)))
	}
	if t.Project != "" && !projectName.MatchString(t.Project) {
		add("project", "is %s, which is no name of a project; leave it out for all projects", shown(t.Project))
	}
	if t.ExpiresAt != nil && !t.ExpiresAt.After(now) {
		add("expires_at", "is %s, which has passed", t.ExpiresAt.Format(time.RFC3339))
	}
	return faults
}

func (a *API) createToken(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	var want tokenRequest
	if err := readBody(r, &want, `{"name":"ci","role":"viewer","project":"default","expires_at":"2027-01-31T00:00:00Z"}, of which project and expires_at may be left out`); err != nil {
		return reply{}, err
	}
	if faults := want.faults(a.cfg.Keyring.now()); len(faults) > 0 {
		return reply{}, invalidBody(faults)
	}
	t := store.Token{Name: want.Name, Role: string(want.Role), Project: want.Project, CreatedBy: CallerOf(r.Context()).Name}
	if want.ExpiresAt != nil {
		t.ExpiresAt = want.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	text, t, err := a.cfg.Keyring.create(r.Context(), t)
	switch {
	case errors.Is(err, store.ErrNameTaken):
		return reply{}, newProblem(http.StatusConflict, "name_taken", "there is a token named "+shown(want.Name)+" already; revoke it, or choose another name")
	case errors.Is(err, store.ErrTooManyTokens):
		return reply{}, newProblem(http.StatusConflict, "too_many_tokens", store.ErrTooManyTokens.Error())
	case err != nil:
		return reply{}, err
	}
	NoteAudit(r.Context(), "token "+t.ID+" named "+t.Name+", role "+t.Role+", project "+cmpOr(t.Project, "all"))
	row := newTokenRow(t, a.cfg.Keyring.now())
	row.Token = text
	return reply{status: http.StatusCreated, value: row}, nil
}

func cmpOr(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func (a *API) revokeToken(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	which := chi.URLParam(r, "token")
	t, err := a.cfg.Keyring.revoke(r.Context(), which)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return reply{}, newProblem(http.StatusNotFound, "unknown_token", "there is no token with the id or name "+shown(which)+" that was not revoked")
	case errors.Is(err, errAmbiguous):
		return reply{}, newProblem(http.StatusConflict, "ambiguous", errAmbiguous.Error()+"; there is no way to tell which you mean, so make another name first")
	case err != nil:
		return reply{}, err
	}
	NoteAudit(r.Context(), "token "+t.ID+" named "+t.Name)
	return ok(newTokenRow(t, a.cfg.Keyring.now()))
}

// readBody reads the JSON object of a request into v. example is what the answer
// to anything else says that it must be.
func readBody(r *http.Request, v any, example string) error {
	content, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err == nil {
		err = decoder.Decode(v)
	}
	if err == nil && decoder.More() {
		err = errors.New("something follows it")
	}
	if err == nil {
		err = repeatedKey(content)
	}
	if err == nil {
		return nil
	}
	return newProblem(http.StatusBadRequest, "invalid_body", "the body cannot be read: "+clippedTo(strings.TrimPrefix(err.Error(), "json: "), 200)+"; it must be "+example)
}

// repeatedKey says which key an object has twice: who reads it elsewhere may
// believe the other one.
func repeatedKey(object []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		name := strings.ToLower(fmt.Sprint(key))
		if seen[name] {
			return fmt.Errorf("key %s is there twice", shown(name))
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
	}
	return nil
}

// invalidBody is the problem of the fields of a body, all at once.
func invalidBody(faults []Fault) *Problem {
	var texts []string
	for _, f := range faults {
		texts = append(texts, f.Parameter+" "+f.Detail)
	}
	p := newProblem(http.StatusUnprocessableEntity, "invalid_fields", strings.Join(texts, "; "))
	p.Errors = faults
	return p
}

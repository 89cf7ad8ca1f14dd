package api

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// change reads what all changes of connections have in common: who asks, under
// which key, and of which revision.
func (a *API) change(r *http.Request, q *query) (connection.Request, error) {
	key, match := r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match")
	if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		q.fault("Idempotency-Key", "must have at most 255 characters of ASCII")
	}
	if match != "" && match != "*" && (len(match) < 2 || match[0] != '"' || match[len(match)-1] != '"') {
		q.fault("If-Match", "is no entity tag; take it from ETag of an answer, with its quotes")
	}
	message, _ := q.text("message")
	if len(message) > 1000 {
		q.fault("message", "has more than 1000 bytes")
	}
	caller := CallerOf(r.Context())
	return connection.Request{By: caller.Name, Caller: caller.TokenID, Message: message, Key: key, IfMatch: match}, q.err()
}

// name is the connection that the path names, by its name or id.
func (a *API) name(r *http.Request) (string, error) {
	name := chi.URLParam(r, "connection")
	if !strings.HasPrefix(name, "con_") {
		return name, nil
	}
	c, err := a.cfg.Board.Connection(r.Context(), project(r), name)
	return c.Name, err
}

// unknownConnection names what is not there.
func unknownConnection(err error, name string) error {
	if errors.Is(err, store.ErrNotFound) {
		return &health.UnknownError{Kind: "connection", Name: clipped(name)}
	}
	return err
}

// existing fails for a project that is not there.
func (a *API) existing(r *http.Request) error {
	_, err := a.cfg.Connections.Project(r.Context(), project(r))
	if errors.Is(err, store.ErrNotFound) {
		return &health.UnknownError{Kind: "project", Name: clipped(project(r))}
	}
	return err
}

// shownView answers with a connection in the form that it was given in.
func (a *API) shownView(r *http.Request, v connection.View, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	out := reply{status: http.StatusOK, value: v, header: http.Header{"Etag": {v.ETag()}}}
	if v.Form == connection.FormWebhook {
		flat := v.Webhook()
		flat["id"], flat["project"], flat["state"], flat["revision"] = v.ID, v.Project, v.State, v.Revision
		flat["deployed_revision"], flat["managed_by"], flat["secrets"] = v.Deployed, v.ManagedBy, v.Fingerprints
		if v.Reason != "" {
			flat["reason"] = v.Reason
		}
		out.value = flat
	}
	return out, nil
}

// changed is shownView after a change.
func (a *API) changed(r *http.Request, v connection.View, err error) (reply, error) {
	if err == nil {
		NoteAudit(r.Context(), "connection "+v.ID+", revision "+strconv.FormatInt(v.Revision, 10))
		a.cfg.Feed.NotifyProject(project(r))
	}
	return a.shownView(r, v, err)
}

func (a *API) createConnection(r *http.Request) (reply, error) {
	return a.writeConnection(r, chi.URLParam(r, "connection"), a.cfg.Connections.Create)
}

func (a *API) replaceConnection(r *http.Request) (reply, error) {
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	out, err := a.writeConnection(r, name, a.cfg.Connections.Replace)
	return out, unknownConnection(err, name)
}

func (a *API) patchConnection(r *http.Request) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	patch, err := readObject(r)
	if err != nil {
		return reply{}, err
	}
	var faults connection.Faults
	if p, is := patch["project"]; is && p != project(r) {
		faults = append(faults, connection.Fault{Path: "project", Message: "must be the project of the path, " + shown(project(r)) + ": a connection stays in its project"})
	}
	if deploy, is := patch["deployToWorker"]; is {
		value, isBool := deploy.(bool)
		if !isBool {
			faults = append(faults, connection.Fault{Path: "deployToWorker", Message: "must be true or false"})
		}
		q.Draft = isBool && !value
		delete(patch, "deployToWorker")
	}
	if len(faults) > 0 {
		return reply{}, faults
	}
	v, err := a.cfg.Connections.Patch(r.Context(), project(r), name, patch, q)
	return a.changed(r, v, unknownConnection(err, name))
}

func (a *API) deleteConnection(r *http.Request) (reply, error) {
	query := newQuery(r)
	keep := connection.Kept{Events: kept(query, "events"), DeadLetters: kept(query, "dead_letters")}
	q, err := a.change(r, query)
	if err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	v, err := a.cfg.Connections.Delete(r.Context(), project(r), name, keep, q)
	return a.changed(r, v, unknownConnection(err, name))
}

func kept(q *query, name string) bool {
	switch text, given := q.text(name); {
	case !given, text == "keep":
		return true
	case text != "delete":
		q.fault(name, "is %s; it must be keep or delete", shown(text))
	}
	return false
}

func (a *API) getConnection(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	v, err := a.cfg.Connections.Get(r.Context(), project(r), name)
	return a.shownView(r, v, unknownConnection(err, name))
}

// configuredRow is a connection in a list.
type configuredRow struct {
	connection.View

	endpoints []endpointRow
	running   []string
}

func (a *API) listConfigured(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, after := q.limit(), q.token("page_token", 1)
	f := connection.Filter{Type: q.oneOf("type", "source", "sink", "trigger", connection.FormWebhook), Labels: q.labels("label")}
	f.State = connection.State(q.oneOf("state", "draft", "running", "paused", "stopped", "failed", "disabled", "deleted"))
	if err := q.err(); err != nil {
		return reply{}, err
	}
	if err := a.existing(r); err != nil {
		return reply{}, err
	}
	place := ""
	if after != nil {
		place = after[0]
	}
	views, more, err := a.cfg.Connections.List(r.Context(), project(r), f, place, limit)
	if err != nil {
		return reply{}, err
	}
	// Into one buffer: a page of connections is read often, and is long.
	var b bytes.Buffer
	b.WriteString(`{"connections":[`)
	for i, v := range views {
		if i > 0 {
			b.WriteByte(',')
		}
		if f.Type == connection.FormWebhook {
			flat, err := a.shownView(r, v, nil)
			if err != nil {
				return reply{}, err
			}
			if err := appendJSON(&b, flat.value); err != nil {
				return reply{}, err
			}
			continue
		}
		row := configuredRow{View: v, endpoints: []endpointRow{}}
		m := a.cfg.Board.Manifest(v.ID)
		for _, s := range m.Streams {
			row.running = append(row.running, s.Key)
		}
		c := store.Connection{ID: v.ID, Project: v.Project, Name: v.Name}
		for _, e := range m.Endpoints {
			row.endpoints = append(row.endpoints, endpointRow{e.Path, e.Auth, health.WebhookURL(a.cfg.Address.Base(r), c, e.Path)})
		}
		if err := row.appendTo(&b); err != nil {
			return reply{}, err
		}
	}
	b.WriteString(`],"next":`)
	var next *string
	if more {
		next = pageToken(views[len(views)-1].Name)
	}
	if err := appendJSON(&b, next); err != nil {
		return reply{}, err
	}
	b.WriteString("}\n")
	return reply{status: http.StatusOK, raw: b.Bytes()}, nil
}

// writeConnection creates or replaces a connection.
func (a *API) writeConnection(r *http.Request, name string, write write) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	if err := a.existing(r); err != nil {
		return reply{}, err
	}
	body, err := readConnection(r, name)
	if err != nil {
		return reply{}, err
	}
	if len(body.faults) > 0 {
		return reply{}, a.faulty(r, name, body)
	}
	if name == "" {
		if name, err = a.named(r, body.document); err != nil {
			return reply{}, err
		}
	}
	q.Form, q.Draft = body.form, body.draft
	v, err := write(r.Context(), project(r), name, body.document, q)
	return a.changed(r, v, body.described(err))
}

// named returns the name of a connection that is made by its body alone. What is
// no name becomes the display name, and the name is made of it.
func (a *API) named(r *http.Request, document map[string]any) (string, error) {
	given, _ := document["name"].(string)
	slug := connection.Slug(given)
	if slug == given || slug == "" {
		return given, nil
	}
	if _, is := document["displayName"]; !is {
		document["displayName"] = given
	}
	for n := 1; n < 100; n++ {
		name := slug
		if n > 1 {
			name = fmt.Sprintf("%s-%d", slug[:min(len(slug), 60)], n)
		}
		_, err := a.cfg.Connections.Get(r.Context(), project(r), name)
		if errors.Is(err, store.ErrNotFound) {
			document["name"] = name
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
	return given, nil
}

func (a *API) validateConnection(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	if err := a.existing(r); err != nil {
		return reply{}, err
	}
	name := chi.URLParam(r, "connection")
	body, err := readConnection(r, name)
	if err != nil {
		return reply{}, err
	}
	if len(body.faults) > 0 {
		return reply{}, a.faulty(r, name, body)
	}
	warnings, err := a.cfg.Connections.Validate(r.Context(), project(r), name, body.document, connection.Request{Form: body.form})
	if err != nil {
		return reply{}, body.described(err)
	}
	if warnings == nil {
		warnings = connection.Faults{}
	}
	return ok(map[string]any{"valid": true, "warnings": warnings.Renamed(body.paths)})
}

func (a *API) testConnection(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	verdict, err := a.cfg.Connections.Test(r.Context(), project(r), name)
	if err != nil {
		return reply{}, unknownConnection(err, name)
	}
	return ok(verdict)
}

func (a *API) deployConnection(r *http.Request) (reply, error) {
	return a.moveRevision(r, false, a.cfg.Connections.Deploy)
}

func (a *API) rollbackConnection(r *http.Request) (reply, error) {
	return a.moveRevision(r, true, a.cfg.Connections.Rollback)
}

func (a *API) moveRevision(r *http.Request, required bool, move move) (reply, error) {
	query := newQuery(r)
	number := query.number("revision", 0, 1, math.MaxInt64)
	if required && number == 0 {
		query.fault("revision", "is required: the number of an earlier revision")
	}
	q, err := a.change(r, query)
	if err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	v, err := move(r.Context(), project(r), name, number, q)
	if errors.Is(err, store.ErrNotFound) {
		if _, there := a.cfg.Connections.Get(r.Context(), project(r), name); there == nil {
			return reply{}, &health.UnknownError{Kind: "revision", Name: strconv.FormatInt(number, 10)}
		}
	}
	return a.changed(r, v, unknownConnection(err, name))
}

func (a *API) detachConnection(r *http.Request) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	v, err := a.cfg.Connections.Detach(r.Context(), project(r), name, q)
	return a.changed(r, v, unknownConnection(err, name))
}

func (a *API) listRevisions(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, after := q.limit(), q.token("page_token", 1)
	var before int64
	if after != nil {
		var err error
		if before, err = strconv.ParseInt(after[0], 10, 64); err != nil {
			q.fault("page_token", "is no place of this list")
		}
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	entries, more, err := a.cfg.Connections.History(r.Context(), project(r), name, before, min(limit, 100))
	if err != nil {
		return reply{}, unknownConnection(err, name)
	}
	out := map[string]any{"revisions": slices.Concat([]connection.Entry{}, entries), "next": nil}
	if more {
		out["next"] = pageToken(strconv.FormatInt(entries[len(entries)-1].Revision, 10))
	}
	return ok(out)
}

func (a *API) getRevision(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	name, err := a.name(r)
	if err != nil {
		return reply{}, err
	}
	number, err := strconv.ParseInt(chi.URLParam(r, "revision"), 10, 64)
	if err != nil {
		return reply{}, &health.UnknownError{Kind: "revision", Name: clipped(chi.URLParam(r, "revision"))}
	}
	s, err := a.cfg.Connections.Revision(r.Context(), project(r), name, number)
	if errors.Is(err, store.ErrNotFound) {
		return reply{}, &health.UnknownError{Kind: "revision", Name: strconv.FormatInt(number, 10)}
	}
	if err != nil {
		return reply{}, err
	}
	return ok(s)
}

package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

type streamList struct {
	Streams []health.View `json:"streams"`
	Next    *string       `json:"next"`
}

func (a *API) listStreams(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, after := q.limit(), q.token("page_token", 2)
	if err := q.err(); err != nil {
		return reply{}, err
	}
	if err := a.knownProject(r); err != nil {
		return reply{}, err
	}
	targets, err := a.cfg.Board.Targets(r.Context(), project(r))
	if err != nil {
		return reply{}, err
	}
	// Ordered by names, so that a place in the list outlives what is added to
	// it and removed from it.
	slices.SortFunc(targets, func(x, y health.Target) int {
		return comparePlaces(place(x), place(y))
	})
	if after != nil {
		targets = slices.DeleteFunc(targets, func(t health.Target) bool { return comparePlaces(place(t), after) <= 0 })
	}
	out := streamList{}
	if len(targets) > limit {
		targets = targets[:limit]
		out.Next = pageToken(place(targets[limit-1])...)
	}
	if out.Streams, err = a.cfg.Board.Views(r.Context(), targets); err != nil {
		return reply{}, err
	}
	return ok(out)
}

func place(t health.Target) []string { return []string{t.Connection.Name, t.Stream.Key} }

func comparePlaces(x, y []string) int { return slices.Compare(x, y) }

// knownProject fails for a project that has no connection and is not the one
// that always exists.
func (a *API) knownProject(r *http.Request) error {
	name := project(r)
	if name == health.DefaultProject {
		return nil
	}
	connections, err := a.cfg.Board.Connections(r.Context(), name)
	if err != nil || len(connections) > 0 {
		return err
	}
	return &health.UnknownError{Kind: "project", Name: clipped(name)}
}

func (a *API) getStream(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	t, err := a.target(r)
	if err != nil {
		return reply{}, err
	}
	return a.viewOf(r, http.StatusOK, t)
}

func (a *API) viewOf(r *http.Request, status int, t health.Target) (reply, error) {
	v, err := a.cfg.Board.View(r.Context(), t)
	return reply{status: status, value: v}, err
}

type connectionRow struct {
	Project   string        `json:"project"`
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Connector string        `json:"connector"`
	Type      string        `json:"type"`
	Enabled   bool          `json:"enabled"`
	CreatedAt *health.Time  `json:"created_at"`
	Streams   []string      `json:"streams"`
	Endpoints []endpointRow `json:"endpoints"`
}

type endpointRow struct {
	Path string       `json:"path"`
	Auth catalog.Auth `json:"auth"`
	URL  string       `json:"url"`
}

type connectionList struct {
	Connections []connectionRow `json:"connections"`
	Next        *string         `json:"next"`
}

func (a *API) listConnections(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, after := q.limit(), q.token("page_token", 1)
	if err := q.err(); err != nil {
		return reply{}, err
	}
	if err := a.knownProject(r); err != nil {
		return reply{}, err
	}
	connections, err := a.cfg.Board.Connections(r.Context(), project(r))
	if err != nil {
		return reply{}, err
	}
	if after != nil {
		connections = slices.DeleteFunc(connections, func(c store.Connection) bool { return cmp.Compare(c.Name, after[0]) <= 0 })
	}
	out := connectionList{Connections: []connectionRow{}}
	if len(connections) > limit {
		connections = connections[:limit]
		out.Next = pageToken(connections[limit-1].Name)
	}
	for _, c := range connections {
		row := connectionRow{
			Project: c.Project, ID: c.ID, Name: c.Name, Connector: c.Connector, Type: c.Type, Enabled: c.Enabled,
			CreatedAt: health.TimeOrNil(c.CreatedAt), Streams: []string{}, Endpoints: []endpointRow{},
		}
		m := a.cfg.Board.Manifest(c.ID)
		for _, s := range m.Streams {
			row.Streams = append(row.Streams, s.Key)
		}
		for _, e := range m.Endpoints {
			row.Endpoints = append(row.Endpoints, endpointRow{e.Path, e.Auth, health.WebhookURL(a.cfg.Address.Base(r), c, e.Path)})
		}
		out.Connections = append(out.Connections, row)
	}
	return ok(out)
}

type runRow struct {
	ID         string         `json:"id"`
	Project    string         `json:"project"`
	Connection string         `json:"connection"`
	Stream     string         `json:"stream"`
	Trigger    string         `json:"trigger"`
	State      store.RunState `json:"state"`
	StartedAt  *health.Time   `json:"started_at"`
	FinishedAt *health.Time   `json:"finished_at"`
	// DurationSeconds is null while the run goes on.
	DurationSeconds *float64 `json:"duration_seconds"`
	Pages           int64    `json:"pages"`
	Events          int64    `json:"events"`
	Duplicates      int64    `json:"duplicates"`
	Error           *string  `json:"error"`
	ErrorClass      *string  `json:"error_class"`
	Stack           *string  `json:"stack"`
}

func newRunRow(c store.Connection, run store.Run) runRow {
	row := runRow{
		ID: run.ID, Project: c.Project, Connection: c.Name, Stream: run.Stream, Trigger: run.Trigger, State: run.State,
		StartedAt: health.TimeOrNil(run.StartedAt), FinishedAt: health.TimeOrNil(run.FinishedAt),
		Pages: run.Pages, Events: run.Events, Duplicates: run.Duplicates,
		Error: orNil(run.Error), ErrorClass: orNil(run.ErrorClass), Stack: orNil(run.Stack),
	}
	if !run.FinishedAt.IsZero() {
		s := run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond).Seconds()
		row.DurationSeconds = &s
	}
	return row
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

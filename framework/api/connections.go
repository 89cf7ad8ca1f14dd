package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

func (a *API) pauseConnection(r *http.Request) (reply, error) {
	return a.setConnectionPaused(r, true)
}

func (a *API) resumeConnection(r *http.Request) (reply, error) {
	return a.setConnectionPaused(r, false)
}

type streamViews struct {
	Streams []health.View `json:"streams"`
}

// setConnectionPaused pauses or resumes every poll stream of a connection.
// Webhooks are taken all the same.
func (a *API) setConnectionPaused(r *http.Request, paused bool) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	if c.Type == typeSink && a.cfg.Sinks != nil {
		return a.setSink(r, map[bool]SinkAction{true: SinkPause, false: SinkResume}[paused])
	}
	var targets []health.Target
	m := a.cfg.Board.Manifest(c.ID)
	for _, s := range m.Streams {
		t := health.Target{Connection: c, Manifest: m, Stream: s}
		if s.Mode != catalog.ModePoll {
			continue
		}
		if err := CheckOperable(t); err != nil {
			return reply{}, err
		}
		targets = append(targets, t)
	}
	for _, t := range targets {
		if err := a.cfg.Operations.SetPaused(r.Context(), c.ID, t.Stream.Key, paused); err != nil {
			return reply{}, err
		}
	}
	a.cfg.Feed.NotifyProject(project(r))
	if len(targets) == 0 {
		return reply{}, newProblem(http.StatusConflict, "webhook_stream", "connection "+shown(c.Name)+" has no poll stream to pause or resume")
	}
	views, err := a.cfg.Board.Views(r.Context(), targets)
	return reply{status: http.StatusOK, value: streamViews{views}}, err
}

// connection finds the connection that the path names.
func (a *API) connection(r *http.Request) (store.Connection, error) {
	return a.cfg.Board.Connection(r.Context(), project(r), chi.URLParam(r, "connection"))
}

// plainConnection is connection for a route that takes no query parameters.
func (a *API) plainConnection(r *http.Request) (store.Connection, error) {
	if err := newQuery(r).err(); err != nil {
		return store.Connection{}, err
	}
	return a.connection(r)
}

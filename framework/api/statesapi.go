package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

func (a *API) pauseConfigured(r *http.Request) (reply, error) {
	return a.setState(r, store.DesiredPaused)
}

func (a *API) resumeConfigured(r *http.Request) (reply, error) {
	return a.setState(r, store.DesiredRunning)
}

func (a *API) stopConfigured(r *http.Request) (reply, error) {
	return a.setState(r, store.DesiredStopped)
}

func (a *API) setState(r *http.Request, to store.Desired) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	if before := a.beforeRevisions(r, c); before {
		switch to {
		case store.DesiredStopped:
			return a.stopSink(r)
		default:
			return a.setConnectionPaused(r, to == store.DesiredPaused)
		}
	}
	v, err := a.cfg.Connections.SetState(r.Context(), c.Project, c.Name, to, q)
	if err != nil {
		return reply{}, unknownConnection(err, c.Name)
	}
	NoteAudit(r.Context(), "connection "+v.ID)
	a.cfg.Feed.NotifyProject(c.Project)
	return a.shownState(r, c, v, to)
}

// beforeRevisions reports that a connection was made before there were revisions,
// and was not taken up since: its streams are all that there is of it.
func (a *API) beforeRevisions(r *http.Request, c store.Connection) bool {
	v, err := a.cfg.Connections.Get(r.Context(), c.Project, c.Name)
	return err == nil && v.Revision == 0
}

func (a *API) restartConfigured(r *http.Request) (reply, error) {
	c, err := a.plainConnection(r)
	if err != nil {
		return reply{}, err
	}
	if a.beforeRevisions(r, c) {
		return a.restartSink(r)
	}
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	if q.IfMatch != "" && q.IfMatch != "*" {
		v, err := a.cfg.Connections.Get(r.Context(), c.Project, c.Name)
		if err == nil && v.ETag() != q.IfMatch {
			err = connection.ErrPrecondition
		}
		if err != nil {
			return reply{}, unknownConnection(err, c.Name)
		}
	}
	v, err := a.cfg.Connections.Restart(r.Context(), c.Project, c.Name)
	if err != nil {
		return reply{}, unknownConnection(err, c.Name)
	}
	a.cfg.Feed.NotifyProject(c.Project)
	return a.shownState(r, c, v, store.DesiredRunning)
}

const (
	// settleTries is how often a sink is looked for that begins again, settleWait
	// how long between.
	settleTries = 30
	settleWait  = 100 * time.Millisecond
)

// settledSink shows a sink that may be just about to begin again, or to become what
// was asked of it.
func (a *API) settledSink(r *http.Request, to store.Desired) (reply, error) {
	for try := 1; ; try++ {
		out, err := a.shownSink(r)
		_, busy := errors.AsType[*ConflictError](err)
		if v, ok := out.value.(sinkView); ok && err == nil {
			waits := v.State == string(delivery.StatePaused) || v.State == string(delivery.StateStopped)
			busy = waits && v.State != string(to) || !waits && to != store.DesiredRunning
		}
		if !busy || try == settleTries {
			return out, err
		}
		wait := time.NewTimer(settleWait)
		select {
		case <-r.Context().Done():
			wait.Stop()
			return out, err
		case <-wait.C:
		}
	}
}

// stateView is what a source became, with its streams.
type stateView struct {
	State   connection.State `json:"state"`
	Streams []health.View    `json:"streams"`
}

// shownState answers with the sink, or with the streams of a source.
func (a *API) shownState(r *http.Request, c store.Connection, v connection.View, to store.Desired) (reply, error) {
	out, err := a.stateOf(r, c, v, to)
	out.header = http.Header{"Etag": {v.ETag()}}
	return out, err
}

func (a *API) stateOf(r *http.Request, c store.Connection, v connection.View, to store.Desired) (reply, error) {
	if c.Type == typeSink && a.cfg.Sinks != nil && c.Enabled {
		return a.settledSink(r, to)
	}
	m := a.cfg.Board.Manifest(c.ID)
	var targets []health.Target
	for _, s := range m.Streams {
		if s.Mode == catalog.ModePoll {
			targets = append(targets, health.Target{Connection: c, Manifest: m, Stream: s})
		}
	}
	views, err := a.cfg.Board.Views(r.Context(), targets)
	if views == nil {
		views = []health.View{}
	}
	return reply{status: http.StatusOK, value: stateView{v.State, views}}, err
}

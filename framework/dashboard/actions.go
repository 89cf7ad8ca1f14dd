package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// Actions is what the pages show of actions, and what their buttons do; what the API
// works with has it.
type Actions interface {
	// Offered lists the actions of a connection.
	Offered(connectionID string) []api.OfferedAction
	// ActionRuns lists the runs of a connection, newest first.
	ActionRuns(ctx context.Context, connectionID, before string, limit int) ([]store.ActionRun, error)
	// ActionRun returns one run, or store.ErrNotFound.
	ActionRun(ctx context.Context, id string) (store.ActionRun, error)
	// Cancel ends a run.
	Cancel(ctx context.Context, runID string) error
}

var _ Actions = api.Actions(nil)

// shownActionRuns is how many runs of actions a page shows.
const shownActionRuns = 50

type actionsBody struct {
	Connection store.Connection
	Actions    []actionLine
	Runs       []actionRunLine
}

// actionLine is an action that can be asked for.
type actionLine struct {
	Key, Description string
	// Method and URL are where a trigger is called.
	Method, URL string
	Public      bool
}

// actionRunLine is a run of an action.
type actionRunLine struct {
	ID, Action, By string
	Word, Style    string
	Percent        int
	Message        string
	Started        *moment
	Took           string
	ErrorText      string
	// CancelPath is where the run is ended; "" for one that is over.
	CancelPath string
}

// actionsPath is the page of the actions of a connection, or "" when it has none.
func (d *Dashboard) actionsPath(c store.Connection) string {
	if d.cfg.Actions == nil || len(d.cfg.Actions.Offered(c.ID)) == 0 {
		return ""
	}
	return "/actions/" + url.PathEscape(c.Project) + "/" + url.PathEscape(c.ID)
}

func (d *Dashboard) actions(w http.ResponseWriter, r *http.Request) {
	c, err := d.connection(r)
	if err == nil && d.cfg.Actions == nil {
		err = &health.UnknownError{Kind: "connection", Name: c.Name}
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	runs, err := d.cfg.Actions.ActionRuns(r.Context(), c.ID, "", shownActionRuns)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body := actionsBody{Connection: c}
	for _, a := range d.cfg.Actions.Offered(c.ID) {
		line := actionLine{Key: a.Key, Description: a.Description}
		if t := a.Trigger; t != nil {
			line.Method, line.URL, line.Public = t.Method, api.TriggerURL(d.cfg.Address.Base(r), c.Project, t.Path), t.Public
		}
		body.Actions = append(body.Actions, line)
	}
	for i := range runs {
		body.Runs = append(body.Runs, d.actionRunLine(c, &runs[i]))
	}
	d.render(w, r, http.StatusOK, "actions.html", page{
		Title: c.Name + ": actions", SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: true, Body: body,
	})
}

func (d *Dashboard) actionRunLine(c store.Connection, run *store.ActionRun) actionRunLine {
	line := actionRunLine{
		ID: run.ID, Action: run.Action, By: run.Origin, Percent: run.Percent, Message: visible(run.Message),
		Started: d.moment(health.TimeOrNil(run.StartedAt)), ErrorText: visible(run.Error), Word: string(run.State), Style: "failing",
	}
	switch run.State {
	case store.RunRunning:
		line.Style = "running"
		line.CancelPath = "/actions/" + url.PathEscape(c.Project) + "/" + url.PathEscape(c.ID) + "/" + run.ID + "/cancel"
	case store.RunSucceeded:
		line.Style = "healthy"
	case store.RunCanceled:
		line.Style = "paused"
	case store.RunFailed, store.RunInterrupted:
	}
	if !run.FinishedAt.IsZero() {
		line.Took = took(run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond))
	}
	return line
}

func (d *Dashboard) cancelAction(w http.ResponseWriter, r *http.Request) {
	c, err := d.connection(r)
	if err == nil && d.cfg.Actions == nil {
		err = &health.UnknownError{Kind: "connection", Name: c.Name}
	}
	id := chi.URLParam(r, "run_id")
	if err == nil {
		var run store.ActionRun
		run, err = d.cfg.Actions.ActionRun(r.Context(), id)
		if errors.Is(err, store.ErrNotFound) || err == nil && run.ConnectionID != c.ID && run.TargetID != c.ID {
			err = health.NewUnknownRun(c.Project, id)
		}
	}
	if err == nil {
		if err = d.cfg.Actions.Cancel(r.Context(), id); errors.Is(err, action.ErrEnded) {
			err = nil // it has ended meanwhile: the page says so
		}
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.NotifyProject(c.Project)
	http.Redirect(w, r, d.actionsPath(c), http.StatusSeeOther)
}

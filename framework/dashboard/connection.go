package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

const (
	// shownRevisions is how many revisions a page lists, shownChanges how many of the
	// changes of one it names.
	shownRevisions, shownChanges = 20, 20
	// testDeadline bounds a test of a connection.
	testDeadline = 45 * time.Second
)

type connectionBody struct {
	resource.View
	Path string
	// Word is its state and Mark the class of its color.
	Word, Mark string
	ReasonText string
	Changed    *moment
	// Settings is the latest revision as JSON, without secrets.
	Settings string
	Secrets  []secretLine
	// Operable and Configurable say what the caller may do.
	Operable, Configurable bool
	// Held says that it was paused or stopped, Draft that the latest revision was
	// not deployed.
	Held, Draft  bool
	SinkHref     string
	ActionsHref  string
	History      []revisionLine
	OlderHref    string
	Verdict      *resource.Verdict
	ByFile       bool
	WarningTexts []string
}

type secretLine struct{ Path, Fingerprint string }

type revisionLine struct {
	resource.Entry
	When *moment
	// Changes are cut to what a page can show, More counts the rest.
	Changes []changeLine
	More    int
	Message string
	// Current says that it is the latest: there is nothing to go back to.
	Current bool
}

type changeLine struct{ Path, Before, After string }

// connectionPath is the address of a connection's page.
func (d *Dashboard) connectionPath(project, connection string) string {
	if d.cfg.Connections == nil {
		return ""
	}
	return "/connections/" + url.PathEscape(project) + "/" + url.PathEscape(connection)
}

// configured shows one connection.
func (d *Dashboard) configured(w http.ResponseWriter, r *http.Request) {
	before := int64(0)
	if text := r.URL.Query().Get("before"); text != "" {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil || number < 1 {
			ErrorPage(w, r, http.StatusBadRequest, "No such place", "before must be the number of a revision")
			return
		}
		before = number
	}
	d.showConnection(w, r, before, nil)
}

// showConnection renders the page. After a test it is an answer to a form, which
// does not follow the feed.
func (d *Dashboard) showConnection(w http.ResponseWriter, r *http.Request, before int64, verdict *resource.Verdict) {
	c, err := d.configurable(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	v, err := d.cfg.Connections.Get(r.Context(), c.Project, c.Name)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body, err := d.connectionBody(r, c, v, before)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body.Verdict = verdict
	title := c.Name
	if v.State == resource.StateFailed {
		title = body.Word + ": " + title
	}
	d.render(w, r, http.StatusOK, "connection.html", page{Title: title, SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: verdict == nil, Body: body})
}

// configurable finds the connection of the path.
func (d *Dashboard) configurable(r *http.Request) (store.Connection, error) {
	c, err := d.connection(r)
	if err == nil && d.cfg.Connections == nil {
		err = &health.UnknownError{Kind: "connection", Name: c.Name}
	}
	return c, err
}

func (d *Dashboard) connectionBody(r *http.Request, c store.Connection, v resource.View, before int64) (connectionBody, error) {
	caller := api.CallerOf(r.Context())
	body := connectionBody{
		View: v, Path: d.connectionPath(c.Project, c.Name), Word: string(v.State), Mark: stateMark(v.State), ReasonText: visible(v.Reason),
		Changed: d.moment(health.TimeOrNil(v.UpdatedAt)), ActionsHref: d.actionsPath(c),
		ByFile: v.ManagedBy == store.ManagedByFile,
		Held:   v.State == resource.StatePaused || v.State == resource.StateStopped,
		Draft:  v.Revision > v.Deployed,
	}
	body.Operable = v.Deployed > 0 && v.Enabled && caller.May(api.RoleOperator)
	body.Configurable = v.Revision > 0 && !body.ByFile && caller.May(api.RoleAdmin)
	if c.Type == "sink" && d.cfg.Sinks != nil {
		body.SinkHref = sinkPath(c.Project, c.Name)
	}
	for _, w := range v.Warnings {
		body.WarningTexts = append(body.WarningTexts, visible(w.Path+": "+w.Message))
	}
	if v.Revision == 0 {
		return body, nil
	}
	settings, err := v.Spec.MarshalJSON()
	if err != nil {
		return body, fmt.Errorf("show revision %d of connection %q: %w", v.Revision, c.Name, err)
	}
	body.Settings, _ = pretty(settings, shownPayload)
	for path, fingerprint := range v.Fingerprints {
		body.Secrets = append(body.Secrets, secretLine{"config." + path, fingerprint})
	}
	slices.SortFunc(body.Secrets, func(a, b secretLine) int { return slices.Compare([]string{a.Path}, []string{b.Path}) })
	entries, more, err := d.cfg.Connections.History(r.Context(), c.Project, c.Name, before, shownRevisions)
	if err != nil {
		return body, err
	}
	for _, e := range entries {
		body.History = append(body.History, d.revisionLine(e, v.Revision))
	}
	if more {
		body.OlderHref = body.Path + "?before=" + strconv.FormatInt(entries[len(entries)-1].Revision, 10)
	}
	return body, nil
}

func (d *Dashboard) revisionLine(e resource.Entry, latest int64) revisionLine {
	line := revisionLine{Entry: e, When: d.moment(health.TimeOrNil(e.CreatedAt)), Message: visible(e.Message), Current: e.Revision == latest}
	for _, c := range e.Changes[:min(len(e.Changes), shownChanges)] {
		line.Changes = append(line.Changes, changeLine{visible(c.Path), visible(c.Before), visible(c.After)})
	}
	line.More = len(e.Changes) - len(line.Changes)
	return line
}

// stateMark is the class of the color of a state.
func stateMark(s resource.State) string {
	switch s {
	case resource.StateRunning:
		return "healthy"
	case resource.StateFailed:
		return "failing"
	case resource.StatePaused, resource.StateStopped:
		return "paused"
	case resource.StateDraft, resource.StateDisabled, resource.StateDeleted:
	}
	return "disabled"
}

// actOnConnection does what a button of an operator asks and shows the connection
// again.
func (d *Dashboard) actOnConnection(w http.ResponseWriter, r *http.Request) {
	switch chi.URLParam(r, "action") {
	case "pause":
		d.setState(w, r, store.DesiredPaused)
	case "resume":
		d.setState(w, r, store.DesiredRunning)
	case "stop":
		d.setState(w, r, store.DesiredStopped)
	case "restart":
		d.changeConnection(w, r, func(ctx context.Context, c store.Connection) error {
			_, err := d.cfg.Connections.Restart(ctx, c.Project, c.Name)
			return err
		})
	case "test":
		d.testConnection(w, r)
	default:
		ErrorPage(w, r, http.StatusNotFound, http.StatusText(http.StatusNotFound), "a connection can be asked to pause, resume, stop, restart, test, deploy and roll back")
	}
}

func (d *Dashboard) setState(w http.ResponseWriter, r *http.Request, to store.Desired) {
	d.changeConnection(w, r, func(ctx context.Context, c store.Connection) error {
		_, err := d.cfg.Connections.SetState(ctx, c.Project, c.Name, to, asked(r))
		return err
	})
}

// testConnection makes a real round trip and shows what became of it.
func (d *Dashboard) testConnection(w http.ResponseWriter, r *http.Request) {
	c, err := d.configurable(r)
	var verdict resource.Verdict
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), testDeadline)
		defer cancel()
		verdict, err = d.cfg.Connections.Test(ctx, c.Project, c.Name)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	verdict.Summary = visible(verdict.Summary)
	for i := range verdict.Steps {
		verdict.Steps[i].Name, verdict.Steps[i].Detail = visible(verdict.Steps[i].Name), visible(verdict.Steps[i].Detail)
	}
	d.showConnection(w, r, 0, &verdict)
}

// deployConnection has the latest revision run.
func (d *Dashboard) deployConnection(w http.ResponseWriter, r *http.Request) {
	d.changeConnection(w, r, func(ctx context.Context, c store.Connection) error {
		_, err := d.cfg.Connections.Deploy(ctx, c.Project, c.Name, 0, asked(r))
		return err
	})
}

// rollbackConnection goes back to a revision.
func (d *Dashboard) rollbackConnection(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseInt(r.PostFormValue("revision"), 10, 64)
	if err != nil || number < 1 {
		ErrorPage(w, r, http.StatusBadRequest, "No revision", "say the number of the revision to go back to")
		return
	}
	d.changeConnection(w, r, func(ctx context.Context, c store.Connection) error {
		_, err := d.cfg.Connections.Rollback(ctx, c.Project, c.Name, number, asked(r))
		return err
	})
}

// asked says who asks for a change.
func asked(r *http.Request) resource.Request {
	return resource.Request{By: api.CallerOf(r.Context()).Name, IfMatch: r.PostFormValue("if_match")}
}

func (d *Dashboard) changeConnection(w http.ResponseWriter, r *http.Request, change func(context.Context, store.Connection) error) {
	c, err := d.configurable(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), 25*time.Second)
		defer cancel()
		err = change(ctx, c)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	api.NoteAudit(r.Context(), "connection "+c.ID)
	d.cfg.Feed.NotifyProject(c.Project)
	http.Redirect(w, r, d.connectionPath(c.Project, c.Name), http.StatusSeeOther)
}

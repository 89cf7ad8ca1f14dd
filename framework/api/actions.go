package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
)

// Actions is what an operator may do with actions and their runs.
type Actions interface {
	// Offered lists the actions of a connection; of a trigger it is the one that it
	// starts.
	Offered(connectionID string) []OfferedAction
	// Act starts an action of a connection; of a trigger what it starts, whatever key
	// says. eventKey is the key of what ingest records, "" for the hash of the input.
	// An error that wraps framework.ErrInput is the caller's.
	Act(ctx context.Context, connectionID, key, eventKey string, in framework.ActionInput) (runID string, err error)
	// Cancel ends a run, see [action.Engine.Cancel].
	Cancel(ctx context.Context, runID string) error
	// Watch reads the frames of a run, see [action.Engine.Watch].
	Watch(ctx context.Context, runID string, after int64) (*action.Watcher, error)
	// ActionRun returns one run, or store.ErrNotFound.
	ActionRun(ctx context.Context, id string) (store.ActionRun, error)
	// ActionRuns lists the runs of a connection, newest first.
	ActionRuns(ctx context.Context, connectionID, before string, limit int) ([]store.ActionRun, error)
}

// OfferedAction is an action that a connection has.
type OfferedAction struct {
	Key            string  `json:"key"`
	Description    string  `json:"description,omitempty"`
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	MaxRunning     int     `json:"max_running,omitempty"`
	// Input and Output are JSON Schemas.
	Input  map[string]any `json:"input,omitempty"`
	Output map[string]any `json:"output,omitempty"`
	// Trigger is where a trigger is called, nil for all others.
	Trigger *TriggerAddress `json:"trigger,omitempty"`
}

// TriggerAddress says how a trigger is called.
type TriggerAddress struct {
	Path   string `json:"path"`
	Method string `json:"method"`
	Public bool   `json:"public"`
	// URL is its whole address.
	URL string `json:"url"`
}

// actionRow is a run of an action.
type actionRow struct {
	ID string `json:"id"`
	// Kind is action; a run of a sync has none.
	Kind       string         `json:"kind"`
	Project    string         `json:"project"`
	Connection string         `json:"connection"`
	Action     string         `json:"action"`
	Trigger    string         `json:"trigger"`
	State      store.RunState `json:"state"`
	StartedAt  *health.Time   `json:"started_at"`
	FinishedAt *health.Time   `json:"finished_at"`
	// DurationSeconds is null while the run goes on.
	DurationSeconds *float64        `json:"duration_seconds"`
	Progress        int             `json:"progress"`
	Message         *string         `json:"message"`
	Error           *string         `json:"error"`
	ErrorClass      *string         `json:"error_class"`
	Stack           *string         `json:"stack,omitempty"`
	Output          json.RawMessage `json:"output,omitempty"`
}

func newActionRow(c store.Connection, run store.ActionRun) actionRow {
	row := actionRow{
		ID: run.ID, Kind: "action", Project: c.Project, Connection: c.Name, Action: run.Action, Trigger: run.Origin, State: run.State,
		StartedAt: health.TimeOrNil(run.StartedAt), FinishedAt: health.TimeOrNil(run.FinishedAt), Progress: run.Percent,
		Message: orNil(run.Message), Error: orNil(run.Error), ErrorClass: orNil(run.ErrorClass), Stack: orNil(run.Stack), Output: run.Output,
	}
	if !run.FinishedAt.IsZero() {
		s := run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond).Seconds()
		row.DurationSeconds = &s
	}
	return row
}

// actionRoutes are there when the process has actions.
func (a *API) actionRoutes(prefix string) {
	c := prefix + "/connections/{connection}"
	a.router.Get(c+"/actions", a.answer(a.listActions))
	a.router.Get(c+"/action-runs", a.answer(a.listActionRuns))
	a.router.Post(c+"/actions/{action}", a.answer(a.act))
	a.router.Delete(prefix+"/runs/{run_id}", a.answer(a.cancelRun))
	a.router.Get(prefix+"/runs/{run_id}/events", a.serveRunEvents)
	a.router.Get(prefix+"/runs/{run_id}/output", a.answer(a.getRunOutput))
}

// actionTable is the rows of the routes about actions.
func actionTable(prefix string) []Route {
	c := prefix + "/connections/{connection}"
	return []Route{
		{http.MethodGet, c + "/actions", RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodGet, c + "/action-runs", RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodPost, c + "/actions/{action}", RoleOperator, trigger.MaxBody, actDeadline, FaceAPI},
		{http.MethodDelete, prefix + "/runs/{run_id}", RoleOperator, formLimit, actDeadline, FaceAPI},
		// The output of an action may be personal data.
		{http.MethodGet, prefix + "/runs/{run_id}/events", RoleOperator, 0, 0, FaceAPI},
		{http.MethodGet, prefix + "/runs/{run_id}/output", RoleOperator, 0, readDeadline, FaceAPI},
	}
}

// triggerTable is the rows of triggers.
func triggerTable() (rows []Route) {
	for _, method := range trigger.Methods() {
		rows = append(rows, Route{method, trigger.Prefix + "{app_id}/*", RolePublic, OwnLimit, 0, FaceIntake})
	}
	return rows
}

// connectionOf finds the connection that the path names, by name or id.
func (a *API) connectionOf(r *http.Request) (store.Connection, error) {
	name := chi.URLParam(r, "connection")
	connections, err := a.cfg.Board.Connections(r.Context(), project(r))
	if err != nil {
		return store.Connection{}, err
	}
	for _, c := range connections {
		if c.Name == name || c.ID == name {
			return c, nil
		}
	}
	return store.Connection{}, &health.UnknownError{Kind: "connection", Name: clipped(name)}
}

type actionList struct {
	Actions []OfferedAction `json:"actions"`
}

func (a *API) listActions(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, err := a.connectionOf(r)
	if err != nil {
		return reply{}, err
	}
	out := actionList{Actions: []OfferedAction{}}
	for _, one := range a.cfg.Actions.Offered(c.ID) {
		if t := one.Trigger; t != nil {
			t.URL = TriggerURL(a.cfg.Address.Base(r), c.Project, t.Path)
		}
		out.Actions = append(out.Actions, one)
	}
	return ok(out)
}

// TriggerURL is the address of a trigger.
func TriggerURL(base, project, path string) string { return base + trigger.Prefix + project + path }

type actionRunList struct {
	Runs []actionRow `json:"runs"`
	Next *string     `json:"next"`
}

func (a *API) listActionRuns(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	before := q.runBefore()
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, err := a.connectionOf(r)
	if err != nil {
		return reply{}, err
	}
	runs, err := a.cfg.Actions.ActionRuns(r.Context(), c.ID, before, limit+1)
	if err != nil {
		return reply{}, fmt.Errorf("list runs of actions: %w", err)
	}
	out := actionRunList{Runs: []actionRow{}}
	if len(runs) > limit {
		runs = runs[:limit]
		out.Next = &runs[limit-1].ID
	}
	names, err := a.names(r)
	if err != nil {
		return reply{}, err
	}
	for _, run := range runs {
		out.Runs = append(out.Runs, newActionRow(names[run.ConnectionID], run))
	}
	return ok(out)
}

// names are the connections of the project by their ids.
func (a *API) names(r *http.Request) (map[string]store.Connection, error) {
	connections, err := a.cfg.Board.Connections(r.Context(), project(r))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Connection, len(connections))
	for _, c := range connections {
		byID[c.ID] = c
	}
	return byID, nil
}

type started struct {
	RunID string `json:"run_id"`
}

// act starts an action. The body is its input.
func (a *API) act(r *http.Request) (reply, error) {
	q := newQuery(r)
	key, _ := q.text("key")
	if err := q.err(); err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return reply{}, err
	}
	c, err := a.connectionOf(r)
	if err != nil {
		return reply{}, err
	}
	id, err := a.cfg.Actions.Act(r.Context(), c.ID, chi.URLParam(r, "action"), key, framework.ActionInput{JSON: body})
	switch {
	case errors.Is(err, framework.ErrInput):
		p := newProblem(http.StatusUnprocessableEntity, "invalid_input", err.Error())
		if faults, is := errors.AsType[framework.InputErrors](err); is {
			for _, f := range faults {
				p.Errors = append(p.Errors, Fault{Parameter: f.Name, Detail: f.Reason})
			}
		}
		return reply{}, p
	case errors.Is(err, framework.ErrNoRoute):
		return reply{}, &health.UnknownError{Kind: "action", Name: clipped(chi.URLParam(r, "action"))}
	case errors.Is(err, action.ErrTooMany), errors.Is(err, action.ErrStopping):
		return reply{}, &ConflictError{Err: err, Busy: true}
	case err != nil:
		return reply{}, err
	}
	return reply{status: http.StatusAccepted, value: started{id}}, nil
}

// actionRun finds the run that the path names, in the project that it names.
func (a *API) actionRun(r *http.Request) (store.Connection, store.ActionRun, error) {
	id := chi.URLParam(r, "run_id")
	unknown := health.NewUnknownRun(project(r), id)
	if !runID.MatchString(id) || a.cfg.Actions == nil {
		return store.Connection{}, store.ActionRun{}, unknown
	}
	run, err := a.cfg.Actions.ActionRun(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Connection{}, run, unknown
	}
	if err != nil {
		return store.Connection{}, run, fmt.Errorf("read run: %w", err)
	}
	names, err := a.names(r)
	if err != nil {
		return store.Connection{}, run, err
	}
	c, known := names[run.ConnectionID]
	if !known {
		// The run of another project is as unknown as one that never was.
		return c, run, unknown
	}
	return c, run, nil
}

// cancelRun asks a run of an action to end. A sync's is ended by pausing its stream.
func (a *API) cancelRun(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	c, run, err := a.actionRun(r)
	if _, unknown := errors.AsType[*health.UnknownError](err); unknown {
		if _, other := a.getRun(r); other == nil {
			return reply{}, &ConflictError{Err: errors.New("this is a run of a sync; pause its stream to end it")}
		}
	}
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Actions.Cancel(r.Context(), run.ID); errors.Is(err, action.ErrEnded) {
		return reply{}, &ConflictError{Err: err}
	} else if err != nil {
		return reply{}, err
	}
	run.Output = nil
	return reply{status: http.StatusAccepted, value: newActionRow(c, run)}, nil
}

// getRunOutput shows what a run has returned.
func (a *API) getRunOutput(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	_, run, err := a.actionRun(r)
	if err != nil {
		return reply{}, err
	}
	if run.State != store.RunSucceeded {
		return reply{}, &ConflictError{Err: fmt.Errorf("the run is %s; only one that has succeeded has an output", run.State)}
	}
	return reply{status: http.StatusOK, raw: run.Output}, nil
}

// serveRunEvents sends the progress of a run as server-sent events.
func (a *API) serveRunEvents(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	_, run, err := a.actionRun(r)
	if err == nil {
		err = newQuery(r).err()
	}
	if values := r.Header.Values("Last-Event-ID"); err == nil && len(values) > 0 {
		id, seen, readable := trigger.ReadEventID(values[0])
		if !readable || id != run.ID || len(values) > 1 {
			err = newProblem(http.StatusBadRequest, "invalid_event_id", "Last-Event-ID is no frame of this run")
		}
		after = seen
	}
	if err != nil {
		fail(w, r, a.cfg.Log, err)
		return
	}
	if run.State != store.RunRunning && after > run.Events {
		w.WriteHeader(http.StatusNoContent) // a browser stops coming back
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	watcher, err := a.cfg.Actions.Watch(r.Context(), run.ID, after)
	if err != nil {
		fail(w, r, a.cfg.Log, err)
		return
	}
	if a.open.Add(1) > maxListeners {
		a.open.Add(-1)
		p := newProblem(http.StatusServiceUnavailable, "too_many_listeners", fmt.Sprintf("%d feeds are open already; close some", maxListeners))
		p.retryAfter = int(heartbeat.Seconds())
		p.write(w)
		return
	}
	defer a.open.Add(-1)
	trigger.Streaming{}.Stream(w, r, run.ID, watcher)
}

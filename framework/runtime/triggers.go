package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
	"github.com/weirhq/weir/framework/webhook"
)

// hook is what a connection of type trigger runs on.
type hook struct {
	settings trigger.Settings
	verifier *webhook.Verifier
}

// actionSilence is how long a process that shares the store may say nothing before
// its runs of actions are taken for interrupted.
const actionSilence = 15 * time.Second

// prepareTrigger checks a connection of type trigger.
func (r *Runtime) prepareTrigger(c config.Connection) (*connection, error) {
	prepared := &connection{
		Connection: store.Connection{Project: c.Project, Name: c.Name, Connector: c.Connector, Type: c.Type, Enabled: c.Enabled},
		plugin:     trigger.Plugin, settings: c.Settings, retention: c.Retention, endpoints: map[string]*webhook.Verifier{},
	}
	fail := func(err error) (*connection, error) {
		if !c.Enabled {
			return prepared, nil
		}
		return prepared, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	for _, w := range trigger.Plugin.Warnings(c.Settings) {
		r.log.Warn("settings", "project", c.Project, "connection", c.Name, "warning", w.Error())
	}
	declared, err := trigger.Plugin.Declare(c.Settings)
	if err != nil {
		return fail(err)
	}
	settings, err := framework.DecodeSettings[trigger.Settings](c.Settings)
	if err != nil {
		return fail(err)
	}
	verifier, err := r.verifier(settings.Endpoint().Spec(), c.Settings)
	if err != nil {
		return fail(err)
	}
	prepared.manifest = declared.Manifest()
	prepared.manifest.Endpoints = nil // it is no webhook's
	prepared.declared = prepared.manifest.Streams
	prepared.trigger = &hook{settings, verifier}
	return prepared, nil
}

// assembleActions builds what starts and keeps runs of actions.
func (r *Runtime) assembleActions() (err error) {
	silence := time.Duration(0)
	if _, shared := r.store.(store.Shared); shared {
		silence = actionSilence
	}
	if r.actions, err = action.New(action.Config{
		Store: r.store, Log: r.log, Silence: silence, Changed: func(string) { r.feed.Notify() },
	}); err != nil {
		return err
	}
	r.triggersChanged()
	r.triggers, err = trigger.New(trigger.Config{
		Targets: &r.triggerTable, Runs: r.actions, Run: r.store.ActionRun, Log: r.log, TrustedProxies: r.options.Config.TrustedProxies,
	})
	return err
}

// triggersChanged finds the triggers among the connections again.
func (r *Runtime) triggersChanged() {
	var targets []trigger.Target
	for _, c := range r.triggerConnections() {
		targets = append(targets, trigger.Target{
			Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Path: c.trigger.settings.Path, Method: c.trigger.settings.Method,
			Verifier: c.trigger.verifier,
			Prepare:  func(ctx context.Context, in trigger.Request) (action.Call, error) { return r.triggered(ctx, c, in) },
		})
	}
	r.triggerTable.Replace(targets)
}

// triggerConnections are the triggers that are enabled, by name.
func (r *Runtime) triggerConnections() (all []*connection) {
	for _, c := range r.configured() {
		if c.trigger != nil && c.Enabled {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// configured are the connections by their ids.
func (r *Runtime) configured() map[string]*connection { return r.all() }

// triggerRoutes are the routes of triggers.
func (r *Runtime) triggerRoutes(router chi.Router) {
	for _, method := range trigger.Methods() {
		router.Method(method, trigger.Prefix+"{app_id}/*", r.triggers)
	}
}

// triggered says what a request at a trigger starts.
func (r *Runtime) triggered(ctx context.Context, c *connection, in trigger.Request) (action.Call, error) {
	s := c.trigger.settings
	call := action.Call{
		ConnectionID: c.ID, Project: c.Project, Connection: c.Name, Action: s.Action, Origin: trigger.Type, Timeout: builtInTimeout, Limit: catalog.DefaultMaxRunning,
	}
	switch s.Action {
	case trigger.ActionIngest:
		payload, err := ingestPayload(in.Input)
		if err != nil {
			return action.Call{}, err
		}
		call.Timeout, call.Limit = ingestTimeout, ingestLimit
		call.Do = func(ctx context.Context, _ framework.Progress) ([]byte, error) {
			return r.ingest(ctx, c, payload, in.Key)
		}
		return call, nil
	case trigger.ActionSync, trigger.ActionBackfill, trigger.ActionRedeliver:
		return r.builtIn(c.Project, s.Action, s.Target, in.Input, call)
	}
	return r.actionCall(c.Project, s.Action, in.Input, call)
}

// actionCall fills in the call of an author's action, named as triggers write it.
func (r *Runtime) actionCall(project, name string, in framework.ActionInput, call action.Call) (action.Call, error) {
	var offered []trigger.Offer
	var candidates []*connection
	for _, c := range r.configured() {
		if c.Project == project && c.binding != nil {
			offered = append(offered, trigger.Offer{Connection: c.Name, Connector: c.Connector, Actions: c.binding.Actions()})
			candidates = append(candidates, c)
		}
	}
	at, key, err := trigger.Resolve(name, offered)
	if err != nil {
		return action.Call{}, err
	}
	return ownAction(candidates[at], key, in, call)
}

// ownAction fills in the call of an action of a connection.
func ownAction(c *connection, key string, in framework.ActionInput, call action.Call) (action.Call, error) {
	m, ok := c.manifest.Action(key)
	if !ok || c.binding == nil {
		return action.Call{}, fmt.Errorf("action %q: %w", key, framework.ErrNoRoute)
	}
	if err := c.binding.CheckInput(key, in); err != nil {
		return action.Call{}, err
	}
	binding := c.binding
	call.TargetID, call.Action, call.Timeout, call.Limit = c.ID, c.Name+"."+key, m.Timeout(), m.Limit()
	call.Do = func(ctx context.Context, progress framework.Progress) ([]byte, error) {
		return binding.Act(ctx, key, in, progress)
	}
	return call, nil
}

// actionDesk is what an operator may do with actions and their runs.
type actionDesk struct {
	store.Store

	runtime *Runtime
}

var _ api.Actions = actionDesk{}

// Offered lists the actions of a connection.
func (d actionDesk) Offered(connectionID string) []api.OfferedAction {
	c := d.runtime.configured()[connectionID]
	switch {
	case c == nil:
		return nil
	case c.trigger != nil:
		s := c.trigger.settings
		return []api.OfferedAction{{Key: s.Action, Trigger: &api.TriggerAddress{Path: s.Path, Method: s.Method, Public: s.Public}}}
	}
	var all []api.OfferedAction
	for _, a := range c.manifest.Actions {
		one := api.OfferedAction{Key: a.Key, Description: a.Description, TimeoutSeconds: a.Timeout().Seconds(), MaxRunning: a.Limit()}
		one.Input, one.Output, _ = c.plugin.ActionSchemas(a.Key)
		all = append(all, one)
	}
	return all
}

// Act starts what a trigger does, or an action of another connection.
func (d actionDesk) Act(ctx context.Context, connectionID, key, eventKey string, in framework.ActionInput) (string, error) {
	r := d.runtime
	c := r.configured()[connectionID]
	call := action.Call{ConnectionID: connectionID, Origin: "manual"}
	var err error
	switch {
	case c == nil:
		return "", store.ErrNotFound
	case c.trigger != nil:
		if eventKey == "" {
			eventKey = c.trigger.verifier.DeliveryKey(http.Header{}, in.JSON)
		}
		call, err = r.triggered(ctx, c, trigger.Request{Input: in, Key: eventKey})
		call.Origin = "manual"
	default:
		call.Project, call.Connection = c.Project, c.Name
		call, err = ownAction(c, key, in, call)
	}
	if err != nil {
		return "", err
	}
	return r.actions.Start(ctx, call)
}

// Cancel ends a run.
func (d actionDesk) Cancel(ctx context.Context, id string) error {
	return d.runtime.actions.Cancel(ctx, id)
}

// Watch reads the frames of a run.
func (d actionDesk) Watch(ctx context.Context, id string, after int64) (*action.Watcher, error) {
	return d.runtime.actions.Watch(ctx, id, after)
}

// ingestPayload is the input as it is recorded.
func ingestPayload(in framework.ActionInput) (json.RawMessage, error) {
	if len(strings.TrimSpace(string(in.JSON))) == 0 {
		return json.RawMessage("{}"), nil
	}
	if !json.Valid(in.JSON) {
		return nil, fmt.Errorf("%w: it is no JSON", framework.ErrInput)
	}
	return in.JSON, nil
}

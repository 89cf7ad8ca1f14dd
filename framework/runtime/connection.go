package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// connection is one configured connection with everything that it runs on.
type connection struct {
	store.Connection
	// manifest is the connector's, reduced to the streams that are selected.
	manifest catalog.Manifest
	// declared are all streams of the connector.
	declared []catalog.StreamManifest
	renamed  map[string]string
	// plugin and settings open the connection, once it has its id.
	plugin   framework.Plugin
	settings map[string]any
	// retention is nil for that of all.
	retention *store.Retention
	// rate and budget bound the requests to the provider.
	rate   budget.Rate
	budget string
	// binding is nil while the connection is disabled.
	binding   *selection
	endpoints map[string]*webhook.Verifier
	// stopgap says that a newer revision is deployed and does not open here.
	stopgap bool
	// outlet is what a sink runs on, nil while it is disabled and for a source;
	// subscribed and start are its own.
	outlet     *outlet
	subscribed []string
	start      sink.Start
	// trigger is what a trigger runs on, nil for all others.
	trigger *hook
	// policies are what the operator decided for the endpoints.
	policies map[string]intake.Policy
	// source is what it was made from, revision the deployed one. desired and version
	// are those of its row.
	source   config.Connection
	revision int64
	desired  store.Desired
	version  int64
}

// works reports whether there is anything to do for the connection.
func (c *connection) works() bool { return c.binding != nil || c.outlet != nil }

// waits reports that an operator paused or stopped it.
func (c *connection) waits() bool {
	return c.desired == store.DesiredPaused || c.desired == store.DesiredStopped
}

// selection is a binding reduced to the streams that the operator selected:
// what is emitted to another one is left out.
type selection struct {
	*framework.Binding
	selected map[string]bool
	// renamed holds today's keys of streams that a newer version of the
	// connector has renamed, by those that this version declares.
	renamed map[string]string
	// id is the connection's; deference is told of what a newer version has saved.
	id        string
	deference *deference
}

// ReadCursor returns the cursor of a checkpoint as today's code takes it.
func (s *selection) ReadCursor(stream string, saved framework.CursorType, cursor []byte) ([]byte, error) {
	now, err := s.Binding.ReadCursor(stream, saved, cursor)
	s.deference.read(s.id, stream, saved.Version, err)
	return now, err
}

// Page reads a page and keeps the emissions to selected streams.
func (s *selection) Page(ctx context.Context, stream string, in framework.PageCall) (framework.PageReturn, []ingest.Emission, error) {
	if err := s.refuse(stream); err != nil {
		return framework.PageReturn{}, nil, err
	}
	result, emissions, err := s.Binding.Page(ctx, stream, in)
	return result, s.keep(emissions), err
}

// Receive hands a delivery over and keeps the emissions to selected streams.
func (s *selection) Receive(ctx context.Context, path string, d *framework.Delivery, ended func(hangs bool)) ([]ingest.Emission, error) {
	emissions, err := s.Binding.Receive(ctx, path, d, ended)
	emissions = s.keep(emissions)
	for _, e := range emissions {
		err = errors.Join(err, s.refuse(e.Stream))
	}
	if err != nil {
		return nil, err
	}
	return emissions, nil
}

func (s *selection) keep(emissions []ingest.Emission) []ingest.Emission {
	return slices.DeleteFunc(emissions, func(e ingest.Emission) bool { return !s.selected[e.Stream] })
}

// prepare checks one connection of the configuration: what can be wrong with it
// is found before anything of it is recorded.
func (r *Runtime) prepare(c config.Connection) (*connection, error) {
	if c.Type == trigger.Type {
		return r.prepareTrigger(c)
	}
	index := slices.IndexFunc(r.options.Plugins, func(p framework.Plugin) bool { return p.Key() == c.Connector })
	if index < 0 {
		return nil, fmt.Errorf("connection %q: no connector %q is linked into this binary", c.Name, c.Connector)
	}
	plugin := r.options.Plugins[index]
	if c.Type == typeSink {
		return r.prepareSink(plugin, c)
	}
	declared, manifest, errs := r.declared(plugin, c)
	prepared := &connection{
		Connection: store.Connection{Project: c.Project, Name: c.Name, Connector: c.Connector, Type: c.Type, Enabled: c.Enabled},
		manifest:   selected(manifest, c.Streams), declared: manifest.Streams, endpoints: map[string]*webhook.Verifier{},
		plugin: plugin, settings: c.Settings, retention: c.Retention, rate: c.RateLimit, budget: c.Budget, policies: c.Endpoints,
	}
	for _, e := range declared.Endpoints {
		spec := e.Spec()
		verifier, err := r.verifier(spec, c.Settings)
		if err != nil {
			errs = append(errs, fmt.Errorf("connection %q, endpoint %q: %w", c.Name, e.Path(), err))
			continue
		}
		for _, warning := range verifier.Warnings() {
			r.log.Warn("webhook endpoint", "project", c.Project, "connection", c.Name, "endpoint", e.Path(), "warning", warning)
		}
		prepared.endpoints[e.Path()] = verifier
	}
	return prepared, errors.Join(errs...)
}

// verifier makes the verifier of an endpoint. It fetches certificates and keys
// through the same guard as connectors do.
func (r *Runtime) verifier(spec catalog.EndpointSpec, settings map[string]any) (*webhook.Verifier, error) {
	secrets, err := webhook.ReadSecrets(spec, func(name string) any { return framework.SettingAt(settings, name) })
	if err != nil {
		return nil, err
	}
	return webhook.Open(spec, webhook.Config{
		Secrets: secrets, Client: r.guard.Client, PublicURL: r.options.Config.PublicURL,
	})
}

// declared returns what a connection declares. The settings of a disabled one
// may be wrong, as long as its streams do not come from them.
func (r *Runtime) declared(plugin framework.Plugin, c config.Connection) (catalog.Connector, catalog.Manifest, []error) {
	for _, w := range plugin.Warnings(c.Settings) {
		r.log.Warn("settings", "project", c.Project, "connection", c.Name, "warning", w.Error())
	}
	declared, err := plugin.Declare(c.Settings)
	switch {
	case err == nil && plugin.Dynamic():
		for _, f := range catalog.Validate(declared) {
			r.log.Warn("catalog", "project", c.Project, "connection", c.Name, "rule", f.Rule, "finding", f.Message)
		}
	case err != nil && (c.Enabled || plugin.Dynamic()):
		return plugin.Connector(), plugin.Manifest(), []error{fmt.Errorf("connection %q: %w", c.Name, err)}
	case err != nil:
		return plugin.Connector(), plugin.Manifest(), nil
	}
	manifest, _ := catalog.Described(declared)
	return declared, manifest, nil
}

// open opens the connector of an enabled connection that was recorded.
func (r *Runtime) open(ctx context.Context, c *connection) error {
	if !c.Enabled || c.trigger != nil {
		return nil
	}
	if c.Type == typeSink {
		return r.openSink(ctx, c)
	}
	allowed, err := r.budgets.Open(c.Project, c.ID, c.budget, c.rate, c.declaredRate())
	if err != nil {
		return fmt.Errorf("connection %q: %w", c.Name, err)
	}
	return r.bind(ctx, c, func(client *http.Client) *http.Client {
		client.Transport = budget.Transport(client.Transport, allowed)
		return client
	})
}

// bind opens the connector of a source, with clients as wrap makes them.
func (r *Runtime) bind(ctx context.Context, c *connection, wrap func(*http.Client) *http.Client) error {
	binding, err := c.plugin.Open(ctx, framework.OpenRequest{
		Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Settings: c.settings,
		NewClient: func(o httpguard.Options) (*http.Client, error) {
			client, err := r.guard.NewClient(o)
			if err != nil {
				return nil, err
			}
			return wrap(client), nil
		},
		Client: func(hosts []string) *http.Client { return wrap(r.guard.Client(hosts)) },
		State:  r.stateOf(c.ID),
		Log:    r.log.With("project", c.Project, "connection", c.Name),
	})
	if err != nil {
		return fmt.Errorf("connection %q: %w", c.Name, err)
	}
	c.binding = &selection{binding, map[string]bool{}, c.renamed, c.ID, r.deference}
	for _, s := range c.manifest.Streams {
		c.binding.selected[s.Key] = true
	}
	return nil
}

// declaredRate is the rate that the connector declares. It was checked with the
// catalog.
func (c *connection) declaredRate() budget.Rate {
	if c.manifest.RateLimit == "" {
		return budget.Rate{}
	}
	rate, err := budget.ParseRate(c.manifest.RateLimit)
	if err != nil {
		return budget.Rate{}
	}
	return rate
}

// selected reduces m to the streams with the given keys; none means all.
func selected(m catalog.Manifest, keys []string) catalog.Manifest {
	if len(keys) == 0 {
		return m
	}
	m.Streams = slices.DeleteFunc(slices.Clone(m.Streams), func(s catalog.StreamManifest) bool { return !slices.Contains(keys, s.Key) })
	return m
}

// schedule hands the poll streams of connections to the scheduler: those that may
// have ended the last process come last. failed says of which connections a stream
// could not be taken.
func (r *Runtime) schedule(ctx context.Context, connections []*connection, statuses []store.StreamStatus) (failed map[string]error, err error) {
	type key struct{ connection, stream string }
	known := make(map[key]store.StreamStatus, len(statuses))
	for _, s := range statuses {
		known[key{s.ConnectionID, s.Stream}] = s
	}
	var list []store.State
	for _, id := range askedFor(connections) {
		more, err := r.store.States(ctx, id, "")
		if err != nil {
			return nil, fmt.Errorf("read states: %w", err)
		}
		list = append(list, more...)
	}
	states := map[string][]store.State{}
	for _, s := range list {
		states[s.ConnectionID] = append(states[s.ConnectionID], s)
	}
	failed = map[string]error{}
	fail := func(id, name, stream string, err error) {
		if err != nil {
			failed[id] = errors.Join(failed[id], fmt.Errorf("connection %q, stream %q: %w", name, stream, err))
		}
	}
	var streams []scheduler.Stream
	for _, c := range connections {
		r.budgets.Recall(c.ID, states[c.ID])
		for _, s := range c.manifest.Streams {
			if s.Mode != catalog.ModePoll {
				continue
			}
			parsed, err := schedule.Parse(s.Schedule)
			if err != nil {
				fail(c.ID, c.Name, s.Key, err)
				continue
			}
			status := known[key{c.ID, s.Key}]
			status.Paused = status.Paused || c.waits()
			var runs []store.Run
			if _, ran := known[key{c.ID, s.Key}]; ran {
				if runs, err = r.store.Runs(ctx, c.ID, s.Key, "", shownCrashes); err != nil {
					fail(c.ID, c.Name, s.Key, fmt.Errorf("read the last runs: %w", err))
					continue
				}
			}
			streams = append(streams, scheduler.Stream{
				Project: c.Project, ConnectionID: c.ID, Connection: c.Name, Key: s.Key, Schedule: parsed, Binding: c.binding,
				Former: s.Former(), States: states[c.ID], Window: s.Window, Lookback: s.Lookback(), Status: status, Crashes: scheduler.CountCrashes(runs),
			})
		}
	}
	slices.SortFunc(streams, func(x, y scheduler.Stream) int {
		return cmp.Or(cmp.Compare(x.Crashes, y.Crashes), strings.Compare(x.ConnectionID, y.ConnectionID), strings.Compare(x.Key, y.Key))
	})
	for _, s := range streams {
		fail(s.ConnectionID, s.Connection, s.Key, r.scheduler.Add(s))
	}
	return failed, nil
}

// shownCrashes is how many runs of a stream are looked at for crashes.
const shownCrashes = 10

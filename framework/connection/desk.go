package connection

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/reference"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
)

// Live is what runs the connections. Without one, a desk changes the store, and
// every process that shares it takes the change up by itself.
type Live interface {
	// Try opens a connection as it would run, and lets go of it again.
	Try(ctx context.Context, c config.Connection) error
	// Refresh takes up what the store says now.
	Refresh(ctx context.Context) error
	// Observe says what is seen of connections, in their order.
	Observe(ctx context.Context, list []store.Configured) []Observation
	// Streams are those of a project that sinks may subscribe to.
	Streams(project string) []config.StreamRef
	// SetPolls pauses or resumes all poll streams of a connection.
	SetPolls(ctx context.Context, connectionID string, paused bool) error
	// Restart begins the work of a connection again: an event at which a sink has
	// failed is tried again.
	Restart(ctx context.Context, connectionID string) error
	// Test makes one real round trip with a connection that need not be deployed, or,
	// where c has no Settings, with the one that runs.
	Test(ctx context.Context, c config.Connection, connectionID string) Verdict
}

// Observation is what is seen of a connection while it runs.
type Observation struct {
	// Failed says that it has stopped by itself, or does not open; Reason says why.
	Failed bool
	Reason string
	// Running is the revision that runs here, 0 for none.
	Running int64
	// Node names the process that does the work, "" when that is not known.
	Node string
}

// Verdict is what became of a test.
type Verdict struct {
	OK bool `json:"ok"`
	// Summary says it in a sentence.
	Summary string `json:"summary"`
	// Steps are what was tried, in order.
	Steps []Step `json:"steps"`
}

// Step is one thing that was tried.
type Step struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what happened, without secrets.
	Detail string `json:"detail,omitempty"`
	TookMS int64  `json:"took_ms"`
}

// DeskConfig is what [NewDesk] needs.
type DeskConfig struct {
	// Store is required, and so are the linked connectors.
	Store   store.Configurations
	Plugins []framework.Plugin
	// Live is what runs the connections; nil for a process that runs none.
	Live Live
	// Keys seal secrets; nil refuses those that are no references.
	Keys *seal.Keys
	// References is what connections that come through the API may refer to. Those
	// of the operator's file may refer to anything.
	References reference.Policy
	// PublicURL is that of the server, Retention what is kept by default.
	PublicURL string
	Retention store.Retention
	// Log gets what is worth knowing. The default writes nothing.
	Log *slog.Logger
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

func (c DeskConfig) withDefaults() DeskConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Desk carries out what operators ask of connections. It may be used by many at
// once.
type Desk struct {
	cfg DeskConfig
	// secrets are the patterns of connectors by key and type: they never change.
	secrets sync.Map
}

// NewDesk returns a desk.
func NewDesk(cfg DeskConfig) (*Desk, error) {
	if cfg.Store == nil || len(cfg.Plugins) == 0 {
		return nil, errors.New("desk of connections: Store and Plugins are required")
	}
	return &Desk{cfg: cfg.withDefaults()}, nil
}

// Request says who asks for a change, and under which conditions.
type Request struct {
	// By is who asks, Message why; both are written into the history.
	By, Message string
	// Caller tells callers of one name apart: the id of the token, "" without one.
	Caller string
	// Key is an idempotency key of the caller's, "" for none. Of one key with the
	// same request, the first is carried out and its answer repeated.
	Key string
	// IfMatch is the [View.ETag] that the connection must have; "" for any.
	IfMatch string
	// Draft saves a revision without deploying it.
	Draft bool
	// Form is the form in which the connection is given, see [store.Configured].
	Form string
	// State is the one that a connection begins in when it is deployed for the
	// first time; "" for running.
	State store.Desired
	// File says that the operator's file asks: it owns what it makes, and may
	// change what it owns.
	File bool
}

// policy is what references of a connection may read.
func (d *Desk) policy(managedBy string) reference.Policy {
	if managedBy == store.ManagedByFile {
		return reference.Policy{Free: true, Env: d.cfg.References.Env}
	}
	return d.cfg.References
}

// check checks a document as a whole.
func (d *Desk) check(ctx context.Context, document map[string]any, managedBy string, subscriptions bool) (config.Connection, Faults, error) {
	s := config.Surroundings{
		Plugins: d.cfg.Plugins, Lookup: d.policy(managedBy).Lookup, PublicURL: d.cfg.PublicURL, Retention: d.cfg.Retention,
	}
	projects, err := d.cfg.Store.Projects(ctx)
	if err != nil {
		return config.Connection{}, nil, err
	}
	for _, p := range projects {
		s.Projects = append(s.Projects, p.Name)
	}
	if subscriptions {
		s.Streams = d.streams()
	}
	c, warnings, err := config.CheckDocument(document, s)
	if err != nil {
		return config.Connection{}, nil, faultsOf(err)
	}
	return c, faultsFrom(warnings), nil
}

// Runnable returns the connection that a deployed revision stands for, with its
// references resolved and its secrets opened. Subscriptions are not checked:
// sources may come and go.
func (d *Desk) Runnable(ctx context.Context, in store.Deployment, projects []string) (config.Connection, error) {
	var s Spec
	if err := s.UnmarshalJSON(in.Spec); err != nil {
		return config.Connection{}, err
	}
	// A rename and a move keep the revisions as they are.
	s.Project, s.Name = in.Project, in.Name
	s.Extra = nil // nothing here runs on it
	s, err := d.unseal(in.ID, s)
	if err != nil {
		return config.Connection{}, err
	}
	document, err := s.document()
	if err != nil {
		return config.Connection{}, err
	}
	c, _, err := config.CheckDocument(document, config.Surroundings{
		Plugins: d.cfg.Plugins, Projects: projects, Lookup: d.policy(in.ManagedBy).Lookup, PublicURL: d.cfg.PublicURL, Retention: d.cfg.Retention,
	})
	if err != nil {
		return config.Connection{}, faultsOf(err)
	}
	return c, nil
}

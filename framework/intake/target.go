package intake

import (
	"context"
	"sync/atomic"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// Deliverer runs webhook routes; *framework.Binding is one.
type Deliverer interface {
	// Receive calls the endpoint's handler and returns what it emitted. It contains
	// panics. At the end of ctx it returns framework.ErrLate; ended is called once,
	// when the handler has returned, was not called, or hangs and was left behind.
	// Without ended it waits for a short grace, and then returns framework.ErrAbandoned.
	Receive(ctx context.Context, endpoint string, d *framework.Delivery, ended func(hangs bool)) ([]ingest.Emission, error)
}

// Target is one endpoint of one connection, ready to receive.
type Target struct {
	// Project and Connection are names, ConnectionID is the immutable id.
	Project, Connection, ConnectionID string
	// Endpoint is the endpoint's declared path.
	Endpoint string
	// Verifier verifies deliveries and knows the endpoint's limits. A nil one
	// refuses every delivery: so does an endpoint whose secret has vanished.
	Verifier *webhook.Verifier
	// Binding runs the connection's routes.
	Binding Deliverer
	// WebhookStreams are the connector's streams of mode webhook.
	WebhookStreams []string
	// Policy is what the operator decided for the endpoint.
	Policy Policy
	// Shut stands for every endpoint of a connection that does not open now: its
	// senders are asked to send again later. Endpoint is "".
	Shut bool
}

// Targets finds endpoints. [Table] is one.
type Targets interface {
	// Lookup finds an endpoint by project, the connection's name or id, and path.
	Lookup(project, connection, endpoint string) (Target, bool)
	// ByID finds an endpoint by the connection's id, and path.
	ByID(connectionID, endpoint string) (Target, bool)
	// ConnectionIDs lists the connections whose stored deliveries are handled.
	ConnectionIDs() []string
}

// Table is a set of targets that is replaced as a whole when connections
// change. The zero Table is empty and ready for use.
type Table struct{ view atomic.Pointer[tableView] }

type tableView struct {
	byName map[[3]string]Target
	byID   map[[2]string]Target
	ids    []string
}

// Replace makes targets the ones that are found from now on. Requests at work
// finish with what they found.
func (t *Table) Replace(targets []Target) {
	v := &tableView{byName: make(map[[3]string]Target, 2*len(targets)), byID: make(map[[2]string]Target, len(targets))}
	seen := make(map[string]bool, len(targets))
	for _, target := range targets {
		v.byName[[3]string{target.Project, target.Connection, target.Endpoint}] = target
		if target.Shut {
			continue // what is stored of it waits
		}
		v.byID[[2]string{target.ConnectionID, target.Endpoint}] = target
		if !seen[target.ConnectionID] {
			seen[target.ConnectionID] = true
			v.ids = append(v.ids, target.ConnectionID)
		}
	}
	// Ids come last: a connection that is named like the id of another one
	// must not receive its deliveries.
	for _, target := range targets {
		v.byName[[3]string{target.Project, target.ConnectionID, target.Endpoint}] = target
	}
	t.view.Store(v)
}

// Lookup finds an endpoint by project, the connection's name or id, and path.
func (t *Table) Lookup(project, connection, endpoint string) (Target, bool) {
	v := t.view.Load()
	if v == nil {
		return Target{}, false
	}
	target, ok := v.byName[[3]string{project, connection, endpoint}]
	if !ok {
		target, ok = v.byName[[3]string{project, connection, ""}]
	}
	return target, ok
}

// ByID finds an endpoint by the connection's id, and path.
func (t *Table) ByID(connectionID, endpoint string) (Target, bool) {
	v := t.view.Load()
	if v == nil {
		return Target{}, false
	}
	target, ok := v.byID[[2]string{connectionID, endpoint}]
	return target, ok
}

// ConnectionIDs lists the connections of the targets.
func (t *Table) ConnectionIDs() []string {
	v := t.view.Load()
	if v == nil {
		return nil
	}
	return v.ids
}

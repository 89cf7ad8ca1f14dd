package connection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// State is what a connection is doing.
type State string

// States of a connection.
const (
	// StateDraft was never deployed.
	StateDraft State = "draft"
	// StateRunning does its work.
	StateRunning State = "running"
	// StatePaused waits; webhooks are taken.
	StatePaused State = "paused"
	// StateStopped waits, and offsets may be changed.
	StateStopped State = "stopped"
	// StateFailed has stopped by itself.
	StateFailed State = "failed"
	// StateDisabled does nothing at all.
	StateDisabled State = "disabled"
	// StateDeleted is what is left of a deleted connection whose events are kept.
	StateDeleted State = "deleted"
)

// ManagedByNobody is the owner of what is left of a deleted connection.
const ManagedByNobody = "nobody"

// View is a connection as it is shown: its latest revision, without secrets.
type View struct {
	// ID is the immutable id.
	ID string
	Spec
	// Form is the form in which it was given; see [store.Configured].
	Form string
	// State is what it does, Reason why it failed, Node where it runs.
	State        State
	Reason, Node string
	// Revision is the latest, Deployed the one that is to run and Running the one
	// that does run here; 0 for none.
	Revision, Deployed, Running int64
	ManagedBy                   string
	// Fingerprints tell secrets apart by their paths; "" where that is not known.
	Fingerprints map[string]string
	// Warnings refuse nothing and should be known.
	Warnings             Faults
	CreatedAt, UpdatedAt time.Time
}

// ETag names the revision that is shown, for If-Match.
func (v View) ETag() string { return etag(v.ID, v.Revision) }

func etag(id string, revision int64) string {
	return strconv.Quote(id + "." + strconv.FormatInt(revision, 10))
}

// find reads a connection and its latest revision.
func (d *Desk) find(ctx context.Context, project, name string) (store.Configured, Spec, error) {
	row, err := d.cfg.Store.ConfiguredNamed(ctx, project, name)
	if err != nil {
		return row, Spec{}, err
	}
	if row.Latest == 0 {
		return row, Spec{Project: row.Project, Name: row.Name, Connector: row.Connector, Type: row.Type, Enabled: row.Enabled, Config: map[string]any{}}, nil
	}
	s, err := d.spec(ctx, row, row.Latest)
	return row, s, err
}

// spec reads a revision.
func (d *Desk) spec(ctx context.Context, row store.Configured, number int64) (Spec, error) {
	r, err := d.cfg.Store.Revision(ctx, row.ID, number)
	if err != nil {
		return Spec{}, err
	}
	var s Spec
	if err := s.UnmarshalJSON(r.Spec); err != nil {
		return Spec{}, fmt.Errorf("revision %d of connection %q: %w", number, row.Name, err)
	}
	s.Project, s.Name, s.keptFor = row.Project, row.Name, row.ID
	return s, nil
}

// view shows a connection.
func (d *Desk) view(ctx context.Context, row store.Configured, s Spec) View {
	return d.observed(row, s, d.observe(ctx, []store.Configured{row})[0])
}

// observe says what is seen of connections, in their order.
func (d *Desk) observe(ctx context.Context, rows []store.Configured) []Observation {
	if d.cfg.Live == nil {
		return make([]Observation, len(rows))
	}
	return d.cfg.Live.Observe(ctx, rows)
}

// observed shows a connection of which something was seen.
func (d *Desk) observed(row store.Configured, s Spec, seen Observation) View {
	v := View{
		ID: row.ID, Form: row.Form, Revision: row.Latest, Deployed: row.Deployed, ManagedBy: row.ManagedBy,
		CreatedAt: row.CreatedAt, UpdatedAt: row.ChangedAt,
	}
	v.Spec, v.Fingerprints = d.mask(row.ID, s)
	if v.UpdatedAt.IsZero() {
		v.UpdatedAt = v.CreatedAt
	}
	v.State, v.Running, v.Node = stateOf(row, seen), seen.Running, seen.Node
	if seen.Failed {
		v.Reason = seen.Reason
	}
	return v
}

func stateOf(row store.Configured, seen Observation) State {
	switch {
	case row.ManagedBy == ManagedByNobody:
		return StateDeleted
	case row.Deployed == 0:
		return StateDraft
	case !row.Enabled:
		return StateDisabled
	case row.State == store.DesiredStopped:
		return StateStopped
	case row.State == store.DesiredPaused:
		return StatePaused
	case seen.Failed:
		return StateFailed
	default:
		return StateRunning
	}
}

// Get returns a connection, or store.ErrNotFound.
func (d *Desk) Get(ctx context.Context, project, name string) (View, error) {
	row, s, err := d.find(ctx, project, name)
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, row, s), nil
}

// Filter selects connections of a project. Zero fields select all.
type Filter struct {
	// Type is source, sink or trigger, or webhook for sinks in the flat form.
	Type string
	// Labels must all be there with these values.
	Labels map[string]string
	State  State
}

func (f Filter) admits(row store.Configured) bool {
	if row.ManagedBy == ManagedByNobody && f.State != StateDeleted {
		return false
	}
	if f.Type == FormWebhook {
		if row.Form != FormWebhook {
			return false
		}
	} else if f.Type != "" && row.Type != f.Type {
		return false
	}
	if len(f.Labels) == 0 {
		return true
	}
	var labels map[string]string
	if json.Unmarshal([]byte(row.Labels), &labels) != nil {
		return false
	}
	for name, value := range f.Labels {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// listRows is how many rows are read at once where a filter leaves some out.
const listRows = 1000

// List returns up to limit connections of a project by name, after a name, and
// whether there are more. It asks the store the same few questions for a page,
// whatever stands on it.
func (d *Desk) List(ctx context.Context, project string, f Filter, after string, limit int) (views []View, more bool, err error) {
	size := limit + 1
	if f.Type != "" || f.State != "" || len(f.Labels) > 0 {
		size = max(size, min(listRows, limit*10))
	}
	for {
		rows, err := d.cfg.Store.Configured(ctx, project, after, size)
		if err != nil {
			return nil, false, err
		}
		last := len(rows) < size
		if len(rows) > 0 {
			after = rows[len(rows)-1].Name
		}
		found, err := d.listed(ctx, f, rows, limit+1-len(views))
		if err != nil {
			return nil, false, err
		}
		views = append(views, found...)
		switch {
		case len(views) > limit:
			return views[:limit], true, nil
		case last:
			return views, false, nil
		}
	}
}

// listed shows those of the rows that a filter admits, up to most.
func (d *Desk) listed(ctx context.Context, f Filter, rows []store.Configured, most int) ([]View, error) {
	rows = slices.DeleteFunc(rows, func(row store.Configured) bool { return !f.admits(row) })
	seen := make([]Observation, len(rows))
	if f.State != "" {
		// What is seen decides which rows are shown.
		all := d.observe(ctx, rows)
		kept := 0
		for i, row := range rows {
			if stateOf(row, all[i]) == f.State {
				rows[kept], seen[kept] = row, all[i]
				kept++
			}
		}
		rows = rows[:min(kept, most)]
	} else {
		rows = rows[:min(len(rows), most)]
		seen = d.observe(ctx, rows)
	}
	var ids []string
	for _, row := range rows {
		if row.Latest > 0 {
			ids = append(ids, row.ID)
		}
	}
	var specs map[string][]byte
	if len(ids) > 0 {
		var err error
		if specs, err = d.cfg.Store.LatestSpecs(ctx, ids); err != nil {
			return nil, err
		}
	}
	views := make([]View, 0, len(rows))
	for i, row := range rows {
		s := Spec{Project: row.Project, Name: row.Name, Connector: row.Connector, Type: row.Type, Enabled: row.Enabled}
		if row.Latest > 0 {
			spec, there := specs[row.ID]
			if !there {
				continue // deleted meanwhile
			}
			if err := s.UnmarshalJSON(spec); err != nil {
				return nil, fmt.Errorf("connection %q: %w", row.Name, err)
			}
			s.Project, s.Name = row.Project, row.Name
		}
		views = append(views, d.observed(row, s, seen[i]))
	}
	return views, nil
}

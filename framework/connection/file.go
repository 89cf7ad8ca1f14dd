package connection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
)

// Action is what a plan does with a connection or project.
type Action string

// Actions of a plan.
const (
	ActionCreate    Action = "create"
	ActionChange    Action = "change"
	ActionDelete    Action = "delete"
	ActionRelease   Action = "release"
	ActionUnchanged Action = "unchanged"
)

// PlanStep is what a plan does with one connection, or with a project when Name
// is "".
type PlanStep struct {
	Action  Action   `json:"action"`
	Project string   `json:"project"`
	Name    string   `json:"name,omitempty"`
	Changes []Change `json:"changes"`

	change  *store.ConnectionChange
	project *store.ProjectChange
	spec    Spec
}

// Plan is what has to be changed so that the store holds what a file says.
type Plan struct {
	Steps []PlanStep `json:"steps"`
}

// Changes reports whether the plan does anything.
func (p Plan) Changes() bool {
	return slices.ContainsFunc(p.Steps, func(s PlanStep) bool { return s.Action != ActionUnchanged })
}

// Specs are the specs that the plan leads to, by project and name.
func (p Plan) Specs() map[[2]string]Spec {
	out := map[[2]string]Spec{}
	for _, s := range p.Steps {
		if s.Name != "" && s.Action != ActionDelete && s.Action != ActionRelease {
			out[[2]string{s.Project, s.Name}] = s.spec
		}
	}
	return out
}

// FileOptions say what a plan does with what a file does not name.
type FileOptions struct {
	// Prune deletes connections that the file made and does not name any more.
	Prune bool
	// Release takes those out of work that were made by whom it names, and keeps
	// everything of them.
	Release string
	// CreateOnly leaves connections alone that are there already.
	CreateOnly bool
	// Since leaves connections alone of which the file says what it said in the last
	// revision that was made by whom it names: somebody else has changed them since.
	Since string
}

// PlanFile compares the connections of a file, which were checked, with those of
// the store. A connection that is managed through the API is a fault.
func (d *Desk) PlanFile(ctx context.Context, projects []config.Project, connections []config.Connection, o FileOptions) (Plan, error) {
	var plan Plan
	steps, err := d.planProjects(ctx, projects)
	if err != nil {
		return plan, err
	}
	plan.Steps = steps
	rows, err := d.cfg.Store.Deployments(ctx, nil)
	if err != nil {
		return plan, err
	}
	there := make(map[[2]string]*store.Deployment, len(rows))
	for i := range rows {
		there[[2]string{rows[i].Project, rows[i].Name}] = &rows[i]
	}
	var faults Faults
	for _, c := range connections {
		key := [2]string{c.Project, c.Name}
		step, err := d.planConnection(ctx, c, there[key], o)
		if more, ok := errors.AsType[Faults](err); ok {
			faults = append(faults, more...)
			continue
		}
		if err != nil {
			return plan, err
		}
		delete(there, key)
		plan.Steps = append(plan.Steps, step)
	}
	if len(faults) > 0 {
		return plan, faults
	}
	for i := range rows {
		if row := &rows[i]; there[[2]string{row.Project, row.Name}] == row && row.ManagedBy == store.ManagedByFile && row.Latest > 0 {
			step, does, err := d.gone(ctx, row.Configured, o)
			if err != nil {
				return plan, err
			}
			if does {
				plan.Steps = append(plan.Steps, step)
			}
		}
	}
	return plan, nil
}

// gone is what a plan does with a connection that the file does not name any more.
func (d *Desk) gone(ctx context.Context, row store.Configured, o FileOptions) (PlanStep, bool, error) {
	step := PlanStep{Project: row.Project, Name: row.Name, Changes: []Change{}}
	switch {
	case o.Prune:
		step.Action, step.change = ActionDelete, &store.ConnectionChange{Configured: row, Delete: true}
		return step, true, nil
	case o.Release == "" || row.Deployed == 0:
		return step, false, nil
	}
	latest, err := d.cfg.Store.Revision(ctx, row.ID, row.Latest)
	if err != nil || latest.By != o.Release {
		return step, false, err
	}
	row.Deployed, row.State, row.Enabled = 0, store.DesiredDraft, false
	step.Action, step.change = ActionRelease, &store.ConnectionChange{Configured: row}
	return step, true, nil
}

func (d *Desk) planProjects(ctx context.Context, projects []config.Project) ([]PlanStep, error) {
	have, err := d.cfg.Store.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var steps []PlanStep
	for _, p := range projects {
		i := slices.IndexFunc(have, func(h store.Project) bool { return h.Name == p.Name })
		step := PlanStep{Action: ActionCreate, Project: p.Name, Changes: []Change{}, project: &store.ProjectChange{Name: p.Name, Description: p.Description}}
		if i >= 0 {
			if have[i].Description == p.Description {
				continue
			}
			step.Action, step.project.Version = ActionChange, have[i].Version
			step.Changes = []Change{{Path: "description", Before: fmt.Sprintf("%q", have[i].Description), After: fmt.Sprintf("%q", p.Description)}}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// planConnection compares one connection.
func (d *Desk) planConnection(ctx context.Context, c config.Connection, at *store.Deployment, o FileOptions) (PlanStep, error) {
	step := PlanStep{Action: ActionCreate, Project: c.Project, Name: c.Name, Changes: []Change{}}
	var row *store.Configured
	var before *Spec
	if at != nil {
		row = &at.Configured
		if row.Latest > 0 {
			step.Action = ActionChange
			s, err := d.latest(ctx, at)
			if err != nil {
				return step, err
			}
			before = &s
		}
	}
	spec, err := SpecOf(c, d.cfg.Plugins)
	if err != nil {
		return step, faultsOf(err)
	}
	out := draft{id: store.NewID("con_", d.cfg.Now()), spec: spec, runnable: c}
	if row != nil {
		out.id = row.ID
	}
	// What runs is what the file says; of what is kept for others *** keeps the old.
	extra := Spec{Extra: spec.Extra}
	faults := d.restore(out.id, &extra, before)
	if faults = append(faults, d.identity(c, row, store.ManagedByFile)...); len(faults) > 0 {
		for i := range faults {
			faults[i].Message = fmt.Sprintf("connection %q: %s %s", c.Name, faults[i].Path, faults[i].Message)
		}
		return step, faults
	}
	if d.cfg.Keys == nil {
		out.spec = d.hidden(spec)
	} else {
		if out.spec, faults = d.sealed(out.id, spec, before); len(faults) > 0 {
			return step, faults
		}
	}
	out.unchanged = before != nil && sameSpec(out.spec, *before)
	step.spec = out.spec
	if before != nil && (!out.unchanged || row.ManagedBy != store.ManagedByFile) {
		same, err := d.saidBefore(ctx, *row, spec, o)
		if err != nil {
			return step, err
		}
		if same || o.CreateOnly {
			step.Action, step.spec = ActionUnchanged, *before
			return step, nil
		}
		if row.ManagedBy != store.ManagedByFile && out.unchanged {
			step.Action = ActionUnchanged // it stays the API's
			return step, nil
		}
		if row.ManagedBy != store.ManagedByFile {
			return step, Faults{{Message: fmt.Sprintf("connection %q is managed through the API; remove it from the file, or delete it there first", c.Name)}}
		}
	}
	change, err := d.change(out, row, Request{File: true, Form: formKept})
	if err != nil {
		return step, err
	}
	if out.unchanged && change.Configured == *row {
		step.Action = ActionUnchanged
		return step, nil
	}
	step.Changes, step.change = d.Diff(out.id, before, &out.spec), &change
	return step, nil
}

// saidBefore reports that a file says of a connection what it said the last time.
func (d *Desk) saidBefore(ctx context.Context, row store.Configured, spec Spec, o FileOptions) (bool, error) {
	if o.Since == "" {
		return false, nil
	}
	const most = 100
	for number := int64(0); ; {
		revisions, err := d.cfg.Store.Revisions(ctx, row.ID, number, most)
		if err != nil {
			return false, err
		}
		for _, r := range revisions {
			number = r.Number
			if r.By != o.Since {
				continue
			}
			said, err := d.spec(ctx, row, r.Number)
			if err != nil || d.cfg.Keys == nil {
				return err == nil && sameSpec(d.hidden(spec), d.hidden(said)), err
			}
			sealed, faults := d.sealed(row.ID, spec, &said)
			return len(faults) == 0 && sameSpec(sealed, said), nil
		}
		if len(revisions) < most {
			return false, nil
		}
	}
}

// Differs reports whether a kept spec says something else than one that was
// written, whose secrets are not sealed.
func (d *Desk) Differs(kept, written Spec) bool {
	return !sameSpec(d.hidden(kept), d.hidden(written))
}

func (d *Desk) latest(ctx context.Context, at *store.Deployment) (Spec, error) {
	if at.Deployed != at.Latest {
		return d.spec(ctx, at.Configured, at.Latest)
	}
	var s Spec
	err := s.UnmarshalJSON(at.Spec)
	s.Project, s.Name, s.keptFor = at.Project, at.Name, at.ID
	return s, err
}

// applyTries is how often a file is compared again with a store that others change.
const applyTries = 10

// ApplyFile plans a file and carries the plan out, unless it is dry: all of it, or
// nothing.
func (d *Desk) ApplyFile(ctx context.Context, projects []config.Project, connections []config.Connection, o FileOptions, q Request, dry bool) (Plan, error) {
	q.File = true
	for try := 1; ; try++ {
		plan, err := d.PlanFile(ctx, projects, connections, o)
		if err != nil || dry {
			return plan, err
		}
		err = d.Apply(ctx, plan, q)
		switch {
		case (errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrExists)) && try < applyTries:
		case errors.Is(err, store.ErrReused) && try == 1: // the same request may have come twice at once
		default:
			return plan, err
		}
	}
}

// Apply carries a plan out: all of it, or nothing.
func (d *Desk) Apply(ctx context.Context, p Plan, q Request) error {
	if !p.Changes() {
		return nil
	}
	// What is written, too: a plan shows no secrets.
	var specs []string
	for _, s := range p.Steps {
		if s.change != nil {
			specs = append(specs, string(s.change.Spec))
		}
	}
	c, err := d.request(q, "", "apply", p, specs)
	if err != nil {
		return err
	}
	// What goes makes room for what comes.
	for _, deletes := range []bool{true, false} {
		for _, s := range p.Steps {
			switch {
			case s.project != nil && deletes:
				c.Projects = append(c.Projects, *s.project)
			case s.change != nil && s.change.Delete == deletes:
				c.Connections = append(c.Connections, *s.change)
			}
		}
	}
	if _, err := d.configure(ctx, c); err != nil {
		return err
	}
	d.refresh(ctx)
	return nil
}

// ReadFile reads a weir.yaml that is to be applied; path names it in what is wrong
// with it. Its references may read what those of connections that come through the
// API may, or everything when it is the operator's own. "***" in it keeps the
// secret that is there.
func (d *Desk) ReadFile(ctx context.Context, path string, content []byte, own bool) (*config.File, error) {
	policy := d.cfg.References
	if own {
		policy = d.policy(store.ManagedByFile)
	}
	projects, err := d.projectNames(ctx)
	if err != nil {
		return nil, err
	}
	var failed error
	in := config.Arriving{Lookup: policy.Lookup, Projects: projects, Streams: d.streams(), Kept: func(document map[string]any) (map[string]any, config.Problems) {
		settings, problems, err := d.kept(ctx, document)
		failed = cmp.Or(failed, err)
		return settings, problems
	}}
	file, err := config.ParseConnections(path, content, in, d.cfg.Plugins)
	if failed != nil {
		return nil, failed
	}
	return file, err
}

// streams are those that sinks may subscribe to, nil where nothing runs.
func (d *Desk) streams() func(project string) []config.StreamRef {
	if d.cfg.Live == nil {
		return nil
	}
	return d.cfg.Live.Streams
}

// kept returns the settings of a connection in a file with the secrets that it
// shows as ***.
func (d *Desk) kept(ctx context.Context, document map[string]any) (map[string]any, config.Problems, error) {
	project, _ := document["project"].(string)
	name, _ := document["name"].(string)
	row, s, err := d.find(ctx, cmp.Or(project, store.DefaultProject), name)
	before := &s
	if errors.Is(err, store.ErrNotFound) {
		before, err = nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var problems config.Problems
	for _, f := range d.restoreDocument(row.ID, document, before) {
		problems = append(problems, config.Problem{Path: f.Path, Message: f.Message})
	}
	settings, _ := document["config"].(map[string]any)
	if before != nil && len(problems) == 0 {
		given := Spec{Connector: s.Connector, Type: s.Type, Config: copyOf(settings)}
		d.eachSecret(&given, func(at place, text string) string {
			if text == Hidden {
				problems = append(problems, config.Problem{
					Path: at.member(), Message: "is \"***\", and the secret stands in the file of weir run alone; give it, or apply that file",
				})
			}
			return text
		})
	}
	return settings, problems, nil
}

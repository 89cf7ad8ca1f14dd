package connection

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
)

// tries is how often a change is made again that somebody else was faster than.
const tries = 5

// formKept leaves a connection in the form that it has.
const formKept = "\x00"

// own are the keys of requests that bring none.
const own = "own/"

// request fills in what the store needs to carry a request out once.
func (d *Desk) request(q Request, project string, what ...any) (store.Configuration, error) {
	asked, err := json.Marshal(what)
	if err != nil {
		return store.Configuration{}, fmt.Errorf("encode request: %w", err)
	}
	key := own + store.NewCommitID()
	if q.Key != "" {
		// Two callers, and two projects, do not meet by the same key.
		name, err := encode([]string{project, q.By, q.Caller, q.Key})
		if err != nil {
			return store.Configuration{}, err
		}
		sum := sha256.Sum256(name)
		key = "caller/" + hex.EncodeToString(sum[:])
	}
	return store.Configuration{Key: key, Digest: d.cfg.Keys.Digest(asked), By: q.By, Message: q.Message, At: d.cfg.Now()}, nil
}

// repeated returns the answer of a request that was carried out before.
func (d *Desk) repeated(ctx context.Context, c store.Configuration) (View, bool, error) {
	if strings.HasPrefix(c.Key, own) {
		return View{}, false, nil
	}
	digest, answer, ok, err := d.cfg.Store.Requested(ctx, c.Key)
	if err != nil || !ok {
		return View{}, false, err
	}
	if string(digest) != string(c.Digest) {
		return View{}, false, store.ErrReused
	}
	var v View
	return v, true, decodeView(answer, &v)
}

// commit carries out one change of one connection and shows what it made of it.
func (d *Desk) commit(ctx context.Context, c store.Configuration, change store.ConnectionChange, s Spec, warnings Faults) (View, error) {
	row := change.Configured
	row.ChangedAt = c.At
	v := d.view(ctx, row, s)
	v.Warnings = warnings
	answer, err := encodeView(v)
	if err != nil {
		return View{}, err
	}
	c.Answer, c.Connections = answer, []store.ConnectionChange{change}
	if _, err := d.configure(ctx, c); err != nil {
		return View{}, err
	}
	d.refresh(ctx)
	if !change.Delete {
		fresh, err := d.cfg.Store.ConfiguredNamed(ctx, row.Project, row.Name)
		if err == nil && fresh.ID == row.ID {
			v = d.view(ctx, fresh, s)
			v.Warnings = warnings
		}
	}
	return v, nil
}

// configure is the store's. A change whose outcome is not known is asked for once
// more: it happens once.
func (d *Desk) configure(ctx context.Context, c store.Configuration) (store.Configuring, error) {
	out, err := d.cfg.Store.Configure(ctx, c)
	if errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil {
		out, err = d.cfg.Store.Configure(ctx, c)
	}
	return out, err
}

// refresh has the change taken up here. It is made, so what fails is logged, and
// shown where the connection is.
func (d *Desk) refresh(ctx context.Context) {
	if d.cfg.Live == nil {
		return
	}
	if err := d.cfg.Live.Refresh(context.WithoutCancel(ctx)); err != nil {
		d.cfg.Log.Error("a change of the configuration was saved and could not be taken up yet", "err", err)
	}
}

// draft is a document that was checked, with what it becomes.
type draft struct {
	id        string
	spec      Spec
	runnable  config.Connection
	warnings  Faults
	unchanged bool
}

// prepare checks a document against the connection that it replaces, if any.
func (d *Desk) prepare(ctx context.Context, document map[string]any, row *store.Configured, before *Spec, managedBy string) (draft, error) {
	out := draft{id: store.NewID("con_", d.cfg.Now())}
	if row != nil {
		out.id = row.ID
	}
	faults := d.restoreDocument(out.id, document, before)
	c, warnings, err := d.check(ctx, document, managedBy, true)
	if more, ok := errors.AsType[Faults](err); ok {
		// What it cannot become is wrong first: the rest may be wrong because of it.
		return out, append(d.identity(said(document), row, managedBy), append(faults, more...)...)
	}
	if err != nil {
		return out, err
	}
	faults = append(faults, d.identity(c, row, managedBy)...)
	if len(faults) > 0 {
		return out, faults
	}
	spec, err := SpecOf(c, d.cfg.Plugins)
	if err != nil {
		return out, faultsOf(err)
	}
	out.runnable, out.warnings = c, warnings
	switch {
	case managedBy == store.ManagedByFile && d.cfg.Keys == nil:
		out.spec = d.hidden(spec)
	default:
		if out.spec, faults = d.sealed(out.id, spec, before); len(faults) > 0 {
			return out, faults
		}
	}
	out.unchanged = before != nil && row.Latest > 0 && sameSpec(out.spec, *before)
	return out, nil
}

// Same reports whether two specs say the same.
func Same(a, b Spec) bool { return sameSpec(a, b) }

func sameSpec(a, b Spec) bool {
	x, err := encode(a)
	y, err2 := encode(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

// restoreDocument brings the settings of a document into canonical form, and puts
// back the secrets that it shows as ***.
func (d *Desk) restoreDocument(id string, document map[string]any, before *Spec) Faults {
	connector, _ := document["connector"].(string)
	if class, is := document["class"].(string); is && connector == "" {
		connector = class
	}
	kind, _ := document["type"].(string)
	s := Spec{Connector: connector, Type: cmp.Or(kind, TypeSource), Config: d.canonical(document, connector, kind), Extra: extraOf(document)}
	faults := d.restore(id, &s, before)
	if s.Config != nil {
		document["config"] = s.Config
	}
	if s.Extra != nil {
		extra := map[string]any{}
		for name, text := range s.Extra {
			extra[name] = text
		}
		document[extraMember] = extra
	}
	return faults
}

// canonical returns the settings of a document in canonical form, or nil where the
// check says what is wrong with them.
func (d *Desk) canonical(document map[string]any, connector, kind string) map[string]any {
	settings, ok := document["config"].(map[string]any)
	plugin, known := pluginOf(d.cfg.Plugins, connector, cmp.Or(kind, TypeSource))
	if !ok || !known {
		return nil
	}
	settings = copyOf(settings)
	if kind != TypeSink && kind != TypeTrigger {
		return settings
	}
	canonical, err := plugin.Canonical(settings)
	if err != nil {
		return nil
	}
	return canonical
}

// extraOf returns what a document keeps for others, or nil where the check says what
// is wrong with it.
func extraOf(document map[string]any) map[string]string {
	written, ok := document[extraMember].(map[string]any)
	if !ok {
		return nil
	}
	extra := make(map[string]string, len(written))
	for name, value := range written {
		if extra[name], ok = value.(string); !ok {
			return nil
		}
	}
	return extra
}

// said is what a document that is not valid says of what it is.
func said(document map[string]any) (c config.Connection) {
	c.Name, _ = document["name"].(string)
	connector, _ := document["connector"].(string)
	class, _ := document["class"].(string)
	kind, _ := document["type"].(string)
	c.Connector, c.Type = cmp.Or(connector, class), cmp.Or(kind, TypeSource)
	return c
}

// identity refuses what a connection cannot become.
func (d *Desk) identity(c config.Connection, row *store.Configured, managedBy string) Faults {
	var faults Faults
	if strings.HasPrefix(c.Name, "con_") && (managedBy != store.ManagedByFile || row == nil) {
		faults = append(faults, Fault{Path: "name", Message: fmt.Sprintf("%q is reserved: ids begin with con_; choose another name", c.Name)})
	}
	if row == nil {
		return faults
	}
	if row.Connector != c.Connector {
		faults = append(faults, Fault{Path: "connector", Message: fmt.Sprintf("is %q and stays so: what was recorded belongs to it; delete the connection and make another one", row.Connector)})
	}
	if row.Type != c.Type && row.Latest > 0 {
		faults = append(faults, Fault{Path: "type", Message: fmt.Sprintf("is %q and stays so; delete the connection and make another one", row.Type)})
	}
	return faults
}

// change is what the draft makes of the row of its connection.
func (d *Desk) change(out draft, row *store.Configured, q Request) (store.ConnectionChange, error) {
	var next store.Configured
	if row != nil {
		next = *row
	} else {
		next.State, next.CreatedAt = store.DesiredDraft, d.cfg.Now()
	}
	next.ID, next.Project, next.Name, next.Connector, next.Type = out.id, out.spec.Project, out.spec.Name, out.spec.Connector, out.spec.Type
	next.ManagedBy = store.ManagedByAPI
	if q.Form != formKept {
		next.Form = q.Form
	}
	if q.File {
		next.ManagedBy = store.ManagedByFile
	}
	next.Labels = ""
	if len(out.spec.Labels) > 0 {
		labels, err := encode(out.spec.Labels)
		if err != nil {
			return store.ConnectionChange{}, err
		}
		next.Labels = string(labels)
	}
	change := store.ConnectionChange{}
	if !out.unchanged {
		spec, err := encode(out.spec)
		if err != nil {
			return store.ConnectionChange{}, err
		}
		next.Latest++
		change.Spec = spec
	}
	if !q.Draft {
		next.Deployed, next.Enabled = next.Latest, out.spec.Enabled
		if next.State == store.DesiredDraft {
			next.State = cmp.Or(q.State, store.DesiredRunning)
		}
	}
	change.Configured = next
	return change, nil
}

// try opens what is to be deployed, so that a broken revision is refused.
func (d *Desk) try(ctx context.Context, c config.Connection, change store.ConnectionChange) error {
	if d.cfg.Live == nil || !c.Enabled || change.Deployed == 0 {
		return nil
	}
	if err := d.cfg.Live.Try(ctx, c); err != nil {
		return &OpenError{change.Name, change.Deployed, err}
	}
	return nil
}

// Create makes a connection from a document. Its name must be free: else it fails
// with store.ErrExists. Everything that is wrong is [Faults].
func (d *Desk) Create(ctx context.Context, project, name string, document map[string]any, q Request) (View, error) {
	document = named(document, project, name)
	c, err := d.request(q, project, "create", document, q.Draft, q.Form, q.State)
	if err != nil {
		return View{}, err
	}
	if v, done, err := d.repeated(ctx, c); done || err != nil {
		return v, err
	}
	row, _, err := d.find(ctx, project, name)
	if err == nil && row.Latest > 0 {
		return View{}, fmt.Errorf("connection %q: %w", name, store.ErrExists)
	}
	if q.IfMatch != "" {
		return View{}, ErrPrecondition // there is nothing yet that it could be
	}
	var adopted *store.Configured
	if err == nil {
		adopted = &row // it was made before there were revisions
	} else if !errors.Is(err, store.ErrNotFound) {
		return View{}, err
	}
	return d.put(ctx, document, adopted, nil, c, q)
}

// put writes a document into a connection, which may be new.
func (d *Desk) put(ctx context.Context, document map[string]any, row *store.Configured, before *Spec, c store.Configuration, q Request) (View, error) {
	managedBy := store.ManagedByAPI
	if q.File {
		managedBy = store.ManagedByFile
	}
	out, err := d.prepare(ctx, document, row, before, managedBy)
	if err != nil {
		return View{}, err
	}
	change, err := d.change(out, row, q)
	if err != nil {
		return View{}, err
	}
	if !q.Draft {
		if err := d.try(ctx, out.runnable, change); err != nil {
			return View{}, err
		}
	}
	return d.commit(ctx, c, change, out.spec, out.warnings)
}

// edit changes a connection that is there. f returns the document that it is to
// become; it may be called more than once, with the connection as it is then.
func (d *Desk) edit(ctx context.Context, project, name string, q Request, f func(row store.Configured, s Spec) (map[string]any, error), asked ...any) (View, error) {
	c, err := d.request(q, project, asked...)
	if err != nil {
		return View{}, err
	}
	if v, done, err := d.repeated(ctx, c); done || err != nil {
		return v, err
	}
	for range tries {
		var row store.Configured
		var s Spec
		if row, s, err = d.owned(ctx, project, name, q); err != nil {
			return View{}, err
		}
		document, err2 := f(row, s)
		if err2 != nil {
			return View{}, err2
		}
		var v View
		if v, err = d.put(ctx, document, &row, &s, c, q); !errors.Is(err, store.ErrStale) {
			return v, err
		}
	}
	return View{}, err
}

// owned reads a connection that the request may change.
func (d *Desk) owned(ctx context.Context, project, name string, q Request) (store.Configured, Spec, error) {
	row, s, err := d.find(ctx, project, name)
	switch {
	case err != nil:
		return row, s, err
	case row.ManagedBy == ManagedByNobody:
		return row, s, fmt.Errorf("connection %q was deleted: %w", name, ErrState)
	case q.IfMatch != "" && q.IfMatch != etag(row.ID, row.Latest) && q.IfMatch != "*":
		return row, s, ErrPrecondition
	case row.ManagedBy == store.ManagedByFile && row.Latest > 0 && !q.File:
		return row, s, &ManagedError{name}
	}
	return row, s, nil
}

// Replace makes a document the latest revision of a connection.
func (d *Desk) Replace(ctx context.Context, project, name string, document map[string]any, q Request) (View, error) {
	document = named(document, project, name)
	return d.edit(ctx, project, name, q, func(store.Configured, Spec) (map[string]any, error) { return copyOf(document), nil },
		"replace", name, document, q.Draft, q.Form, q.IfMatch)
}

// Patch applies a JSON Merge Patch to the latest revision. With a name in it, the
// connection is renamed, and keeps its id with everything that belongs to it.
func (d *Desk) Patch(ctx context.Context, project, name string, patch map[string]any, q Request) (View, error) {
	q.Form = formKept
	return d.edit(ctx, project, name, q, func(row store.Configured, s Spec) (map[string]any, error) {
		s, _ = d.mask(row.ID, s)
		document, err := s.document()
		if err != nil {
			return nil, err
		}
		return named(Merge(document, patch), project, ""), nil
	}, "patch", name, patch, q.Draft, q.IfMatch)
}

// named returns a document that says which connection it is of.
func named(document map[string]any, project, name string) map[string]any {
	document = maps.Clone(document)
	if document == nil {
		document = map[string]any{}
	}
	document["project"] = project
	if name != "" {
		document["name"] = name
	}
	return document
}

// Validate says what is wrong with a document, without saving anything; against
// the connection of that name, if there is one.
func (d *Desk) Validate(ctx context.Context, project, name string, document map[string]any, q Request) (warnings Faults, err error) {
	row, s, err := d.find(ctx, project, name)
	before, at := &s, &row
	if errors.Is(err, store.ErrNotFound) {
		before, at, err = nil, nil, nil
	}
	if err != nil {
		return nil, err
	}
	managedBy := store.ManagedByAPI
	if q.File {
		managedBy = store.ManagedByFile
	}
	out, err := d.prepare(ctx, named(document, project, name), at, before, managedBy)
	return out.warnings, err
}

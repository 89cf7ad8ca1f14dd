package dashboardtest

import (
	"context"
	"slices"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
)

// configurations are the connections of an office. But for those of
// [Office.WithRevisions] they have no revisions: what comes is taken and forgotten.
type configurations struct {
	store.Configurations

	office *Office
}

// desk returns the desk of connections of an office.
func (o *Office) desk() (*connection.Desk, error) {
	plugin := framework.Define(catalog.Connector{Key: "demo"}, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
		return nil, nil
	})
	return connection.NewDesk(connection.DeskConfig{Store: configurations{office: o}, Plugins: []framework.Plugin{plugin}, Now: o.Now})
}

func (c configurations) Configured(ctx context.Context, project, after string, limit int) ([]store.Configured, error) {
	all, err := c.office.Connections(ctx)
	var out []store.Configured
	for _, one := range all {
		if one.Project == project && one.Name > after {
			out = append(out, store.Configured{Connection: one})
		}
	}
	slices.SortFunc(out, func(a, b store.Configured) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	return out[:min(limit, len(out))], err
}

func (c configurations) ConfiguredNamed(ctx context.Context, project, name string) (store.Configured, error) {
	all, err := c.office.Connections(ctx)
	for _, one := range all {
		if one.Project == project && one.Name == name {
			return c.row(one), err
		}
	}
	if err == nil {
		err = store.ErrNotFound
	}
	return store.Configured{}, err
}

// row is a connection as it is configured.
func (c configurations) row(one store.Connection) store.Configured {
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	if r := c.office.revised[one.ID]; r != nil {
		return r.row
	}
	return store.Configured{Connection: one}
}

func (c configurations) Projects(ctx context.Context) ([]store.Project, error) {
	all, err := c.office.Connections(ctx)
	var out []store.Project
	for _, one := range all {
		if !slices.ContainsFunc(out, func(p store.Project) bool { return p.Name == one.Project }) {
			out = append(out, store.Project{Name: one.Project})
		}
	}
	slices.SortFunc(out, func(a, b store.Project) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	return store.WithDefaultProject(out), err
}

func (configurations) Requested(context.Context, string) (digest, answer []byte, ok bool, err error) {
	return nil, nil, false, nil
}

func (configurations) Deployments(context.Context, []string) ([]store.Deployment, error) {
	return nil, nil
}

func (c configurations) Revisions(_ context.Context, id string, before int64, limit int) ([]store.Revision, error) {
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	var out []store.Revision
	if r := c.office.revised[id]; r != nil {
		for _, one := range slices.Backward(r.revisions) {
			if (before == 0 || one.Number < before) && len(out) < limit {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

func (c configurations) Revision(_ context.Context, id string, number int64) (store.Revision, error) {
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	r := c.office.revised[id]
	switch {
	case r == nil:
		return store.Revision{ConnectionID: id, Number: number, Spec: []byte(`{"connector":"demo","type":"source"}`)}, nil
	case number < 1 || number > int64(len(r.revisions)):
		return store.Revision{}, store.ErrNotFound
	}
	return r.revisions[number-1], nil
}

func (c configurations) Configure(_ context.Context, asked store.Configuration) (store.Configuring, error) {
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	for _, change := range asked.Connections {
		r := c.office.revised[change.ID]
		if r == nil {
			continue
		}
		if change.Spec != nil {
			r.revisions = append(r.revisions, store.Revision{
				ConnectionID: change.ID, Number: change.Latest, Spec: change.Spec, CreatedAt: asked.At, By: asked.By, Message: asked.Message,
			})
		}
		r.row = change.Configured
		r.row.ChangedAt = asked.At
	}
	return store.Configuring{Version: 1}, nil
}

// revised is a connection with its revisions, oldest first.
type revised struct {
	row       store.Configured
	revisions []store.Revision
}

// WithRevisions gives the connection demo three revisions, of which the second is
// deployed.
func (o *Office) WithRevisions(now time.Time) *Office {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.connections, func(c store.Connection) bool { return c.ID == Demo })
	row := store.Configured{
		Connection: o.connections[i], ManagedBy: store.ManagedByAPI, Latest: 3, Deployed: 2, State: store.DesiredRunning,
		ChangedAt: now.Add(-time.Hour),
	}
	r := &revised{row: row}
	for i, one := range []struct{ by, message, spec string }{
		{"alice", "", `"description":"the shop","labels":{"team":"pay"}`},
		{"token ci", "another name", `"description":"the <b>shop</b>","labels":{"team":"pay"}`},
		{"bob", "not yet", `"description":"the <b>shop</b>","labels":{"team":"core","tier":"1"}`},
	} {
		r.revisions = append(r.revisions, store.Revision{
			ConnectionID: row.ID, Number: int64(i + 1), CreatedAt: now.Add(time.Duration(i-48) * time.Hour), By: one.by, Message: one.message,
			Spec: []byte(`{"project":"default","name":"demo","connector":"demo","type":"source","enabled":true,"config":{},` + one.spec + `}`),
		})
	}
	o.revised = map[string]*revised{row.ID: r}
	return o
}

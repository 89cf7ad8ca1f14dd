package dashboardtest

import (
	"context"
	"slices"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
)

// configurations are the connections of an office, none of which has revisions:
// those that come are taken and forgotten.
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
			return store.Configured{Connection: one}, err
		}
	}
	if err == nil {
		err = store.ErrNotFound
	}
	return store.Configured{}, err
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

func (configurations) Revisions(context.Context, string, int64, int) ([]store.Revision, error) {
	return nil, nil
}

func (configurations) Revision(_ context.Context, id string, number int64) (store.Revision, error) {
	return store.Revision{ConnectionID: id, Number: number, Spec: []byte(`{"connector":"demo","type":"source"}`)}, nil
}

func (configurations) Configure(context.Context, store.Configuration) (store.Configuring, error) {
	return store.Configuring{Version: 1}, nil
}

package connection

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store"
)

// namePattern is what names of projects and connections match.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// maxDescription bounds the description of a project, in bytes.
const maxDescription = 4 << 10

// Projects lists the projects by name.
func (d *Desk) Projects(ctx context.Context) ([]store.Project, error) {
	return d.cfg.Store.Projects(ctx)
}

func (d *Desk) projectNames(ctx context.Context) ([]string, error) {
	projects, err := d.cfg.Store.Projects(ctx)
	names := make([]string, 0, len(projects))
	for _, p := range projects {
		names = append(names, p.Name)
	}
	return names, err
}

// Project returns one project, or store.ErrNotFound.
func (d *Desk) Project(ctx context.Context, name string) (store.Project, error) {
	projects, err := d.cfg.Store.Projects(ctx)
	if err != nil {
		return store.Project{}, err
	}
	i := slices.IndexFunc(projects, func(p store.Project) bool { return p.Name == name })
	if i < 0 {
		return store.Project{}, fmt.Errorf("project %q: %w", name, store.ErrNotFound)
	}
	return projects[i], nil
}

// checkProject says what is wrong with a project.
func checkProject(name, description string) Faults {
	var faults Faults
	switch {
	case !namePattern.MatchString(name):
		faults = append(faults, Fault{Path: "name", Message: fmt.Sprintf("%q does not match %s", name, namePattern)})
	case slices.Contains(config.ReservedProjects(), name):
		faults = append(faults, Fault{Path: "name", Message: fmt.Sprintf("%q is reserved: it is part of a path of the server", name)})
	}
	if len(description) > maxDescription {
		faults = append(faults, Fault{Path: "description", Message: fmt.Sprintf("has %d bytes; the limit is %d", len(description), maxDescription)})
	}
	return faults
}

// CreateProject makes a project.
func (d *Desk) CreateProject(ctx context.Context, name, description string, q Request) (store.Project, error) {
	if faults := checkProject(name, description); len(faults) > 0 {
		return store.Project{}, faults
	}
	if _, err := d.Project(ctx, name); err == nil && q.Key == "" {
		return store.Project{}, fmt.Errorf("project %q: %w", name, store.ErrExists)
	}
	return d.changeProject(ctx, store.ProjectChange{Name: name, Description: description}, q, "create project")
}

// DescribeProject changes the description of a project.
func (d *Desk) DescribeProject(ctx context.Context, name, description string, q Request) (store.Project, error) {
	if faults := checkProject(name, description); len(faults) > 0 {
		return store.Project{}, faults
	}
	p, err := d.Project(ctx, name)
	if err != nil {
		return p, err
	}
	if !matches(p, q) {
		return p, ErrPrecondition
	}
	return d.changeProject(ctx, store.ProjectChange{Name: name, Description: description, Version: p.Version}, q, "change project")
}

// DeleteProject deletes a project that has no connections.
func (d *Desk) DeleteProject(ctx context.Context, name string, q Request) (store.Project, error) {
	p, done, err := d.deletedProject(ctx, name, q)
	if err != nil || done {
		return p, err
	}
	if p, err = d.Project(ctx, name); err != nil {
		return p, err
	}
	if name == store.DefaultProject {
		return p, fmt.Errorf("project %q is always there: %w", name, ErrState)
	}
	if !matches(p, q) {
		return p, ErrPrecondition
	}
	_, err = d.changeProject(ctx, store.ProjectChange{Name: name, Version: p.Version, Delete: true}, q, deleteProject)
	return p, err
}

// ProjectETag names the version of a project.
func ProjectETag(p store.Project) string {
	return fmt.Sprintf("\"%s.%d.%d\"", p.Name, p.CreatedAt.UnixMicro(), p.Version)
}

// matches reports that a project is the one that a request means to change.
func matches(p store.Project, q Request) bool {
	return q.IfMatch == "" || q.IfMatch == "*" || q.IfMatch == ProjectETag(p)
}

// deletedProject is the project that the same request has deleted before.
func (d *Desk) deletedProject(ctx context.Context, name string, q Request) (p store.Project, done bool, err error) {
	if q.Key == "" {
		return p, false, nil
	}
	c, err := d.request(q, name, deleteProject, name, "")
	if err != nil {
		return p, false, err
	}
	digest, answer, ok, err := d.cfg.Store.Requested(ctx, c.Key)
	switch {
	case err != nil || !ok:
		return p, false, err
	case string(digest) != string(c.Digest):
		return p, false, store.ErrReused
	}
	return p, true, decodeInto(answer, &p)
}

const deleteProject = "delete project"

func (d *Desk) changeProject(ctx context.Context, change store.ProjectChange, q Request, what string) (store.Project, error) {
	c, err := d.request(q, change.Name, what, change.Name, change.Description)
	if err != nil {
		return store.Project{}, err
	}
	if what == deleteProject {
		was, err := d.Project(ctx, change.Name)
		if err != nil {
			return was, err
		}
		if c.Answer, err = encode(was); err != nil {
			return was, err
		}
	}
	c.Projects = []store.ProjectChange{change}
	if _, err := d.configure(ctx, c); err != nil || change.Delete {
		return store.Project{}, err
	}
	return d.Project(ctx, change.Name)
}

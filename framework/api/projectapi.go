package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// projectRow is a project as it is shown.
type projectRow struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	CreatedAt   *health.Time `json:"created_at"`
	UpdatedAt   *health.Time `json:"updated_at"`
}

func newProjectRow(p store.Project) projectRow {
	return projectRow{p.Name, p.Description, health.TimeOrNil(p.CreatedAt), health.TimeOrNil(p.ChangedAt)}
}

type projectList struct {
	Projects []projectRow `json:"projects"`
	Next     *string      `json:"next"`
}

func (a *API) listProjects(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit, after := q.limit(), q.token("page_token", 1)
	if err := q.err(); err != nil {
		return reply{}, err
	}
	projects, err := a.cfg.Connections.Projects(r.Context())
	if err != nil {
		return reply{}, err
	}
	caller := CallerOf(r.Context())
	projects = slices.DeleteFunc(projects, func(p store.Project) bool { return !caller.Sees(p.Name) || after != nil && p.Name <= after[0] })
	out := projectList{Projects: []projectRow{}}
	if len(projects) > limit {
		projects = projects[:limit]
		out.Next = pageToken(projects[limit-1].Name)
	}
	for _, p := range projects {
		out.Projects = append(out.Projects, newProjectRow(p))
	}
	return ok(out)
}

// readProject reads the body of a project.
func readProject(r *http.Request, known ...string) (fields map[string]string, err error) {
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	var faults connection.Faults
	fields = map[string]string{}
	for name, value := range body {
		text, is := value.(string)
		switch {
		case !slices.Contains(known, name):
			faults = append(faults, connection.Fault{Path: name, Message: "is unknown" + framework.Suggest(name, known)})
		case !is:
			faults = append(faults, connection.Fault{Path: name, Message: "must be text"})
		default:
			fields[name] = text
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b connection.Fault) int { return slices.Compare([]string{a.Path}, []string{b.Path}) })
		return nil, faults
	}
	return fields, nil
}

func (a *API) createProject(r *http.Request) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	fields, err := readProject(r, "name", "description")
	if err != nil {
		return reply{}, err
	}
	p, err := a.cfg.Connections.CreateProject(r.Context(), fields["name"], fields["description"], q)
	return a.shownProject(r, p, err)
}

func (a *API) shownProject(r *http.Request, p store.Project, err error) (reply, error) {
	if errors.Is(err, store.ErrNotFound) {
		return reply{}, &health.UnknownError{Kind: "project", Name: clipped(project(r))}
	}
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, value: newProjectRow(p), header: http.Header{"Etag": {connection.ProjectETag(p)}}}, nil
}

func (a *API) getProject(r *http.Request) (reply, error) {
	if err := newQuery(r).err(); err != nil {
		return reply{}, err
	}
	p, err := a.cfg.Connections.Project(r.Context(), project(r))
	return a.shownProject(r, p, err)
}

func (a *API) patchProject(r *http.Request) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	fields, err := readProject(r, "description")
	if err != nil {
		return reply{}, err
	}
	if _, given := fields["description"]; !given {
		return a.getProject(r)
	}
	p, err := a.cfg.Connections.DescribeProject(r.Context(), project(r), fields["description"], q)
	return a.shownProject(r, p, err)
}

func (a *API) deleteProject(r *http.Request) (reply, error) {
	q, err := a.change(r, newQuery(r))
	if err != nil {
		return reply{}, err
	}
	p, err := a.cfg.Connections.DeleteProject(r.Context(), project(r), q)
	if errors.Is(err, store.ErrNotEmpty) {
		return reply{}, newProblem(http.StatusConflict, "not_empty", fmt.Sprintf("project %s still has connections; delete them first", shown(project(r))))
	}
	return a.shownProject(r, p, err)
}

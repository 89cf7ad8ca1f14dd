package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework/health"
)

// scope says of what a route speaks.
type scope int

// Scopes of routes.
const (
	// scopeWhole speaks of the whole process: not for a token of one project.
	scopeWhole scope = iota
	// scopeOpen speaks of no project, or asks for no token.
	scopeOpen
	// scopeProject speaks of the project that its path names.
	scopeProject
	// scopeDefault speaks of the project default, whose name its path leaves out.
	scopeDefault
	// scopeMany speaks of many projects; its handler leaves out those that the
	// caller may not see.
	scopeMany
)

// manyProjects are the routes whose handlers leave out, when they are read, what
// the caller may not see. To change such a thing is about the whole process.
func manyProjects() []string {
	return []string{"/", "/metrics", "/api/v1/changes", "/api/v1/projects"}
}

// defaultProject are the first parts of paths that leave out the name of the
// project default.
func defaultProject() []string {
	return []string{
		aliasPrefix + "/connections", aliasPrefix + "/streams", aliasPrefix + "/runs", aliasPrefix + "/sinks", "/connectors", "/connector-plugins",
	}
}

// scopeOf returns the scope of a row. What is not known is about the whole
// process: a new route is closed to tokens of one project until it is named here.
func scopeOf(row Route) scope {
	switch {
	case row.Face == FaceIntake, row.Role == RolePublic:
		return scopeOpen
	case slices.Contains(strings.Split(row.Pattern, "/"), "{project}"):
		return scopeProject
	case slices.ContainsFunc(defaultProject(), func(first string) bool {
		return row.Pattern == first || strings.HasPrefix(row.Pattern, first+"/")
	}):
		return scopeDefault
	case row.Method == http.MethodGet && slices.Contains(manyProjects(), row.Pattern):
		return scopeMany
	default:
		return scopeWhole
	}
}

// authorize is the one place that decides whether a caller who is known may call
// a route: nil, or why not. project is the one that the path names.
//
// What a caller may not know of is answered as if it was not there: 404. What
// they know of and may not do is 403.
func authorize(c Caller, row Route, project string) *Problem {
	s := scopeOf(row)
	if s == scopeDefault {
		project = health.DefaultProject
	}
	if (s == scopeProject || s == scopeDefault) && !c.Sees(project) {
		p := newProblem(http.StatusNotFound, "unknown_project", "there is no project "+shown(project)+" that this token may see; it is one of project "+shown(c.Project))
		return p
	}
	if !c.Role.allows(row.Role) {
		return newProblem(http.StatusForbidden, "forbidden", "this needs role "+string(row.Role)+", and "+shown(c.Name)+" has role "+string(c.Role))
	}
	if s == scopeWhole && c.Project != "" {
		return newProblem(http.StatusForbidden, "forbidden", "this is about all projects, and "+shown(c.Name)+" is a token of project "+shown(c.Project)+" alone")
	}
	return nil
}

// acts reports that a request changes something, or may.
func acts(row Route) bool {
	switch row.Method {
	case http.MethodGet, http.MethodHead:
		return strings.HasSuffix(row.Pattern, "/pause") || strings.HasSuffix(row.Pattern, "/resume")
	case http.MethodOptions:
		return false
	default:
		return true
	}
}

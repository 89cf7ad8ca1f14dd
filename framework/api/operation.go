package api

import (
	"net/http"
	"time"

	"github.com/weirhq/weir/framework/connection"
)

// operation is one thing that may be asked, from which its route, its row of the
// table and its part of the OpenAPI document are made.
type operation struct {
	method, path string
	// whole says that the path stands as it is; else it is below a project.
	whole bool
	// id, tag and summary are for the document.
	id, tag, summary string
	role             Role
	deadline         time.Duration
	// body and answer name schemas of the document; body "" is none.
	body, answer string
	// parameters are those of the query.
	parameters []parameter
	handle     func(a *API, r *http.Request) (reply, error)
}

// parameter is one of a query.
type parameter struct {
	name, kind, doc string
	words           []string
	required        bool
}

// Parameters that several operations have.
var (
	limitParameter   = parameter{name: "limit", kind: "integer", doc: "How many rows to answer: 100 unless set, at most 1,000."}
	placeParameter   = parameter{name: "page_token", kind: "string", doc: "Where to go on: next of the last answer."}
	messageParameter = parameter{name: "message", kind: "string", doc: "Why, for the history."}
)

// Tags of the document.
const (
	tagConnections = "connections"
	tagProjects    = "projects"
)

// configurationOperations are those on connections and projects.
func configurationOperations() []operation {
	const c, one = "/connections", "/connections/{connection}"
	change := []parameter{messageParameter}
	list := []parameter{
		{name: "type", kind: "string", doc: "Only those of a type; webhook are sinks in the flat form, in which they are then answered.", words: []string{"source", "sink", "trigger", "webhook"}},
		{name: "label", kind: "string", doc: "Only those with a label, as name=value. May be given several times."},
		{name: "state", kind: "string", doc: "Only those in a state.", words: []string{"draft", "running", "paused", "stopped", "failed", "disabled", "deleted"}},
		limitParameter, placeParameter,
	}
	keep := func(name, doc string) parameter {
		return parameter{name: name, kind: "string", doc: doc, words: []string{"keep", "delete"}}
	}
	revision := func(required bool) []parameter {
		return []parameter{{name: "revision", kind: "integer", doc: "The number of a revision.", required: required}, messageParameter}
	}
	return []operation{
		{http.MethodGet, c, false, "listConnections", tagConnections, "List connections by name", RoleViewer, readDeadline, "", "ConnectionList", list, (*API).listConfigured},
		{http.MethodPost, c, false, "createNamedConnection", tagConnections, "Make a connection by the name in its body", RoleAdmin, actDeadline, "ConnectionWrite", "ConnectionRead", change, (*API).createConnection},
		{http.MethodPost, one, false, "createConnection", tagConnections, "Make a connection", RoleAdmin, actDeadline, "ConnectionWrite", "ConnectionRead", change, (*API).createConnection},
		{http.MethodGet, one, false, "getConnection", tagConnections, "Show a connection", RoleViewer, readDeadline, "", "ConnectionRead", nil, (*API).getConnection},
		{http.MethodPut, one, false, "replaceConnection", tagConnections, "Replace a connection by a new revision", RoleAdmin, actDeadline, "ConnectionWrite", "ConnectionRead", change, (*API).replaceConnection},
		{http.MethodPatch, one, false, "patchConnection", tagConnections, "Change a connection by a JSON Merge Patch; a name in it renames", RoleAdmin, actDeadline, "ConnectionPatch", "ConnectionRead", change, (*API).patchConnection},
		{http.MethodDelete, one, false, "deleteConnection", tagConnections, "Delete a connection", RoleAdmin, actDeadline, "", "ConnectionRead", []parameter{
			keep("events", "keep (the default) leaves what was recorded under the connection's id, until that is deleted."),
			keep("dead_letters", "keep (the default) leaves dead letters likewise."), messageParameter,
		}, (*API).deleteConnection},
		{http.MethodPost, one + "/validate", false, "validateConnection", tagConnections, "Say what is wrong with a connection, and save nothing", RoleOperator, actDeadline, "ConnectionWrite", "Validation", nil, (*API).validateConnection},
		{http.MethodPost, one + "/test", false, "testConnection", tagConnections, "Make one real round trip", RoleOperator, pageDeadline, "", "Verdict", nil, (*API).testConnection},
		{http.MethodPost, one + "/deploy", false, "deployConnection", tagConnections, "Have a revision run, the latest unless one is named", RoleAdmin, actDeadline, "", "ConnectionRead", revision(false), (*API).deployConnection},
		{http.MethodPost, one + "/rollback", false, "rollbackConnection", tagConnections, "Make an earlier revision the latest, and deploy it", RoleAdmin, actDeadline, "", "ConnectionRead", revision(true), (*API).rollbackConnection},
		{http.MethodPost, one + "/detach", false, "detachConnection", tagConnections, "Take a connection over from the operator's file", RoleAdmin, actDeadline, "", "ConnectionRead", change, (*API).detachConnection},
		{http.MethodGet, one + "/revisions", false, "listRevisions", tagConnections, "List revisions, newest first, with what changed", RoleViewer, readDeadline, "", "RevisionList", []parameter{limitParameter, placeParameter}, (*API).listRevisions},
		{http.MethodGet, one + "/revisions/{revision}", false, "getRevision", tagConnections, "Show a revision", RoleViewer, readDeadline, "", "Connection", nil, (*API).getRevision},
		{http.MethodPost, one + "/pause", false, "pauseConnection", tagConnections, "Let polls and deliveries wait; webhooks are taken", RoleOperator, actDeadline, "", "Object", nil, (*API).pauseConfigured},
		{http.MethodPost, one + "/resume", false, "resumeConnection", tagConnections, "Go on", RoleOperator, actDeadline, "", "Object", nil, (*API).resumeConfigured},
		{http.MethodPost, one + "/stop", false, "stopConnection", tagConnections, "As pause, and offsets may be changed", RoleOperator, actDeadline, "", "Object", nil, (*API).stopConfigured},
		{http.MethodPost, one + "/restart", false, "restartConnection", tagConnections, "Begin the work again: an event that failed is tried again", RoleOperator, actDeadline, "", "Object", nil, (*API).restartConfigured},
		{http.MethodPost, aliasPrefix + "/apply", true, "applyFile", tagConnections, "Bring the connections of a weir.yaml into the store, all or nothing", RoleAdmin, pageDeadline, "File", "Plan", []parameter{
			{name: "dry_run", kind: "boolean", doc: "Only say what would change."},
			{name: "prune", kind: "boolean", doc: "Delete connections of the file that it does not name any more."},
			messageParameter,
		}, (*API).applyFile},
		{http.MethodGet, aliasPrefix + "/schema", true, "getSchema", tagConnections, "The JSON Schema of weir.yaml, for editors", RoleViewer, readDeadline, "", "Object", nil, (*API).getSchema},
		{http.MethodGet, aliasPrefix + "/projects", true, "listProjects", tagProjects, "List projects", RoleViewer, readDeadline, "", "ProjectList", []parameter{limitParameter, placeParameter}, (*API).listProjects},
		{http.MethodPost, aliasPrefix + "/projects", true, "createProject", tagProjects, "Make a project", RoleAdmin, actDeadline, "ProjectWrite", "Project", nil, (*API).createProject},
		{http.MethodGet, projectPrefix, true, "getProject", tagProjects, "Show a project", RoleViewer, readDeadline, "", "Project", nil, (*API).getProject},
		{http.MethodPatch, projectPrefix, true, "patchProject", tagProjects, "Change a project", RoleAdmin, actDeadline, "ProjectPatch", "Project", nil, (*API).patchProject},
		{http.MethodDelete, projectPrefix, true, "deleteProject", tagProjects, "Delete a project that has no connections", RoleAdmin, actDeadline, "", "Project", nil, (*API).deleteProject},
	}
}

// taken are the operations that have routes without a desk of connections, too.
var taken = map[string]bool{"listConnections": true, "pauseConnection": true, "resumeConnection": true, "stopConnection": true, "restartConnection": true}

// limit is the most bytes of the body of an operation.
func (o operation) limit() int64 {
	switch {
	case o.body == "File":
		return maxFileBody
	case o.body != "":
		return connection.MaxBodyBytes + 1
	case o.method == http.MethodPost:
		return formLimit
	}
	return 0
}

// patterns are the paths of an operation: for every project, and for the default.
func (o operation) patterns() []string {
	if o.whole {
		return []string{o.path}
	}
	return []string{projectPrefix + o.path, aliasPrefix + o.path}
}

// configurationTable are the rows of these operations.
func configurationTable() []Route {
	rows := []Route{
		{http.MethodGet, openAPIPath, RoleViewer, 0, readDeadline, FaceAPI},
		{http.MethodGet, docsPath, RoleViewer, 0, readDeadline, FaceDashboard},
	}
	for _, o := range configurationOperations() {
		if taken[o.id] {
			continue
		}
		for _, pattern := range o.patterns() {
			rows = append(rows, Route{o.method, pattern, o.role, o.limit(), o.deadline, FaceAPI})
		}
	}
	return rows
}

// configurationRoutes are there when the process has a desk of connections.
func (a *API) configurationRoutes() {
	for _, o := range configurationOperations() {
		for _, pattern := range o.patterns() {
			a.router.Method(o.method, pattern, a.answer(func(r *http.Request) (reply, error) { return o.handle(a, r) }))
		}
	}
	a.router.Get(openAPIPath, a.answer(a.getOpenAPI))
	a.router.Get(docsPath, a.serveDocs)
}

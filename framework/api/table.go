package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// Face says which part of the process a route belongs to.
type Face string

// Faces of the process.
const (
	// FaceAPI is the management API.
	FaceAPI Face = "api"
	// FaceDashboard is the pages for people.
	FaceDashboard Face = "dashboard"
	// FaceIntake takes webhooks from anywhere: no Host and no cross-origin check.
	FaceIntake Face = "intake"
	// FaceConnect is the Kafka Connect API.
	FaceConnect Face = "connect"
	// FaceProbe is for the machines that watch this process.
	FaceProbe Face = "probe"
)

// Route is one row of the table.
type Route struct {
	Method, Pattern string
	Role            Role
	// BodyLimit is the most bytes of a request body, 0 for none; [OwnLimit]
	// leaves it to the handler.
	BodyLimit int64
	// Deadline bounds the whole answer; 0 leaves it to the handler.
	Deadline time.Duration
	Face     Face
}

// OwnLimit is the BodyLimit of a route whose handler bounds the body itself.
const OwnLimit int64 = -1

const (
	readDeadline = 15 * time.Second
	// actDeadline bounds what changes one row of the store.
	actDeadline = 30 * time.Second
	// pageDeadline bounds a page on demand: the sync route's own deadline, and
	// the commit after it.
	pageDeadline = 2 * time.Minute
	// formLimit is enough for a form of one or two fields.
	formLimit = 4 << 10
)

// Routes returns the table: one row for every route that the process serves.
func Routes() []Route {
	rows := []Route{
		{http.MethodGet, "/healthz", RolePublic, 0, readDeadline, FaceProbe},
		{http.MethodGet, "/readyz", RolePublic, 0, readDeadline, FaceProbe},
		{http.MethodGet, "/metrics", RoleViewer, 0, readDeadline, FaceProbe},

		{http.MethodGet, "/api/v1/changes", RoleViewer, 0, 0, FaceAPI},

		{http.MethodGet, "/", RoleViewer, 0, readDeadline, FaceDashboard},
		{http.MethodGet, "/streams/{project}/{connection}/{stream}", RoleOperator, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/streams/{project}/{connection}/{stream}/{action}", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/deliveries/{project}/{connection}/{delivery}", RoleOperator, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/deliveries/{project}/{connection}/{delivery}/redeliver", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/deliveries/{project}/{connection}/{delivery}/discard", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/endpoints/{project}/{connection}/{path}/resume", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/endpoints/{project}/{connection}/{path}/redeliver", RoleOperator, formLimit, pageDeadline, FaceDashboard},
		{http.MethodPost, "/endpoints/{project}/{connection}/{path}/discard", RoleOperator, formLimit, pageDeadline, FaceDashboard},
		{http.MethodGet, "/connections/{project}/{connection}", RoleViewer, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/connections/{project}/{connection}/{action}", RoleOperator, formLimit, pageDeadline, FaceDashboard},
		{http.MethodPost, "/connections/{project}/{connection}/deploy", RoleAdmin, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/connections/{project}/{connection}/rollback", RoleAdmin, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/sinks/{project}/{connection}", RoleViewer, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/{action}", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/sinks/{project}/{connection}/dead-letters/{letter}", RoleOperator, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/dead-letters/{letter}/redeliver", RoleOperator, editLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/dead-letters/{letter}/discard", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/dead-letters/redeliver", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/dead-letters/discard", RoleOperator, formLimit, pageDeadline, FaceDashboard},
		{http.MethodPost, "/sinks/{project}/{connection}/redeliveries/{redelivery}/cancel", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/actions/{project}/{connection}", RoleOperator, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/actions/{project}/{connection}/{run_id}/cancel", RoleOperator, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/login", RolePublic, 0, readDeadline, FaceDashboard},
		{http.MethodPost, "/login", RolePublic, formLimit, actDeadline, FaceDashboard},
		{http.MethodPost, "/logout", RolePublic, formLimit, actDeadline, FaceDashboard},
		{http.MethodGet, "/assets/{name}", RolePublic, 0, readDeadline, FaceDashboard},
	}
	rows = append(rows, connectAdminTable()...)
	for _, prefix := range []string{"", "/p/{project}"} {
		rows = append(rows, connectTable(prefix)...)
	}
	for _, prefix := range []string{"/webhooks", "/p/{project}/webhooks"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions} {
			rows = append(rows, Route{method, prefix + "/{connection}/{path}", RolePublic, OwnLimit, 0, FaceIntake})
		}
	}
	rows = append(rows, accessTable()...)
	rows = append(rows, triggerTable()...)
	rows = append(rows, configurationTable()...)
	for _, prefix := range []string{projectPrefix, aliasPrefix} {
		rows = append(rows, webhookTable(prefix)...)
		rows = append(rows, sinkTable(prefix)...)
		rows = append(rows, actionTable(prefix)...)
		rows = append(rows,
			Route{http.MethodGet, prefix + "/streams", RoleViewer, 0, readDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/connections", RoleViewer, 0, readDeadline, FaceAPI},
			// What a sender put into a delivery may stand in its handler's error.
			Route{http.MethodGet, prefix + "/connections/{connection}/deliveries", RoleOperator, 0, readDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/runs/{run_id}", RoleViewer, 0, readDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/connections/{connection}/streams/{stream}", RoleViewer, 0, readDeadline, FaceAPI},
			// Payloads may be personal data: not for everybody with a login.
			Route{http.MethodGet, prefix + "/connections/{connection}/streams/{stream}/events", RoleOperator, 0, readDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/connections/{connection}/streams/{stream}/runs", RoleViewer, 0, readDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/streams/{stream}/pause", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/streams/{stream}/resume", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/streams/{stream}/run", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/streams/{stream}/reset", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/connections/{connection}/streams/{stream}/backfills", RoleViewer, 0, readDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/streams/{stream}/backfills", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodGet, prefix + "/connections/{connection}/backfills/{backfill}", RoleViewer, 0, readDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/backfills/{backfill}/cancel", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/backfills/{backfill}/resume", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/pause", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/resume", RoleOperator, formLimit, actDeadline, FaceAPI},
			Route{http.MethodPost, prefix + "/connections/{connection}/sync/{stream}", RoleOperator, formLimit, pageDeadline, FaceAPI},
		)
	}
	return rows
}

const (
	// aliasPrefix stands for the project default.
	aliasPrefix   = "/api/v1"
	projectPrefix = "/api/v1/projects/{project}"
)

// routeName is what a row is found by.
type routeName struct{ method, pattern string }

// CheckRoutes fails when routes serve something that has no row in the table of
// [Routes], and names all of it.
func CheckRoutes(routes chi.Routes) error {
	known := map[routeName]bool{}
	for _, row := range Routes() {
		known[routeName{row.Method, row.Pattern}] = true
	}
	var errs []error
	err := chi.Walk(routes, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !known[routeName{method, CleanPattern(pattern)}] {
			errs = append(errs, fmt.Errorf("route %s %s has no row in the table of routes; give it a role, a body limit and a deadline there", method, pattern))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// CleanPattern brings the pattern of a walk into the form that a matched
// request has: mounted routers leave "/*" in it.
func CleanPattern(pattern string) string {
	for strings.Contains(pattern, "/*/") {
		pattern = strings.ReplaceAll(pattern, "/*/", "/")
	}
	if pattern != "/" {
		pattern = strings.TrimSuffix(strings.TrimSuffix(pattern, "//"), "/")
	}
	return pattern
}

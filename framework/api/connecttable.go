package api

import "net/http"

// connectLimit bounds the configuration of a connection.
const connectLimit = 512 << 10

// connectTable are the rows of the Kafka Connect face below a prefix. Changing a
// connection may open it, which takes longer than a row of the store.
func connectTable(prefix string) []Route {
	one := prefix + "/connectors/{connector}"
	row := func(method, pattern string, role Role, limit int64) Route {
		deadline := actDeadline
		if method == http.MethodGet {
			deadline = readDeadline
		}
		return Route{method, pattern, role, limit, deadline, FaceConnect}
	}
	return []Route{
		row(http.MethodGet, prefix+"/connectors", RoleViewer, 0),
		row(http.MethodPost, prefix+"/connectors", RoleAdmin, connectLimit),
		row(http.MethodGet, one, RoleViewer, 0),
		row(http.MethodPut, one, RoleAdmin, connectLimit),
		row(http.MethodDelete, one, RoleAdmin, formLimit),
		row(http.MethodGet, one+"/config", RoleViewer, 0),
		row(http.MethodPut, one+"/config", RoleAdmin, connectLimit),
		row(http.MethodPatch, one+"/config", RoleAdmin, connectLimit),
		row(http.MethodGet, one+"/status", RoleViewer, 0),
		// The documentation of the HTTP sink has GET for these two.
		{http.MethodGet, one + "/pause", RoleOperator, 0, actDeadline, FaceConnect},
		{http.MethodGet, one + "/resume", RoleOperator, 0, actDeadline, FaceConnect},
		row(http.MethodPut, one+"/pause", RoleOperator, formLimit),
		row(http.MethodPut, one+"/resume", RoleOperator, formLimit),
		row(http.MethodPut, one+"/stop", RoleOperator, formLimit),
		row(http.MethodPost, one+"/restart", RoleOperator, formLimit),
		row(http.MethodGet, one+"/tasks", RoleViewer, 0),
		row(http.MethodGet, one+"/tasks/{task}/status", RoleViewer, 0),
		row(http.MethodPost, one+"/tasks/{task}/restart", RoleOperator, formLimit),
		row(http.MethodGet, one+"/offsets", RoleViewer, 0),
		row(http.MethodPatch, one+"/offsets", RoleOperator, connectLimit),
		row(http.MethodDelete, one+"/offsets", RoleOperator, formLimit),
		row(http.MethodGet, one+"/topics", RoleViewer, 0),
		row(http.MethodPut, one+"/topics/reset", RoleOperator, formLimit),
		row(http.MethodGet, prefix+"/connector-plugins", RoleViewer, 0),
		row(http.MethodGet, prefix+"/connector-plugins/{plugin}/config", RoleViewer, 0),
		row(http.MethodPut, prefix+"/connector-plugins/{plugin}/config/validate", RoleOperator, connectLimit),
	}
}

// connectAdminTable are the rows of that face which belong to no project.
func connectAdminTable() []Route {
	return []Route{
		{http.MethodGet, "/health", RolePublic, 0, readDeadline, FaceConnect},
		{http.MethodGet, "/admin/loggers", RoleViewer, 0, readDeadline, FaceConnect},
		{http.MethodGet, "/admin/loggers/{logger}", RoleViewer, 0, readDeadline, FaceConnect},
		{http.MethodPut, "/admin/loggers/{logger}", RoleAdmin, formLimit, actDeadline, FaceConnect},
	}
}

package api

// rowSummaries are the tag and the summary in the OpenAPI document of routes that
// are made by their row alone, by method and pattern without the part of the project.
var rowSummaries = map[string]struct{ tag, summary string }{
	"GET /api/v1/audit":             {"access", "List who changed what, newest first"},
	"GET /api/v1/tokens":            {"access", "List tokens, without their secrets"},
	"POST /api/v1/tokens":           {"access", "Make a token; its secret is shown once"},
	"DELETE /api/v1/tokens/{token}": {"access", "Revoke a token"},
	"POST /api/v1/secrets/rotate":   {"access", "Seal every stored secret anew with the first key"},
	"GET /api/v1/changes":           {"process", "Hear of changes as they happen (server-sent events)"},

	"GET /connections/{connection}/actions":           {"actions", "List the actions of a connection"},
	"POST /connections/{connection}/actions/{action}": {"actions", "Start a run of an action"},
	"GET /connections/{connection}/action-runs":       {"actions", "List runs of actions, newest first"},
	"DELETE /runs/{run_id}":                           {"actions", "Cancel a run of an action"},
	"GET /runs/{run_id}":                              {"runs", "Show a run, of a sync or of an action"},
	"GET /runs/{run_id}/events":                       {"actions", "Follow the progress of a run of an action (server-sent events)"},
	"GET /runs/{run_id}/output":                       {"actions", "Show what a run of an action gave"},

	"GET /connections/{connection}/backfills/{backfill}":         {"backfills", "Show a backfill and its progress"},
	"POST /connections/{connection}/backfills/{backfill}/cancel": {"backfills", "End a backfill after its page"},
	"POST /connections/{connection}/backfills/{backfill}/resume": {"backfills", "Go on with a backfill"},
	"GET /connections/{connection}/streams/{stream}/backfills":   {"backfills", "List the backfills of a stream"},
	"POST /connections/{connection}/streams/{stream}/backfills":  {"backfills", "Read a range of the past anew, beside the live stream"},

	"GET /streams": {"streams", "List streams and their health"},
	"GET /connections/{connection}/streams/{stream}":         {"streams", "Show a stream and its health"},
	"GET /connections/{connection}/streams/{stream}/events":  {"streams", "List recorded events of a stream"},
	"GET /connections/{connection}/streams/{stream}/runs":    {"streams", "List runs of a stream, newest first"},
	"POST /connections/{connection}/streams/{stream}/pause":  {"streams", "Pause a stream"},
	"POST /connections/{connection}/streams/{stream}/resume": {"streams", "Resume a stream"},
	"POST /connections/{connection}/streams/{stream}/run":    {"streams", "Run a stream now"},
	"POST /connections/{connection}/streams/{stream}/reset":  {"streams", "Set a stream's checkpoint back: to the start, to a cursor or to a date"},
	"POST /connections/{connection}/sync/{stream}":           {"streams", "Read a page of a stream now, and answer with what came"},
	"GET /connections/{connection}/erasures":                 {"streams", "List the records of erasures"},
	"POST /connections/{connection}/erasures":                {"streams", "Blank what is known of an entity"},

	"GET /sinks":                                                      {"sinks", "List sinks, their state and their lag"},
	"GET /connections/{connection}/offsets":                           {"sinks", "Show how far a sink is in each of its streams"},
	"POST /connections/{connection}/offsets":                          {"sinks", "Move a sink in a stream, while it is stopped"},
	"POST /connections/{connection}/replays":                          {"sinks", "Deliver a range again to a sink, its offset stays"},
	"POST /connections/{connection}/replays/{replay}/cancel":          {"sinks", "Cancel a replay"},
	"GET /connections/{connection}/dead-letters":                      {"sinks", "List the dead letters of a sink"},
	"GET /connections/{connection}/dead-letters/{letter}":             {"sinks", "Show a dead letter: event, request and answer"},
	"POST /connections/{connection}/dead-letters/redeliver":           {"sinks", "Deliver dead letters again: named ones or all, at a rate"},
	"POST /connections/{connection}/dead-letters/discard":             {"sinks", "Discard dead letters for a reason"},
	"POST /connections/{connection}/redeliveries/{redelivery}/cancel": {"sinks", "Cancel a redelivery: the rest stay dead letters"},

	"GET /connections/{connection}/webhooks":                {"webhooks", "List the endpoints of a connection"},
	"GET /connections/{connection}/webhooks/{path}":         {"webhooks", "Show an endpoint: what came, what was refused and why"},
	"POST /connections/{connection}/webhooks/{path}/resume": {"webhooks", "End the quarantine of an endpoint"},
	"GET /connections/{connection}/deliveries":              {"webhooks", "List stored deliveries of a connection's endpoints"},
	"GET /connections/{connection}/deliveries/{delivery}":   {"webhooks", "Show a stored delivery"},
	"POST /connections/{connection}/deliveries/redeliver":   {"webhooks", "Hand stored deliveries to their handler again"},
	"POST /connections/{connection}/deliveries/discard":     {"webhooks", "Discard stored deliveries for a reason"},
}

package api

import (
	"maps"

	"github.com/weirhq/weir/framework/connection"
)

// bodyExamples are the examples of bodies, by schema. A test sends each of them.
var bodyExamples = map[string]object{
	"ConnectionWrite": {
		"basic POST webhook": object{"summary": "A webhook that is sent by POST", "value": object{
			"type": "webhook", "name": "notify", "description": "Tells the shop", "httpMethod": "POST", "fullUrl": "https://hooks.example.com/notify",
			"headerList": []any{object{"name": "Content-Type", "value": "application/json"}},
		}},
		"GET webhook with authentication": object{"summary": "A request by GET with a token", "value": object{
			"type": "webhook", "name": "lookup", "fullUrl": "https://hooks.example.com/lookup?source=weir",
			"headerList": []any{object{"name": "Authorization", "value": "Bearer example-token-0123456789"}}, "timeout": 5,
		}},
		"PUT webhook with custom headers": object{"summary": "Requests by PUT with headers of one's own", "value": object{
			"type": "webhook", "name": "replace", "httpMethod": "PUT", "fullUrl": "https://hooks.example.com/items",
			"headerList": []any{object{"name": "X-Tenant", "value": "acme"}, object{"name": "X-Api-Key", "value": "example-key-0123456789"}},
			"timeout":    10, "connectionPoolMaxConnectionPerHost": 8, "connectionPoolMaxConnectionTotal": 16,
		}},
		"HTTPS webhook": object{"summary": "HTTPS, saved and not deployed yet", "value": object{
			"type": "webhook", "name": "secure", "httpMethod": "POST", "fullUrl": "https://secure.example.com/in", "deployToWorker": false, "enabled": true,
		}},
		"source": object{"summary": "A source that polls", "value": object{
			"name": "orders", "connector": "http", "type": "source", "labels": object{"team": "shop"},
			"config": object{"endpoint": "https://api.example.com/orders", "stream": "orders", "interval_ms": 60000},
		}},
		"sink": object{"summary": "A sink in the usual form", "value": object{
			"name": "warehouse", "connector": "http", "type": "sink", "config": object{"endpoint": "https://warehouse.example.com/events", "batch": object{"max_events": 10}, "format": "cloudevents_batched"},
		}},
	},
	"ConnectionPatch": {
		"rename": object{"summary": "Another description", "value": object{"description": "Orders of the shop"}},
	},
	"ProjectWrite": {"project": object{"value": object{"name": "eu", "description": "customers in Europe"}}},
	"ProjectPatch": {"project": object{"value": object{"description": "customers in Europe and beyond"}}},
}

func typed(kind, doc string) object { return object{"type": kind, "description": doc} }

// untyped is a value that may be null: generators of clients do not agree on how
// to say so.
func untyped(doc string) object { return object{"description": doc} }

func listOf(schema object) object { return object{"type": "array", "items": schema} }

func mapOf(schema object) object { return object{"type": "object", "additionalProperties": schema} }

func objectOf(required []string, properties object) object {
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// merged returns the members of several objects.
func merged(all ...object) object {
	out := object{}
	for _, one := range all {
		maps.Copy(out, one)
	}
	return out
}

// commonProperties are those of both forms of a connection.
func commonProperties() object {
	return object{
		"name": typed("string", "The name, as in the path."), "project": typed("string", "The project, as in the path."),
		"displayName": typed("string", "What pages show."), "description": typed("string", "What it is for."),
		"enabled": object{"type": "boolean", "default": true, "description": "Whether anything of it runs."},
		"streams": object{"type": "array", "items": object{"type": "string"}, "description": "The streams of a source, none for all; or what a sink subscribes to: connection.stream, a key that is unique, or a glob."},
		"labels":  mapOf(object{"type": "string"}), "start": object{"type": "string", "enum": []string{"earliest", "latest"}},
	}
}

// shownProperties are those that only answers have.
func shownProperties() object {
	states := []connection.State{
		connection.StateDraft, connection.StateRunning, connection.StatePaused, connection.StateStopped, connection.StateFailed,
		connection.StateDisabled, connection.StateDeleted,
	}
	return object{
		"id": typed("string", "The immutable id."), "state": object{"type": "string", "enum": states},
		"reason": typed("string", "Why it failed."), "node": typed("string", "Which process does the work."),
		"revision":          object{"type": "integer", "format": "int64", "description": "The latest revision."},
		"deployed_revision": object{"type": "integer", "format": "int64", "description": "The one that is to run, 0 for none."},
		"running_revision":  object{"type": "integer", "format": "int64", "description": "The one that runs here."},
		"managed_by":        object{"type": "string", "enum": []string{"file", "api", connection.ManagedByNobody}},
		"secrets":           mapOf(object{"type": "string", "description": "The fingerprint of the secret at this path."}),
		"warnings":          listOf(reference("Fault")), "form": typed("string", "webhook for the flat form."),
		"created_at": object{"type": "string", "format": "date-time"}, "updated_at": object{"type": "string", "format": "date-time"},
	}
}

// schemas are the components of the document.
func schemas() object {
	usual := merged(commonProperties(), object{
		"connector":  typed("string", "The key of the connector."),
		"type":       object{"type": "string", "enum": []string{connection.TypeSource, connection.TypeSink, connection.TypeTrigger}},
		"config":     object{"type": "object", "additionalProperties": true, "description": "The connector's settings, see /api/v1/schema. Secrets are shown as ***, which keeps them when it is written back."},
		"extra":      mapOf(object{"type": "string"}),
		"rate_limit": typed("string", "How many requests the provider allows."), "budget": typed("string", "Connections that name one share its rate."),
		"retention": object{"type": "object", "additionalProperties": true}, "endpoints": object{"type": "object", "additionalProperties": true},
	})
	flat := merged(commonProperties(), object{
		"type":                               object{"type": "string", "enum": []string{connection.FormWebhook}},
		"httpMethod":                         object{"type": "string", "default": "GET", "enum": []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}},
		"fullUrl":                            object{"type": "string", "description": "The whole URL, http or https. Certificates are verified, unless config.tls says otherwise."},
		"headerList":                         listOf(objectOf([]string{"name", "value"}, object{"name": object{"type": "string"}, "value": object{"type": "string"}})),
		"timeout":                            object{"type": "number", "default": 2, "description": "Seconds."},
		"connectionPoolMaxConnectionPerHost": object{"type": "integer", "default": 24},
		"connectionPoolMaxConnectionTotal":   object{"type": "integer", "default": 48},
		"config":                             object{"type": "object", "additionalProperties": true, "description": "Settings of the sink that the flat form has no name for."},
	})
	deploy := object{"deployToWorker": object{"type": "boolean", "default": true, "description": "false saves a revision without deploying it."}}
	change := objectOf([]string{"path"}, object{"path": object{"type": "string"}, "before": object{"type": "string"}, "after": object{"type": "string"}})
	return object{
		"Object":          object{"type": "object", "additionalProperties": true},
		"Connection":      objectOf([]string{"name", "connector", "type"}, merged(usual, deploy)),
		"Webhook":         objectOf([]string{"type", "name", "fullUrl"}, merged(flat, deploy)),
		"ShownConnection": objectOf([]string{"id", "name", "project", "connector", "type", "state", "revision", "deployed_revision", "managed_by"}, merged(usual, shownProperties())),
		"ShownWebhook":    objectOf([]string{"id", "name", "type", "fullUrl", "state", "revision", "deployed_revision", "managed_by"}, merged(flat, deploy, shownProperties())),
		"ConnectionWrite": object{"oneOf": []any{reference("Connection"), reference("Webhook")}},
		"ConnectionRead":  object{"oneOf": []any{reference("ShownConnection"), reference("ShownWebhook")}},
		"ConnectionPatch": object{"type": "object", "additionalProperties": true, "description": "A JSON Merge Patch (RFC 7396) of a connection in the usual form."},
		"ConnectionList":  objectOf([]string{"connections", "next"}, object{"connections": listOf(reference("ConnectionRead")), "next": untyped("Where the next page begins, or null at the end.")}),
		"Validation":      objectOf([]string{"valid", "warnings"}, object{"valid": object{"type": "boolean"}, "warnings": listOf(reference("Fault"))}),
		"Verdict": objectOf([]string{"ok", "summary", "steps"}, object{
			"ok": object{"type": "boolean"}, "summary": object{"type": "string"},
			"steps": listOf(objectOf([]string{"name", "ok", "took_ms"}, object{
				"name": object{"type": "string"}, "ok": object{"type": "boolean"}, "detail": object{"type": "string"}, "took_ms": object{"type": "integer", "format": "int64"},
			})),
		}),
		"RevisionList": objectOf([]string{"revisions", "next"}, object{"next": untyped("Where the next page begins, or null at the end."), "revisions": listOf(objectOf([]string{"revision", "deployed", "created_at", "by", "changes"}, object{
			"revision": object{"type": "integer", "format": "int64"}, "deployed": object{"type": "boolean"}, "created_at": object{"type": "string", "format": "date-time"},
			"by": object{"type": "string"}, "message": object{"type": "string"}, "changes": listOf(change),
		}))}),
		"Plan": objectOf([]string{"dry_run", "applied", "steps"}, object{
			"dry_run": object{"type": "boolean"}, "applied": object{"type": "boolean"},
			"steps": listOf(objectOf([]string{"action", "project", "changes"}, object{
				"action": object{"type": "string"}, "project": object{"type": "string"}, "name": object{"type": "string"}, "changes": listOf(change),
			})),
		}),
		"Project": objectOf([]string{"name", "description"}, object{
			"name": object{"type": "string"}, "description": object{"type": "string"},
			"created_at": untyped("A time, or null."), "updated_at": untyped("A time, or null."),
		}),
		"ProjectWrite": objectOf([]string{"name"}, object{"name": object{"type": "string"}, "description": object{"type": "string"}}),
		"ProjectPatch": objectOf(nil, object{"description": object{"type": "string"}}),
		"ProjectList":  objectOf([]string{"projects", "next"}, object{"projects": listOf(reference("Project")), "next": untyped("Where the next page begins, or null at the end.")}),
		"Fault": objectOf([]string{"path", "message"}, object{
			"path": object{"type": "string"}, "message": object{"type": "string"}, "rule": object{"type": "string"},
		}),
		"Problem": objectOf([]string{"type", "title", "status", "code"}, object{
			"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"}, "detail": object{"type": "string"}, "code": object{"type": "string"},
			"errors": listOf(objectOf([]string{"detail"}, object{
				"parameter": object{"type": "string"}, "path": object{"type": "string"}, "detail": object{"type": "string"}, "rule": object{"type": "string"},
			})),
		}),
	}
}

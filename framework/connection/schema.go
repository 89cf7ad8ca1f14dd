package connection

import (
	"maps"

	"github.com/weirhq/weir/framework"
)

// SettingSchemas are the JSON Schemas of the settings of every linked connector,
// by "<connector> as <type>".
func (d *Desk) SettingSchemas() map[string]map[string]any {
	return SettingSchemas(d.cfg.Plugins)
}

// SettingSchemas are the JSON Schemas of the settings of connectors.
func SettingSchemas(plugins []framework.Plugin) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, p := range plugins {
		if p.Source() {
			out[p.Key()+" as "+TypeSource] = framework.SettingsSchema(p.Settings())
		}
		if as, ok := p.AsSink(); ok {
			out[p.Key()+" as "+TypeSink] = framework.SettingsSchema(as.Settings())
		}
	}
	return out
}

// FileSchema is the JSON Schema of weir.yaml for editors.
func (d *Desk) FileSchema() map[string]any { return FileSchema(d.cfg.Plugins) }

// FileSchema is the JSON Schema of a weir.yaml with the given connectors. It
// helps to write one; what is checked is more.
func FileSchema(plugins []framework.Plugin) map[string]any {
	text := func(doc string) map[string]any { return map[string]any{"type": "string", "description": doc} }
	texts := func(doc string) map[string]any {
		return map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "description": doc}
	}
	anything := func(doc string) map[string]any { return map[string]any{"description": doc} }
	var keys []string
	var choices []any
	definitions := map[string]any{}
	for _, p := range plugins {
		keys = append(keys, p.Key())
		for _, kind := range []string{TypeSource, TypeSink} {
			schema, ok := SettingSchemas([]framework.Plugin{p})[p.Key()+" as "+kind]
			if !ok {
				continue
			}
			schema = maps.Clone(schema)
			delete(schema, "$schema")
			// A name with dots and a synonym are settings too, and secrets may be references.
			delete(schema, "additionalProperties")
			delete(schema, "required")
			name := p.Key() + "-" + kind
			definitions[name] = schema
			when := map[string]any{"properties": map[string]any{"connector": map[string]any{"const": p.Key()}, "type": map[string]any{"const": kind}}, "required": []string{"connector"}}
			if kind == TypeSink {
				when["required"] = []string{"connector", "type"}
			}
			choices = append(choices, map[string]any{
				"if": when, "then": map[string]any{"properties": map[string]any{"config": map[string]any{"$ref": "#/$defs/" + name}}},
			})
		}
	}
	entry := map[string]any{
		"type": "object", "additionalProperties": false, "required": []string{"name"}, "allOf": choices,
		"properties": map[string]any{
			"name":         map[string]any{"type": "string", "pattern": namePattern.String(), "description": "The name, unique in its project."},
			"display_name": text("What pages show."), "displayName": text("As display_name."), "description": text("What it is for."),
			"project":   text("The project; default unless set."),
			"connector": map[string]any{"type": "string", "enum": keys, "description": "The connector."},
			"class":     map[string]any{"type": "string", "enum": keys, "description": "As connector."},
			"type":      map[string]any{"type": "string", "enum": []string{TypeSource, TypeSink, TypeTrigger}, "default": TypeSource},
			"enabled":   map[string]any{"type": "boolean", "default": true},
			"stream":    text("One stream."), "streams": texts("The streams to run, or what a sink subscribes to."), "topics": anything("As streams of a sink."),
			"start":     map[string]any{"type": "string", "enum": []string{"earliest", "latest"}, "description": "Where a sink begins in a new stream."},
			"labels":    map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}},
			"extra":     map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}},
			"config":    map[string]any{"type": "object", "description": "The connector's settings."},
			"retention": anything("What is kept."), "rate_limit": text("How many requests the provider allows, such as 100/min."),
			"budget": text("Connections that name one share its rate."), "endpoints": anything("Limits of webhook endpoints, by their paths."),
		},
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "weir.yaml", "type": "object", "$defs": definitions,
		"properties": map[string]any{
			"connections": map[string]any{"type": "array", "items": entry},
			"projects": map[string]any{"type": "array", "items": map[string]any{
				"type": "object", "additionalProperties": false, "required": []string{"name"},
				"properties": map[string]any{"name": text("The project's name."), "description": text("What it is for.")},
			}},
		},
	}
}

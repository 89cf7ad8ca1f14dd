package framework

import (
	"encoding/json"
	"reflect"
)

// Setting describes one setting of a connector, for whoever shows or checks
// settings without knowing the connector: a form, a page of documentation, an
// editor.
type Setting struct {
	// Name is the key below its parent; it is "" for the entries of a list or map.
	Name string
	// Type is text, integer, number, boolean, object, list, map or any. A type
	// that decodes itself may name one with a method SettingType() string.
	Type string
	// Doc is what the setting means, in the author's words.
	Doc string
	// Default is the default as JSON, or nil for none.
	Default json.RawMessage
	// Required says that the setting must be given.
	Required bool
	// Secret says that the value must never be shown, also not to those who set it.
	Secret bool
	// Several says that a list of texts may stand for the text.
	Several bool
	// URL says that the text is an absolute http or https URL.
	URL bool
	// Address says that the text is a URL, or a template of one: what looks like a
	// secret in it is kept and shown as secrets are, and the rest is shown.
	Address bool
	// Enum lists the words that the text may be; none means any.
	Enum []string
	// Min and Max bound a number, inclusive; "" for no bound.
	Min, Max json.Number
	// Fields are the settings of an object, in the author's order.
	Fields []Setting
	// Entry describes the entries of a list or map.
	Entry *Setting
}

// Settings describes the connector's settings, in the author's order. The
// secrets of webhook endpoints, which the framework reads itself, come last.
func (p Plugin) Settings() []Setting {
	list := describeFields(p.settings, 0)
	known := map[string]bool{}
	for _, s := range list {
		known[s.Name] = true
	}
	for _, name := range reservedSettings(p.connector) {
		if !known[name] {
			list = append(list, Setting{
				Name: name, Type: "text", Required: true, Secret: true, Several: true,
				Doc: "The secret that webhook deliveries are verified with, or a list of secrets while they are rotated.",
			})
		}
	}
	return list
}

// maxDescribedDepth ends the description of a type that holds itself.
const maxDescribedDepth = 16

func describeFields(t reflect.Type, depth int) []Setting {
	var list []Setting
	for _, f := range settingFields(t) {
		s := describeType(f.kind, depth+1)
		s.Name, s.Doc, s.Required, s.Enum, s.Min, s.Max = f.name, f.doc, f.required, f.enum, f.min, f.max
		s.Address = s.URL || f.url
		if f.fallback != "" {
			s.Default = json.RawMessage(f.fallback)
			if s.Type == "text" {
				s.Default, _ = json.Marshal(f.fallback)
			}
		}
		list = append(list, s)
	}
	return list
}

func describeType(t reflect.Type, depth int) Setting {
	s := Setting{Secret: isSecret(t), Several: t == reflect.TypeFor[Secrets](), URL: t == reflect.TypeFor[URL]()}
	if s.Secret || s.URL {
		s.Type = "text"
		return s
	}
	if depth > maxDescribedDepth {
		s.Type = "any"
		return s
	}
	switch shapeOf(t) {
	case shapeStruct:
		s.Type, s.Fields = "object", describeFields(t, depth)
	case shapeList, shapeMap:
		s.Type = "list"
		if shapeOf(t) == shapeMap {
			s.Type = "map"
		}
		entry := describeType(t.Elem(), depth+1)
		s.Entry = &entry
	case shapePointer:
		return describeType(t.Elem(), depth+1)
	default:
		s.Type = leafType(t)
	}
	return s
}

func leafType(t reflect.Type) string {
	if typed, ok := reflect.TypeAssert[interface{ SettingType() string }](reflect.Zero(t)); ok {
		return typed.SettingType()
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	default:
		return "any"
	}
}

// walk calls visit for s and every setting below it, with its path below parent.
func (s Setting) walk(parent string, visit func(path string, s Setting)) {
	path := joinPath(parent, s.Name)
	visit(path, s)
	for _, f := range s.Fields {
		f.walk(path, visit)
	}
	if s.Entry != nil {
		step := "[]"
		if s.Type == "map" {
			step = ".*"
		}
		s.Entry.walk(path+step, visit)
	}
}

// WalkSettings calls visit for every setting in list and below, with paths such
// as "headers[].value".
func WalkSettings(list []Setting, visit func(path string, s Setting)) {
	for _, s := range list {
		s.walk("", visit)
	}
}

// SettingsSchema returns settings as a JSON Schema (draft 2020-12). Secrets are
// writeOnly.
func SettingsSchema(list []Setting) map[string]any {
	schema := Setting{Type: "object", Fields: list}.schema()
	schema["$schema"] = schemaDialect
	return schema
}

// schemaDialect names the version of JSON Schema.
const schemaDialect = "https://json-schema.org/draft/2020-12/schema"

func (s Setting) schema() map[string]any {
	schema := map[string]any{}
	set := func(name string, value any, given bool) {
		if given {
			schema[name] = value
		}
	}
	set("description", s.Doc, s.Doc != "")
	set("default", s.Default, s.Default != nil)
	set("enum", s.Enum, s.Enum != nil)
	set("minimum", s.Min, s.Min != "")
	set("maximum", s.Max, s.Max != "")
	set("writeOnly", true, s.Secret)
	set("format", "uri", s.URL)
	switch s.Type {
	case "object":
		properties, required := map[string]any{}, []string{}
		for _, f := range s.Fields {
			properties[f.Name] = f.schema()
			if f.Required {
				required = append(required, f.Name)
			}
		}
		schema["type"], schema["properties"], schema["additionalProperties"] = "object", properties, false
		set("required", required, len(required) > 0)
	case "list":
		schema["type"], schema["items"] = "array", s.Entry.schema()
	case "map":
		schema["type"], schema["additionalProperties"] = "object", s.Entry.schema()
	case "any":
	case "text":
		schema["type"] = "string"
		if s.Several {
			schema["type"], schema["items"] = []string{"string", "array"}, map[string]any{"type": "string"}
		}
	default:
		schema["type"] = s.Type
	}
	return schema
}

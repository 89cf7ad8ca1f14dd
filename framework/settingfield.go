package framework

import (
	"encoding/json"
	"reflect"
	"strings"
)

// settingField is one field of a settings struct, as its tags describe it:
//
//	json      the setting's name
//	default   its default, as text or JSON
//	required  "true" refuses its absence
//	enum      the words it may hold, with commas between
//	min, max  bounds of a number, inclusive
//	url       "true" says that the text is a URL or a template of one; type [URL] needs no such tag
//	doc       what it means, for operators
//
// An embedded struct with default:"-" leaves its defaults out: they stand where
// it is embedded without.
type settingField struct {
	index    []int
	name     string
	kind     reflect.Type
	fallback string
	required bool
	enum     []string
	min, max json.Number
	url      bool
	doc      string
}

// settingFields reads the fields of a settings struct. Those of an embedded
// struct without a name stand among the others, as in JSON.
func settingFields(t reflect.Type) []settingField {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var fields []settingField
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			for _, inner := range settingFields(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				if f.Tag.Get("default") == "-" {
					inner.fallback = ""
				}
				fields = append(fields, inner)
			}
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		field := settingField{
			index: []int{i}, name: name, kind: f.Type, fallback: f.Tag.Get("default"), required: f.Tag.Get("required") == "true",
			min: json.Number(f.Tag.Get("min")), max: json.Number(f.Tag.Get("max")), url: f.Tag.Get("url") == "true", doc: f.Tag.Get("doc"),
		}
		if words := f.Tag.Get("enum"); words != "" {
			field.enum = strings.Split(words, ",")
		}
		fields = append(fields, field)
	}
	return fields
}

// settingShape says how the values of a type are written.
type settingShape int

const (
	// shapeLeaf is one value, which the type itself decodes.
	shapeLeaf settingShape = iota
	// shapeStruct is a mapping with known keys.
	shapeStruct
	// shapeList is a list of values of the type's element.
	shapeList
	// shapeMap is a mapping from any name to values of the type's element.
	shapeMap
	// shapePointer is an optional value of the type's element.
	shapePointer
)

func shapeOf(t reflect.Type) settingShape {
	if t.Implements(reflect.TypeFor[json.Unmarshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return shapeLeaf
	}
	switch t.Kind() {
	case reflect.Struct:
		return shapeStruct
	case reflect.Slice:
		return shapeList
	case reflect.Map:
		return shapeMap
	case reflect.Pointer:
		return shapePointer
	default:
		return shapeLeaf
	}
}

// isSecret reports whether the type's values must never be shown.
func isSecret(t reflect.Type) bool {
	return t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[Secrets]()
}

// joinPath writes the path of a setting below another.
func joinPath(path, name string) string {
	if path == "" || strings.HasPrefix(name, "[") {
		return path + name
	}
	if name == "" {
		return path
	}
	return path + "." + name
}

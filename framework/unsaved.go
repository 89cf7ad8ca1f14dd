package framework

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// unsaved says what of a cursor type is lost by a round trip through JSON, or ""
// where that is not certain. path names the part of the cursor that t is.
func unsaved(t reflect.Type, path string, open map[reflect.Type]bool) string {
	if open[t] || hasOwnJSON(t) {
		return ""
	}
	open[t] = true
	defer delete(open, t)
	part := "it"
	if path != "" {
		part = path
	}
	switch t.Kind() {
	case reflect.Chan:
		return part + " is a channel"
	case reflect.Func:
		return part + " is a function"
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return part + " is an interface, into which nothing can be decoded"
		}
	case reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return part + " is of type " + t.String() + ", which has no JSON form"
	case reflect.Pointer:
		return unsaved(t.Elem(), path, open)
	case reflect.Slice, reflect.Array, reflect.Map:
		return unsaved(t.Elem(), path+"[]", open)
	case reflect.Struct:
		return unsavedField(t, part, path, open)
	default:
	}
	return ""
}

func unsavedField(t reflect.Type, part, path string, open map[reflect.Type]bool) string {
	saved := 0
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		saved++
		if why := unsaved(f.Type, strings.TrimPrefix(path+"."+f.Name, "."), open); why != "" {
			return why
		}
	}
	if saved == 0 && t.NumField() > 0 {
		return part + " has no exported field, so it is saved empty"
	}
	return ""
}

// hasOwnJSON reports whether t says itself how it is saved.
func hasOwnJSON(t reflect.Type) bool {
	for _, own := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	} {
		if t.Implements(own) || reflect.PointerTo(t).Implements(own) {
			return true
		}
	}
	return false
}

package catalogcheck

import (
	"fmt"
	"go/types"
	"reflect"
	"strings"
)

// checkCursor reports a cursor type that does not come back from a checkpoint
// as it went in.
func (m *model) checkCursor(d *declaration) {
	if d.Kind != pollStream || d.inFunction {
		return
	}
	named, ok := types.Unalias(m.pass.TypesInfo.TypeOf(d.call)).(*types.Named)
	if !ok || named.TypeArgs().Len() != 2 {
		return
	}
	cursor := named.TypeArgs().At(1)
	if why := unsaved(cursor, "", map[types.Type]bool{}); why != "" {
		m.report(found("SC206", d.call.Fun, "cursor type %s of %s does not survive a checkpoint: %s; keep positions in exported fields of plain types",
			types.TypeString(cursor, types.RelativeTo(m.pass.Pkg)), d.label(), why))
	}
}

// unsaved says what of t is lost by a round trip through JSON, or "" where that
// is not certain. path names the part of the cursor that t is.
func unsaved(t types.Type, path string, open map[types.Type]bool) string {
	if open[t] || ownJSON(t) {
		return ""
	}
	open[t] = true
	defer delete(open, t)
	part := "it"
	if path != "" {
		part = path
	}
	switch u := t.Underlying().(type) {
	case *types.Chan:
		return part + " is a channel"
	case *types.Signature:
		return part + " is a function"
	case *types.Interface:
		// An empty interface is decoded, though maybe to another type.
		if u.NumMethods() > 0 && !isTypeParameter(t) {
			return part + " is an interface, into which nothing can be decoded"
		}
	case *types.Basic:
		if u.Info()&types.IsComplex != 0 || u.Kind() == types.UnsafePointer {
			return fmt.Sprintf("%s is of type %s, which has no JSON form", part, u.Name())
		}
	case *types.Pointer:
		return unsaved(u.Elem(), path, open)
	case *types.Slice:
		return unsaved(u.Elem(), path+"[]", open)
	case *types.Array:
		return unsaved(u.Elem(), path+"[]", open)
	case *types.Map:
		return unsaved(u.Elem(), path+"[]", open)
	case *types.Struct:
		return unsavedField(u, part, path, open)
	}
	return ""
}

func unsavedField(s *types.Struct, part, path string, open map[types.Type]bool) string {
	saved := 0
	for i := range s.NumFields() {
		field := s.Field(i)
		name, _, _ := strings.Cut(reflect.StructTag(s.Tag(i)).Get("json"), ",")
		if name == "-" || !field.Exported() && !field.Embedded() {
			continue
		}
		saved++
		inner := strings.TrimPrefix(path+"."+field.Name(), ".")
		if why := unsaved(field.Type(), inner, open); why != "" {
			return why
		}
	}
	if saved == 0 && s.NumFields() > 0 {
		return part + " has no exported field, so it is saved empty"
	}
	return ""
}

func isTypeParameter(t types.Type) bool {
	_, ok := types.Unalias(t).(*types.TypeParam)
	return ok
}

// ownJSON reports whether t has a JSON form of its own, of which nothing is
// known here.
func ownJSON(t types.Type) bool {
	methods := types.NewMethodSet(t)
	if _, pointer := t.Underlying().(*types.Pointer); !pointer {
		methods = types.NewMethodSet(types.NewPointer(t))
	}
	for _, name := range []string{"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText"} {
		if methods.Lookup(nil, name) != nil {
			return true
		}
	}
	return false
}

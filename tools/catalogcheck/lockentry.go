package catalogcheck

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"github.com/weirhq/weir/tools/cataloglock"
)

// locked is what the lock keeps of one connector, with the source of it.
type locked struct {
	entry   cataloglock.Connector
	dynamic bool
	// whole says that everything could be read.
	whole   bool
	at      ast.Node
	streams map[string]listing
}

// lockedConnector is what the lock keeps of one connector, with the places of
// findings about it.
type lockedConnector struct {
	Entry          cataloglock.Connector
	Dynamic, Whole bool
	At             Place
	// Streams are the places of its streams, by key.
	Streams map[string]Place
}

func (l locked) placed(fset *token.FileSet) lockedConnector {
	c := lockedConnector{Entry: l.entry, Dynamic: l.dynamic, Whole: l.whole, At: place(fset, l.at.Pos(), l.at.End()), Streams: map[string]Place{}}
	for key, s := range l.streams {
		at := s.place()
		c.Streams[key] = place(fset, at.Pos(), at.End())
	}
	return c
}

// lockEntries returns what the lock keeps of the connectors of the package.
func lockEntries(m *model) []locked {
	if m == nil {
		return nil
	}
	var all []locked
	for _, c := range m.connectors {
		l := locked{whole: c.complete(), dynamic: c.dynamic, at: c.at, streams: map[string]listing{}}
		l.entry.Key = c.key
		if !l.whole {
			all = append(all, l)
			continue
		}
		manifest := m.manifest(c)
		l.entry.Package = manifest.Package
		for i, s := range manifest.Streams {
			one := cataloglock.Stream{Key: s.Key, Mode: s.Mode, RenamedFrom: s.RenamedFrom, FormerKeys: s.FormerKeys, Window: s.Window, Backfill: s.Backfill}
			if cursor := m.cursorOf(c.streams[i]); cursor != nil {
				one.Cursor = &cataloglock.Cursor{Type: cursorDigest(cursor), Version: s.CursorVersion, Migrates: m.migrates(c.streams[i], s.CursorVersion)}
			}
			one.Identity = m.identity(c.streams[i])
			l.entry.Streams = append(l.entry.Streams, one)
			l.streams[s.Key] = c.streams[i]
		}
		for _, e := range manifest.Endpoints {
			l.entry.Endpoints = append(l.entry.Endpoints, cataloglock.Endpoint{Path: e.Path, Auth: e.Auth})
		}
		for _, a := range manifest.Actions {
			l.entry.Actions = append(l.entry.Actions, cataloglock.Action{Key: a.Key})
		}
		all = append(all, l)
	}
	return all
}

// cursorOf returns the cursor type of a listed poll stream, or nil.
func (m *model) cursorOf(l listing) types.Type {
	for _, e := range []ast.Expr{l.expr, ast.Expr(l.call)} {
		if e == nil || reflect.ValueOf(e).IsNil() {
			continue
		}
		if named, ok := types.Unalias(m.pass.TypesInfo.TypeOf(e)).(*types.Named); ok && named.TypeArgs().Len() == 2 {
			return named.TypeArgs().At(1)
		}
	}
	return nil
}

// callsAbout calls visit for each call of a function of the given package whose
// argument names the stream.
func (m *model) callsAbout(l listing, pkg string, names []string, argument int, visit func(*ast.CallExpr)) {
	t := m.tracer()
	for _, file := range m.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) <= argument {
				return true
			}
			if path, name := callee(m.pass.TypesInfo, call); path != pkg || !slices.Contains(names, name) {
				return true
			}
			if d, known := m.declared(t, of(call.Args[argument])); known && d == l.declaration {
				visit(call)
			}
			return true
		})
	}
}

// migrates returns the earlier versions that the stream's sync route reads. Where
// that cannot be told it may be all of them: nothing is proven missing.
func (m *model) migrates(l listing, version int) (versions []int) {
	unknown := false
	m.callsAbout(l, frameworkPath, []string{"Sync"}, 0, func(sync *ast.CallExpr) {
		if len(sync.Args) < 3 {
			return
		}
		for _, arg := range sync.Args[2:] {
			call, ok := ast.Unparen(arg).(*ast.CallExpr)
			if !ok || !calls(m.pass.TypesInfo, call, frameworkPath, "FromVersion") {
				unknown = true
				continue
			}
			n, exact := int64(0), false
			if value := m.pass.TypesInfo.Types[call.Args[0]].Value; value != nil {
				n, exact = constant.Int64Val(constant.ToInt(value))
			}
			unknown = unknown || !exact
			versions = append(versions, int(n))
		}
	})
	if unknown {
		versions = nil
		for v := range version {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// identity says how the keys of the stream's events are made: the functions of
// package ingest, and the field that names the entity where it is one.
func (m *model) identity(l listing) (all []string) {
	t := m.tracer()
	m.callsAbout(l, ingestPath, []string{"Canonical", "Delete"}, 1, func(call *ast.CallExpr) {
		options, known := t.origins(of(call.Args[len(call.Args)-1]))
		if !known || len(options) != 1 {
			return
		}
		literal, ok := options[0].expr.(*ast.CompositeLit)
		if !ok {
			return
		}
		field, ok := fieldOf(literal, "IdempotencyKey", 0)
		if !ok {
			return
		}
		key, ok := ast.Unparen(field).(*ast.CallExpr)
		if !ok {
			return
		}
		path, name := callee(m.pass.TypesInfo, key)
		if path != ingestPath || len(key.Args) == 0 {
			return
		}
		entity := ""
		if selector, ok := ast.Unparen(key.Args[0]).(*ast.SelectorExpr); ok {
			entity = selector.Sel.Name
		}
		all = append(all, name+"("+entity+")")
	})
	slices.Sort(all)
	return slices.Compact(all)
}

// cursorDigest is the digest that a checkpoint has for a cursor of type t, see
// package framework: the shape of its JSON form, without the names of types.
func cursorDigest(t types.Type) string {
	var shape strings.Builder
	writeShape(&shape, t, map[types.Type]bool{})
	sum := sha256.Sum256([]byte(shape.String()))
	return hex.EncodeToString(sum[:8])
}

func writeShape(w *strings.Builder, t types.Type, open map[types.Type]bool) {
	t = types.Unalias(t)
	if open[t] {
		w.WriteString("^")
		return
	}
	open[t] = true
	defer delete(open, t)
	switch u := t.Underlying().(type) {
	case *types.Struct:
		if named, ok := t.(*types.Named); ok && decodesItself(t) {
			fmt.Fprintf(w, "%s.%s", packagePath(named), named.Obj().Name())
			return
		}
		w.WriteString("{")
		for i := range u.NumFields() {
			f := u.Field(i)
			name, _, _ := strings.Cut(reflect.StructTag(u.Tag(i)).Get("json"), ",")
			if name == "-" || !f.Exported() && !f.Embedded() {
				continue
			}
			if name == "" {
				name = f.Name()
			}
			w.WriteString(name + ":")
			writeShape(w, f.Type(), open)
			w.WriteString(";")
		}
		w.WriteString("}")
	case *types.Slice:
		w.WriteString("[]")
		writeShape(w, u.Elem(), open)
	case *types.Array:
		w.WriteString("[]")
		writeShape(w, u.Elem(), open)
	case *types.Map:
		w.WriteString("map[" + kind(u.Key()) + "]")
		writeShape(w, u.Elem(), open)
	case *types.Pointer:
		writeShape(w, u.Elem(), open)
	default:
		w.WriteString(kind(t))
	}
}

// kind is the name of t's kind as package reflect has it.
func kind(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.UnsafePointer {
			return "unsafe.Pointer"
		}
		return types.Typ[u.Kind()].Name()
	case *types.Interface:
		return "interface"
	case *types.Chan:
		return "chan"
	case *types.Signature:
		return "func"
	case *types.Struct:
		return "struct"
	case *types.Slice:
		return "slice"
	case *types.Array:
		return "array"
	case *types.Map:
		return "map"
	case *types.Pointer:
		return "ptr"
	}
	return t.String()
}

// decodesItself reports whether t or *t has UnmarshalJSON.
func decodesItself(t types.Type) bool {
	return types.NewMethodSet(types.NewPointer(t)).Lookup(nil, "UnmarshalJSON") != nil
}

func packagePath(n *types.Named) string {
	if n.Obj().Pkg() == nil {
		return ""
	}
	return n.Obj().Pkg().Path()
}

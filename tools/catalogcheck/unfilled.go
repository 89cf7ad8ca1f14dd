package catalogcheck

import (
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strings"
)

// unfilled is a variable into which nothing is ever put, as far as its uses
// tell, with the first place where it is read all the same.
type unfilled struct {
	variable *types.Var
	read     ast.Expr
	filled   bool
}

// checkUnfilled reports records that are read though nothing was decoded into
// them: the call that should have done it is gone, or gets another variable.
func (s *routeStage) checkUnfilled() {
	if len(s.connectors) == 0 && !imports(s.pass.Pkg, ingestPath) {
		return
	}
	all := map[*types.Var]*unfilled{}
	var order []*unfilled
	for v, sources := range s.uses.sources {
		if (!s.uses.opaque[v] || buffers(v.Type())) && v.Parent() != s.pass.Pkg.Scope() && startsEmpty(s.pass.TypesInfo, v.Type(), sources) {
			all[v] = &unfilled{variable: v}
			order = append(order, all[v])
		}
	}
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			v, _ := s.pass.TypesInfo.Uses[id].(*types.Var)
			if u := all[v]; u != nil {
				s.useOf(u, id, stack)
			}
			return true
		})
	}
	slices.SortFunc(order, func(a, b *unfilled) int { return int(a.variable.Pos() - b.variable.Pos()) })
	for _, u := range order {
		if u.read != nil && !u.filled {
			s.report(found("SC412", u.read, "%s is read, but nothing is ever put into %s; decode what the provider sent into it, and return the error", types.ExprString(u.read), u.variable.Name()))
		}
	}
}

// startsEmpty reports whether a variable is only declared, and is of a type that
// records are decoded into.
func startsEmpty(info *types.Info, t types.Type, sources []source) bool {
	if len(sources) != 1 || sources[0].kind != wholeValue || !decodable(t) {
		return false
	}
	if sources[0].expr == nil {
		return true
	}
	if _, table := t.Underlying().(*types.Map); table {
		return false
	}
	made, ok := ast.Unparen(sources[0].expr).(*ast.UnaryExpr)
	if !ok {
		return false
	}
	literal, ok := made.X.(*ast.CompositeLit)
	return ok && decodable(info.TypeOf(literal))
}

// decodable reports whether values of t come out of a decoder: provider records,
// structs with JSON names, lists of either, and buffers.
func decodable(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return decodable(u.Elem())
	case *types.Slice:
		return decodable(u.Elem())
	case *types.Map:
		return true // one that was never made cannot be filled but by a decoder
	case *types.Struct:
		if isNamed(t, ingestPath, "Record") || buffers(t) {
			return true
		}
		for i := range u.NumFields() {
			if named(u.Tag(i)) {
				return true
			}
		}
	}
	return false
}

// buffers reports whether t collects what is written to it.
func buffers(t types.Type) bool {
	return isNamed(t, "bytes", "Buffer") || isNamed(t, "strings", "Builder")
}

func named(tag string) bool {
	name, ok := reflect.StructTag(tag).Lookup("json")
	return ok && name != "-"
}

// useOf judges one use of the variable: reading leaves it as it is, everything
// else may fill it.
func (s *routeStage) useOf(u *unfilled, id *ast.Ident, stack []ast.Node) {
	switch parent := stack[len(stack)-1].(type) {
	case *ast.SelectorExpr:
		if parent.X != id {
			break
		}
		reads, empty := s.reads(u, parent)
		if empty && u.read == nil {
			u.read = parent
		}
		if reads {
			return
		}
	case *ast.RangeStmt:
		if parent.X == id {
			switch u.variable.Type().Underlying().(type) {
			case *types.Slice, *types.Map:
				u.read = id
				return
			}
		}
	case *ast.IndexExpr:
		if _, table := u.variable.Type().Underlying().(*types.Map); table && parent.X == id {
			u.read = id
			return
		}
	case *ast.ReturnStmt:
		return
	case *ast.CallExpr:
		if builtin, ok := parent.Fun.(*ast.Ident); ok && builtin.Name == "len" && s.pass.TypesInfo.Uses[builtin] == types.Universe.Lookup("len") {
			return
		}
		if isNamed(u.variable.Type(), ingestPath, "Record") {
			if u.read == nil {
				u.read = id
			}
			return
		}
	}
	u.filled = true
}

// reads reports whether a selector leaves the variable as it is, and whether
// what it reads is surely empty: a decoded field, or the content of a buffer.
func (s *routeStage) reads(u *unfilled, selector *ast.SelectorExpr) (reads, empty bool) {
	selection, ok := s.pass.TypesInfo.Selections[selector]
	if !ok {
		return false, false
	}
	t := u.variable.Type()
	switch {
	case buffers(t):
		reads = slices.Contains([]string{"Bytes", "String", "Len"}, selector.Sel.Name)
		return reads, reads
	case selection.Kind() != types.FieldVal:
		// A method with a value receiver leaves the variable alone.
		reads = isNamed(t, ingestPath, "Record")
		return reads, reads
	case isNamed(t, ingestPath, "Record"):
		return true, true
	case len(selection.Index()) != 1:
		return true, false
	}
	owner := t.Underlying()
	if pointer, ok := owner.(*types.Pointer); ok {
		owner = pointer.Elem().Underlying()
		if s.givenBy(u.variable, selector.Sel.Name) {
			return true, false
		}
	}
	fields, ok := owner.(*types.Struct)
	return true, ok && named(fields.Tag(selection.Index()[0]))
}

// givenBy reports whether the literal that the variable points to sets a field.
func (s *routeStage) givenBy(v *types.Var, field string) bool {
	made, ok := ast.Unparen(s.uses.sources[v][0].expr).(*ast.UnaryExpr)
	if !ok {
		return false
	}
	literal, ok := made.X.(*ast.CompositeLit)
	if !ok {
		return false
	}
	for _, element := range literal.Elts {
		pair, keyed := element.(*ast.KeyValueExpr)
		if !keyed {
			return true
		}
		if id, ok := pair.Key.(*ast.Ident); ok && strings.EqualFold(id.Name, field) {
			return true
		}
	}
	return false
}

package catalogcheck

import (
	"go/ast"
	"go/types"

	"github.com/weirhq/weir/catalog"
)

// checkReading reports a sync route that never looks at what it was asked for.
func (s *routeStage) checkReading(b binding) {
	d := b.serves[0]
	if !d.SpecKnown {
		return
	}
	read, cursor, ok := s.fieldsRead(b.handler)
	if !ok {
		return
	}
	ranged := d.Poll.Window || d.Poll.Backfill
	switch {
	case ranged && !read["From"] && !read["To"]:
		promise := "Window"
		if d.Poll.Backfill {
			promise = "Backfill"
		}
		broken := found("SC207", b.call.Args[1], "the sync route of %s reads neither From nor To, but %s declares %s; ask the provider for that range, or remove the declaration", d.label(), d.refer(), promise)
		// An operator who asks for a range gets another one, and cannot see it.
		broken.severity = catalog.SeverityError
		s.report(broken)
	case !ranged && !read["Cursor"] && !isEmptyStruct(cursor):
		s.report(found("SC207", b.call.Args[1], "the sync route of %s never reads the cursor, so every page starts from the beginning; read it, or make the cursor's type struct{}", d.label()))
	}
}

// fieldsRead returns which fields of its request a sync function reads. ok is
// false where the request is handed on as a whole.
func (s *routeStage) fieldsRead(fn function) (read map[string]bool, cursor types.Type, ok bool) {
	var names []*ast.Ident
	var kinds []ast.Expr
	for _, field := range fn.typ.Params.List {
		for range max(len(field.Names), 1) {
			kinds = append(kinds, field.Type)
		}
		if len(field.Names) == 0 {
			names = append(names, nil)
		}
		names = append(names, field.Names...)
	}
	if len(kinds) != 3 {
		return nil, nil, false
	}
	named, isRequest := types.Unalias(s.pass.TypesInfo.TypeOf(kinds[1])).(*types.Named)
	if !isRequest || named.TypeArgs().Len() != 1 || isTypeParameter(named.TypeArgs().At(0)) {
		return nil, nil, false
	}
	read = map[string]bool{}
	if names[1] == nil || names[1].Name == "_" {
		return read, named.TypeArgs().At(0), true
	}
	request := s.pass.TypesInfo.Defs[names[1]]
	ok = true
	ast.PreorderStack(fn.body, nil, func(n ast.Node, stack []ast.Node) bool {
		id, isIdent := n.(*ast.Ident)
		if !isIdent || s.pass.TypesInfo.Uses[id] != request {
			return true
		}
		selector, selected := stack[len(stack)-1].(*ast.SelectorExpr)
		if !selected || selector.X != id {
			ok = false
			return true
		}
		read[selector.Sel.Name] = true
		return true
	})
	return read, named.TypeArgs().At(0), ok
}

func isEmptyStruct(t types.Type) bool {
	s, ok := t.Underlying().(*types.Struct)
	return ok && s.NumFields() == 0
}

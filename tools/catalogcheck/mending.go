package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/weirhq/weir/catalog/schedule"
)

// deletion takes n out of the source.
func deletion(n ast.Node) analysis.TextEdit {
	return analysis.TextEdit{Pos: n.Pos(), End: n.End()}
}

// removeComment is the fix for an ignore comment that accepts nothing.
func removeComment(comment *ast.Comment) *fix {
	return &fix{label: "delete the comment", edits: []analysis.TextEdit{deletion(comment)}}
}

// describe is the fix for a stream without a description: a comment that says
// what is known, to be completed.
func (d *declaration) describe() *fix {
	id, ok := d.at.(*ast.Ident)
	if !ok || !d.KeyKnown {
		return nil
	}
	at := id.Pos()
	if d.doc.IsValid() {
		at = d.doc
	}
	return &fix{label: "write a comment to be completed", edits: []analysis.TextEdit{
		insertion(at, d.draft(id.Name)),
	}}
}

// draft is a comment to be completed.
func (d *declaration) draft(name string) string {
	if d.Kind == action {
		return fmt.Sprintf("// %s is the action %q; say what it does.\n", name, d.Key)
	}
	return fmt.Sprintf("// %s are the records of the stream %q; say what they are.\n", name, d.Key)
}

// evenStep is the fix for a step that leaves uneven gaps: the spec with the
// nearest step that does not.
func evenStep(at ast.Node, spec string) *fix {
	for _, p := range schedule.Check(spec) {
		if p.Rule == "SC113" && p.Fix != "" {
			return fixConstant("write "+p.Fix, at, strconv.Quote(p.Fix))
		}
	}
	return nil
}

// list is the fix for a declaration that no connector lists, where there is one
// literal to add it to.
func (m *model) list(d *declaration, field string, index int) *fix {
	id, ok := d.at.(*ast.Ident)
	if !ok || len(m.connectors) != 1 || m.pass.TypesInfo.Defs[id] == nil {
		return nil
	}
	v, ok := m.pass.TypesInfo.Defs[id].(*types.Var)
	e, found := fieldOf(m.connectors[0].literal, field, index)
	if !ok || !found || v.Parent() != m.pass.Pkg.Scope() {
		return nil
	}
	literal, ok := ast.Unparen(e).(*ast.CompositeLit)
	if !ok {
		return nil
	}
	return &fix{label: "list " + id.Name, edits: []analysis.TextEdit{m.appendTo(literal, id.Name)}}
}

// appendTo adds an element to the end of a list.
func (m *model) appendTo(literal *ast.CompositeLit, element string) analysis.TextEdit {
	n := len(literal.Elts)
	if n == 0 {
		return insertion(literal.Lbrace+1, element)
	}
	last := literal.Elts[n-1]
	separator := ", "
	if m.pass.Fset.Position(last.End()).Line != m.pass.Fset.Position(literal.Rbrace).Line {
		separator = ",\n"
	}
	return insertion(last.End(), separator+element)
}

// unlist is the fix for an entry that is in its list twice.
func unlist(literal *ast.CompositeLit, entry ast.Expr) *fix {
	for i, e := range literal.Elts {
		if e == entry && i > 0 {
			return &fix{label: "remove the second entry", edits: []analysis.TextEdit{{Pos: literal.Elts[i-1].End(), End: e.End()}}}
		}
	}
	return nil
}

// entryList returns the list literal of a connector that has entry in it.
func (c *connector) entryList(field string, index int) *ast.CompositeLit {
	e, ok := fieldOf(c.literal, field, index)
	if !ok {
		return nil
	}
	literal, _ := ast.Unparen(e).(*ast.CompositeLit)
	return literal
}

// verifyFirst is the fix for a handler that never verifies, where its parameters
// have names to do it with.
func (s *routeStage) verifyFirst(handler function) *fix {
	names := parameterNames(handler.typ)
	if len(names) != 3 || names[0] == nil || names[1] == nil || names[1].Name == "_" || handler.body == nil {
		return nil
	}
	if results := handler.typ.Results; results == nil || results.NumFields() != 1 {
		return nil
	}
	f := &fix{label: "verify first"}
	ctx := names[0].Name
	if ctx == "_" {
		ctx = "ctx"
		f.edits = append(f.edits, analysis.TextEdit{Pos: names[0].Pos(), End: names[0].End(), NewText: []byte(ctx)})
	}
	f.edits = append(f.edits, insertion(handler.body.Lbrace+1,
		fmt.Sprintf("\nif err := %s.Verify(%s); err != nil {\nreturn err\n}", names[1].Name, ctx)))
	return f
}

// compareSteadily is the fix for a signature that is compared byte by byte.
func (s *routeStage) compareSteadily(n ast.Node, operands []ast.Expr) *fix {
	hmac, ok := s.importName(n, "crypto/hmac")
	if !ok || len(operands) != 2 {
		return nil
	}
	f := &fix{label: "compare with hmac.Equal"}
	switch n := n.(type) {
	case *ast.CallExpr:
		path, name := callee(s.pass.TypesInfo, n)
		if path != "bytes" || name != "Equal" {
			return nil
		}
		f.edits = append(f.edits, analysis.TextEdit{Pos: n.Fun.Pos(), End: n.Fun.End(), NewText: []byte(hmac + "Equal")})
		if unused := s.onlyUse(n, path); unused != nil {
			f.edits = append(f.edits, deletion(unused))
		}
	case *ast.BinaryExpr:
		not := ""
		if n.Op == token.NEQ {
			not = "!"
		}
		f.edits = append(f.edits,
			insertion(n.X.Pos(), not+hmac+"Equal([]byte("),
			analysis.TextEdit{Pos: n.X.End(), End: n.Y.Pos(), NewText: []byte("), []byte(")},
			insertion(n.Y.End(), "))"))
	}
	return f
}

// onlyUse returns the import of the package at path in the file of n, if it is
// used there only once.
func (s *routeStage) onlyUse(n ast.Node, path string) *ast.ImportSpec {
	for _, file := range s.files {
		if n.Pos() < file.FileStart || n.Pos() >= file.FileEnd {
			continue
		}
		uses := 0
		ast.Inspect(file, func(e ast.Node) bool {
			if id, ok := e.(*ast.Ident); ok {
				if name, ok := s.pass.TypesInfo.Uses[id].(*types.PkgName); ok && name.Imported().Path() == path {
					uses++
				}
			}
			return true
		})
		for _, spec := range file.Imports {
			if strings.Trim(spec.Path.Value, "`\"") == path && uses == 1 {
				return spec
			}
		}
	}
	return nil
}

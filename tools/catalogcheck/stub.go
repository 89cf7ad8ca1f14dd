package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// stubRoute returns the fix for a poll stream without a sync route: the route,
// and a function in a file of its own that compiles and returns an error which
// names what is not written. It is nil where either could not be right.
func (s *routeStage) stubRoute(l listing, h handout) *fix {
	id, ok := l.at.(*ast.Ident)
	if !ok || l.Kind != pollStream || l.call == nil || !l.KeyKnown || s.variableOf(l.declaration) == nil {
		return nil
	}
	at, ok := h.at.(ast.Expr)
	literal, isLiteral := ast.Unparen(at).(*ast.CompositeLit)
	pkg, imported := s.importName(h.at, frameworkPath)
	if !ok || !isLiteral || !imported {
		return nil
	}
	stream, ok := types.Unalias(s.pass.TypesInfo.TypeOf(l.call)).(*types.Named)
	if !ok || stream.TypeArgs().Len() != 2 {
		return nil
	}
	imports := map[string]string{"context": "context", "errors": "errors", frameworkPath: "framework", ingestPath: "ingest"}
	cursor := types.TypeString(stream.TypeArgs().At(1), func(p *types.Package) string {
		if p == s.pass.Pkg {
			return ""
		}
		imports[p.Path()] = p.Name()
		return p.Name()
	})
	names := slices.Sorted(maps.Values(imports))
	if len(slices.Compact(names)) != len(imports) {
		return nil // two packages of one name
	}
	name := "sync" + strings.ToUpper(id.Name[:1]) + id.Name[1:]
	receiver, handler := "", name
	if v, named := s.client(h); v != nil {
		if obj, _, _ := types.LookupFieldOrMethod(named, true, s.pass.Pkg, name); obj != nil {
			return nil
		}
		receiver, handler = fmt.Sprintf("(%s *%s) ", v.Name(), named.Obj().Name()), v.Name()+"."+name
	} else if s.pass.Pkg.Scope().Lookup(name) != nil {
		return nil
	}
	content, err := format.Source(stubSource(s.pass.Pkg.Name(), imports, receiver, name, cursor, l.Key))
	if err != nil {
		return nil
	}
	route := fmt.Sprintf("%sSync(%s, %s)", pkg, id.Name, handler)
	edit := insertion(literal.Lbrace+1, route)
	if n := len(literal.Elts); n > 0 {
		last := literal.Elts[n-1]
		separator := ", "
		if s.pass.Fset.Position(last.End()).Line != s.pass.Fset.Position(literal.Rbrace).Line {
			separator = ",\n"
		}
		edit = insertion(last.End(), separator+route)
	}
	folder := filepath.Dir(s.pass.Fset.Position(id.Pos()).Filename)
	f := &fix{label: "add a sync route that is still to be written", file: filepath.Join(folder, "sync_"+l.Key+".go"), content: content}
	f.edits = append(f.edits, edit)
	return f
}

func stubSource(pkg string, imports map[string]string, receiver, name, cursor, key string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n", pkg)
	for _, path := range slices.SortedFunc(maps.Keys(imports), func(a, b string) int {
		// The standard library first, in a group of its own.
		if std := strings.Compare(fmt.Sprint(strings.Contains(a, ".")), fmt.Sprint(strings.Contains(b, "."))); std != 0 {
			return std
		}
		return strings.Compare(a, b)
	}) {
		if path == frameworkPath {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\t%q\n", path)
	}
	fmt.Fprintf(&b, `)

// %[2]s reads one page of the stream %[4]q.
func %[1]s%[2]s(ctx context.Context, in framework.SyncRequest[%[3]s], out *ingest.Buffer) (framework.SyncResult[%[3]s], error) {
	return framework.SyncResult[%[3]s]{}, framework.Permanent(errors.New(%[5]q))
}
`, receiver, name, cursor, key, fmt.Sprintf("the sync route of stream %q is not written", key))
	return []byte(b.String())
}

// client returns the variable whose methods the other routes of a handout bind,
// and its type, if it can be used there.
func (s *routeStage) client(h handout) (*types.Var, *types.Named) {
	for _, r := range h.routes {
		selector, ok := ast.Unparen(r.call.Args[1]).(*ast.SelectorExpr)
		if !ok {
			continue
		}
		id, ok := selector.X.(*ast.Ident)
		if !ok {
			continue
		}
		v, ok := s.pass.TypesInfo.Uses[id].(*types.Var)
		if !ok || v.Parent() == nil || !v.Parent().Contains(h.at.Pos()) || v.Pos() >= h.at.Pos() {
			continue
		}
		t := v.Type()
		if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
			t = pointer.Elem()
		}
		named, ok := types.Unalias(t).(*types.Named)
		if ok && named.Obj().Pkg() == s.pass.Pkg && named.TypeParams().Len() == 0 && !types.IsInterface(named) {
			return v, named
		}
	}
	return nil, nil
}

// importName returns what stands before the names of the package at path in the
// file of n, for example "framework.".
func (s *routeStage) importName(n ast.Node, path string) (string, bool) {
	for _, file := range s.files {
		if n.Pos() < file.FileStart || n.Pos() >= file.FileEnd {
			continue
		}
		for _, spec := range file.Imports {
			if strings.Trim(spec.Path.Value, "`\"") != path {
				continue
			}
			switch {
			case spec.Name == nil:
				return path[strings.LastIndex(path, "/")+1:] + ".", true
			case spec.Name.Name == ".":
				return "", true
			default:
				return spec.Name.Name + ".", spec.Name.Name != "_"
			}
		}
	}
	return "", false
}

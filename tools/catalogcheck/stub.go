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

	"golang.org/x/tools/go/analysis"
)

// stubRoute returns the fix for a poll stream without a sync route, or for an
// endpoint without a handler: the route, and a function in a file of its own that
// compiles and returns an error which names what is not written. It is nil where
// either could not be right.
func (s *routeStage) stubRoute(l listing, h handout) *fix {
	id, ok := l.at.(*ast.Ident)
	if !ok || l.Kind == webhookStream || l.Kind == action || l.call == nil || !l.KeyKnown || s.variableOf(l.declaration) == nil {
		return nil
	}
	at, ok := h.at.(ast.Expr)
	literal, isLiteral := ast.Unparen(at).(*ast.CompositeLit)
	pkg, imported := s.importName(h.at, frameworkPath)
	if !ok || !isLiteral || !imported {
		return nil
	}
	stub := handlerStub{
		pkg: s.pass.Pkg.Name(), key: l.Key, verb: "sync", constructor: "Sync",
		imports: map[string]string{"context": "context", "errors": "errors", frameworkPath: "framework", ingestPath: "ingest"},
	}
	if l.Kind == webhookEndpoint {
		stub.verb, stub.constructor = "receive", "Webhook"
	} else if !s.cursorOf(l, &stub) {
		return nil
	}
	stub.name = stub.verb + strings.ToUpper(id.Name[:1]) + id.Name[1:]
	handler, written := stub.name, s.pass.Pkg.Scope().Lookup(stub.name)
	if v, named := s.client(h); v != nil {
		written, _, _ = types.LookupFieldOrMethod(named, true, s.pass.Pkg, stub.name)
		stub.receiver, handler = fmt.Sprintf("(%s *%s) ", v.Name(), named.Obj().Name()), v.Name()+"."+stub.name
	}
	route := s.appendTo(literal, fmt.Sprintf("%s%s(%s, %s)", pkg, stub.constructor, id.Name, handler))
	if written != nil {
		if !serves(s.pass.TypesInfo, written, l) {
			return nil
		}
		return &fix{label: "bind " + handler, edits: []analysis.TextEdit{route}}
	}
	content, err := format.Source(stub.source())
	if err != nil {
		return nil
	}
	folder := filepath.Dir(s.pass.Fset.Position(id.Pos()).Filename)
	file := stub.verb + "_" + strings.ReplaceAll(l.Key, "-", "_") + ".go"
	f := &fix{label: "add a route that is still to be written", file: filepath.Join(folder, file), content: content}
	f.edits = append(f.edits, route)
	return f
}

// serves reports that a function takes what a declaration's route is called with.
func serves(info *types.Info, written types.Object, l listing) bool {
	f, ok := written.(*types.Func)
	if !ok || f.Signature().Params().Len() != 3 {
		return false
	}
	in := types.Unalias(f.Signature().Params().At(1).Type())
	if l.Kind == webhookEndpoint {
		pointer, ok := in.(*types.Pointer)
		return ok && isNamed(pointer.Elem(), frameworkPath, "Delivery")
	}
	request, ok := in.(*types.Named)
	stream, typed := types.Unalias(info.TypeOf(l.call)).(*types.Named)
	return ok && typed && isNamed(request, frameworkPath, "SyncRequest") && request.TypeArgs().Len() == 1 && stream.TypeArgs().Len() == 2 &&
		types.Identical(request.TypeArgs().At(0), stream.TypeArgs().At(1))
}

// cursorOf writes the cursor type of a poll stream into the stub, with what it
// takes to name it.
func (s *routeStage) cursorOf(l listing, stub *handlerStub) bool {
	stream, ok := types.Unalias(s.pass.TypesInfo.TypeOf(l.call)).(*types.Named)
	if !ok || stream.TypeArgs().Len() != 2 {
		return false
	}
	stub.cursor = types.TypeString(stream.TypeArgs().At(1), func(p *types.Package) string {
		if p == s.pass.Pkg {
			return ""
		}
		stub.imports[p.Path()] = p.Name()
		return p.Name()
	})
	names := slices.Sorted(maps.Values(stub.imports))
	return len(slices.Compact(names)) == len(stub.imports) // no two packages of one name
}

// handlerStub is a handler that is still to be written.
type handlerStub struct {
	pkg, receiver, name string
	// verb is sync or receive, constructor what makes the route.
	verb, constructor string
	// cursor is the type of a sync function's cursor.
	cursor string
	// key is the stream's key or the endpoint's path.
	key     string
	imports map[string]string
}

func (h handlerStub) source() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n", h.pkg)
	for _, path := range slices.SortedFunc(maps.Keys(h.imports), func(a, b string) int {
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
	b.WriteString(")\n\n")
	if h.verb == "receive" {
		fmt.Fprintf(&b, `// %[2]s takes one delivery of the endpoint %[3]q.
func %[1]s%[2]s(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	return errors.New(%[4]q)
}
`, h.receiver, h.name, h.key, fmt.Sprintf("the webhook route of endpoint %q is not written", h.key))
		return []byte(b.String())
	}
	fmt.Fprintf(&b, `// %[2]s reads one page of the stream %[4]q.
func %[1]s%[2]s(ctx context.Context, in framework.SyncRequest[%[3]s], out *ingest.Buffer) (framework.SyncResult[%[3]s], error) {
	return framework.SyncResult[%[3]s]{}, framework.Permanent(errors.New(%[5]q))
}
`, h.receiver, h.name, h.cursor, h.key, fmt.Sprintf("the sync route of stream %q is not written", h.key))
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

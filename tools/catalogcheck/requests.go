package catalogcheck

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// checkContexts reports calls that do not end when the handler is told to: they
// take a context of nobody, or none.
func (s *routeStage) checkContexts(bound []binding) {
	f := s.flow()
	reached := f.reachHandlers(bound)
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if fn := enclosing(stack); fn == nil || !reached[f.byBody[bodyOf(fn)]] {
				return true
			}
			s.checkContext(call, stack)
			return true
		})
	}
}

func (s *routeStage) checkContext(call *ast.CallExpr, stack []ast.Node) {
	path, name := callee(s.pass.TypesInfo, call)
	ctx := s.contextName(stack)
	switch {
	case path == "context" && (name == "Background" || name == "TODO"):
		if len(stack) > 0 && s.detaches(stack) {
			return
		}
		w := found("SC209", call, "context.%s never ends, so the handler goes on after it was told to stop; hand on the handler's own context", name)
		if ctx != "" && ctx != "_" {
			w.fix = s.replaceContext(call, ctx)
		}
		s.report(w)
	case path == "net/http" && name == "NewRequest" && !s.contextLater(call, stack):
		w := found("SC209", call, "a request without the handler's context goes on after the handler was told to stop; make it with http.NewRequestWithContext(ctx, …)")
		if selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok && ctx != "" && ctx != "_" {
			w.fix = &fix{label: "make the request with " + ctx, edits: []analysis.TextEdit{
				{Pos: selector.Sel.Pos(), End: selector.Sel.End(), NewText: []byte("NewRequestWithContext")},
				insertion(call.Args[0].Pos(), ctx+", "),
			}}
		}
		s.report(w)
	case path == "net/http" && (name == "Get" || name == "Head" || name == "Post" || name == "PostForm"), s.clientShortcut(call):
		s.report(found("SC209", call, "this request does not take the handler's context, so it goes on after the handler was told to stop; make it with http.NewRequestWithContext(ctx, …) and send it with framework.Fetch"))
	}
}

// clientShortcut reports whether call is a method of *http.Client that takes no
// request and so no context.
func (s *routeStage) clientShortcut(call *ast.CallExpr) bool {
	selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	fn, ok := s.pass.TypesInfo.Uses[selector.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "net/http" || fn.Signature().Recv() == nil {
		return false
	}
	pointer, ok := types.Unalias(fn.Signature().Recv().Type()).(*types.Pointer)
	if !ok || !isNamed(pointer.Elem(), "net/http", "Client") {
		return false
	}
	return fn.Name() == "Get" || fn.Name() == "Head" || fn.Name() == "Post" || fn.Name() == "PostForm"
}

// contextName returns the name of the nearest context parameter, "_" for one
// without a name, or "" when there is none.
func (s *routeStage) contextName(stack []ast.Node) string {
	for _, s0 := range slices.Backward(stack) {
		var typ *ast.FuncType
		switch n := s0.(type) {
		case *ast.FuncDecl:
			typ = n.Type
		case *ast.FuncLit:
			typ = n.Type
		default:
			continue
		}
		for _, field := range typ.Params.List {
			if !isNamed(s.pass.TypesInfo.TypeOf(field.Type), "context", "Context") {
				continue
			}
			if len(field.Names) == 0 {
				return "_"
			}
			return field.Names[0].Name
		}
	}
	return ""
}

// detaches reports whether a fresh context is only the value of a deadline that
// the handler sets itself after its own context ended, for cleaning up.
func (s *routeStage) detaches(stack []ast.Node) bool {
	for _, s := range slices.Backward(stack) {
		if _, ok := s.(*ast.DeferStmt); ok {
			return true
		}
		if _, ok := s.(*ast.FuncDecl); ok {
			return false
		}
	}
	return false
}

// contextLater reports whether the request that call makes gets a context by
// WithContext in the same function.
func (s *routeStage) contextLater(call *ast.CallExpr, stack []ast.Node) bool {
	fn := outermost(stack)
	if fn == nil {
		return false
	}
	later := false
	ast.Inspect(fn, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "WithContext" && selector.Pos() > call.End() {
			later = true
		}
		return !later
	})
	return later
}

// replaceContext returns the fix that hands on ctx, whose type keeps the import
// of package context in use.
func (s *routeStage) replaceContext(call *ast.CallExpr, ctx string) *fix {
	return &fix{label: "hand on " + ctx, edits: []analysis.TextEdit{{Pos: call.Pos(), End: call.End(), NewText: []byte(ctx)}}}
}

// checkStanding reports a page that asks for the next one with the cursor that
// it got itself.
func (s *routeStage) checkStanding(b binding) {
	names := parameterNames(b.handler.typ)
	if len(names) != 3 || names[1] == nil {
		return
	}
	request := s.pass.TypesInfo.Defs[names[1]]
	for _, statement := range b.handler.statements() {
		if len(statement.Results) != 2 || !s.pass.TypesInfo.Types[statement.Results[1]].IsNil() {
			continue
		}
		literal, ok := ast.Unparen(statement.Results[0]).(*ast.CompositeLit)
		if !ok {
			continue
		}
		more, ok := fieldOf(literal, "HasMore", 1)
		if !ok || !isTrue(s.pass.TypesInfo, more) {
			continue
		}
		cursor, ok := fieldOf(literal, "Cursor", 0)
		if ok && s.isOwnCursor(cursor, request) {
			s.report(found("SC208", literal, "the page asks for the next one with the cursor that it got, so the same page comes again and the run is stopped; move the cursor, or leave HasMore false"))
		}
	}
}

func parameterNames(typ *ast.FuncType) []*ast.Ident {
	var names []*ast.Ident
	for _, field := range typ.Params.List {
		if len(field.Names) == 0 {
			names = append(names, nil)
		}
		names = append(names, field.Names...)
	}
	return names
}

func isTrue(info *types.Info, e ast.Expr) bool {
	value := info.Types[e].Value
	return value != nil && value.String() == "true"
}

// isOwnCursor reports whether e is in.Cursor, or a variable that is nothing else
// and was never changed.
func (s *routeStage) isOwnCursor(e ast.Expr, request types.Object) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.SelectorExpr:
		id, ok := ast.Unparen(e.X).(*ast.Ident)
		if !ok || e.Sel.Name != "Cursor" || s.pass.TypesInfo.Uses[id] != request {
			return false
		}
		v, ok := request.(*types.Var)
		return ok && !reference(s.pass.TypesInfo.TypeOf(e)) && !s.uses.opaque[v] && len(s.uses.sources[v]) == 0
	case *ast.Ident:
		v, ok := s.pass.TypesInfo.Uses[e].(*types.Var)
		if !ok || s.uses.opaque[v] || len(s.uses.sources[v]) != 1 || s.uses.sources[v][0].expr == nil || s.uses.sources[v][0].kind != wholeValue {
			return false
		}
		if reference(v.Type()) {
			return false // what it refers to may have moved
		}
		return s.isOwnCursor(s.uses.sources[v][0].expr, request)
	}
	return false
}

// reference reports whether a copy of t shares memory with the original.
func reference(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Pointer, *types.Map, *types.Slice, *types.Interface:
		return true
	case *types.Struct:
		for field := range u.Fields() {
			if reference(field.Type()) {
				return true
			}
		}
	}
	return false
}

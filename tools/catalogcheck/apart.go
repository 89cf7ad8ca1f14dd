package catalogcheck

import (
	"go/ast"
	"go/types"
)

// checkApart reports a connector that is spread over packages: its streams, the
// function that opens it, or what it emits are somewhere else, where its catalog
// cannot be held against them. Types, payloads and helpers that are given their
// stream may be anywhere.
func (s *routeStage) checkApart() {
	for _, c := range s.connectors {
		for _, l := range c.listings() {
			if l.call == nil {
				s.report(found("SC109", l.expr, "%s is declared in another package than its connector, so a change there is not seen here; declare it here, and leave only its types there", l.label()).
					with(c.at, "the catalog is here"))
			}
		}
	}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch {
			case calls(s.pass.TypesInfo, call, frameworkPath, "Define"):
				s.checkDefinedApart(call)
			case len(s.connectors) == 0 && s.isEmission(call):
				if v := s.foreignVariable(call.Args[1]); v != nil {
					s.report(found("SC109", call.Args[1], "an event is emitted to %s.%s in another package than the connector's, where nothing proves what is emitted; emit it there, or take the stream as a parameter", v.Pkg().Name(), v.Name()))
				}
			}
			return true
		})
	}
}

// checkDefinedApart reports a connector that is linked with its routes in
// another package than the one that declares it.
func (s *routeStage) checkDefinedApart(call *ast.CallExpr) {
	if v := s.foreignVariable(call.Args[0]); v != nil {
		s.report(found("SC109", call.Args[0], "%s.%s is declared in another package than its routes, so nothing proves that they serve it; call framework.Define where it is declared", v.Pkg().Name(), v.Name()))
		return
	}
	var id *ast.Ident
	switch e := ast.Unparen(call.Args[1]).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	default:
		return
	}
	if fn, ok := s.pass.TypesInfo.Uses[id].(*types.Func); ok && fn.Pkg() != s.pass.Pkg {
		s.report(found("SC109", call.Args[1], "the routes are made in another package than the catalog, so nothing proves that they serve it; move %s here", fn.Name()))
	}
}

// foreignVariable returns the package-level variable of another package that e
// names, if it does.
func (s *routeStage) foreignVariable(e ast.Expr) *types.Var {
	selector, ok := ast.Unparen(e).(*ast.SelectorExpr)
	id, plain := ast.Unparen(e).(*ast.Ident)
	switch {
	case ok:
		id = selector.Sel
	case !plain:
		return nil
	}
	v, ok := s.pass.TypesInfo.Uses[id].(*types.Var)
	if !ok || v.IsField() || v.Pkg() == nil || v.Pkg() == s.pass.Pkg || v.Parent() != v.Pkg().Scope() {
		return nil
	}
	return v
}

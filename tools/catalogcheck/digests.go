package catalogcheck

import (
	"go/ast"
	"go/token"
	"go/types"
)

// checkDigests reports message authentication codes that are compared in a time
// that tells how much of them is right.
func (s *routeStage) checkDigests() {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			var operands []ast.Expr
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					operands = []ast.Expr{n.X, n.Y}
				}
			case *ast.CallExpr:
				path, name := callee(s.pass.TypesInfo, n)
				if path == "bytes" && (name == "Equal" || name == "Compare") || path == "strings" && (name == "EqualFold" || name == "Compare") {
					operands = n.Args
				}
			}
			for _, e := range operands {
				if s.isDigest(s.tracer(), of(e), 0) {
					compared := found("SC307", n, "a signature is compared byte by byte, so the time tells an attacker how much of it is right; use hmac.Equal on the bytes")
					compared.fix = s.compareSteadily(n, operands)
					s.report(compared)
					return true
				}
			}
			return true
		})
	}
}

// isDigest reports whether o is, or is the text of, what an hmac sums up to.
func (s *routeStage) isDigest(t *tracer, o origin, depth int) bool {
	if o.expr == nil || depth > 8 {
		return false
	}
	values, known := t.origins(o)
	if !known || len(values) != 1 {
		return false
	}
	call, ok := values[0].expr.(*ast.CallExpr)
	if !ok {
		return false
	}
	inner := func(e ast.Expr) origin { return origin{e, -1, values[0].env} }
	if selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		if fn, ok := s.pass.TypesInfo.Uses[selector.Sel].(*types.Func); ok && fn.Signature().Recv() != nil {
			switch {
			case fn.Name() == "Sum" && isNamed(s.pass.TypesInfo.TypeOf(selector.X), "hash", "Hash"):
				made, known := t.origins(inner(selector.X))
				if !known || len(made) != 1 {
					return false
				}
				creation, ok := made[0].expr.(*ast.CallExpr)
				return ok && calls(s.pass.TypesInfo, creation, "crypto/hmac", "New")
			case fn.Name() == "EncodeToString" && fn.Pkg().Path() == "encoding/base64":
				return s.isDigest(t, inner(call.Args[0]), depth+1)
			}
			return false
		}
	}
	if calls(s.pass.TypesInfo, call, "encoding/hex", "EncodeToString") {
		return s.isDigest(t, inner(call.Args[0]), depth+1)
	}
	return false
}

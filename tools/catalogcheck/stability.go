package catalogcheck

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// checkUnstableKey reports a key that differs each time the same record is
// read, so that every page is recorded again.
func (s *routeStage) checkUnstableKey(key *ast.CallExpr) {
	for _, arg := range key.Args {
		if what := s.unstable(s.tracer(), of(arg), 0); what != "" {
			s.report(found("SC404", arg, "the idempotency key comes from %s, so the same record has another key each time it is read; make it of what the provider sent", what))
			return
		}
	}
}

// unstable says what in o is new in every run, or "".
func (s *routeStage) unstable(t *tracer, o origin, depth int) string {
	if o.expr == nil || depth > 6 {
		return ""
	}
	what := ""
	ast.Inspect(o.expr, func(n ast.Node) bool {
		if what != "" {
			return false
		}
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if s.rounds(n) {
				return false
			}
			what = s.fresh(n)
		case *ast.Ident:
			v, ok := s.pass.TypesInfo.Uses[n].(*types.Var)
			if !ok || v.IsField() {
				return true
			}
			values, known := t.origins(origin{n, -1, o.env})
			if known && len(values) == 1 && values[0].expr != n {
				what = s.unstable(t, values[0], depth+1)
			}
		}
		return what == ""
	})
	return what
}

// fresh names the function when call returns something new each time.
func (s *routeStage) fresh(call *ast.CallExpr) string {
	path, name := callee(s.pass.TypesInfo, call)
	switch {
	case path == "time" && name == "Now",
		path == "math/rand", path == "math/rand/v2", path == "crypto/rand" && name == "Text",
		(path == "github.com/google/uuid" || path == "github.com/gofrs/uuid" || path == "github.com/gofrs/uuid/v5") &&
			strings.HasPrefix(name, "New") && !strings.HasPrefix(name, "NewMD5") && !strings.HasPrefix(name, "NewSHA1") && name != "NewV3" && name != "NewV5" && name != "NewHash":
		fn := typeutil.Callee(s.pass.TypesInfo, call)
		return fn.Pkg().Name() + "." + name
	}
	return ""
}

// rounds reports whether call makes something coarse of a time: the key of a
// daily total may well be today's date.
func (s *routeStage) rounds(call *ast.CallExpr) bool {
	selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	fn, ok := s.pass.TypesInfo.Uses[selector.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "time" || fn.Signature().Recv() == nil {
		return false
	}
	switch fn.Name() {
	case "Unix", "UnixMilli", "UnixMicro", "UnixNano", "String", "UTC", "In", "Local", "Add":
		return false
	case "Format":
		layout, known := text(s.pass.TypesInfo, call.Args[0])
		return !known || !strings.Contains(layout, "05")
	}
	return true
}

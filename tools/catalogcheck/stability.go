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
	if id := s.countedOnly(key); id != nil {
		s.report(found("SC404", id, "the idempotency key is a count in a loop, so the first record of every page has the same one; make it of what the provider sent"))
		return
	}
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

// countedOnly returns the loop index that is all that tells the keys of a page
// apart, if a key is made of nothing else.
func (s *routeStage) countedOnly(key *ast.CallExpr) *ast.Ident {
	var index *ast.Ident
	only := true
	for _, arg := range key.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				path, _ := callee(s.pass.TypesInfo, n)
				if !s.pass.TypesInfo.Types[n.Fun].IsType() && path != "strconv" && path != "fmt" {
					only = false
				}
			case *ast.SelectorExpr:
				if _, field := s.pass.TypesInfo.Selections[n]; field {
					only = false
				}
			case *ast.Ident:
				v, ok := s.pass.TypesInfo.Uses[n].(*types.Var)
				switch {
				case !ok:
				case s.counts(v):
					index = n
				default:
					only = false
				}
			}
			return only
		})
	}
	if !only {
		return nil
	}
	return index
}

// counts reports whether v is the index of a loop over a list.
func (s *routeStage) counts(v *types.Var) bool {
	found := false
	for _, file := range s.files {
		if v.Pos() < file.FileStart || v.Pos() >= file.FileEnd {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return !found
			}
			id, ok := loop.Key.(*ast.Ident)
			if !ok || s.pass.TypesInfo.Defs[id] != v {
				return !found
			}
			switch u := s.pass.TypesInfo.TypeOf(loop.X).Underlying().(type) {
			case *types.Slice, *types.Array:
				found = true
			case *types.Basic:
				found = u.Info()&types.IsInteger != 0
			}
			return !found
		})
	}
	return found
}

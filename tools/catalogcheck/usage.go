package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// sourceKind is what an assignment gives to its variable.
type sourceKind int

const (
	// wholeValue is v = expr.
	wholeValue sourceKind = iota
	// rangedElement is for _, v := range expr.
	rangedElement
	// oneElement is v[i] = expr.
	oneElement
)

// source is one assignment to a variable. A nil expr is the zero value.
type source struct {
	expr   ast.Expr
	result int
	kind   sourceKind
	// branch names the if, case and loop bodies around the assignment.
	branch string
	// closure is the function literal around the assignment, if there is one.
	closure *ast.FuncLit
}

// usage is everything that one package does to its variables.
type usage struct {
	pkg *types.Package
	// sources lists the assignments to each variable.
	sources map[*types.Var][]source
	// opaque holds the variables that may be changed out of sight.
	opaque map[*types.Var]bool
	// hidden holds those of them of which more than single fields may change so.
	hidden map[*types.Var]bool
	// written holds the fields that are assigned to outside of a literal.
	written map[*types.Var]bool
	// writes holds the same by the variable that the field was reached from.
	writes map[*types.Var]map[string]ast.Expr
	// functions holds the declarations of functions and methods.
	functions map[*types.Func]*ast.FuncDecl
}

// local reports whether v is a variable (not a field) of this package.
func (u *usage) local(v *types.Var) bool { return v.Pkg() == u.pkg && !v.IsField() }

// recordUsage walks files once.
func recordUsage(pkg *types.Package, info *types.Info, files []*ast.File) *usage {
	r := &usageRecorder{info: info, usage: &usage{
		pkg:       pkg,
		sources:   map[*types.Var][]source{},
		opaque:    map[*types.Var]bool{},
		hidden:    map[*types.Var]bool{},
		written:   map[*types.Var]bool{},
		writes:    map[*types.Var]map[string]ast.Expr{},
		functions: map[*types.Func]*ast.FuncDecl{},
	}}
	for _, file := range files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			r.node(n, stack)
			return true
		})
	}
	return r.usage
}

type usageRecorder struct {
	*usage
	info *types.Info
}

func (r *usageRecorder) node(n ast.Node, stack []ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if fn, ok := r.info.Defs[n.Name].(*types.Func); ok {
			r.functions[fn] = n
		}
		r.results(n.Type)
	case *ast.FuncLit:
		r.results(n.Type)
	case *ast.ValueSpec:
		r.assign(identifiers(n.Names), n.Values, stack)
	case *ast.AssignStmt:
		if n.Tok == token.ASSIGN || n.Tok == token.DEFINE {
			r.assign(n.Lhs, n.Rhs, stack)
			return
		}
		r.hide(n.Lhs[0])
	case *ast.IncDecStmt:
		r.hide(n.X)
	case *ast.RangeStmt:
		if n.Value != nil {
			r.target(n.Value, around(stack, source{expr: n.X, result: -1, kind: rangedElement}))
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			r.hide(n.X)
		}
	case *ast.SelectorExpr:
		// A method with a pointer receiver takes the address of its operand.
		selection, ok := r.info.Selections[n]
		if !ok || selection.Kind() != types.MethodVal {
			return
		}
		_, pointerReceiver := types.Unalias(selection.Obj().(*types.Func).Signature().Recv().Type()).(*types.Pointer)
		_, pointerOperand := r.info.TypeOf(n.X).Underlying().(*types.Pointer)
		if pointerReceiver && !pointerOperand {
			r.hide(n.X)
		}
	}
}

// results records that named results start as zero values.
func (r *usageRecorder) results(typ *ast.FuncType) {
	if typ.Results == nil {
		return
	}
	for _, field := range typ.Results.List {
		r.assign(identifiers(field.Names), nil, nil)
	}
}

func identifiers(ids []*ast.Ident) []ast.Expr {
	var found []ast.Expr
	for _, id := range ids {
		found = append(found, id)
	}
	return found
}

func (r *usageRecorder) assign(left, right []ast.Expr, stack []ast.Node) {
	for i, target := range left {
		s := around(stack, source{result: -1})
		switch {
		case len(right) == len(left):
			s.expr = right[i]
		case len(right) == 1:
			s.expr, s.result = right[0], i
		}
		r.target(target, s)
	}
}

// target records what s gives to the place that is assigned to.
func (r *usageRecorder) target(place ast.Expr, s source) {
	switch e := ast.Unparen(place).(type) {
	case *ast.Ident:
		if v, ok := r.info.ObjectOf(e).(*types.Var); ok {
			r.add(v, s)
		}
	case *ast.IndexExpr:
		v := r.root(e.X)
		if v == nil {
			return
		}
		if _, direct := ast.Unparen(e.X).(*ast.Ident); !direct || s.kind != wholeValue {
			r.opaque[v], r.hidden[v] = true, true
			return
		}
		s.kind = oneElement
		r.add(v, s)
	case *ast.SelectorExpr:
		selection, ok := r.info.Selections[e]
		if !ok {
			return // a variable of another package
		}
		field, ok := selection.Obj().(*types.Var)
		if !ok {
			return
		}
		r.written[field] = true
		if v := r.root(e.X); v != nil {
			r.opaque[v] = true
			if r.writes[v] == nil {
				r.writes[v] = map[string]ast.Expr{}
			}
			r.writes[v][field.Name()] = e
		}
	}
}

// hide records that the variable e belongs to may change out of sight.
func (r *usageRecorder) hide(e ast.Expr) {
	if v := r.root(e); v != nil {
		r.opaque[v], r.hidden[v] = true, true
	}
}

// root returns the variable whose memory e lies in or is reached from.
func (r *usageRecorder) root(e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.SelectorExpr:
			if _, ok := r.info.Selections[x]; !ok {
				e = x.Sel
				continue
			}
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.Ident:
			v, _ := r.info.ObjectOf(x).(*types.Var)
			return v
		default:
			return nil
		}
	}
}

// around fills in the bodies between the enclosing function and a statement
// that may be skipped or repeated.
func around(stack []ast.Node, s source) source {
	var b strings.Builder
	for i, n := range stack {
		switch n := n.(type) {
		case *ast.FuncLit:
			b.Reset()
			s.closure = n
		case *ast.IfStmt:
			if i+1 < len(stack) {
				fmt.Fprintf(&b, "%d:%d/", n.Pos(), stack[i+1].Pos())
			}
		case *ast.CaseClause, *ast.CommClause, *ast.ForStmt, *ast.RangeStmt:
			fmt.Fprintf(&b, "%d/", n.Pos())
		}
	}
	s.branch = b.String()
	return s
}

// add records an assignment to v. A closure that assigns to a variable around
// it may run never or often, so that is a branch of its own.
func (r *usageRecorder) add(v *types.Var, s source) {
	if s.closure != nil && (v.Pos() < s.closure.Pos() || v.Pos() >= s.closure.End()) {
		s.branch = fmt.Sprintf("closure %d/%s", s.closure.Pos(), s.branch)
	}
	r.sources[v] = append(r.sources[v], s)
}

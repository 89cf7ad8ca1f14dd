package catalogcheck

import (
	"go/ast"
	"go/types"
	"slices"
)

// checkPlacement reports routes of a handout that are made only sometimes, or
// over and over.
func (s *routeStage) checkPlacement(h handout) {
	for _, r := range h.routes {
		if !r.known || !r.sole || len(r.serves) != 1 || r.serves[0] == nil || !s.isVariable(r.call.Args[0]) {
			continue
		}
		d := r.serves[0]
		others := slices.ContainsFunc(h.routes, func(o route) bool { return o.call != r.call && slices.Contains(o.serves, d) })
		loop, condition := s.around(r.call)
		switch {
		case loop != nil && condition == nil:
			s.report(found("SC204", r.call, "route for %s is registered in a loop that does not choose it; register it once, outside of the loop", d.label()).
				with(head(loop), "the loop is here"))
		case condition != nil && loop == nil && !others:
			s.report(found("SC204", r.call, "route for %s is registered only on a condition, and without it the connection does not open; register it always, and decide in the handler", d.label()).
				with(head(condition), "the condition is here"))
		}
	}
}

// isVariable reports whether e names a variable of package level, of whatever
// package.
func (s *routeStage) isVariable(e ast.Expr) bool {
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	default:
		return false
	}
	v, ok := s.pass.TypesInfo.Uses[id].(*types.Var)
	return ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}

// around returns the innermost loop and the innermost condition whose body the
// call is in, within its function. A condition whose other ways all leave the
// function is none.
func (s *routeStage) around(call *ast.CallExpr) (loop, condition ast.Node) {
	for _, file := range s.files {
		if call.Pos() < file.FileStart || call.Pos() >= file.FileEnd {
			continue
		}
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			if n != call {
				return n.Pos() <= call.Pos() && call.End() <= n.End()
			}
			loop, condition = innermost(append(stack, n))
			return false
		})
	}
	return loop, condition
}

func innermost(stack []ast.Node) (loop, condition ast.Node) {
	for i := len(stack) - 2; i >= 0; i-- {
		child := stack[i+1]
		switch n := stack[i].(type) {
		case *ast.FuncLit, *ast.FuncDecl:
			return loop, condition
		case *ast.ForStmt:
			if loop == nil && child == n.Body {
				loop = n
			}
		case *ast.RangeStmt:
			if loop == nil && child == n.Body {
				loop = n
			}
		case *ast.IfStmt:
			other := n.Else
			if child == n.Else {
				other = n.Body
			}
			if condition == nil && (child == n.Body || child == n.Else) && !leaves(other) {
				condition = n
			}
		case *ast.CaseClause:
			if condition == nil && slices.ContainsFunc(n.Body, func(x ast.Stmt) bool { return x == child }) && !otherClausesLeave(stack[i-1], n) {
				condition = n
			}
		case *ast.CommClause:
			if condition == nil && child != n.Comm {
				condition = n
			}
		}
	}
	return loop, condition
}

// otherClausesLeave reports whether every clause of a switch but one leaves the
// function, and there is a default.
func otherClausesLeave(body ast.Node, taken *ast.CaseClause) bool {
	block, ok := body.(*ast.BlockStmt)
	if !ok {
		return false
	}
	hasDefault := false
	for _, statement := range block.List {
		clause, ok := statement.(*ast.CaseClause)
		if !ok {
			return false
		}
		hasDefault = hasDefault || clause.List == nil
		if clause != taken && !leaves(&ast.BlockStmt{List: clause.Body}) {
			return false
		}
	}
	return hasDefault
}

// leaves reports whether what follows a block is maybe not reached from it: it
// ends in a return, a jump, or a call that may be one of panic.
func leaves(statement ast.Stmt) bool {
	block, ok := statement.(*ast.BlockStmt)
	if !ok {
		nested, ok := statement.(*ast.IfStmt)
		return ok && leaves(nested.Body) && leaves(nested.Else)
	}
	if len(block.List) == 0 {
		return false
	}
	switch last := block.List[len(block.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt, *ast.ExprStmt:
		return true
	case *ast.BlockStmt, *ast.IfStmt:
		return leaves(last)
	}
	return false
}

// head is what is shown of a statement with a body: what comes before it.
func head(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IfStmt:
		return n.Cond
	case *ast.RangeStmt:
		return n.X
	case *ast.ForStmt:
		if n.Cond != nil {
			return n.Cond
		}
	case *ast.CaseClause:
		if len(n.List) > 0 {
			return n.List[0]
		}
	}
	return n
}

package catalogcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/types/typeutil"
)

// checkConcurrency reports goroutines whose panics nobody contains or whose
// emissions nobody waits for.
func (s *routeStage) checkConcurrency(bound []binding) {
	f := s.flow()
	reached := f.reachHandlers(bound)
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			fn := enclosing(append(stack, n))
			if fn == nil || !reached[f.byBody[bodyOf(fn)]] && !reached[f.byBody[bodyOf(outermost(stack))]] {
				return true
			}
			switch n := n.(type) {
			case *ast.GoStmt:
				s.report(found("SC409", n, "a panic in this goroutine ends the whole process; start it with framework.Go(ctx, …), and wait for it"))
				if s.startsEmission(f, n.Call) && !s.waits(outermost(stack)) {
					s.report(found("SC407", n, "this goroutine emits, and the handler does not wait for it; what is emitted after the handler returned is refused; wait for it before returning"))
				}
			case *ast.CallExpr:
				s.checkStarted(f, n, stack)
			}
			return true
		})
	}
}

// enclosing returns the innermost function around the last node of stack.
func enclosing(stack []ast.Node) ast.Node {
	for _, s := range slices.Backward(stack) {
		if bodyOf(s) != nil {
			return s
		}
	}
	return nil
}

// outermost returns the function declaration around the end of stack, or the
// first literal of one that is in no declaration.
func outermost(stack []ast.Node) ast.Node {
	for _, n := range stack {
		if bodyOf(n) != nil {
			return n
		}
	}
	return nil
}

func bodyOf(n ast.Node) *ast.BlockStmt {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Body
	case *ast.FuncLit:
		return n.Body
	}
	return nil
}

// checkStarted reports a framework.Go whose result is dropped, and an errgroup
// that nobody waits for, where what runs there emits.
func (s *routeStage) checkStarted(f *flow, call *ast.CallExpr, stack []ast.Node) {
	if calls(s.pass.TypesInfo, call, frameworkPath, "Go") && len(call.Args) == 2 {
		dropped := false
		switch parent := stack[len(stack)-1].(type) {
		case *ast.ExprStmt:
			dropped = true
		case *ast.AssignStmt:
			id, ok := parent.Lhs[0].(*ast.Ident)
			dropped = ok && id.Name == "_"
		}
		if dropped && s.emitsIn(f, call.Args[1]) {
			s.report(found("SC407", call, "this goroutine emits, and the handler does not wait for it; call the function that framework.Go returns before returning"))
		}
		return
	}
	selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	fn, isFunc := typeutil.Callee(s.pass.TypesInfo, call).(*types.Func)
	if !ok || !isFunc || fn.Name() != "Go" || fn.Pkg() == nil || fn.Pkg().Path() != "golang.org/x/sync/errgroup" && fn.Pkg().Path() != "sync" || len(call.Args) != 1 {
		return
	}
	_, local := ast.Unparen(selector.X).(*ast.Ident)
	if local && s.emitsIn(f, call.Args[0]) && !s.waits(outermost(stack)) {
		s.report(found("SC407", call, "this goroutine emits, and nobody waits for its group; call Wait before returning"))
	}
}

func (s *routeStage) startsEmission(f *flow, call *ast.CallExpr) bool {
	return s.emitsIn(f, call.Fun) || calledEmission(s, call)
}

func calledEmission(s *routeStage, call *ast.CallExpr) bool { return s.isEmission(call) }

// emitsIn reports whether the function that e is, or what it calls, emits.
func (s *routeStage) emitsIn(f *flow, e ast.Expr) bool {
	fn, ok := s.tracer().function(of(e))
	if !ok {
		return false
	}
	for reached := range f.reach(f.byBody[fn.body]) {
		if emitsItself(reached) {
			return true
		}
	}
	return false
}

// emitsItself reports whether fn calls ingest.Canonical or ingest.Delete.
func emitsItself(fn *ssa.Function) bool {
	for _, block := range fn.Blocks {
		for _, instruction := range block.Instrs {
			if call, ok := instruction.(ssa.CallInstruction); ok && emits(call.Common()) {
				return true
			}
		}
	}
	return false
}

// waits reports whether a function waits for anything: by a method Wait, or by
// a channel. What it waits for is not asked.
func (s *routeStage) waits(fn ast.Node) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			return false // what it waits for itself does not count
		case *ast.SelectorExpr:
			found = found || n.Sel.Name == "Wait"
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		case *ast.SelectStmt:
			found = true
		case *ast.RangeStmt:
			_, channel := s.pass.TypesInfo.TypeOf(n.X).Underlying().(*types.Chan)
			found = found || channel
		case *ast.CallExpr:
			// A channel or a group that is handed on is waited for elsewhere.
			for _, arg := range n.Args {
				found = found || waitable(s.pass.TypesInfo.TypeOf(arg))
			}
		}
		return !found
	})
	return found
}

func waitable(t types.Type) bool {
	if t == nil {
		return false
	}
	if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
		return isNamed(pointer.Elem(), "sync", "WaitGroup") || isNamed(pointer.Elem(), "golang.org/x/sync/errgroup", "Group")
	}
	return false
}

// checkGlobals reports variables of package level that change while connections
// run: two connections of one connector run side by side and must not meet.
func (s *routeStage) checkGlobals() {
	if len(s.connectors) == 0 {
		return
	}
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			fn, _ := outermost(stack).(*ast.FuncDecl)
			if fn == nil || fn.Recv == nil && fn.Name.Name == "init" || s.once(stack) {
				return true
			}
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, target := range n.Lhs {
						s.checkGlobal(target)
					}
				}
			case *ast.IncDecStmt:
				s.checkGlobal(n.X)
			case *ast.CallExpr:
				s.checkGlobalCall(n)
			}
			return true
		})
	}
}

// once reports whether a statement runs in a function that is given to a
// sync.Once: what is made there is made once for all.
func (s *routeStage) once(stack []ast.Node) bool {
	for _, n := range stack {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			continue
		}
		if fn, ok := typeutil.Callee(s.pass.TypesInfo, call).(*types.Func); ok && fn.Pkg() != nil && fn.Pkg().Path() == "sync" {
			return true
		}
	}
	return false
}

func (s *routeStage) checkGlobal(target ast.Expr) {
	recorder := usageRecorder{info: s.pass.TypesInfo}
	v := recorder.root(target)
	if v != nil && v.Parent() == s.pass.Pkg.Scope() {
		s.report(found("SC409", target, "%s is changed while connections run, and all connections share it; keep it in what open makes", v.Name()))
	}
}

// checkGlobalCall reports a change of a package-level variable by one of the
// calls that are known to make one.
func (s *routeStage) checkGlobalCall(call *ast.CallExpr) {
	recorder := usageRecorder{info: s.pass.TypesInfo}
	if builtin, ok := typeutil.Callee(s.pass.TypesInfo, call).(*types.Builtin); ok {
		if (builtin.Name() == "delete" || builtin.Name() == "clear") && len(call.Args) > 0 {
			s.checkGlobal(call.Args[0])
		}
		return
	}
	selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	fn, isFunc := typeutil.Callee(s.pass.TypesInfo, call).(*types.Func)
	if !ok || !isFunc || fn.Pkg() == nil || fn.Signature().Recv() == nil {
		return
	}
	switch fn.Pkg().Path() + "." + fn.Name() {
	case "sync.Store", "sync.LoadOrStore", "sync.Swap", "sync.CompareAndSwap", "sync.LoadAndDelete", "sync.Clear",
		"sync/atomic.Store", "sync/atomic.Add", "sync/atomic.Swap", "sync/atomic.CompareAndSwap":
		if v := recorder.root(selector.X); v != nil && v.Parent() == s.pass.Pkg.Scope() {
			s.checkGlobal(selector.X)
		}
	}
}

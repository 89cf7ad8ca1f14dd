package catalogcheck

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// binding is a route with the function of this package that it binds.
type binding struct {
	route
	// handler is the function, if inPackage; otherwise it is not known.
	handler   function
	inPackage bool
}

// checkServing compares what a connector's handlers emit with its catalog. It
// says nothing when one of them is out of sight.
func (s *routeStage) checkServing(c *connector, handouts []handout) {
	var bound []binding
	seen := map[*ast.CallExpr]bool{}
	complete := len(handouts) > 0 && c.known()
	for _, h := range handouts {
		complete = complete && h.known
		for _, r := range h.routes {
			if seen[r.call] {
				continue
			}
			seen[r.call] = true
			b := binding{route: r}
			b.handler, b.inPackage = s.tracer().function(of(r.call.Args[1]))
			complete = complete && b.inPackage
			bound = append(bound, b)
		}
	}
	s.checkSyncRoutes(bound)
	s.checkConcurrency(bound)
	s.checkContexts(bound)
	if !complete {
		return
	}
	live := s.live()
	for _, l := range c.streams {
		if l.Kind == pollStream && !slices.ContainsFunc(handouts, func(h handout) bool { return h.serves(l.declaration) }) {
			continue // SC201 says so
		}
		if v := s.variableOf(l.declaration); v != nil && !s.handedOn(v, live) {
			s.report(found("SC405", l.at, "%s is declared, but nothing is ever emitted to it; emit with ingest.Canonical(out, %s, …), or remove the stream", l.label(), l.refer()))
		}
	}
}

// checkSyncRoutes reports sync routes that do not read what they were asked for,
// and those of one stream that emit to another.
func (s *routeStage) checkSyncRoutes(bound []binding) {
	shared := map[*ast.BlockStmt]int{}
	for _, b := range bound {
		if b.inPackage {
			shared[b.handler.body]++
		}
	}
	for _, b := range bound {
		if !b.inPackage || !b.known || len(b.serves) != 1 || b.serves[0] == nil || b.serves[0].Kind != pollStream || shared[b.handler.body] > 1 {
			continue
		}
		s.checkReading(b)
		s.checkStanding(b)
		s.checkSilent(b)
		own := b.serves[0]
		ast.Inspect(b.handler.body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !s.isEmission(call) {
				return true
			}
			targets, known := s.declarationsOf(s.tracer(), origin{call.Args[1], -1, b.handler.env})
			if known && len(targets) > 0 && !slices.Contains(targets, own) && !slices.Contains(targets, nil) {
				s.report(found("SC408", call.Args[1], "the sync route of %s emits to %s, whose health and checkpoint do not know of it; give that stream a route of its own", own.label(), targets[0].label()).
					with(b.call, "the route is here"))
			}
			return true
		})
	}
}

// isEmission reports whether call records an event.
func (s *routeStage) isEmission(call *ast.CallExpr) bool {
	path, name := callee(s.pass.TypesInfo, call)
	return path == ingestPath && (name == "Canonical" || name == "Delete") && len(call.Args) > 3
}

// variableOf returns the variable of this package that holds a declaration and
// nothing else.
func (s *routeStage) variableOf(d *declaration) *types.Var {
	id, ok := d.at.(*ast.Ident)
	if !ok {
		return nil
	}
	v, ok := s.pass.TypesInfo.Defs[id].(*types.Var)
	if !ok || v.IsField() || v.Parent() != s.pass.Pkg.Scope() {
		return nil
	}
	return v
}

// live returns the functions of the package that anything calls: what starts
// with the program, and what other packages may call.
func (s *routeStage) live() map[*ssa.Function]bool {
	f := s.flow()
	roots := []*ssa.Function{f.pkg.Func("init"), f.pkg.Func("main")}
	for _, fn := range f.functions {
		if obj := fn.Object(); obj != nil && (obj.Exported() || obj.Name() == "init") {
			roots = append(roots, fn)
		}
	}
	return f.reach(roots...)
}

// handedOn reports whether a stream's variable is used for anything but to list
// it, to bind it and to ask for its declaration: then it may be emitted to. What
// stands in a function that nobody calls does not count.
func (s *routeStage) handedOn(v *types.Var, live map[*ssa.Function]bool) bool {
	handed := false
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if ok && s.pass.TypesInfo.Uses[id] == v && !s.harmless(id, stack) {
				fn, declared := outermost(stack).(*ast.FuncDecl)
				handed = handed || !declared || live[s.flow().byBody[fn.Body]]
			}
			return !handed
		})
	}
	return handed
}

func (s *routeStage) harmless(id *ast.Ident, stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	switch parent := stack[len(stack)-1].(type) {
	case *ast.CallExpr:
		return calls(s.pass.TypesInfo, parent, frameworkPath, "Sync") && parent.Args[0] == id
	case *ast.CompositeLit:
		// An entry of Connector.Streams that is written in the literal itself.
		for _, outer := range stack {
			if literal, ok := outer.(*ast.CompositeLit); ok && s.connector(literal) != nil {
				return true
			}
		}
	}
	return false
}

// checkSilent reports a sync route that can emit nothing: neither it nor what it
// calls does, and its buffer goes nowhere else.
func (s *routeStage) checkSilent(b binding) {
	f := s.flow()
	fn := f.byBody[b.handler.body]
	if fn == nil {
		return
	}
	for reached := range f.reach(fn) {
		for _, block := range reached.Blocks {
			if slices.ContainsFunc(block.Instrs, f.mayEmit) {
				return
			}
		}
	}
	if alwaysFails(fn) {
		return // it is still to be written, and says so
	}
	d := b.serves[0]
	if v := s.variableOf(d); v != nil && !s.handedOn(v, s.live()) {
		return // nothing emits to it at all, which is said where it is declared
	}
	s.report(found("SC405", b.call.Args[1], "the sync route of %s emits nothing, so a run records nothing; emit each record with ingest.Canonical(out, %s, …)", d.label(), d.refer()))
}

// mayEmit reports whether an instruction emits, or gives the buffer to what is
// out of sight.
func (f *flow) mayEmit(instruction ssa.Instruction) bool {
	switch i := instruction.(type) {
	case ssa.CallInstruction:
		call := i.Common()
		return emits(call) || f.local(call) == nil && slices.ContainsFunc(call.Args, func(arg ssa.Value) bool { return isBuffer(arg.Type()) })
	case *ssa.Store:
		_, field := i.Addr.(*ssa.FieldAddr)
		return field && isBuffer(i.Val.Type())
	case *ssa.MakeInterface:
		return isBuffer(i.X.Type())
	}
	return false
}

func isBuffer(t types.Type) bool {
	pointer, ok := types.Unalias(t).(*types.Pointer)
	return ok && isNamed(pointer.Elem(), ingestPath, "Buffer")
}

// alwaysFails reports whether every way out of fn returns an error.
func alwaysFails(fn *ssa.Function) bool {
	for _, block := range fn.Blocks {
		if r, ok := block.Instrs[len(block.Instrs)-1].(*ssa.Return); ok && (len(r.Results) == 0 || isNil(r.Results[len(r.Results)-1])) {
			return false
		}
	}
	return true
}

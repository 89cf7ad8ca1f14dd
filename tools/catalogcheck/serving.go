package catalogcheck

import (
	"go/ast"
	"go/types"
	"slices"
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
	if !complete {
		return
	}
	for _, l := range c.streams {
		if l.Kind == pollStream && !slices.ContainsFunc(handouts, func(h handout) bool { return h.serves(l.declaration) }) {
			continue // SC201 says so
		}
		if v := s.variableOf(l.declaration); v != nil && !s.handedOn(v) {
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

// handedOn reports whether a stream's variable is used for anything but to list
// it, to bind it and to ask for its declaration: then it may be emitted to.
func (s *routeStage) handedOn(v *types.Var) bool {
	handed := false
	for _, file := range s.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if ok && s.pass.TypesInfo.Uses[id] == v && !s.harmless(id, stack) {
				handed = true
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

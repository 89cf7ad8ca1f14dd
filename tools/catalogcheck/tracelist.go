package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"
)

// entry is one element of a traced list. Two entries with the same branch are
// in the list together; nothing is said of two with different ones.
type entry struct {
	origin
	branch string
}

// scalars traces each element of a list on to where it comes from.
func (t *tracer) scalars(entries []entry, complete bool) ([]origin, bool) {
	var found []origin
	for _, e := range entries {
		more, ok := t.origins(e.origin)
		found, complete = append(found, more...), complete && ok
	}
	return found, complete
}

// elements returns everything that the slice, array or map o can hold: it knows
// literals, append, slices.Concat and the like, assignments to an index, and
// functions of this package.
func (t *tracer) elements(o origin) (found []entry, complete bool) {
	if o.expr == nil {
		return nil, true
	}
	if !t.enter() {
		return nil, false
	}
	defer t.leave()
	o.expr = ast.Unparen(o.expr)
	switch e := o.expr.(type) {
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				element = pair.Value
			}
			found = append(found, entry{origin: origin{element, -1, o.env}})
		}
		return found, true
	case *ast.Ident:
		v, ok := t.info.ObjectOf(e).(*types.Var)
		if !ok {
			return nil, t.info.Types[e].IsNil()
		}
		if !t.uses.local(v) {
			return nil, false
		}
		return t.variable(v, o)
	case *ast.SliceExpr:
		return t.elements(origin{e.X, -1, o.env})
	case *ast.CallExpr:
		return t.elementsOfCall(e, o)
	case *ast.SelectorExpr, *ast.IndexExpr, *ast.StarExpr, *ast.UnaryExpr:
		values, complete := t.origins(o)
		var lists []origin
		for _, v := range values {
			if v.expr == o.expr {
				return nil, false // it leads nowhere
			}
			lists = append(lists, v)
		}
		more, ok := t.alternatives(fmt.Sprintf("at %d", e.Pos()), lists)
		return more, complete && ok
	}
	return nil, false
}

// alternatives traces lists of which only one is taken.
func (t *tracer) alternatives(name string, lists []origin) (found []entry, complete bool) {
	complete = true
	for i, list := range lists {
		more, ok := t.elements(list)
		complete = complete && ok
		for _, m := range more {
			if len(lists) > 1 {
				m.branch = fmt.Sprintf("%s #%d/%s", name, i, m.branch)
			}
			found = append(found, m)
		}
	}
	return found, complete
}

// variable traces a list that is kept in a variable. Assignments that name the
// variable itself, such as "v = append(v, …)", add to what the others give it.
func (t *tracer) variable(v *types.Var, o origin) (found []entry, complete bool) {
	if bound, ok := o.env.lookup(v); ok {
		return t.elements(bound)
	}
	sources := t.uses.sources[v]
	if t.uses.opaque[v] || len(sources) == 0 {
		return nil, false
	}
	key := busyKey{v, o.env}
	if t.busy[key] {
		return nil, true
	}
	t.busy[key] = true
	defer delete(t.busy, key)

	replacing := 0
	for _, s := range sources {
		if s.kind == wholeValue && s.expr != nil && !t.mentions(s.expr, v) {
			replacing++
		}
	}
	complete = true
	for i, s := range sources {
		branch := s.branch
		if replacing > 1 && s.kind == wholeValue && !t.mentions(s.expr, v) {
			branch = fmt.Sprintf("%s #%d/%s", v.Name(), i, branch)
		}
		more, ok := t.source(s, o.env)
		complete = complete && ok
		for _, m := range more {
			m.branch = branch + m.branch
			found = append(found, m)
		}
	}
	return found, complete
}

// source traces one assignment to a list.
func (t *tracer) source(s source, env *scope) (found []entry, complete bool) {
	o := origin{s.expr, s.result, env}
	switch s.kind {
	case oneElement:
		return []entry{{origin: o}}, true
	case rangedElement:
		lists, complete := t.elements(o)
		for _, list := range lists {
			more, ok := t.elements(list.origin)
			found, complete = append(found, more...), complete && ok
		}
		return found, complete
	case wholeValue:
	}
	return t.elements(o)
}

// mentions reports whether e uses the variable.
func (t *tracer) mentions(e ast.Expr, v *types.Var) bool {
	if e == nil {
		return false
	}
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && t.info.Uses[id] == v {
			found = true
		}
		return !found
	})
	return found
}

func (t *tracer) elementsOfCall(call *ast.CallExpr, o origin) (found []entry, complete bool) {
	if t.info.Types[call.Fun].IsType() && len(call.Args) == 1 {
		return t.elements(origin{call.Args[0], -1, o.env})
	}
	if builtin, ok := typeutil.Callee(t.info, call).(*types.Builtin); ok {
		return t.elementsOfBuiltin(builtin.Name(), call, o)
	}
	if path, name := callee(t.info, call); path == "slices" {
		switch name {
		case "Clip", "Clone", "Grow":
			return t.elements(origin{call.Args[0], -1, o.env})
		case "Concat":
			if call.Ellipsis.IsValid() {
				return nil, false
			}
			complete = true
			for _, arg := range call.Args {
				more, ok := t.elements(origin{arg, -1, o.env})
				found, complete = append(found, more...), complete && ok
			}
			return found, complete
		}
		return nil, false
	}
	body, ok := t.callee(call, o.env)
	if !ok || t.calls[body.body] {
		return nil, false
	}
	t.calls[body.body] = true
	defer delete(t.calls, body.body)
	return t.alternatives(fmt.Sprintf("call at %d", call.Pos()), body.returns(max(o.result, 0)))
}

func (t *tracer) elementsOfBuiltin(name string, call *ast.CallExpr, o origin) (found []entry, complete bool) {
	switch name {
	case "append":
		found, complete = t.elements(origin{call.Args[0], -1, o.env})
		if call.Ellipsis.IsValid() {
			more, ok := t.elements(origin{call.Args[1], -1, o.env})
			return append(found, more...), complete && ok
		}
		for _, arg := range call.Args[1:] {
			found = append(found, entry{origin: origin{arg, -1, o.env}})
		}
		return found, complete
	case "make":
		if len(call.Args) < 2 {
			return nil, true
		}
		// Elements that are there from the start are filled in somewhere.
		length := t.info.Types[call.Args[1]].Value
		return nil, length != nil && constant.Sign(length) == 0
	}
	return nil, false
}

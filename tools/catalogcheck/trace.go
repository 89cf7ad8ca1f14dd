package catalogcheck

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"
)

const (
	// maxDepth bounds how deep an expression is traced.
	maxDepth = 64
	// maxSteps bounds the whole work of one tracer, against code that is built
	// to branch at every step. What lies beyond is unknown.
	maxSteps = 200_000
)

// origin is an expression that a value comes from, in the scope in which its
// parameters have the arguments of env. result selects one result of a call
// that has several, and is -1 otherwise. A nil expr is the zero value.
type origin struct {
	expr   ast.Expr
	result int
	env    *scope
}

// scope binds the parameters of a function to the arguments of one call of it.
type scope struct {
	outer *scope
	bound map[types.Object]origin
}

func (s *scope) lookup(obj types.Object) (origin, bool) {
	for ; s != nil; s = s.outer {
		if o, ok := s.bound[obj]; ok {
			return o, true
		}
	}
	return origin{}, false
}

// tracer follows values through one package: from a use to the literals and
// calls that it can come from. It looks at every assignment and not at their
// order, so what it returns is everything that is possible and maybe more. When
// it cannot see everything, it says so with complete = false.
type tracer struct {
	info  *types.Info
	uses  *usage
	depth int
	steps int
	busy  map[busyKey]bool
	calls map[*ast.BlockStmt]bool
}

// busyKey marks a variable that is being traced, so that "x = append(x, …)"
// ends. A variable of a helper that is called twice is traced for each call.
type busyKey struct {
	obj types.Object
	env *scope
}

func newTracer(info *types.Info, uses *usage) *tracer {
	return &tracer{info: info, uses: uses, busy: map[busyKey]bool{}, calls: map[*ast.BlockStmt]bool{}}
}

// of returns the origin of e as it stands, outside of any call.
func of(e ast.Expr) origin { return origin{expr: e, result: -1} }

// origins returns the expressions that o can come from: literals, calls that
// cannot be followed, function declarations by their name, imported variables.
func (t *tracer) origins(o origin) (found []origin, complete bool) {
	if o.expr == nil {
		return []origin{o}, true
	}
	if !t.enter() {
		return nil, false
	}
	defer t.leave()
	if o.expr = ast.Unparen(o.expr); t.info.Types[o.expr].Value != nil {
		return []origin{o}, true
	}
	switch e := o.expr.(type) {
	case *ast.Ident:
		return t.object(t.info.ObjectOf(e), o)
	case *ast.SelectorExpr:
		selection, ok := t.info.Selections[e]
		if !ok {
			return t.object(t.info.ObjectOf(e.Sel), o)
		}
		if selection.Kind() == types.FieldVal && len(selection.Index()) == 1 {
			return t.field(origin{e.X, -1, o.env}, selection.Obj().(*types.Var), selection.Index()[0])
		}
		return []origin{o}, selection.Kind() == types.MethodVal
	case *ast.IndexExpr:
		if tv := t.info.Types[e.X]; tv.IsValue() && !isFunction(tv.Type) {
			values, complete := t.scalars(t.elements(origin{e.X, -1, o.env}))
			if _, ok := tv.Type.Underlying().(*types.Map); ok {
				values = append(values, origin{nil, -1, nil}) // no such key
			}
			return values, complete
		}
		return t.origins(origin{e.X, -1, o.env}) // instantiation
	case *ast.IndexListExpr:
		return t.origins(origin{e.X, -1, o.env})
	case *ast.StarExpr:
		return t.origins(origin{e.X, -1, o.env})
	case *ast.TypeAssertExpr:
		return t.origins(origin{e.X, -1, o.env})
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return t.origins(origin{e.X, -1, o.env})
		}
	case *ast.CallExpr:
		return t.call(e, o)
	}
	return []origin{o}, true
}

func (t *tracer) enter() bool {
	t.steps++
	if t.depth >= maxDepth || t.steps > maxSteps {
		return false
	}
	t.depth++
	return true
}

func (t *tracer) leave() { t.depth-- }

// object traces what obj, used in o, can hold.
func (t *tracer) object(obj types.Object, o origin) ([]origin, bool) {
	v, ok := obj.(*types.Var)
	if !ok || !t.uses.local(v) {
		return []origin{o}, true // nil, a constant, a function, an imported variable
	}
	if bound, ok := o.env.lookup(v); ok {
		return t.origins(bound)
	}
	if t.uses.opaque[v] || len(t.uses.sources[v]) == 0 {
		return nil, false // a parameter of nobody's call, or changed out of sight
	}
	key := busyKey{v, o.env}
	if t.busy[key] {
		return nil, true
	}
	t.busy[key] = true
	defer delete(t.busy, key)
	complete := true
	var found []origin
	for _, s := range t.uses.sources[v] {
		var more []origin
		var ok bool
		switch s.kind {
		case wholeValue:
			more, ok = t.origins(origin{s.expr, s.result, o.env})
		case rangedElement:
			more, ok = t.scalars(t.elements(origin{s.expr, s.result, o.env}))
		case oneElement:
			// v[i] = x changes the list v holds; see elements.
		}
		found, complete = append(found, more...), complete && ok
	}
	return found, complete
}

// field traces the field of the struct that o yields.
func (t *tracer) field(o origin, field *types.Var, index int) ([]origin, bool) {
	if t.uses.written[field] {
		return nil, false
	}
	bases, complete := t.origins(o)
	var found []origin
	for _, base := range bases {
		if base.expr == nil {
			found = append(found, base)
			continue
		}
		literal, ok := base.expr.(*ast.CompositeLit)
		if !ok {
			complete = false
			continue
		}
		value, ok := fieldOf(literal, field.Name(), index)
		if !ok {
			found = append(found, origin{nil, -1, nil})
			continue
		}
		more, ok := t.origins(origin{value, -1, base.env})
		found, complete = append(found, more...), complete && ok
	}
	return found, complete
}

// fieldOf returns the expression that a struct literal gives to a field.
func fieldOf(literal *ast.CompositeLit, name string, index int) (ast.Expr, bool) {
	for i, element := range literal.Elts {
		pair, keyed := element.(*ast.KeyValueExpr)
		if !keyed {
			if i == index {
				return element, true
			}
			continue
		}
		if id, ok := pair.Key.(*ast.Ident); ok && id.Name == name {
			return pair.Value, true
		}
	}
	return nil, false
}

// call traces a conversion, or the results of a function of this package.
func (t *tracer) call(call *ast.CallExpr, o origin) ([]origin, bool) {
	if t.info.Types[call.Fun].IsType() && len(call.Args) == 1 {
		return t.origins(origin{call.Args[0], -1, o.env})
	}
	body, ok := t.callee(call, o.env)
	if !ok {
		return []origin{o}, true // a terminal: whoever asked decides what it is
	}
	if t.calls[body.body] {
		return nil, false // recursion
	}
	t.calls[body.body] = true
	defer delete(t.calls, body.body)
	var found []origin
	complete := true
	for _, r := range body.returns(max(o.result, 0)) {
		more, ok := t.origins(r)
		found, complete = append(found, more...), complete && ok
	}
	return found, complete
}

// callee returns the body of the called function, with its parameters bound, if
// it is declared in this package and there is only one that it can be.
func (t *tracer) callee(call *ast.CallExpr, env *scope) (function, bool) {
	if _, ok := typeutil.Callee(t.info, call).(*types.Builtin); ok {
		return function{}, false
	}
	f, ok := t.function(origin{call.Fun, -1, env})
	if !ok {
		return function{}, false
	}
	return f.bind(t.info, call, env), true
}

// function returns the one function that o can be.
func (t *tracer) function(o origin) (function, bool) {
	found, complete := t.origins(o)
	if !complete || len(found) != 1 || found[0].expr == nil {
		return function{}, false
	}
	var id *ast.Ident
	switch e := found[0].expr.(type) {
	case *ast.FuncLit:
		return function{e.Type, e.Body, found[0].env}, true
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	default:
		return function{}, false
	}
	fn, ok := t.info.ObjectOf(id).(*types.Func)
	if !ok {
		return function{}, false
	}
	declaration, ok := t.uses.functions[fn.Origin()]
	if !ok || declaration.Body == nil {
		return function{}, false
	}
	return function{declaration.Type, declaration.Body, nil}, true
}

// function is a function's source, in the scope it closes over.
type function struct {
	typ  *ast.FuncType
	body *ast.BlockStmt
	env  *scope
}

// bind returns f with its parameters bound to the arguments of call.
func (f function) bind(info *types.Info, call *ast.CallExpr, env *scope) function {
	inner := &scope{outer: f.env, bound: map[types.Object]origin{}}
	var params []*ast.Ident
	for _, field := range f.typ.Params.List {
		if len(field.Names) == 0 {
			params = append(params, nil)
		}
		params = append(params, field.Names...)
	}
	variadic := false
	if n := len(f.typ.Params.List); n > 0 {
		_, variadic = f.typ.Params.List[n-1].Type.(*ast.Ellipsis)
	}
	for i, id := range params {
		// The last parameter of a variadic function is a list of its own, which
		// stays unbound and so unknown, unless the call spreads one list.
		if id == nil || i >= len(call.Args) || (variadic && i == len(params)-1 && !call.Ellipsis.IsValid()) {
			continue
		}
		if obj := info.Defs[id]; obj != nil {
			inner.bound[obj] = origin{call.Args[i], -1, env}
		}
	}
	f.env = inner
	return f
}

// returns lists the expressions that f returns as its result number i.
func (f function) returns(i int) []origin {
	var found []origin
	for _, statement := range f.statements() {
		switch {
		case len(statement.Results) == 0:
			if id := f.named(i); id != nil {
				found = append(found, origin{id, -1, f.env})
			}
		case i < len(statement.Results):
			found = append(found, origin{statement.Results[i], -1, f.env})
		case len(statement.Results) == 1:
			found = append(found, origin{statement.Results[0], i, f.env})
		}
	}
	return found
}

// statements lists the return statements of f itself.
func (f function) statements() []*ast.ReturnStmt {
	var found []*ast.ReturnStmt
	ast.Inspect(f.body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			found = append(found, n)
		}
		return true
	})
	return found
}

// named returns the name of result number i, if it has one.
func (f function) named(i int) *ast.Ident {
	if f.typ.Results == nil {
		return nil
	}
	for _, field := range f.typ.Results.List {
		for _, id := range field.Names {
			if i == 0 {
				return id
			}
			i--
		}
	}
	return nil
}

func isFunction(t types.Type) bool {
	_, ok := t.Underlying().(*types.Signature)
	return ok
}

// text returns the constant string that e is, if it is one.
func text(info *types.Info, e ast.Expr) (string, bool) {
	if e == nil {
		return "", false
	}
	value := info.Types[e].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(value), true
}

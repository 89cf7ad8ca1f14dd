package catalogcheck

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// callAt returns the call whose opening parenthesis is at pos, where SSA says
// that it is.
func (s *routeStage) callAt(pos token.Pos) ast.Node {
	var at ast.Node = &ast.BadExpr{From: pos, To: pos + 1}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && call.Lparen == pos {
				at = call
			}
			return true
		})
	}
	return at
}

// flow is the SSA form of one package.
type flow struct {
	pkg    *ssa.Package
	byBody map[*ast.BlockStmt]*ssa.Function
	// functions are those of the source files, ordered by place.
	functions []*ssa.Function
	// classes remembers what the errors of functions mean.
	classes map[*ssa.Function]class
	busy    map[*ssa.Function]bool
	// inFields are functions that are stored in fields, found when somebody asks.
	inFields map[*types.Var][]*ssa.Function
}

// flow returns the SSA form of the package, which is built once.
func (s *routeStage) flow() *flow {
	if s.built == nil {
		s.built = buildFlow(s.model)
	}
	return s.built
}

// buildFlow builds the SSA form of the package. It is done only where a rule
// needs it: package buildssa would do it for every dependency as well.
func buildFlow(m *model) *flow {
	program := ssa.NewProgram(m.pass.Fset, ssa.BuilderMode(0))
	created := map[*types.Package]bool{}
	var create func(all []*types.Package)
	create = func(all []*types.Package) {
		for _, p := range all {
			if !created[p] {
				created[p] = true
				program.CreatePackage(p, nil, nil, true)
				create(p.Imports())
			}
		}
	}
	create(m.pass.Pkg.Imports())
	f := &flow{
		pkg:    program.CreatePackage(m.pass.Pkg, m.pass.Files, m.pass.TypesInfo, false),
		byBody: map[*ast.BlockStmt]*ssa.Function{}, classes: map[*ssa.Function]class{}, busy: map[*ssa.Function]bool{},
	}
	f.pkg.Build()
	var index func(fn *ssa.Function)
	index = func(fn *ssa.Function) {
		switch n := fn.Syntax().(type) {
		case *ast.FuncDecl:
			f.byBody[n.Body] = fn
		case *ast.FuncLit:
			f.byBody[n.Body] = fn
		}
		for _, inner := range fn.AnonFuncs {
			index(inner)
		}
	}
	for _, declaration := range m.uses.functions {
		if obj, ok := m.pass.TypesInfo.Defs[declaration.Name].(*types.Func); ok {
			if fn := program.FuncValue(obj); fn != nil {
				index(fn)
			}
		}
	}
	if fn := f.pkg.Func("init"); fn != nil {
		index(fn)
	}
	for body, fn := range f.byBody {
		if slices.ContainsFunc(m.files, func(file *ast.File) bool { return file.FileStart <= body.Pos() && body.Pos() < file.FileEnd }) {
			f.functions = append(f.functions, fn)
		}
	}
	slices.SortFunc(f.functions, func(a, b *ssa.Function) int { return int(a.Pos() - b.Pos()) })
	return f
}

// local returns the function of this package that call surely calls, or nil.
func (f *flow) local(call *ssa.CallCommon) *ssa.Function {
	fn := call.StaticCallee()
	if fn == nil {
		return nil
	}
	if origin := fn.Origin(); origin != nil {
		fn = origin
	}
	if fn.Pkg != f.pkg || len(fn.Blocks) == 0 {
		return nil
	}
	return fn
}

// emits reports whether call records an event.
func emits(call *ssa.CallCommon) bool {
	fn := call.StaticCallee()
	if fn == nil {
		return false
	}
	if origin := fn.Origin(); origin != nil {
		fn = origin
	}
	obj := fn.Object()
	return obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == ingestPath && fn.Signature.Recv() == nil && (obj.Name() == "Canonical" || obj.Name() == "Delete")
}

func isNil(v ssa.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && (c.Value == nil || c.Value.Kind() == constant.Unknown)
}

// reach returns the functions of the package that the roots call, make or hand
// on, whatever way they go.
func (f *flow) reach(roots ...*ssa.Function) map[*ssa.Function]bool {
	found := map[*ssa.Function]bool{}
	next := slices.Clone(roots)
	for len(next) > 0 {
		fn := f.ours(next[len(next)-1])
		next = next[:len(next)-1]
		if fn == nil || found[fn] {
			continue
		}
		found[fn] = true
		for _, block := range fn.Blocks {
			for _, instruction := range block.Instrs {
				for _, operand := range instruction.Operands(nil) {
					if named, ok := (*operand).(*ssa.Function); ok {
						next = append(next, named)
					}
				}
				if call, ok := instruction.(ssa.CallInstruction); ok && call.Common().IsInvoke() {
					next = append(next, f.methods(call.Common().Method.Name())...)
				} else if ok {
					next = append(next, f.kept(call.Common().Value)...)
				}
				if made, ok := instruction.(*ssa.MakeInterface); ok {
					next = append(next, f.methodsOf(made.X.Type())...)
				}
			}
		}
	}
	return found
}

// kept returns the functions of the package that are kept anywhere in the field
// from which v is read.
func (f *flow) kept(v ssa.Value) []*ssa.Function {
	load, ok := v.(*ssa.UnOp)
	if !ok {
		return nil
	}
	address, ok := load.X.(*ssa.FieldAddr)
	if !ok {
		return nil
	}
	if f.inFields == nil {
		f.inFields = map[*types.Var][]*ssa.Function{}
		for _, fn := range f.functions {
			for _, block := range fn.Blocks {
				for _, instruction := range block.Instrs {
					if store, ok := instruction.(*ssa.Store); ok {
						f.keep(store)
					}
				}
			}
		}
	}
	return f.inFields[fieldAt(address)]
}

// keep notes a function that is stored in a field.
func (f *flow) keep(store *ssa.Store) {
	address, ok := store.Addr.(*ssa.FieldAddr)
	if !ok {
		return
	}
	value := store.Val
	if made, ok := value.(*ssa.MakeClosure); ok {
		value = made.Fn
	}
	if fn, ok := value.(*ssa.Function); ok && fieldAt(address) != nil {
		f.inFields[fieldAt(address)] = append(f.inFields[fieldAt(address)], fn)
	}
}

// fieldAt is the field that an address is of.
func fieldAt(address *ssa.FieldAddr) *types.Var {
	pointer, ok := address.X.Type().Underlying().(*types.Pointer)
	if !ok {
		return nil
	}
	owner, ok := pointer.Elem().Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	return owner.Field(address.Field)
}

// reachHandlers returns the functions that the bound handlers reach.
func (f *flow) reachHandlers(bound []binding) map[*ssa.Function]bool {
	var roots []*ssa.Function
	for _, b := range bound {
		if b.inPackage {
			roots = append(roots, f.byBody[b.handler.body])
		}
	}
	return f.reach(roots...)
}

// ours returns the function of this package that fn is, or leads to, or nil.
func (f *flow) ours(fn *ssa.Function) *ssa.Function {
	if fn == nil {
		return nil
	}
	if origin := fn.Origin(); origin != nil {
		fn = origin
	}
	if fn.Synthetic != "" {
		if obj, ok := fn.Object().(*types.Func); ok {
			if declared := f.pkg.Prog.FuncValue(obj.Origin()); declared != nil {
				fn = declared
			}
		}
	}
	if fn.Pkg != f.pkg {
		return nil
	}
	return fn
}

// methods returns the methods of this package with the given name.
func (f *flow) methods(name string) []*ssa.Function {
	var found []*ssa.Function
	for _, fn := range f.functions {
		if fn.Signature.Recv() != nil && fn.Name() == name {
			found = append(found, fn)
		}
	}
	return found
}

// methodsOf returns the methods of a type of this package, which whoever gets a
// value of it as an interface may call.
func (f *flow) methodsOf(t types.Type) []*ssa.Function {
	if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() != f.pkg.Pkg {
		return nil
	}
	var found []*ssa.Function
	for method := range named.Origin().Methods() {
		if fn := f.pkg.Prog.FuncValue(method); fn != nil {
			found = append(found, fn)
		}
	}
	return found
}

package catalogcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"

	"github.com/weirhq/weir/catalog"
)

// checkVerification checks the handlers of endpoints with catalog.AuthCustom,
// which get deliveries that nobody has verified.
func (s *routeStage) checkVerification(handouts []handout) {
	var custom []binding
	seen := map[*ast.CallExpr]bool{}
	for _, h := range handouts {
		for _, r := range h.routes {
			if seen[r.call] || !r.known || len(r.serves) != 1 || r.serves[0] == nil ||
				r.serves[0].Kind != webhookEndpoint || r.serves[0].Endpoint.Auth != catalog.AuthCustom {
				continue
			}
			seen[r.call] = true
			b := binding{route: r}
			if b.handler, b.inPackage = s.tracer().function(of(r.call.Args[1])); b.inPackage {
				custom = append(custom, b)
			}
		}
	}
	if len(custom) == 0 || s.checkDropped() {
		return
	}
	f := s.flow()
	for _, b := range custom {
		fn := f.byBody[b.handler.body]
		if fn == nil {
			continue
		}
		if !f.verifies(fn, map[*ssa.Function]bool{}) {
			never := found("SC303", b.call.Args[1], "%s is AuthCustom, but its handler never calls Verify on the delivery; call d.Verify(ctx) before anything else and return its error", b.serves[0].label())
			never.fix = s.verifyFirst(b.handler)
			s.report(never)
			continue
		}
		if at := f.unverified(fn, decodes, map[*ssa.Function]bool{}); at.IsValid() {
			s.report(found("SC308", s.callAt(at), "the body is decoded before the delivery is known to be verified, so anybody may feed the decoder; check the error of d.Verify first").
				with(b.call.Args[1], "the handler of %s is bound here", b.serves[0].label()))
		}
		if at := f.unverified(fn, emits, map[*ssa.Function]bool{}); at.IsValid() {
			s.report(found("SC305", s.callAt(at), "the event is emitted before the delivery is known to be verified, so anybody may have it recorded; check the error of d.Verify on every way here").
				with(b.call.Args[1], "the handler of %s is bound here", b.serves[0].label()))
		}
	}
}

// checkDropped reports calls of Verify whose result nobody looks at.
func (s *routeStage) checkDropped() bool {
	dropped := false
	check := func(e ast.Expr) {
		call, ok := ast.Unparen(e).(*ast.CallExpr)
		if !ok {
			return
		}
		selector, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok || !isVerify(s.pass.TypesInfo.Uses[selector.Sel]) {
			return
		}
		dropped = true
		s.report(found("SC306", call, "the result of Verify is dropped, so every delivery is accepted; return its error"))
	}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ExprStmt:
				check(n.X)
			case *ast.GoStmt:
				check(n.Call)
			case *ast.DeferStmt:
				check(n.Call)
			case *ast.AssignStmt:
				for i, e := range n.Rhs {
					if id, ok := n.Lhs[i].(*ast.Ident); ok && id.Name == "_" && len(n.Lhs) == len(n.Rhs) {
						check(e)
					}
				}
			}
			return true
		})
	}
	return dropped
}

// isVerify reports whether obj is the method that verifies a delivery, or that of
// an interface that a delivery has.
func isVerify(obj types.Object) bool {
	fn, ok := obj.(*types.Func)
	if !ok || fn == nil || fn.Name() != "Verify" || fn.Signature().Recv() == nil {
		return false
	}
	if s := fn.Signature(); types.IsInterface(s.Recv().Type()) {
		return s.Params().Len() == 1 && isNamed(s.Params().At(0).Type(), "context", "Context") && s.Results().Len() == 1 && isError(s.Results().At(0).Type())
	}
	return isDelivery(fn.Signature().Recv().Type())
}

func isDelivery(t types.Type) bool {
	pointer, ok := types.Unalias(t).(*types.Pointer)
	return ok && isNamed(pointer.Elem(), frameworkPath, "Delivery")
}

// verifies reports whether fn, or what it calls or makes, may verify: it names
// the method, or hands a delivery to code that is out of sight.
func (f *flow) verifies(fn *ssa.Function, seen map[*ssa.Function]bool) bool {
	if seen[fn] {
		return false
	}
	seen[fn] = true
	for _, block := range fn.Blocks {
		for _, instruction := range block.Instrs {
			for _, operand := range instruction.Operands(nil) {
				if named, ok := (*operand).(*ssa.Function); ok {
					if isVerify(named.Object()) || named.Pkg == f.pkg && f.verifies(named, seen) {
						return true
					}
				}
			}
			if call, ok := instruction.(ssa.CallInstruction); ok {
				if inner := f.local(call.Common()); inner != nil && f.verifies(inner, seen) || f.handsAway(call.Common()) || isVerify(call.Common().Method) {
					return true
				}
			}
		}
	}
	return false
}

// handsAway reports whether call gives a delivery to code that is out of sight.
func (f *flow) handsAway(call *ssa.CallCommon) bool {
	if f.local(call) != nil {
		return false
	}
	if fn := call.StaticCallee(); fn != nil && fn.Signature.Recv() != nil && isDelivery(fn.Signature.Recv().Type()) {
		return isVerify(fn.Object())
	}
	for _, arg := range call.Args {
		if made, ok := arg.(*ssa.MakeInterface); ok {
			arg = made.X
		}
		if isDelivery(arg.Type()) {
			return true
		}
	}
	return false
}

// unverified returns the place of a call that sink names, and that is reached from the start of
// fn on a way on which no verification has succeeded, if there is one.
func (f *flow) unverified(fn *ssa.Function, sink func(*ssa.CallCommon) bool, busy map[*ssa.Function]bool) token.Pos {
	if busy[fn] || len(fn.Blocks) == 0 {
		return token.NoPos
	}
	busy[fn] = true
	defer delete(busy, fn)
	visited := map[*ssa.BasicBlock]bool{}
	next := []*ssa.BasicBlock{fn.Blocks[0]}
	for len(next) > 0 {
		block := next[len(next)-1]
		next = next[:len(next)-1]
		if visited[block] {
			continue
		}
		visited[block] = true
		for _, instruction := range block.Instrs {
			call, ok := instruction.(ssa.CallInstruction)
			if !ok {
				continue
			}
			if sink(call.Common()) {
				return call.Pos()
			}
			if inner := f.local(call.Common()); inner != nil {
				if at := f.unverified(inner, sink, busy); at.IsValid() {
					return at
				}
			}
		}
		next = append(next, f.unguarded(block)...)
	}
	return token.NoPos
}

// unguarded returns the blocks that follow without a verification's success.
func (f *flow) unguarded(block *ssa.BasicBlock) []*ssa.BasicBlock {
	if len(block.Instrs) == 0 {
		return block.Succs
	}
	branch, ok := block.Instrs[len(block.Instrs)-1].(*ssa.If)
	if !ok {
		return block.Succs
	}
	onTrue := true
	cond := branch.Cond
	for {
		not, ok := cond.(*ssa.UnOp)
		if !ok || not.Op != token.NOT {
			break
		}
		cond, onTrue = not.X, !onTrue
	}
	if compared, ok := cond.(*ssa.BinOp); ok && (compared.Op == token.EQL || compared.Op == token.NEQ) && (isNil(compared.X) || isNil(compared.Y)) {
		if !f.outcome(compared.X, map[ssa.Value]bool{}) && !f.outcome(compared.Y, map[ssa.Value]bool{}) {
			return block.Succs
		}
		if compared.Op == token.NEQ {
			onTrue = !onTrue
		}
		if onTrue {
			return block.Succs[1:]
		}
		return block.Succs[:1]
	}
	if f.outcome(cond, map[ssa.Value]bool{}) {
		return nil // a helper's verdict, in a form that is not followed
	}
	return block.Succs
}

// isCheck reports whether v is a function that verifies: the method itself,
// bound to its delivery, or one of this package.
func (f *flow) isCheck(v ssa.Value) bool {
	if made, ok := v.(*ssa.MakeClosure); ok {
		v = made.Fn
	}
	fn, ok := v.(*ssa.Function)
	return ok && (isVerify(fn.Object()) || fn.Pkg == f.pkg && f.verifies(fn, map[*ssa.Function]bool{}))
}

// outcome reports whether v comes from a verification. A value that is nil
// where there was none does not.
func (f *flow) outcome(v ssa.Value, seen map[ssa.Value]bool) bool {
	if v == nil || seen[v] {
		return false
	}
	seen[v] = true
	switch v := v.(type) {
	case *ssa.Call:
		if inner := f.local(&v.Call); inner != nil && f.verifies(inner, map[*ssa.Function]bool{}) || f.handsAway(&v.Call) || isVerify(v.Call.Method) {
			return true
		}
		if fn := v.Call.StaticCallee(); fn != nil && fn.Pkg != nil && fn.Pkg.Pkg.Path() == "errors" && fn.Name() != "Join" {
			return false // which error it is says nothing about there being none
		}
		for _, arg := range append([]ssa.Value{v.Call.Value}, v.Call.Args...) {
			if f.isCheck(arg) || f.outcome(arg, seen) {
				return true
			}
		}
		made, ok := v.Call.Value.(*ssa.Call)
		return ok && f.outcome(made, seen)
	case *ssa.Phi:
		depends := false
		for _, edge := range v.Edges {
			if isNil(edge) {
				return false
			}
			depends = f.outcome(edge, seen) || depends
		}
		return depends
	case *ssa.UnOp:
		if stored, ok := v.X.(*ssa.Alloc); ok {
			return f.storedOutcome(stored, seen)
		}
		if stored, ok := v.X.(*ssa.FreeVar); ok && v.Op == token.MUL {
			return stored.Type() != nil && types.Identical(stored.Type().Underlying().(*types.Pointer).Elem(), types.Universe.Lookup("error").Type())
		}
		return f.outcome(v.X, seen)
	case *ssa.Slice:
		if stored, ok := v.X.(*ssa.Alloc); ok {
			return f.storedOutcome(stored, seen)
		}
	case ssa.Instruction:
		for _, operand := range v.Operands(nil) {
			if f.outcome(*operand, seen) {
				return true
			}
		}
	}
	return false
}

// storedOutcome looks at everything that is stored in a variable or its parts.
func (f *flow) storedOutcome(stored ssa.Value, seen map[ssa.Value]bool) bool {
	if stored.Referrers() == nil {
		return false
	}
	for _, referrer := range *stored.Referrers() {
		switch r := referrer.(type) {
		case *ssa.Store:
			if f.outcome(r.Val, seen) {
				return true
			}
		case *ssa.IndexAddr:
			if f.storedOutcome(r, seen) {
				return true
			}
		case *ssa.MakeClosure:
			return true // it may be set out of sight
		}
	}
	return false
}

// decodes reports whether call decodes the body of a delivery.
func decodes(call *ssa.CallCommon) bool {
	path, name, method := calledPath(call)
	if path == frameworkPath && method && name == "Decode" && len(call.Args) > 0 && isDelivery(call.Args[0].Type()) {
		return true
	}
	if path == "encoding/json" && name == "Unmarshal" || name == "UnmarshalJSON" {
		if slices.ContainsFunc(call.Args, isBody) {
			return true
		}
	}
	return false
}

// isBody reports whether v is the field Body of a delivery.
func isBody(v ssa.Value) bool {
	load, ok := v.(*ssa.UnOp)
	if !ok || load.Op != token.MUL {
		return false
	}
	field, ok := load.X.(*ssa.FieldAddr)
	if !ok || !isDelivery(field.X.Type()) {
		return false
	}
	pointer, ok := field.X.Type().Underlying().(*types.Pointer)
	if !ok {
		return false
	}
	owner, ok := pointer.Elem().Underlying().(*types.Struct)
	return ok && owner.Field(field.Field).Name() == "Body"
}

package catalogcheck

import (
	"go/token"

	"golang.org/x/tools/go/ssa"
)

// lastResult returns what is returned last, also where it was kept meanwhile.
func lastResult(r *ssa.Return) ssa.Value {
	v := r.Results[len(r.Results)-1]
	load, ok := v.(*ssa.UnOp)
	if !ok {
		return v
	}
	kept, ok := load.X.(*ssa.Alloc)
	if !ok || !holdsResult(kept) {
		return v
	}
	for _, instruction := range r.Block().Instrs {
		if store, ok := instruction.(*ssa.Store); ok && store.Addr == kept {
			v = store.Val
		}
	}
	return v
}

// fails reports whether a return surely says that something went wrong.
func fails(r *ssa.Return) bool {
	n := len(r.Results)
	if n == 0 || !isError(r.Results[n-1].Type()) {
		return false
	}
	last := lastResult(r)
	switch v := last.(type) {
	case *ssa.Const:
		return !isNil(v)
	case *ssa.MakeInterface:
		return true
	case *ssa.UnOp:
		_, global := v.X.(*ssa.Global)
		return global
	case *ssa.Call:
		path, name, _ := calledPath(&v.Call)
		if path == "fmt" && name == "Errorf" || path == "errors" && name == "New" || path == frameworkPath && (name == "Permanent" || name == "RetryAfter") {
			return true
		}
	}
	return present(last, r.Block())
}

// present reports whether an error is known to be there in a block: the block is
// behind a test of it.
func present(v ssa.Value, block *ssa.BasicBlock) bool {
	for d := block; d.Idom() != nil; d = d.Idom() {
		branch, ok := d.Idom().Instrs[len(d.Idom().Instrs)-1].(*ssa.If)
		if !ok || len(d.Preds) != 1 {
			continue
		}
		test, ok := branch.Cond.(*ssa.BinOp)
		if !ok || test.X != v && test.Y != v || !isNil(test.X) && !isNil(test.Y) {
			continue
		}
		there := d.Idom().Succs[1]
		if test.Op == token.NEQ {
			there = d.Idom().Succs[0]
		}
		if there == d {
			return true
		}
	}
	return false
}

// succeeds reports whether a return says that all is well.
func succeeds(r *ssa.Return) bool {
	if len(r.Results) == 0 {
		return true
	}
	last := lastResult(r)
	return isError(last.Type()) && isNil(last)
}

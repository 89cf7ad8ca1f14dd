package catalogcheck

import (
	"go/constant"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// edge is one way from a block to the next.
type edge struct {
	from *ssa.BasicBlock
	to   int
}

// course is what is reached from a call when its error is there, or is not.
type course struct {
	blocks map[*ssa.BasicBlock]bool
	edges  map[edge]bool
	// after holds the edges behind a look at the error.
	after map[edge]bool
	// ends says that the function returns without having taken care of it.
	ends bool
}

func walkFrom(call ssa.CallInstruction, t *trail, present bool) *course {
	c := &course{blocks: map[*ssa.BasicBlock]bool{}, edges: map[edge]bool{}, after: map[edge]bool{}}
	start := call.Block()
	from := 0
	for i, instruction := range start.Instrs {
		if instruction == call.(ssa.Instruction) {
			from = i + 1
		}
	}
	c.walk(start, from, t, present, len(t.tests)+len(t.tells) == 0)
	return c
}

func (c *course) walk(block *ssa.BasicBlock, from int, t *trail, present, looked bool) {
	for _, instruction := range block.Instrs[from:] {
		if present && t.settles[instruction] {
			return
		}
		if r, ok := instruction.(*ssa.Return); ok && !fails(r) {
			c.ends = true
		}
	}
	branch, _ := block.Instrs[len(block.Instrs)-1].(*ssa.If)
	for i, next := range block.Succs {
		test, isTest := t.tests[branch]
		tell, isTell := t.tells[branch]
		if branch != nil && (isTest && present != (test == i) || isTell && tell == i) {
			continue
		}
		e := edge{block, i}
		was := looked || branch != nil && (isTest || isTell)
		if c.edges[e] && (c.after[e] || !was) {
			continue
		}
		c.edges[e], c.after[e] = true, was
		c.blocks[next] = true
		c.walk(next, 0, t, present, was)
	}
}

// forgets reports whether an error that is there makes no difference: c is the
// course with it, and going the one without.
func (c *course) forgets(going *course, t *trail, emission bool) bool {
	if !c.ends {
		return false
	}
	if len(t.tests)+len(t.tells) == 0 {
		return len(t.settles) == 0 // nothing depends on it
	}
	joined := false
	for e := range c.edges {
		to := e.from.Succs[e.to]
		if !c.after[e] || !going.blocks[to] {
			continue
		}
		if to.Dominates(e.from) && !emission {
			continue // the next round of a loop, in which nothing of this one was used
		}
		joined = true
		if differs(e, c, going) {
			return false
		}
	}
	for block := range c.blocks {
		if going.blocks[block] {
			continue
		}
		for _, instruction := range block.Instrs {
			if t.settles[instruction] {
				break
			}
			if i, ok := instruction.(*ssa.Return); ok {
				if !emission || !succeeds(i) {
					return false
				}
				joined = true
			} else if acts(instruction, t) {
				return false
			}
		}
	}
	if emission {
		return joined
	}
	for block := range going.blocks {
		if !c.blocks[block] && !idle(block) {
			return false
		}
	}
	return joined
}

// idle reports whether a block does nothing but look at values and lead on.
func idle(block *ssa.BasicBlock) bool {
	for _, instruction := range block.Instrs {
		switch i := instruction.(type) {
		case *ssa.Jump, *ssa.If, *ssa.DebugRef, *ssa.Phi, *ssa.BinOp, *ssa.UnOp, *ssa.FieldAddr, *ssa.Field, *ssa.IndexAddr, *ssa.Convert, *ssa.Extract:
		case *ssa.Call:
			if !asks(&i.Call) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// asks reports whether call only gives an answer to branch on.
func asks(call *ssa.CallCommon) bool {
	if _, builtin := call.Value.(*ssa.Builtin); builtin {
		return true
	}
	results := call.Signature().Results()
	return results.Len() == 1 && isBool(results.At(0).Type())
}

// differs reports whether a variable has another value behind e than behind an
// edge on which there is no error.
func differs(e edge, c, going *course) bool {
	to := e.from.Succs[e.to]
	mine := phiIndex(e)
	for i, from := range to.Preds {
		for j, next := range from.Succs {
			o := edge{from, j}
			if next != to || phiIndex(o) != i || !going.edges[o] || c.edges[o] {
				continue
			}
			for _, instruction := range to.Instrs {
				phi, ok := instruction.(*ssa.Phi)
				if !ok {
					break
				}
				if phi.Edges[mine] != phi.Edges[i] && !sameConstant(phi.Edges[mine], phi.Edges[i]) {
					return true
				}
			}
		}
	}
	return false
}

// phiIndex returns which of the edges of a phi an edge of the graph is.
func phiIndex(e edge) int {
	to := e.from.Succs[e.to]
	nth := 0
	for _, next := range e.from.Succs[:e.to] {
		if next == to {
			nth++
		}
	}
	for i, from := range to.Preds {
		if from != e.from {
			continue
		}
		if nth == 0 {
			return i
		}
		nth--
	}
	return 0
}

func sameConstant(a, b ssa.Value) bool {
	x, ok := a.(*ssa.Const)
	y, same := b.(*ssa.Const)
	if !ok || !same || !types.Identical(x.Type(), y.Type()) {
		return false
	}
	if x.Value == nil || y.Value == nil {
		return x.Value == nil && y.Value == nil
	}
	return constant.Compare(x.Value, token.EQL, y.Value)
}

// acts reports whether an instruction does anything that outlives a log line.
func acts(instruction ssa.Instruction, t *trail) bool {
	switch i := instruction.(type) {
	case *ssa.Call:
		if asks(&i.Call) || describes(&i.Call) || tells(&i.Call) || onlyReturned(i) {
			return false
		}
		if i.Call.IsInvoke() {
			return !logMethod.MatchString(i.Call.Method.Name())
		}
		if path, name, _ := calledPath(&i.Call); path == "log" || path == "log/slog" || path == "fmt" || path == "time" || path == "context" && name != "WithCancel" {
			return false
		}
		return !t.logs[i]
	case *ssa.Store:
		return !scratch(i.Addr)
	case *ssa.Send, *ssa.MapUpdate, *ssa.Go, *ssa.Defer, *ssa.Panic, *ssa.Select:
		return true
	}
	return false
}

// onlyReturned reports whether call makes nothing but what is returned.
func onlyReturned(call *ssa.Call) bool {
	for _, referrer := range *call.Referrers() {
		switch r := referrer.(type) {
		case *ssa.Return:
		case *ssa.Store:
			if kept, ok := r.Addr.(*ssa.Alloc); !ok || !holdsResult(kept) {
				return false
			}
		default:
			return false
		}
	}
	return len(*call.Referrers()) > 0
}

// scratch reports whether memory is part of a value that is just being built.
func scratch(addr ssa.Value) bool {
	for {
		switch a := addr.(type) {
		case *ssa.FieldAddr:
			addr = a.X
		case *ssa.IndexAddr:
			addr = a.X
		case *ssa.Alloc:
			return a.Comment == "varargs" || a.Comment == "complit" || a.Comment == "slicelit" || holdsResult(a)
		default:
			return false
		}
	}
}

// holdsResult reports whether a variable is where a function with deferred calls
// keeps what it is about to return.
func holdsResult(a *ssa.Alloc) bool {
	for _, referrer := range *a.Referrers() {
		switch r := referrer.(type) {
		case *ssa.Store:
			if r.Addr != a {
				return false
			}
		case *ssa.UnOp:
			for _, user := range *r.Referrers() {
				if _, ok := user.(*ssa.Return); !ok {
					return false
				}
			}
		case *ssa.DebugRef:
		default:
			return false
		}
	}
	return true
}

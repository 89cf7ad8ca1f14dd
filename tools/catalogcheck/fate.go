package catalogcheck

import (
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// fate is what a function does with an error that it got.
type fate int

const (
	// handled errors are returned, kept, or make a difference.
	handled fate = iota
	// unread errors are looked at by nobody.
	unread
	// ignored errors are looked at, and the function goes on all the same.
	ignored
	// logged errors are ignored after they were written to a log.
	logged
)

// trail is where an error goes within its function.
type trail struct {
	seen map[ssa.Value]bool
	// tests hold the branch on which there is an error, by its index.
	tests map[*ssa.If]int
	// tells hold the branch on which it is one certain error.
	tells map[*ssa.If]int
	// settles are the instructions that take care of the error.
	settles map[ssa.Instruction]bool
	// logs are the calls that write it to a log.
	logs map[ssa.Instruction]bool
}

func newTrail() *trail {
	return &trail{
		seen: map[ssa.Value]bool{}, tests: map[*ssa.If]int{}, tells: map[*ssa.If]int{},
		settles: map[ssa.Instruction]bool{}, logs: map[ssa.Instruction]bool{},
	}
}

// errorOf returns the last result of a call, if that is an error. v is nil for
// one that is not even taken.
func errorOf(call ssa.CallInstruction) (v ssa.Value, has bool) {
	results := call.Common().Signature().Results()
	n := results.Len()
	if n == 0 || !isError(results.At(n-1).Type()) {
		return nil, false
	}
	value := call.Value()
	if value == nil || n == 1 {
		if value == nil {
			return nil, true
		}
		return value, true
	}
	for _, referrer := range *value.Referrers() {
		if extract, ok := referrer.(*ssa.Extract); ok && extract.Index == n-1 {
			return extract, true
		}
	}
	return nil, true
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// fateOf says what becomes of the error of a call. emission errors count as
// ignored also where the function returns success because of them.
func (f *flow) fateOf(call ssa.CallInstruction, emission bool) fate {
	v, _ := errorOf(call)
	if v == nil || len(*v.Referrers()) == 0 {
		return unread
	}
	t := newTrail()
	f.follow(t, v)
	failing, going := walkFrom(call, t, true), walkFrom(call, t, false)
	if !failing.forgets(going, t, emission) {
		return handled
	}
	if len(t.logs) > 0 {
		return logged
	}
	return ignored
}

// follow collects what is done with v, the error or something made of it.
func (f *flow) follow(t *trail, v ssa.Value) {
	if t.seen[v] || v.Referrers() == nil {
		return
	}
	t.seen[v] = true
	for _, referrer := range *v.Referrers() {
		switch r := referrer.(type) {
		case *ssa.DebugRef:
		case *ssa.Phi:
			f.follow(t, r)
		case *ssa.ChangeInterface:
			f.follow(t, r)
		case *ssa.MakeInterface:
			f.follow(t, r)
		case *ssa.Extract:
			if isBool(r.Type()) {
				t.branch(t.tells, r, true)
				continue
			}
			f.follow(t, r)
		case *ssa.BinOp:
			into := t.tells
			present := r.Op == token.EQL
			if isNil(r.X) || isNil(r.Y) {
				into, present = t.tests, r.Op == token.NEQ
			}
			t.branch(into, r, present)
		case *ssa.Store:
			if list := variadic(r); list != nil && r.Val == v {
				f.followList(t, list)
				continue
			}
			t.settles[referrer] = true
		case *ssa.Call:
			f.followCall(t, r, v)
		default:
			t.settles[referrer] = true
		}
	}
}

// variadic returns the list of variadic arguments that a store writes to.
func variadic(s *ssa.Store) *ssa.Alloc {
	element, ok := s.Addr.(*ssa.IndexAddr)
	if !ok {
		return nil
	}
	list, ok := element.X.(*ssa.Alloc)
	if !ok || list.Comment != "varargs" {
		return nil
	}
	return list
}

func (f *flow) followList(t *trail, list *ssa.Alloc) {
	for _, referrer := range *list.Referrers() {
		if slice, ok := referrer.(*ssa.Slice); ok {
			f.follow(t, slice)
		}
	}
}

func (f *flow) followCall(t *trail, call *ssa.Call, v ssa.Value) {
	switch {
	case tells(&call.Call):
		if isBool(call.Type()) {
			t.branch(t.tells, call, true)
			return
		}
		f.follow(t, call)
	case f.logs(&call.Call, v):
		t.logs[call] = true
	case describes(&call.Call):
		f.follow(t, call)
	default:
		t.settles[call] = true
	}
}

// branch records the branches on a condition that is true when the error is
// there. A condition that is used for anything else settles the error.
func (t *trail) branch(into map[*ssa.If]int, cond ssa.Value, present bool) {
	for _, referrer := range *cond.Referrers() {
		switch r := referrer.(type) {
		case *ssa.DebugRef:
		case *ssa.If:
			into[r] = 1
			if present {
				into[r] = 0
			}
		case *ssa.UnOp:
			if r.Op == token.NOT {
				t.branch(into, r, !present)
				continue
			}
			t.settles[referrer] = true
		default:
			t.settles[referrer] = true
		}
	}
}

func isBool(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

// calledPath returns the package path and name of what is surely called.
func calledPath(call *ssa.CallCommon) (path, name string, method bool) {
	fn := call.StaticCallee()
	if fn == nil {
		return "", "", false
	}
	if origin := fn.Origin(); origin != nil {
		fn = origin
	}
	obj := fn.Object()
	if obj == nil || obj.Pkg() == nil {
		return "", "", false
	}
	return obj.Pkg().Path(), obj.Name(), fn.Signature.Recv() != nil
}

// tells reports whether call asks which error it is.
func tells(call *ssa.CallCommon) bool {
	path, name, _ := calledPath(call)
	return path == "errors" && (name == "Is" || name == "As" || name == "AsType")
}

var logMethod = regexp.MustCompile(`(?i)^(log|trace|debug|info|warn|warning|error|print)(f|ln|w|context|attrs)?$`)

// logs reports whether call only writes v to a log.
func (f *flow) logs(call *ssa.CallCommon, v ssa.Value) bool {
	if call.Signature().Results().Len() > 0 {
		path, name, _ := calledPath(call)
		return path == "fmt" && (strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Fprint"))
	}
	if call.IsInvoke() {
		return logMethod.MatchString(call.Method.Name())
	}
	if path, name, _ := calledPath(call); path == "log" || path == "log/slog" {
		return !strings.HasPrefix(name, "Fatal") && !strings.HasPrefix(name, "Panic")
	}
	inner := f.local(call)
	if inner == nil || f.busy[inner] {
		return false
	}
	f.busy[inner] = true
	defer delete(f.busy, inner)
	t := newTrail()
	for i, arg := range call.Args {
		if arg == v && i < len(inner.Params) {
			f.follow(t, inner.Params[i])
		}
	}
	return len(t.logs) > 0 && len(t.settles) == 0 && len(t.tests) == 0
}

// describes reports whether call makes a text or an attribute of its arguments.
func describes(call *ssa.CallCommon) bool {
	if call.IsInvoke() {
		return call.Method.Name() == "Error"
	}
	path, name, _ := calledPath(call)
	return path == "log/slog" || path == "strconv" || path == "fmt" && name != "Errorf"
}

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

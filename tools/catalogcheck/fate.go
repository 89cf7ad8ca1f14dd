package catalogcheck

import (
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

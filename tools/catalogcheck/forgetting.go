package catalogcheck

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// class says what the error of a call is about.
type class struct {
	// emits: an event was refused.
	emits bool
	// reads: the provider did not answer, or not as it should.
	reads bool
	// local: a function of this package says so, which can fail.
	local bool
	// direct: the call itself emits or reads, and no function around it.
	direct bool
}

// discard is how a call's error is let go in the source.
type discard int

const (
	// taken errors have a name, or are part of an expression.
	taken discard = iota
	// bare calls are statements of their own.
	bare
	// blank errors are assigned to _.
	blank
)

// checkForgotten reports errors that are forgotten: a page that succeeds
// without what it should have read or recorded moves its cursor past it.
func (s *routeStage) checkForgotten() {
	if len(s.connectors) == 0 && !imports(s.pass.Pkg, ingestPath) {
		return
	}
	f := s.flow()
	discards := s.discards()
	for _, fn := range f.functions {
		for _, block := range fn.Blocks {
			for _, instruction := range block.Instrs {
				call, ok := instruction.(ssa.CallInstruction)
				if !ok {
					continue
				}
				if asksContext(call.Common()) {
					continue
				}
				if _, has := errorOf(call); has && call.Pos().IsValid() && !isVerify(calledObject(call.Common())) {
					s.checkFate(f, call, discards[call.Pos()])
				}
			}
		}
	}
}

// asksContext reports whether call is ctx.Err(): a question, whose answer is no
// failure of the call.
func asksContext(call *ssa.CallCommon) bool {
	return call.IsInvoke() && call.Method.FullName() == "(context.Context).Err"
}

func calledObject(call *ssa.CallCommon) types.Object {
	if fn := call.StaticCallee(); fn != nil {
		return fn.Object()
	}
	return nil
}

func (s *routeStage) checkFate(f *flow, call ssa.CallInstruction, how discard) {
	c := f.classify(call.Common())
	_, plain := call.(*ssa.Call)
	c.emits = c.emits && !c.reads // nothing guards against a page that was not read
	end := unread
	if plain {
		end = f.fateOf(call, c.emits)
	}
	at := s.callAt(call.Pos())
	switch {
	case end == handled, !plain && !c.emits:
	case c.emits:
		if _, started := call.(*ssa.Go); started {
			return // see SC407
		}
		what := map[fate]string{unread: "dropped", ignored: "not returned", logged: "only logged"}[end]
		s.report(found("SC406", at, "the error of an emission is %s, and the handler goes on as though the event were recorded; return it", what))
	case end == unread && how == taken:
		s.report(found("SC410", at, "the error of this call is kept in a variable that nobody looks at; return it, or assign it to _"))
	case end == unread && how == bare && (c.reads || c.local), end == unread && how == blank && c.reads && c.direct && !f.decodesOnly(call.Common()):
		s.report(found("SC410", at, "the error of this call is dropped, so what could not be read is taken for nothing; return it"))
	case end == ignored:
		s.report(found("SC410", at, "the error of this call is looked at, and makes no difference; return it"))
	case end == logged && c.reads:
		s.report(found("SC411", at, "the error of this call is only logged, and what could not be read is used; return it"))
	}
}

// discards returns how each call is let go, by the place of its parenthesis.
func (s *routeStage) discards() map[token.Pos]discard {
	all := map[token.Pos]discard{}
	note := func(e ast.Expr, how discard) {
		if call, ok := ast.Unparen(e).(*ast.CallExpr); ok {
			all[call.Lparen] = how
		}
	}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ExprStmt:
				note(n.X, bare)
			case *ast.AssignStmt:
				for i, target := range n.Lhs {
					id, ok := target.(*ast.Ident)
					if !ok || id.Name != "_" {
						continue
					}
					switch {
					case len(n.Rhs) == len(n.Lhs):
						note(n.Rhs[i], blank)
					case i == len(n.Lhs)-1:
						note(n.Rhs[0], blank)
					}
				}
			}
			return true
		})
	}
	return all
}

// classify says what the error of a call is about.
func (f *flow) classify(call *ssa.CallCommon) class {
	if emits(call) {
		return class{emits: true, direct: true}
	}
	if readsProvider(call) {
		return class{reads: true, direct: true}
	}
	fn := f.local(call)
	if fn == nil {
		return class{}
	}
	if known, ok := f.classes[fn]; ok {
		return known
	}
	f.classes[fn] = class{local: true} // while its own calls are looked at
	c := class{}
	for _, block := range fn.Blocks {
		for _, instruction := range block.Instrs {
			switch i := instruction.(type) {
			case ssa.CallInstruction:
				inner := f.classify(i.Common())
				c.emits, c.reads = c.emits || inner.emits, c.reads || inner.reads
			case *ssa.Return:
				if n := len(i.Results); n > 0 && !isNil(i.Results[n-1]) {
					c.local = true
				}
			}
		}
	}
	if !c.local {
		c = class{} // its error is always nil
	}
	f.classes[fn] = c
	return c
}

// readsProvider reports whether call asks the provider, or reads its answer.
func readsProvider(call *ssa.CallCommon) bool {
	path, name, method := calledPath(call)
	switch path {
	case frameworkPath:
		return name == "Fetch" || method && name == "Decode"
	case ingestPath:
		return method && name == "UnmarshalJSON"
	case "net/http":
		return method && name == "Do" || name == "NewRequest" || name == "NewRequestWithContext"
	case "encoding/json":
		return !method || name == "Decode"
	case "io":
		return name == "ReadAll"
	}
	return false
}

// decodesOnly reports whether call decodes something with package json, where an
// author who assigns the error to _ may mean it.
func (f *flow) decodesOnly(call *ssa.CallCommon) bool {
	path, _, _ := calledPath(call)
	return path == "encoding/json"
}

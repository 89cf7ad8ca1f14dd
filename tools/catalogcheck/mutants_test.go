package catalogcheck

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// mutantMaker collects the mutants of one file.
type mutantMaker struct {
	*mutated
	p    *packages.Package
	file *ast.File
	all  []mutant
	// linked says that the package is part of connectors/all.
	linked bool
	text   []byte
}

// mutants lists what is taken out of a package, in the order of its source.
func (m *mutated) mutants(p *packages.Package) []mutant {
	var all []mutant
	for _, file := range p.Syntax {
		name := m.fset.Position(file.FileStart).Filename
		text, err := os.ReadFile(name)
		if err != nil || filepath.Base(name) == generatedFile {
			continue
		}
		maker := &mutantMaker{mutated: m, p: p, file: file, text: text, linked: strings.HasPrefix(p.PkgPath, modulePath)}
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			maker.node(n, stack)
			return true
		})
		all = append(all, maker.all...)
	}
	slices.SortStableFunc(all, func(a, b mutant) int {
		return cmp.Or(cmp.Compare(a.file.Pos(), b.file.Pos()), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	return slices.CompactFunc(all, func(a, b mutant) bool {
		return a.file == b.file && a.from == b.from && a.to == b.to && a.with == b.with
	})
}

func (k *mutantMaker) offset(pos token.Pos) int { return k.fset.Position(pos).Offset }

func (k *mutantMaker) add(what string, n ast.Node, from, to int, with string) {
	k.all = append(k.all, mutant{file: k.file, place: k.fset.Position(n.Pos()), what: what, from: from, to: to, with: with})
}

// remove takes n out, and each of its lines alone.
func (k *mutantMaker) remove(what string, n ast.Node) {
	k.add("without "+what, n, k.offset(n.Pos()), k.offset(n.End()), "")
	k.lines(what, n)
}

// lines takes out each line that n is on.
func (k *mutantMaker) lines(what string, n ast.Node) {
	file := k.fset.File(n.Pos())
	for line := file.Line(n.Pos()); line <= file.Line(n.End()); line++ {
		from, to := file.Offset(file.LineStart(line)), len(k.text)
		if line < file.LineCount() {
			to = file.Offset(file.LineStart(line + 1))
		}
		k.add(fmt.Sprintf("without line %d, of %s", line, what), n, from, to, "")
	}
}

// removeElement takes one element out of a list, with its comma.
func (k *mutantMaker) removeElement(what string, n ast.Node) {
	to := k.offset(n.End())
	for to < len(k.text) && (k.text[to] == ' ' || k.text[to] == '\t') {
		to++
	}
	if to < len(k.text) && k.text[to] == ',' {
		to++
	}
	k.add("without "+what, n, k.offset(n.Pos()), to, "")
	k.lines(what, n)
}

func (k *mutantMaker) node(n ast.Node, stack []ast.Node) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		k.literal(n)
	case *ast.GenDecl:
		if n.Tok == token.VAR && len(stack) == 1 {
			for _, spec := range n.Specs {
				k.variable(n, spec.(*ast.ValueSpec))
			}
		}
	case *ast.IfStmt:
		k.check(n)
	case *ast.AssignStmt:
		if _, inIf := stack[len(stack)-1].(*ast.IfStmt); !inIf && k.assignsError(n) {
			if call, ok := n.Rhs[0].(*ast.CallExpr); ok && len(n.Rhs) == 1 {
				k.add("with the bare call in place of the assignment of an error", n, k.offset(n.Pos()), k.offset(call.Pos()), "")
			}
		}
	case *ast.ReturnStmt:
		if len(n.Results) == 1 && k.emission(n.Results[0]) {
			k.add("with a bare call in place of the return", n, k.offset(n.Pos()), k.offset(n.Results[0].Pos()), "")
		}
	case *ast.ExprStmt:
		if k.verifies(n) {
			k.remove("Verify", n)
		}
	}
}

func (k *mutantMaker) literal(n *ast.CompositeLit) {
	t := k.p.TypesInfo.TypeOf(n)
	switch {
	case isNamed(t, frameworkPath, "Routes"), listOf(t, frameworkPath, "Route"), listOf(t, catalogPath, "Stream"), listOf(t, catalogPath, "Endpoint"):
		for _, element := range n.Elts {
			k.removeElement(types.ExprString(element), element)
		}
	case isNamed(t, catalogPath, "Connector"), isNamed(t, catalogPath, "PollSpec"), isNamed(t, catalogPath, "EndpointSpec"), isNamed(t, catalogPath, "SignatureSpec"):
		for _, element := range n.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				k.removeElement("field "+types.ExprString(pair.Key), pair)
			}
		}
	case isNamed(t, ingestPath, "Options"):
		for _, element := range n.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok && types.ExprString(pair.Key) == "IdempotencyKey" {
				k.removeElement("the key", pair)
			}
		}
	}
}

func listOf(t types.Type, path, name string) bool {
	list, ok := t.Underlying().(*types.Slice)
	return ok && isNamed(list.Elem(), path, name)
}

func (k *mutantMaker) variable(decl *ast.GenDecl, spec *ast.ValueSpec) {
	for _, value := range spec.Values {
		call, isCall := value.(*ast.CallExpr)
		declares := false
		if isCall {
			_, declares = isDeclaring(k.p.TypesInfo, call)
			// What another package links is missed there.
			declares = declares || k.linked && calls(k.p.TypesInfo, call, frameworkPath, "Define")
		}
		if !declares && !isConnector(k.p.TypesInfo.TypeOf(value)) {
			continue
		}
		if decl.Lparen.IsValid() {
			k.remove("the declaration of "+spec.Names[0].Name, spec)
		} else {
			k.remove("the declaration of "+spec.Names[0].Name, decl)
		}
	}
}

// check takes the parts of an if out that compares an error with nil.
func (k *mutantMaker) check(n *ast.IfStmt) {
	compared := false
	ast.Inspect(n.Cond, func(e ast.Node) bool {
		if b, ok := e.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) && k.isError(b.X) && k.p.TypesInfo.Types[b.Y].IsNil() {
			compared = true
		}
		return true
	})
	if !compared {
		return
	}
	if last := len(n.Body.List) - 1; last >= 0 {
		k.remove("the end of a check", n.Body.List[last])
	}
	call := k.called(n)
	switch {
	case call == nil:
		k.add("without a check", n, k.offset(n.Pos()), k.offset(n.End()), "")
	case k.reads(call):
		k.add("without a check and its call", n, k.offset(n.Pos()), k.offset(n.End()), "")
		fallthrough
	default:
		k.add("with the bare call in place of a check", n, k.offset(n.Pos()), k.offset(n.End()), string(k.text[k.offset(call.Pos()):k.offset(call.End())]))
	}
}

// called returns the call whose error an if checks, if it is made there.
func (k *mutantMaker) called(n *ast.IfStmt) *ast.CallExpr {
	if assign, ok := n.Init.(*ast.AssignStmt); ok && len(assign.Rhs) == 1 && len(assign.Lhs) == 1 {
		call, _ := assign.Rhs[0].(*ast.CallExpr)
		return call
	}
	var found *ast.CallExpr
	ast.Inspect(n.Cond, func(e ast.Node) bool {
		if b, ok := e.(*ast.BinaryExpr); ok && k.p.TypesInfo.Types[b.Y].IsNil() && k.isError(b.X) {
			if call, ok := b.X.(*ast.CallExpr); ok {
				found = call
			}
		}
		return true
	})
	return found
}

// reads reports whether a call reads, decodes, emits or verifies.
func (k *mutantMaker) reads(call *ast.CallExpr) bool {
	if k.emission(call) || k.verifies(call) {
		return true
	}
	var id *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return false
	}
	fn, ok := k.p.TypesInfo.Uses[id].(*types.Func)
	if !ok || fn.Pkg() == nil {
		return false
	}
	return slices.Contains([]string{"encoding/json", frameworkPath, ingestPath}, fn.Pkg().Path())
}

func (k *mutantMaker) isError(e ast.Expr) bool {
	t := k.p.TypesInfo.TypeOf(e)
	return t != nil && isError(t)
}

func (k *mutantMaker) assignsError(n *ast.AssignStmt) bool {
	return slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return ok && id.Name != "_" && k.isError(e)
	})
}

// emission reports whether e is a call that records an event, or of a function
// of the package that is given a buffer and returns an error.
func (k *mutantMaker) emission(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || !k.isError(e) {
		return false
	}
	return slices.ContainsFunc(call.Args, func(arg ast.Expr) bool { return isBuffer(k.p.TypesInfo.TypeOf(arg)) })
}

// verifies reports whether n calls Verify on a delivery.
func (k *mutantMaker) verifies(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(e ast.Node) bool {
		if selector, ok := e.(*ast.SelectorExpr); ok && isVerify(k.p.TypesInfo.Uses[selector.Sel]) {
			found = true
		}
		return !found
	})
	return found
}

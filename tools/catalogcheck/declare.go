package catalogcheck

import (
	"cmp"
	"go/ast"
	"go/constant"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// declareAnalyzer reads the declarations of a package and exports a fact about
// each variable that holds one. Its result is a *model, or a nil one for a
// package without package catalog.
func declareAnalyzer() *analysis.Analyzer {
	return &analysis.Analyzer{
		Name:       "declarations",
		Doc:        "declarations reads the streams, endpoints and connectors that a package declares",
		URL:        ruleURL(""),
		Run:        func(pass *analysis.Pass) (any, error) { return readModel(pass), nil },
		ResultType: reflect.TypeFor[*model](),
		FactTypes:  []analysis.Fact{new(declared)},
	}
}

func readModel(pass *analysis.Pass) *model {
	if ownPackage(pass.Pkg.Path()) || !imports(pass.Pkg, catalogPath) {
		return nil
	}
	m := &model{
		pass: pass, files: sourceFiles(pass),
		byCall: map[*ast.CallExpr]*declaration{}, imported: map[types.Object]*declaration{},
	}
	m.uses = recordUsage(pass.Pkg, pass.TypesInfo, m.files)
	for _, file := range m.files {
		m.readDeclarations(file)
	}
	m.readConnectors()
	m.checkDeclarations()
	m.checkRenames()
	m.checkConnectors()
	m.checkSecrets()
	return m
}

// sourceFiles returns the files of the package that are not tests.
func sourceFiles(pass *analysis.Pass) []*ast.File {
	var files []*ast.File
	for _, file := range pass.Files {
		if !strings.HasSuffix(pass.Fset.Position(file.FileStart).Filename, "_test.go") {
			files = append(files, file)
		}
	}
	return files
}

func (m *model) readDeclarations(file *ast.File) {
	ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if kind, ok := isDeclaring(m.pass.TypesInfo, call); ok {
			m.readDeclaration(file, kind, call, stack)
		}
		return true
	})
}

func (m *model) readDeclaration(file *ast.File, kind declarationKind, call *ast.CallExpr, stack []ast.Node) {
	d := &declaration{
		call: call, at: call,
		fields: map[string]ast.Expr{}, unknown: map[string]bool{},
	}
	d.Kind = kind
	var obj types.Object
	child := ast.Node(call)
	for i, parent := range slices.Backward(stack) {
		switch n := parent.(type) {
		case *ast.FuncLit, *ast.FuncDecl:
			d.inFunction = true
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && d.name == "" && n.Value == child {
				d.name, d.at = id.Name, id
				d.Description = cmp.Or(nearbyDoc(m.pass.Fset, file, n), m.fieldDoc(m.pass.TypesInfo.Uses[id]))
			}
		case *ast.ValueSpec:
			for j, value := range n.Values {
				if value != child || d.inFunction {
					continue
				}
				name := n.Names[min(j, len(n.Names)-1)]
				if d.name != "" {
					d.name = name.Name + "." + d.name
					break
				}
				d.name, d.at, obj = name.Name, name, m.pass.TypesInfo.Defs[name]
				d.Description = specDoc(n, stack[:i])
			}
		case *ast.GenDecl:
			if obj != nil && !n.Lparen.IsValid() {
				d.doc = n.Pos()
			}
		}
		child = parent
	}
	t := m.tracer()
	d.Key, d.KeyKnown = text(m.pass.TypesInfo, call.Args[0])
	if len(call.Args) > 1 {
		var spec reflect.Value
		switch kind {
		case webhookEndpoint:
			spec = reflect.ValueOf(&d.Endpoint).Elem()
		case action:
			spec = reflect.ValueOf(&d.Action).Elem()
		default:
			spec = reflect.ValueOf(&d.Poll).Elem()
		}
		t.fill(spec, of(call.Args[1]), "", d.field)
	}
	d.SpecKnown = len(d.unknown) == 0
	m.declarations = append(m.declarations, d)
	m.byCall[call] = d
	if obj != nil && obj.Name() != "_" {
		m.pass.ExportObjectFact(obj, &d.declared)
	}
}

// field records where a field of the spec is written.
func (d *declaration) field(name string, e ast.Expr, known bool) {
	d.fields[name] = e
	if !known {
		d.unknown[name] = true
	}
}

// fill sets dst, a struct or a part of one, to the constants that o consists
// of, and tells visit of each field that it met. A field that is not constant
// stays zero, and the whole of o is named "" when nothing of it can be read.
func (t *tracer) fill(dst reflect.Value, o origin, name string, visit func(name string, e ast.Expr, known bool)) {
	values, complete := t.origins(o)
	if !complete || len(values) != 1 {
		visit(name, o.expr, false)
		return
	}
	value := values[0]
	if value.expr == nil {
		return
	}
	switch dst.Kind() {
	case reflect.Struct:
		t.fillStruct(dst, value, name, visit)
	case reflect.Slice:
		list, ok := t.list(value)
		for _, element := range list {
			item := reflect.New(dst.Type().Elem()).Elem()
			t.fill(item, element, name, func(_ string, _ ast.Expr, known bool) { ok = ok && known })
			dst.Set(reflect.Append(dst, item))
		}
		visit(name, o.expr, ok)
	default:
		visit(name, o.expr, fillConstant(dst, t.info.Types[value.expr].Value))
	}
}

func (t *tracer) fillStruct(dst reflect.Value, value origin, name string, visit func(name string, e ast.Expr, known bool)) {
	literal, ok := value.expr.(*ast.CompositeLit)
	if !ok {
		visit(name, value.expr, false)
		return
	}
	if name != "" {
		visit(name, literal, true)
		name += "."
	}
	for i, element := range literal.Elts {
		field := reflect.Value{}
		inner, e := "", element
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			id, _ := pair.Key.(*ast.Ident)
			if id == nil {
				continue
			}
			field, inner, e = dst.FieldByName(id.Name), id.Name, pair.Value
		} else if i < dst.NumField() {
			field, inner = dst.Field(i), dst.Type().Field(i).Name
		}
		if !field.IsValid() {
			// A field of another version of package catalog.
			visit(name+inner, e, false)
			continue
		}
		t.fill(field, origin{e, -1, value.env}, name+inner, visit)
	}
}

// fillConstant sets dst to value, and reports whether it could.
func fillConstant(dst reflect.Value, value constant.Value) bool {
	if value == nil {
		return false
	}
	switch dst.Kind() {
	case reflect.String:
		if value.Kind() == constant.String {
			dst.SetString(constant.StringVal(value))
			return true
		}
	case reflect.Bool:
		if value.Kind() == constant.Bool {
			dst.SetBool(constant.BoolVal(value))
			return true
		}
	case reflect.Int, reflect.Int64:
		if n, exact := constant.Int64Val(constant.ToInt(value)); exact {
			dst.SetInt(n)
			return true
		}
	default:
	}
	return false
}

// list returns the elements of a list that is the same in every run, in their
// order: a literal, or an append or slices.Concat of such.
func (t *tracer) list(o origin) ([]origin, bool) {
	values, complete := t.origins(o)
	if !complete || len(values) != 1 {
		return nil, false
	}
	o = values[0]
	switch e := o.expr.(type) {
	case nil:
		return nil, true
	case *ast.CompositeLit:
		var found []origin
		for _, element := range e.Elts {
			if _, keyed := element.(*ast.KeyValueExpr); keyed {
				return nil, false
			}
			found = append(found, origin{element, -1, o.env})
		}
		return found, true
	case *ast.Ident:
		return nil, t.info.Types[e].IsNil()
	case *ast.CallExpr:
		return t.joined(e, o.env)
	}
	return nil, false
}

func (t *tracer) joined(call *ast.CallExpr, env *scope) ([]origin, bool) {
	id, _ := ast.Unparen(call.Fun).(*ast.Ident)
	_, builtin := t.info.ObjectOf(id).(*types.Builtin)
	appending := id != nil && builtin && id.Name == "append"
	if !appending && !calls(t.info, call, "slices", "Concat") {
		return nil, false
	}
	if !appending && call.Ellipsis.IsValid() {
		return nil, false
	}
	var found []origin
	for i, arg := range call.Args {
		if appending && i > 0 && !call.Ellipsis.IsValid() {
			found = append(found, origin{arg, -1, env})
			continue
		}
		part, ok := t.list(origin{arg, -1, env})
		if !ok {
			return nil, false
		}
		found = append(found, part...)
	}
	return found, true
}

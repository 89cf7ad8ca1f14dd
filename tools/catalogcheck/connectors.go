package catalogcheck

import (
	"go/ast"
	"go/constant"
	"go/types"
	"reflect"
)

// readConnectors finds the connectors that the package declares: variables of
// package level, and what is handed to framework.Define.
func (m *model) readConnectors() {
	info := m.pass.TypesInfo
	for _, file := range m.files {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				value, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for _, name := range value.Names {
					if obj := info.Defs[name]; obj != nil && isConnector(obj.Type()) {
						m.readConnector(name, of(name))
					}
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && (calls(info, call, frameworkPath, "Define") || calls(info, call, frameworkPath, "DefineDynamic")) {
				m.readConnector(nil, of(call.Args[0]))
			}
			return true
		})
	}
}

func isConnector(t types.Type) bool {
	if pointer, ok := types.Unalias(t).(*types.Pointer); ok {
		t = pointer.Elem()
	}
	return isNamed(t, catalogPath, "Connector")
}

// readConnector reads the literal that o comes from. A literal is read once,
// whatever refers to it, and a connector of another package never.
func (m *model) readConnector(name *ast.Ident, o origin) {
	if name != nil && m.reportWrites(name) {
		return
	}
	t := m.tracer()
	values, complete := t.origins(o)
	if !complete || len(values) != 1 {
		if name != nil {
			m.report(found("SC101", name, "connector %s is not one catalog.Connector literal; declare it as a package-level variable with constant contents", name.Name))
		}
		return
	}
	literal, ok := values[0].expr.(*ast.CompositeLit)
	if !ok || !isConnector(m.pass.TypesInfo.TypeOf(literal)) || m.connector(literal) != nil {
		return
	}
	c := &connector{literal: literal, at: literal, keyKnown: true, streamsKnown: true, endpointsKnown: true, actionsKnown: true, hostsKnown: true, rateKnown: true}
	if name != nil {
		c.at = name
	}
	m.connectors = append(m.connectors, c)
	for i, element := range literal.Elts {
		field, e := "", element
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			field, e = pair.Key.(*ast.Ident).Name, pair.Value
		} else {
			field = m.pass.TypesInfo.TypeOf(literal).Underlying().(*types.Struct).Field(i).Name()
		}
		m.readField(c, field, origin{e, -1, values[0].env})
	}
}

// reportWrites reports each field of a connector variable that is assigned to,
// and whether there is one.
func (m *model) reportWrites(name *ast.Ident) bool {
	v, ok := m.pass.TypesInfo.Defs[name].(*types.Var)
	if !ok {
		return false
	}
	for field, e := range m.uses.writes[v] {
		m.report(found("SC101", e, "%s.%s is assigned outside of its declaration, where it cannot be proven; write it in the catalog.Connector literal", name.Name, field))
	}
	return len(m.uses.writes[v]) > 0
}

// connector returns the connector of a literal, or nil.
func (m *model) connector(literal *ast.CompositeLit) *connector {
	for _, c := range m.connectors {
		if c.literal == literal {
			return c
		}
	}
	return nil
}

func (m *model) readField(c *connector, field string, o origin) {
	t := m.tracer()
	switch field {
	case "Key":
		c.key, c.keyKnown = text(m.pass.TypesInfo, o.expr)
	case "Streams":
		c.streams, c.streamsKnown = m.readListings(c.streams, o)
	case "Endpoints":
		c.endpoints, c.endpointsKnown = m.readListings(c.endpoints, o)
	case "Actions":
		c.actions, c.actionsKnown = m.readListings(c.actions, o)
	case "Hosts":
		t.fill(reflect.ValueOf(&c.hosts).Elem(), o, field, func(_ string, _ ast.Expr, known bool) {
			c.hostsKnown = c.hostsKnown && known
		})
	case "RateLimit":
		c.rateLimit, c.rateKnown = text(m.pass.TypesInfo, o.expr)
	case "Dynamic":
		value := m.pass.TypesInfo.Types[o.expr].Value
		// What is not constant may be true: the rules about static streams
		// cannot be proven then.
		c.dynamic = value == nil || constant.BoolVal(value)
	}
}

func (m *model) readListings(into []listing, o origin) ([]listing, bool) {
	t := m.tracer()
	entries, known := t.list(o)
	for _, e := range entries {
		d, ok := m.declared(t, e)
		if !ok {
			known = false
			continue
		}
		into = append(into, listing{d, e.expr})
	}
	return into, known
}

// declared returns the one declaration that o is.
func (m *model) declared(t *tracer, o origin) (*declaration, bool) {
	all, known := m.declarationsOf(t, o)
	if !known || len(all) != 1 || all[0] == nil {
		return nil, false
	}
	return all[0], true
}

// declarationsOf returns every declaration that o can be. A nil one is the zero
// stream or endpoint, which nobody declared.
func (m *model) declarationsOf(t *tracer, o origin) (all []*declaration, known bool) {
	values, known := t.origins(o)
	for _, v := range values {
		switch e := v.expr.(type) {
		case nil:
			all = append(all, nil)
		case *ast.CompositeLit:
			all = append(all, nil)
		case *ast.CallExpr:
			d, ok := m.byCall[e]
			if !ok {
				known = false
				continue
			}
			all = append(all, d)
		case *ast.Ident:
			all, known = m.importedInto(all, m.pass.TypesInfo.ObjectOf(e), known)
		case *ast.SelectorExpr:
			all, known = m.importedInto(all, m.pass.TypesInfo.ObjectOf(e.Sel), known)
		default:
			known = false
		}
	}
	return all, known
}

// importedInto adds the declaration behind a variable of another package, which
// is known by the fact that the other package exported.
func (m *model) importedInto(all []*declaration, obj types.Object, known bool) ([]*declaration, bool) {
	if d, ok := m.imported[obj]; ok {
		return append(all, d), known
	}
	var fact declared
	if _, ok := obj.(*types.Var); !ok || !m.pass.ImportObjectFact(obj, &fact) {
		return all, false
	}
	d := &declaration{declared: fact, name: obj.Pkg().Name() + "." + obj.Name()}
	m.imported[obj] = d
	return append(all, d), known
}

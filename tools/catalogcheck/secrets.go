package catalogcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strconv"
)

// checkSecrets reports constants that are used as framework.Secret: whoever can
// read the source has them, and so has everybody who gets the binary.
func (m *model) checkSecrets() {
	for _, file := range m.files {
		ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				m.checkSecretDefault(n)
			case ast.Expr:
				if !m.isSecretConstant(n) {
					return true
				}
				if !compared(stack) {
					m.report(found("SC310", n, "a secret is written in the source, so whoever can read it has it; take it from a setting of type framework.Secret"))
				}
				return false
			}
			return true
		})
	}
}

// isSecretConstant reports whether e is where a constant becomes a Secret. The
// uses of a constant that is one already are not.
func (m *model) isSecretConstant(e ast.Expr) bool {
	info := m.pass.TypesInfo
	tv := info.Types[e]
	if value, ok := text(info, e); !ok || value == "" || !isNamed(tv.Type, frameworkPath, "Secret") {
		return false
	}
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	default:
		return true
	}
	used, ok := info.Uses[id].(*types.Const)
	return ok && !isNamed(used.Type(), frameworkPath, "Secret")
}

// compared reports whether what is directly around an expression only compares
// it, for example with the placeholder of a template.
func compared(stack []ast.Node) bool {
	for _, around := range slices.Backward(stack) {
		switch parent := around.(type) {
		case *ast.ParenExpr:
			continue
		case *ast.BinaryExpr:
			return parent.Op == token.EQL || parent.Op == token.NEQ
		case *ast.CaseClause:
			return true
		}
		return false
	}
	return false
}

// checkSecretDefault reports a setting whose default is a secret.
func (m *model) checkSecretDefault(field *ast.Field) {
	if field.Tag == nil || !isNamed(m.pass.TypesInfo.TypeOf(field.Type), frameworkPath, "Secret") {
		return
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err == nil && reflect.StructTag(tag).Get("default") != "" {
		m.report(found("SC310", field.Tag, "a secret is the default of a setting, so whoever has the program has it; remove the default, so that each connection brings its own"))
	}
}

package walls

import (
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// secretTypes hold secrets whatever a variable of theirs is called.
var secretTypes = []string{
	modulePath + "/framework.Secret", modulePath + "/framework.Secrets", modulePath + "/framework/webhook.Secret",
}

// secretNouns are the last words of names that hold a secret or what proves one.
var secretNouns = []string{"secret", "secrets", "signature", "signatures", "mac", "hmac", "token", "tokens", "password", "passphrase", "credential", "credentials", "apikey"}

// publicTokens are words that make a token one of paging or of a grammar, which proves nothing.
var publicTokens = []string{"page", "next", "continuation"}

// comparisons are the functions that end at the first difference.
var comparisons = []string{
	"bytes.Equal", "bytes.Compare", "bytes.EqualFold", "bytes.HasPrefix", "strings.Compare", "strings.EqualFold", "strings.HasPrefix", "slices.Equal",
	"slices.Contains", "slices.Index", "reflect.DeepEqual", "maps.Equal",
}

// compared finds what compares a secret in a time that tells how much of it was right.
func compared(info *types.Info, file *ast.File) []ast.Node {
	var found []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			// Nothing is told by a comparison with what everybody can read in the source.
			if (n.Op == token.EQL || n.Op == token.NEQ) && (isSecret(info, n.X) && !isPublic(info, n.Y) || isSecret(info, n.Y) && !isPublic(info, n.X)) {
				found = append(found, n)
			}
		case *ast.SwitchStmt:
			if n.Tag == nil || !isSecret(info, n.Tag) {
				return true
			}
			for _, clause := range n.Body.List {
				for _, e := range clause.(*ast.CaseClause).List { //nolint:errcheck,forcetypeassert // a switch holds nothing else
					if !isPublic(info, e) {
						found = append(found, e)
					}
				}
			}
		case *ast.CallExpr:
			selector, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
			if !ok || len(n.Args) != 2 {
				return true
			}
			called, ok := info.Uses[selector.Sel].(*types.Func)
			if !ok || !slices.Contains(comparisons, strings.TrimPrefix(called.FullName(), "vendor/")) {
				return true
			}
			if isSecret(info, n.Args[0]) && !isPublic(info, n.Args[1]) || isSecret(info, n.Args[1]) && !isPublic(info, n.Args[0]) {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}

// isPublic reports a constant, or nil: an empty secret is found by comparing with "".
func isPublic(info *types.Info, e ast.Expr) bool {
	value := info.Types[e]
	return value.IsNil() || value.Value != nil && (value.Value.Kind() != constant.String || !looksSecret(constant.StringVal(value.Value)))
}

// looksSecret reports a constant that may be a secret itself: long, and no word that marks or names
// one.
func looksSecret(text string) bool {
	digits := strings.ContainsFunc(text, unicode.IsDigit)
	return len(text) >= 12 && digits && !strings.ContainsAny(text, " {")
}

// isSecret reports an expression of bytes or text that holds a secret, by its type or its name.
func isSecret(info *types.Info, e ast.Expr) bool {
	e = ast.Unparen(e)
	of := info.TypeOf(e)
	if of == nil || !holdsBytes(of) || info.Types[e].Value != nil {
		return false
	}
	if slices.Contains(secretTypes, of.String()) {
		return true
	}
	switch e := e.(type) {
	case *ast.Ident:
		return isSecretName(e.Name)
	case *ast.SelectorExpr:
		if owner := info.TypeOf(e.X); owner != nil && slices.Contains(secretTypes, strings.TrimPrefix(owner.String(), "*")) {
			return true
		}
		return isSecretName(e.Sel.Name)
	case *ast.IndexExpr:
		return isSecret(info, e.X) || isSecretElement(info, e.X)
	case *ast.SliceExpr:
		return isSecret(info, e.X) || isSecretElement(info, e.X)
	case *ast.StarExpr:
		return isSecret(info, e.X) || isSecretElement(info, e.X)
	case *ast.CallExpr:
		if conversion, ok := info.Types[e.Fun]; ok && conversion.IsType() && len(e.Args) == 1 {
			return isSecret(info, e.Args[0])
		}
		if selector, ok := e.Fun.(*ast.SelectorExpr); ok {
			// secret.Reveal(), and mac.Sum(nil) of a hash.
			owner := info.TypeOf(selector.X)
			return owner != nil && (slices.Contains(secretTypes, owner.String()) || selector.Sel.Name == "Sum" && isSecretElement(info, selector.X))
		}
	}
	return false
}

// isSecretElement reports the name of a list, pointer or hash of secrets.
func isSecretElement(info *types.Info, e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return isSecretName(e.Name)
	case *ast.SelectorExpr:
		return isSecretName(e.Sel.Name)
	}
	return false
}

// holdsBytes reports text, bytes, and arrays of bytes.
func holdsBytes(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&types.IsString != 0
	case *types.Slice:
		return isByte(t.Elem()) || holdsBytes(t.Elem())
	case *types.Array:
		return isByte(t.Elem())
	}
	return false
}

func isByte(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Kind() == types.Uint8
}

// isSecretName looks at the last word of a name in camel case: webhookSecret holds one, secretName
// does not.
func isSecretName(name string) bool {
	var words []string
	start := 0
	for i, r := range name {
		if i > start && unicode.IsUpper(r) && !unicode.IsUpper(rune(name[i-1])) {
			words, start = append(words, strings.ToLower(name[start:i])), i
		}
	}
	words = append(words, strings.ToLower(name[start:]))
	last := words[len(words)-1]
	if len(words) > 1 && last == "key" && words[len(words)-2] == "api" {
		return true
	}
	if len(words) > 1 && slices.Contains(publicTokens, words[len(words)-2]) {
		return false
	}
	return slices.Contains(secretNouns, last)
}

// A comparison that ends at the first difference tells by its time how much of a guess was right.
// hmac.Equal and subtle.ConstantTimeCompare do not; digests of both sides also hide the length.
func TestNothingComparesSecretsEarly(t *testing.T) {
	t.Parallel()
	loaded, err := packages.Load(&packages.Config{
		Context: t.Context(), Dir: root(t),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedExportFile,
	}, "./...")
	require.NoError(t, err)
	var offenders []string
	looked := 0
	for _, p := range loaded {
		for _, file := range p.Syntax {
			looked++
			for _, n := range compared(p.TypesInfo, file) {
				at := p.Fset.Position(n.Pos())
				if name, err := filepath.Rel(root(t), at.Filename); err == nil {
					at.Filename = filepath.ToSlash(name)
				}
				offenders = append(offenders, at.String()+" compares "+types.ExprString(n.(ast.Expr))) //nolint:errcheck,forcetypeassert // only expressions are found
			}
		}
	}
	require.Greater(t, looked, 300, "the packages were not loaded")
	slices.Sort(offenders)
	stands(t, offenders, "compare secrets, signatures and tokens with hmac.Equal, best of their digests")
}

// What is found and what is left alone.
func TestKnowsAnEarlyComparison(t *testing.T) {
	t.Parallel()
	const before = `package framework
import ("bytes"; "crypto/hmac"; "hash"; "reflect"; "slices"; "strings")
var _ = []any{bytes.Equal, hmac.Equal, reflect.DeepEqual, strings.EqualFold, slices.Contains[[]string]}
type Secret string
func (s Secret) Reveal() string { return string(s) }
type config struct { AdminToken, APIKey, Name string; Given Secret; mac []byte }
type kind int
func f(c config, one Secret, signature, sent, pageToken, secretName, webhookSecret string, secrets []string, digest hash.Hash, tokens, token kind, want [32]byte, hmacSum, mac [32]byte, sig []byte, p *string) any {
	return `
	// One importer for all, since it reads the standard library's source.
	fset := token.NewFileSet()
	standard := importer.ForCompiler(fset, "source", nil)
	check := func(expression string) int {
		file, err := parser.ParseFile(fset, "f.go", before+expression+"\n}\n", 0)
		require.NoError(t, err, expression)
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
		of := types.Config{Importer: standard}
		_, err = of.Check(modulePath+"/framework", fset, []*ast.File{file}, info)
		require.NoError(t, err, expression)
		return len(compared(info, file))
	}
	for _, early := range []string{
		`signature == sent`, `sent != signature`, `(sent) == (c.AdminToken)`, `c.APIKey == sent`, `webhookSecret == sent`, `Secret(sent) == one`, `string(one) == sent`,
		`one.Reveal() == sent`, `sent == string([]byte(signature))`, `c.Given != Secret(sent)`, `secrets[0] == sent`, `bytes.Equal(c.mac, sig)`, `bytes.Equal(sig, mac[:])`,
		`mac == want`, `strings.EqualFold(sent, signature)`, `strings.HasPrefix(signature, sent)`, `slices.Contains(secrets, sent)`, `reflect.DeepEqual(c.mac, sig)`,
		`signature[:8] == sent[:8]`, `signature == "sk_live_0123456789"`, `func() bool { switch c.AdminToken { case sent: return true }; return false }()`,
	} {
		require.Equal(t, 1, check(early), early)
	}
	for _, fine := range []string{
		`signature == ""`, `one == ""`, `c.Given != ""`, `"***" == signature`, `c.mac == nil`, `len(signature) == len(sent)`, `token == tokens`, `pageToken == sent`,
		`secretName == sent`, `c.Name == sent`, `hmac.Equal(c.mac, sig)`, `bytes.Equal(sig, sig)`, `p == nil`, `strings.HasPrefix(signature, "v1,")`, `want == want`,
		`func() bool { switch signature { case "", "none": return true }; return false }()`, `strings.Contains(sent, "signature")`,
	} {
		require.Zero(t, check(fine), fine)
	}
}

package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestNoMutantStaysSilent takes lines out of real connectors, one by one: each
// of them must then not compile, or have a finding. These lines count:
//
//   - a route, stream or endpoint in its list; a field of catalog.Connector, of
//     PollSpec, EndpointSpec or SignatureSpec; the key in ingest.Options; and the
//     variables of package level that hold one of those or what framework.Define
//     returns, where another package links it: what binds, and what keys;
//   - each statement that calls Verify: what verifies;
//   - each if whose condition compares an error with nil: its body, the whole of
//     it save the call in it, and, where that call reads, decodes, emits or
//     verifies, the call as well; each assignment of an error; and each return of
//     what an emission says, which becomes a bare call: what checks an error.
//
// What is not counted: a branch on which error it is (errors.Is), since the
// check behind it still catches the error; and a call that is taken out together
// with its check and neither reads nor emits, as it then is not the check that is
// missing but a step of the connector's own. Every single line of what counts is
// taken out as well, as an editor's "delete line" would.
func TestNoMutantStaysSilent(t *testing.T) {
	t.Parallel()
	m := loadMutated(t, "./connectors/stripe", "./connectors/github", "./tools/catalogcheck/testdata/mutated")
	for _, row := range []struct {
		path string
		// least is how many mutants there must be, so that the test cannot pass
		// because it looks at nothing.
		least int
	}{
		{"connectors/stripe", 90},
		{"connectors/github", 90},
		{"tools/catalogcheck/testdata/mutated", 30},
	} {
		t.Run(filepath.Base(row.path), func(t *testing.T) {
			t.Parallel()
			p := m.packages[modulePath+"/"+row.path]
			require.NotNil(t, p)
			m.generate(t, p)
			require.Empty(t, m.judge(p, p.Syntax), "the connector itself has findings")
			made, ways := 0, map[string]int{}
			var silent []string
			for _, mutant := range m.mutants(p) {
				made++
				verdict := m.tryMutant(p, mutant)
				if verdict == "" {
					silent = append(silent, mutant.String())
				}
				ways[kindOf(verdict)]++
			}
			t.Logf("%d mutants: %v", made, ways)
			require.Empty(t, silent, "\n%s", strings.Join(silent, "\n"))
			require.GreaterOrEqual(t, made, row.least)
		})
	}
}

func kindOf(verdict string) string {
	if strings.HasPrefix(verdict, "SC") {
		return verdict[:5]
	}
	kind, _, _ := strings.Cut(verdict, ":")
	return kind
}

// mutated holds the packages that are mutated, with all that they import.
type mutated struct {
	fset     *token.FileSet
	packages map[string]*packages.Package
	imports  map[string]*types.Package
}

func loadMutated(t *testing.T, patterns ...string) *mutated {
	t.Helper()
	m := &mutated{fset: token.NewFileSet(), packages: map[string]*packages.Package{}, imports: map[string]*types.Package{}}
	loaded, err := packages.Load(&packages.Config{
		Context: t.Context(), Dir: "../..", Fset: m.fset, Mode: packages.LoadSyntax | packages.NeedModule,
	}, append(patterns, "./connectors/all")...)
	require.NoError(t, err)
	packages.Visit(loaded, nil, func(p *packages.Package) {
		require.Empty(t, p.Errors)
		m.imports[p.PkgPath] = p.Types
		if len(p.Syntax) > 0 {
			m.packages[p.PkgPath] = p
		}
	})
	return m
}

// generate adds the generated catalog to a package that has none, and makes it
// one that is not part of the tools, which are never checked.
func (m *mutated) generate(t *testing.T, p *packages.Package) {
	t.Helper()
	if slices.ContainsFunc(p.GoFiles, func(name string) bool { return filepath.Base(name) == generatedFile }) {
		return
	}
	p.PkgPath = "example.com/" + p.Name
	pkg, info, err := typed(m.fset, p.PkgPath, p.Syntax, importMap(m.imports))
	require.NoError(t, err)
	_, file, err := m.check(p, pkg, info, p.Syntax)
	require.NoError(t, err)
	require.NotNil(t, file)
	generated, err := parser.ParseFile(m.fset, file.path, file.content, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	p.Syntax = append(p.Syntax, generated)
}

// check runs the checker over a package that has these files.
func (m *mutated) check(p *packages.Package, pkg *types.Package, info *types.Info, files []*ast.File) ([]Finding, *generation, error) {
	copied := *p
	copied.Types, copied.TypesInfo, copied.Syntax = pkg, info, files
	d := newDriver(&loaded{read: map[string]*packages.Package{copied.PkgPath: &copied}})
	file, err := d.run(&copied)
	findings := d.findings(&copied)
	sortFindings(findings)
	return findings, file, err
}

// mutant is one file with something taken out: the bytes from..to, in place of
// which stands with.
type mutant struct {
	file     *ast.File
	place    token.Position
	what     string
	from, to int
	with     string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d: %s", filepath.Base(m.place.Filename), m.place.Line, m.what)
}

// tryMutant says how a mutant was noticed, or "".
func (m *mutated) tryMutant(p *packages.Package, change mutant) string {
	source, err := os.ReadFile(change.place.Filename)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	text := string(source[:change.from]) + change.with + string(source[change.to:])
	fset := token.NewFileSet()
	if _, err := parser.ParseFile(fset, change.place.Filename, text, parser.SkipObjectResolution); err != nil {
		return "does not parse: " + err.Error()
	}
	file, err := parser.ParseFile(m.fset, change.place.Filename, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "does not parse: " + err.Error()
	}
	files := slices.Clone(p.Syntax)
	files[slices.Index(files, change.file)] = file
	return m.judge(p, files)
}

// judge type-checks a package, and what links it, and runs the checker over it.
func (m *mutated) judge(p *packages.Package, files []*ast.File) string {
	imports := make(importMap, len(m.imports))
	maps.Copy(imports, m.imports)
	pkg, info, err := typed(m.fset, p.PkgPath, files, imports)
	if err != nil {
		return "does not compile: " + err.Error()
	}
	imports[p.PkgPath] = pkg
	all := m.packages[modulePath+"/connectors/all"]
	if _, _, err := typed(m.fset, all.PkgPath, all.Syntax, imports); err != nil {
		return "does not link: " + err.Error()
	}
	findings, _, err := m.check(p, pkg, info, files)
	if err != nil {
		return "fault: " + err.Error()
	}
	if len(findings) == 0 {
		return ""
	}
	return findings[0].Rule + " " + findings[0].Message
}

type importMap map[string]*types.Package

func (m importMap) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p, ok := m[path]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("package %s was not loaded", path)
}

func typed(fset *token.FileSet, path string, files []*ast.File, imports types.Importer) (*types.Package, *types.Info, error) {
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Instances: map[*ast.Ident]types.Instance{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}, Scopes: map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
	}
	config := types.Config{Importer: imports}
	pkg, err := config.Check(path, fset, files, info)
	return pkg, info, err
}

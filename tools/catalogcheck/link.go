package catalogcheck

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// linked is the fact about which connectors come along with a package. It
// counts those of its imports too, because facts about packages reach only
// those that import them directly.
type linked struct {
	// Connectors are ordered by package path and key.
	Connectors []linkedConnector
}

type linkedConnector struct{ Path, Key string }

// AFact marks linked as a fact of go/analysis.
func (*linked) AFact() {}

// String describes the fact in tests of the analyzers.
func (l *linked) String() string {
	var keys []string
	for _, c := range l.Connectors {
		keys = append(keys, c.Key)
	}
	return "links " + strings.Join(keys, ", ")
}

// linkAnalyzer reports connectors that cannot be linked into one binary. It
// looks at every package, since the one that links connectors need not import
// package catalog; for most there is nothing to do.
func linkAnalyzer(declare *analysis.Analyzer) *analysis.Analyzer {
	return &analysis.Analyzer{
		Name:       "linked",
		Doc:        "linked compares the connectors that one package links together",
		URL:        ruleURL("SC501"),
		Requires:   []*analysis.Analyzer{declare},
		ResultType: reflect.TypeFor[[]finding](),
		FactTypes:  []analysis.Fact{new(linked)},
		Run: func(pass *analysis.Pass) (any, error) {
			return linkConnectors(pass, pass.ResultOf[declare].(*model)), nil
		},
	}
}

func linkConnectors(pass *analysis.Pass, m *model) []finding {
	all := map[linkedConnector]bool{}
	var own []linkedConnector
	if m != nil {
		for _, c := range m.connectors {
			if c.keyKnown {
				own = append(own, linkedConnector{pass.Pkg.Path(), c.key})
			}
		}
	}
	byImport := map[string][]linkedConnector{}
	for _, imported := range pass.Pkg.Imports() {
		var fact linked
		if pass.ImportPackageFact(imported, &fact) {
			byImport[imported.Path()] = fact.Connectors
		}
	}
	for _, connectors := range byImport {
		for _, c := range connectors {
			all[c] = true
		}
	}
	for _, c := range own {
		all[c] = true
	}
	if len(all) == 0 {
		return nil
	}
	list := slices.SortedFunc(maps.Keys(all), compareLinked)
	pass.ExportPackageFact(&linked{list})
	if len(own) > 0 && m != nil {
		return append(sameKeyHere(m), clashes(pass, byImport, own)...)
	}
	return clashes(pass, byImport, nil)
}

func compareLinked(a, b linkedConnector) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Key, b.Key))
}

// sameKeyHere reports two connectors of one package with one key.
func sameKeyHere(m *model) []finding {
	var findings []finding
	first := map[string]*connector{}
	for _, c := range m.connectors {
		if before, seen := first[c.key]; seen && c.keyKnown {
			findings = append(findings, found("SC501", c.at, "connector %q is declared twice in this package, and a connection can name only one; give one another Key", c.key).
				with(before.at, "the first is here"))
			continue
		}
		first[c.key] = c
	}
	return findings
}

// clashes reports each key that comes along with two packages, at the import
// that brings the second. A pair that one import already brings whole is that
// package's own finding.
func clashes(pass *analysis.Pass, byImport map[string][]linkedConnector, own []linkedConnector) []finding {
	type carrier struct {
		linkedConnector
		spec *ast.ImportSpec
	}
	first := map[string]carrier{}
	for _, c := range own {
		first[c.Key] = carrier{c, nil}
	}
	var findings []finding
	seen := map[string]bool{}
	for _, spec := range importsInOrder(pass) {
		path := importedPath(pass, spec)
		if seen[path] {
			continue
		}
		seen[path] = true
		for _, c := range byImport[path] {
			before, known := first[c.Key]
			switch {
			case !known:
				first[c.Key] = carrier{c, spec}
			case before.Path == c.Path, slices.Contains(byImport[path], before.linkedConnector):
			case before.spec != nil && slices.Contains(byImport[importedPath(pass, before.spec)], c):
			default:
				f := found("SC501", spec, "connector %q is linked twice, from %s and %s, and a connection can name only one; change Connector.Key of one, or link only one", c.Key, before.Path, c.Path)
				if before.spec != nil {
					f = f.with(before.spec, "the first comes with this import")
				}
				findings = append(findings, f)
			}
		}
	}
	return findings
}

func importsInOrder(pass *analysis.Pass) []*ast.ImportSpec {
	var all []*ast.ImportSpec
	for _, file := range sourceFiles(pass) {
		all = append(all, file.Imports...)
	}
	return all
}

// importedPath is the path of the package that spec imports, which differs from
// what is written when the package is vendored.
func importedPath(pass *analysis.Pass, spec *ast.ImportSpec) string {
	var obj types.Object
	if spec.Name != nil {
		obj = pass.TypesInfo.Defs[spec.Name]
	} else {
		obj = pass.TypesInfo.Implicits[spec]
	}
	if name, ok := obj.(*types.PkgName); ok {
		return name.Imported().Path()
	}
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return fmt.Sprintf("unreadable import %s", spec.Path.Value)
	}
	return path
}

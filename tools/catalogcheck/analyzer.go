package catalogcheck

import (
	"fmt"
	"go/ast"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/weirhq/weir/catalog"
)

// newAnalyzers returns the analyzer that reports, with all that it needs. Each
// driver makes its own: warn receives the warnings, which must not fail a
// build, and a nil warn reports them as diagnostics like the errors.
func newAnalyzers(warn func(*analysis.Pass, analysis.Diagnostic)) *analysis.Analyzer {
	declare := declareAnalyzer()
	routes := routesAnalyzer(declare)
	link := linkAnalyzer(declare)
	generate := generateAnalyzer(declare)
	all := &analysis.Analyzer{
		Name:       "catalogcheck",
		Doc:        "catalogcheck proves that connectors serve what their catalogs declare",
		URL:        ruleURL(""),
		Requires:   []*analysis.Analyzer{declare, routes, link, generate},
		ResultType: reflect.TypeFor[*generated](),
		Run: func(pass *analysis.Pass) (any, error) {
			var all []finding
			if m := pass.ResultOf[declare].(*model); m != nil {
				all = append(all, m.findings...)
			}
			all = append(all, pass.ResultOf[routes].([]finding)...)
			all = append(all, pass.ResultOf[link].([]finding)...)
			result := pass.ResultOf[generate].(*generated)
			all = append(all, result.findings...)
			result.locked = lockEntries(pass.ResultOf[declare].(*model))
			result.fixes = emit(pass, withoutNoise(all), warn)
			return result, nil
		},
	}
	for _, a := range []*analysis.Analyzer{declare, routes, link, generate, all} {
		a.Run = contained(a.Run)
	}
	return all
}

// withoutNoise drops that the generated catalog is out of date where there are
// errors: what is generated now would be generated again, and is refused.
func withoutNoise(all []finding) []finding {
	failed := func(f finding) bool { return f.rule != "SC504" && f.rank() == catalog.SeverityError }
	if !slices.ContainsFunc(all, failed) {
		return all
	}
	return slices.DeleteFunc(all, func(f finding) bool { return f.rule == "SC504" })
}

// contained turns a panic, which is a fault of the checker and not of the code
// that it reads, into an error that names the package.
func contained(run func(*analysis.Pass) (any, error)) func(*analysis.Pass) (any, error) {
	return func(pass *analysis.Pass) (result any, err error) {
		defer func() {
			if fault := recover(); fault != nil {
				result, err = nil, fmt.Errorf("fault of the checker in package %s, please report it: %v\n%s", pass.Pkg.Path(), fault, debug.Stack())
			}
		}()
		return run(pass)
	}
}

// emit applies the ignore comments and hands the rest to the driver, by place.
// It returns the fixes of what it handed on.
func emit(pass *analysis.Pass, all []finding, warn func(*analysis.Pass, analysis.Diagnostic)) (fixes []*fix) {
	files := slices.DeleteFunc(sourceFiles(pass), func(f *ast.File) bool { return !concerned(f) })
	all = suppress(pass.Fset, files, all)
	slices.SortStableFunc(all, func(a, b finding) int {
		if a.pos != b.pos {
			return int(a.pos - b.pos)
		}
		return strings.Compare(a.rule+a.message, b.rule+b.message)
	})
	for _, f := range all {
		severity := f.rank()
		d := analysis.Diagnostic{
			Pos: f.pos, End: f.end, Category: f.rule, URL: ruleURL(f.rule), Related: f.related,
			Message: line(f.rule, severity, f.message), SuggestedFixes: f.fix.suggested(),
		}
		if f.fix != nil {
			fixes = append(fixes, f.fix)
		}
		if severity == catalog.SeverityWarning && warn != nil {
			warn(pass, d)
			continue
		}
		pass.Report(d)
	}
	return fixes
}

// concerned reports whether comments of the file may be addressed to the
// checker.
func concerned(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, directivePrefix) {
				return true
			}
		}
	}
	return false
}

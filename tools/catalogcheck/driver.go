package catalogcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/types"
	"io"
	"os"
	"reflect"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/packages"

	"github.com/weirhq/weir/catalog"
)

// check runs the analyzers over the packages and brings generated files up to
// date if options ask for it.
func check(ctx context.Context, dir string, patterns []string, options Options, out io.Writer) ([]Finding, error) {
	open := func() (*loaded, error) { return load(ctx, dir, patterns, nil) }
	if options.Write {
		open = func() (*loaded, error) { return loadForWriting(ctx, dir, patterns) }
	}
	l, err := open()
	if err != nil {
		return nil, err
	}
	d := newDriver(l)
	var all []Finding
	for _, p := range l.sources {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("check packages: %w", context.Cause(ctx))
		}
		findings, file, err := d.run(p)
		if err != nil {
			return nil, err
		}
		if !l.asked[p] {
			continue
		}
		if options.Write && file != nil {
			if findings, err = write(findings, file, l.dir, out, options.Format); err != nil {
				return nil, err
			}
		}
		all = append(all, findings...)
	}
	rest, err := d.lockStage(options, all, out)
	if err != nil {
		return nil, err
	}
	all = append(all, rest...)
	sortFindings(all)
	return all, d.mend(options, out)
}

// checkAndFix checks again after it fixed something: a fix may end other
// findings, and show new ones.
func checkAndFix(ctx context.Context, dir string, patterns []string, options Options, out io.Writer) ([]Finding, error) {
	if options.Fix && !options.Diff {
		if _, err := check(ctx, dir, patterns, Options{Format: options.Format, Fix: true}, out); err != nil {
			return nil, err
		}
		options.Fix, options.Write = false, true
	}
	return check(ctx, dir, patterns, options, out)
}

// mend applies or shows the fixes that were found, as options ask.
func (d *driver) mend(options Options, out io.Writer) error {
	if len(d.fixes) == 0 || !options.Fix && !options.Diff {
		return nil
	}
	all, err := changes(d.fixed.Fset, d.fixes)
	switch {
	case err != nil:
		return err
	case options.Diff:
		return printDiff(out, d.dir, all)
	}
	return writeChanges(out, d.dir, all, options.Format.forPeople())
}

// write brings a generated file up to date unless there are findings that it
// would hide, and returns the findings that are left.
func write(findings []Finding, file *generation, dir string, out io.Writer, format Format) ([]Finding, error) {
	var rest []Finding
	failed := false
	for _, f := range findings {
		if f.Rule != "SC504" {
			rest = append(rest, f)
			failed = failed || f.Severity == catalog.SeverityError
		}
	}
	if failed {
		return findings, nil
	}
	name := relative(dir, file.path)
	before, err := os.ReadFile(file.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read generated catalog: %w", err)
	}
	verb := "is up to date"
	if err != nil || string(before) != string(file.content) {
		if err := os.WriteFile(file.path, file.content, 0o644); err != nil { //nolint:gosec // source code has the mode of source code
			return nil, fmt.Errorf("write generated catalog: %w", err)
		}
		verb = "written"
	}
	if format.forPeople() {
		if _, err := fmt.Fprintf(out, "%s: %s\n", name, verb); err != nil {
			return nil, fmt.Errorf("print: %w", err)
		}
	}
	return rest, nil
}

// driver runs one analyzer, with those it requires, over packages in the order
// of their imports. It keeps the facts of one package for the next ones.
type driver struct {
	*loaded
	analyzer *analysis.Analyzer
	facts    map[factKey]analysis.Fact
	// fixes are those of the packages that were asked for, of which fixed is one.
	fixes []*fix
	fixed *packages.Package
	// locked is what the lock keeps of each package's connectors.
	locked map[string][]locked
}

func newDriver(l *loaded) *driver {
	return &driver{loaded: l, analyzer: newAnalyzers(nil), facts: map[factKey]analysis.Fact{}, locked: map[string][]locked{}}
}

// factKey names a fact: about an object, or about a whole package.
type factKey struct {
	pkg  *types.Package
	obj  types.Object
	kind reflect.Type
}

// run analyzes one package.
func (d *driver) run(p *packages.Package) ([]Finding, *generation, error) {
	var findings []Finding
	results := map[*analysis.Analyzer]any{}
	var run func(a *analysis.Analyzer) error
	run = func(a *analysis.Analyzer) error {
		if _, done := results[a]; done {
			return nil
		}
		inputs := map[*analysis.Analyzer]any{}
		for _, required := range a.Requires {
			if err := run(required); err != nil {
				return err
			}
			inputs[required] = results[required]
		}
		result, err := a.Run(d.pass(a, p, inputs, func(diagnostic analysis.Diagnostic) {
			findings = append(findings, d.finding(p, diagnostic))
		}))
		if err != nil {
			return fmt.Errorf("check package %s: %w", p.PkgPath, err)
		}
		results[a] = result
		return nil
	}
	if err := run(d.analyzer); err != nil {
		return nil, nil, err
	}
	result := results[d.analyzer].(*generated)
	d.locked[p.PkgPath] = result.locked
	if d.asked[p] {
		d.fixes, d.fixed = append(d.fixes, result.fixes...), cmp.Or(d.fixed, p)
	}
	return findings, result.file, nil
}

func (d *driver) pass(a *analysis.Analyzer, p *packages.Package, inputs map[*analysis.Analyzer]any, report func(analysis.Diagnostic)) *analysis.Pass {
	return &analysis.Pass{
		Analyzer: a, Fset: p.Fset, Files: p.Syntax, OtherFiles: p.OtherFiles, IgnoredFiles: p.IgnoredFiles,
		Pkg: p.Types, TypesInfo: p.TypesInfo, TypesSizes: p.TypesSizes, Module: &analysis.Module{},
		ResultOf: inputs, Report: report, ReadFile: os.ReadFile,
		ImportObjectFact: func(obj types.Object, fact analysis.Fact) bool {
			return d.recall(factKey{nil, obj, reflect.TypeOf(fact)}, fact)
		},
		ImportPackageFact: func(pkg *types.Package, fact analysis.Fact) bool {
			return d.recall(factKey{pkg, nil, reflect.TypeOf(fact)}, fact)
		},
		ExportObjectFact: func(obj types.Object, fact analysis.Fact) {
			d.facts[factKey{nil, obj, reflect.TypeOf(fact)}] = fact
		},
		ExportPackageFact: func(fact analysis.Fact) {
			d.facts[factKey{p.Types, nil, reflect.TypeOf(fact)}] = fact
		},
		AllObjectFacts:  func() []analysis.ObjectFact { return nil },
		AllPackageFacts: func() []analysis.PackageFact { return nil },
	}
}

// recall copies a fact, as it would be when it came from a file.
func (d *driver) recall(key factKey, into analysis.Fact) bool {
	fact, ok := d.facts[key]
	if ok {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(fact).Elem())
	}
	return ok
}

// finding converts a diagnostic back into what it was made from.
func (d *driver) finding(p *packages.Package, diagnostic analysis.Diagnostic) Finding {
	severity := severityIn(diagnostic)
	f := Finding{
		Rule: diagnostic.Category, Severity: severity, URL: diagnostic.URL,
		Message: message(diagnostic, severity),
		Place:   place(p.Fset, d.dir, diagnostic.Pos, diagnostic.End),
	}
	for _, r := range diagnostic.Related {
		f.Related = append(f.Related, RelatedPlace{Place: place(p.Fset, d.dir, r.Pos, r.End), Message: r.Message})
	}
	return f
}

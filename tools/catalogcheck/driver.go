package catalogcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/types"
	"io"
	"os"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/packages"

	"github.com/weirhq/weir/catalog"
)

// check runs the analyzers over the packages and brings generated files up to
// date if options ask for it.
func check(ctx context.Context, dir string, patterns []string, options Options, out io.Writer) ([]Finding, error) {
	memory := openMemory(options.CacheDir, dir, patterns)
	open := func() (*loaded, error) { return load(ctx, dir, patterns, nil, memory, options.Fix || options.Diff) }
	if options.Write {
		open = func() (*loaded, error) { return loadForWriting(ctx, dir, patterns, memory) }
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
		file, err := d.run(p)
		if err != nil {
			return nil, err
		}
		if !l.asked[p.PkgPath] {
			continue
		}
		findings := d.findings(p)
		if options.Write && file != nil {
			if findings, err = write(findings, file, l.dir, out, options.Format); err != nil {
				return nil, err
			}
		}
		all = append(all, findings...)
	}
	memory.keep(d.verdicts)
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
		if _, err := check(ctx, dir, patterns, Options{Format: options.Format, CacheDir: options.CacheDir, Fix: true}, out); err != nil {
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
// of their imports. What it found out about one package serves the next ones.
type driver struct {
	*loaded
	analyzer *analysis.Analyzer
	// verdicts are those on the packages so far, by path.
	verdicts map[string]*verdict
	// fixes are those of the packages that were asked for, of which fixed is one.
	fixes []*fix
	fixed *packages.Package
	// listings hold the streams of packages that were read, by path.
	listings map[string][]map[string]listing
}

func newDriver(l *loaded) *driver {
	return &driver{loaded: l, analyzer: newAnalyzers(nil), verdicts: map[string]*verdict{}, listings: map[string][]map[string]listing{}}
}

// run analyzes one package, unless the verdict on it is known. It returns the
// generated file of one that it analyzed.
func (d *driver) run(graph *packages.Package) (*generation, error) {
	p := d.read[graph.PkgPath]
	if p == nil {
		if v := d.known[graph.PkgPath]; v != nil {
			d.verdicts[graph.PkgPath] = v
		}
		return nil, nil
	}
	v := newVerdict()
	d.verdicts[p.PkgPath] = v
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
			v.Findings = append(v.Findings, findingOf(p, diagnostic))
		}))
		if err != nil {
			return fmt.Errorf("check package %s: %w", p.PkgPath, err)
		}
		results[a] = result
		return nil
	}
	if err := run(d.analyzer); err != nil {
		return nil, err
	}
	result := results[d.analyzer].(*generated)
	for _, l := range result.locked {
		v.Locked = append(v.Locked, l.placed(p.Fset))
		d.listings[p.PkgPath] = append(d.listings[p.PkgPath], l.streams)
	}
	v.Links = linksAt(p)
	if d.asked[p.PkgPath] {
		d.fixes, d.fixed = append(d.fixes, result.fixes...), cmp.Or(d.fixed, p)
	}
	return result.file, nil
}

// findings are those of one package, as they are printed.
func (d *driver) findings(p *packages.Package) (list []Finding) {
	if v := d.verdicts[p.PkgPath]; v != nil {
		for _, f := range v.Findings {
			list = append(list, f.within(d.dir))
		}
	}
	return list
}

func (d *driver) pass(a *analysis.Analyzer, p *packages.Package, inputs map[*analysis.Analyzer]any, report func(analysis.Diagnostic)) *analysis.Pass {
	return &analysis.Pass{
		Analyzer: a, Fset: p.Fset, Files: p.Syntax, OtherFiles: p.OtherFiles, IgnoredFiles: p.IgnoredFiles,
		Pkg: p.Types, TypesInfo: p.TypesInfo, TypesSizes: p.TypesSizes, Module: &analysis.Module{},
		ResultOf: inputs, Report: report, ReadFile: os.ReadFile,
		ImportObjectFact: func(obj types.Object, fact analysis.Fact) bool {
			return recall(d.verdicts[packagePathOf(obj)], func(v *verdict) (declared, bool) {
				known, ok := v.Declared[obj.Name()]
				return known, ok
			}, fact)
		},
		ImportPackageFact: func(pkg *types.Package, fact analysis.Fact) bool {
			return recall(d.verdicts[pkg.Path()], func(v *verdict) (linked, bool) { return linked{v.Linked}, len(v.Linked) > 0 }, fact)
		},
		ExportObjectFact: func(obj types.Object, fact analysis.Fact) {
			d.verdicts[p.PkgPath].Declared[obj.Name()] = *fact.(*declared)
		},
		ExportPackageFact: func(fact analysis.Fact) { d.verdicts[p.PkgPath].Linked = fact.(*linked).Connectors },
		AllObjectFacts:    func() []analysis.ObjectFact { return nil },
		AllPackageFacts:   func() []analysis.PackageFact { return nil },
	}
}

// recall copies a fact of a package, as it would be when it came from a file.
func recall[F any](v *verdict, look func(*verdict) (F, bool), into analysis.Fact) bool {
	if v == nil {
		return false
	}
	fact, ok := look(v)
	target, fits := any(into).(*F)
	if ok && fits {
		*target = fact
	}
	return ok && fits
}

// packagePathOf is the path of the package of a package-level variable, and ""
// for everything else: facts are about those only.
func packagePathOf(obj types.Object) string {
	if obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return ""
	}
	return obj.Pkg().Path()
}

// findingOf converts a diagnostic back into what it was made from, with absolute
// names of files.
func findingOf(p *packages.Package, diagnostic analysis.Diagnostic) Finding {
	severity := severityIn(diagnostic)
	f := Finding{
		Rule: diagnostic.Category, Severity: severity, URL: diagnostic.URL,
		Message: message(diagnostic, severity),
		Place:   place(p.Fset, diagnostic.Pos, diagnostic.End),
	}
	for _, r := range diagnostic.Related {
		f.Related = append(f.Related, RelatedPlace{Place: place(p.Fset, r.Pos, r.End), Message: r.Message})
	}
	return f
}

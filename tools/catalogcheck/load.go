package catalogcheck

import (
	"context"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// loaded is a set of packages, type-checked.
type loaded struct {
	// dir is what places are relative to.
	dir string
	// sources holds the packages that are analyzed, imports before importers.
	sources []*packages.Package
	// asked holds those that the patterns name.
	asked map[*packages.Package]bool
}

// load type-checks the packages that the patterns name. It reads the source of
// those only that have to do with catalogs, and takes the rest from what the
// go command compiled. overlay replaces files by their absolute path.
func load(ctx context.Context, dir string, patterns []string, overlay map[string][]byte) (*loaded, error) {
	dir, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	graph, err := packages.Load(&packages.Config{
		Context: ctx, Dir: dir, Overlay: overlay,
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile,
	}, patterns...)
	if err != nil {
		return nil, listError(err)
	}
	if len(graph) == 0 {
		return nil, &LoadError{Problems: []string{"no packages match " + strings.Join(patterns, " ")}}
	}
	wanted := sourcesOf(graph)
	if len(wanted) == 0 {
		if problems := problemsOf(dir, graph); len(problems) > 0 {
			return nil, &LoadError{Problems: problems}
		}
		return &loaded{dir: dir}, nil
	}
	roots, err := packages.Load(&packages.Config{
		Context: ctx, Dir: dir, Overlay: overlay, Fset: token.NewFileSet(),
		Mode: packages.LoadSyntax | packages.NeedModule,
	}, wanted...)
	if err != nil {
		return nil, listError(err)
	}
	if problems := problemsOf(dir, roots); len(problems) > 0 {
		return nil, &LoadError{Problems: problems}
	}
	if problems := problemsOf(dir, graph); len(problems) > 0 {
		return nil, &LoadError{Problems: problems}
	}
	l := &loaded{dir: dir, asked: map[*packages.Package]bool{}}
	named := map[string]bool{}
	for _, p := range graph {
		named[p.PkgPath] = true
	}
	packages.Visit(roots, nil, func(p *packages.Package) {
		if len(p.Syntax) > 0 {
			l.sources = append(l.sources, p)
			l.asked[p] = named[p.PkgPath]
		}
	})
	return l, nil
}

func absolute(dir string) (string, error) {
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return "", fmt.Errorf("find current folder: %w", err)
		}
		return wd, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder %s: %w", dir, err)
	}
	return abs, nil
}

func listError(err error) error {
	return &LoadError{Problems: strings.Split(strings.TrimSpace(err.Error()), "\n")}
}

// sourcesOf returns the packages to read from source: of all that the graph
// holds, those that import package catalog through whatever, since they may
// declare or link connectors; and those that the go command complains about.
func sourcesOf(graph []*packages.Package) []string {
	related := map[*packages.Package]bool{}
	var wanted []string
	roots := map[*packages.Package]bool{}
	for _, p := range graph {
		roots[p] = true
	}
	packages.Visit(graph, nil, func(p *packages.Package) {
		for path, imported := range p.Imports {
			if path == catalogPath || related[imported] {
				related[p] = true
			}
		}
		switch {
		case roots[p] && len(p.Errors) > 0, related[p] && !ownPackage(p.PkgPath):
			wanted = append(wanted, p.PkgPath)
		}
	})
	slices.Sort(wanted)
	return wanted
}

// problemsOf returns what is wrong with the packages and their imports, each
// complaint once, in the compiler's form.
func problemsOf(dir string, roots []*packages.Package) []string {
	var problems []string
	seen := map[string]bool{}
	packages.Visit(roots, nil, func(p *packages.Package) {
		compiled := slices.ContainsFunc(p.Errors, func(e packages.Error) bool { return e.Kind == packages.TypeError || e.Kind == packages.ParseError })
		for _, e := range p.Errors {
			problem := e.Msg
			switch {
			case compiled && e.Kind == packages.ListError:
				continue // the go command's own account of the same
			case e.Pos != "" && e.Pos != "-":
				problem = relative(dir, e.Pos) + ": " + e.Msg
			case !strings.Contains(e.Msg, p.PkgPath):
				problem = p.PkgPath + ": " + e.Msg
			}
			if !seen[problem] {
				seen[problem] = true
				problems = append(problems, problem)
			}
		}
	})
	return problems
}

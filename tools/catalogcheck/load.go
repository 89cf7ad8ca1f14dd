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

// loaded is a set of packages that have to do with catalogs.
type loaded struct {
	// dir is what places are relative to.
	dir string
	// sources holds the packages, imports before importers, without their syntax.
	sources []*packages.Package
	// read holds those by path that were type-checked from source. The verdict on
	// the others is known.
	read  map[string]*packages.Package
	known map[string]*verdict
	// asked holds the paths of those that the patterns name.
	asked map[string]bool
}

// load type-checks the packages that the patterns name. It reads the source of
// those only that have to do with catalogs and on which the memory has no verdict,
// and takes the rest from what the go command compiled. Those that the patterns
// name are read in any case if fresh says so. overlay replaces files by their
// absolute path; with one, nothing is remembered.
func load(ctx context.Context, dir string, patterns []string, overlay map[string][]byte, memory *memory, fresh bool) (*loaded, error) {
	dir, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	graph, err := packages.Load(&packages.Config{
		Context: ctx, Dir: dir, Overlay: overlay,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile,
	}, patterns...)
	if err != nil {
		return nil, listError(err)
	}
	if len(graph) == 0 {
		return nil, &LoadError{Problems: []string{"no packages match " + strings.Join(patterns, " ")}}
	}
	l := &loaded{dir: dir, sources: sourcesOf(graph), read: map[string]*packages.Package{}, known: map[string]*verdict{}, asked: map[string]bool{}}
	for _, p := range graph {
		l.asked[p.PkgPath] = true
	}
	problems := problemsOf(dir, graph)
	if len(problems) == 0 && len(overlay) == 0 {
		l.known = memory.recall(l.sources)
	}
	var unknown []string
	for _, p := range l.sources {
		if l.known[p.PkgPath] == nil || fresh && l.asked[p.PkgPath] {
			unknown = append(unknown, p.PkgPath)
		}
	}
	if len(unknown) > 0 {
		if err := l.readSource(ctx, overlay, unknown); err != nil {
			return nil, err
		}
		memory.forgetChanged(l)
	}
	if len(problems) > 0 {
		return nil, &LoadError{Problems: problems}
	}
	return l, nil
}

// readSource type-checks packages from their source.
func (l *loaded) readSource(ctx context.Context, overlay map[string][]byte, paths []string) error {
	slices.Sort(paths)
	roots, err := packages.Load(&packages.Config{
		Context: ctx, Dir: l.dir, Overlay: overlay, Fset: token.NewFileSet(),
		Mode: packages.LoadSyntax | packages.NeedModule | packages.NeedExportFile,
	}, paths...)
	if err != nil {
		return listError(err)
	}
	if problems := problemsOf(l.dir, roots); len(problems) > 0 {
		return &LoadError{Problems: problems}
	}
	for _, p := range roots {
		if len(p.Syntax) > 0 {
			l.read[p.PkgPath] = p
		}
	}
	return nil
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

// sourcesOf returns the packages to read from source: of all that the graph
// holds, those that import package catalog through whatever, since they may
// declare or link connectors; and those that the go command complains about.
// Imports come before importers.
func sourcesOf(graph []*packages.Package) []*packages.Package {
	related := map[*packages.Package]bool{}
	var wanted []*packages.Package
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
			wanted = append(wanted, p)
		}
	})
	return wanted
}

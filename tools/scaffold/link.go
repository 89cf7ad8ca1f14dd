package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

type linkSpec struct{ Imports, Packages []string }

// Link rewrites connectors/all/all.go of the module at dir so that it links
// every package in connectors/ that declares Plugin. It writes only when that
// changes the file, and reports whether it did.
func Link(dir string) (changed bool, err error) {
	module, err := FindModule(dir)
	if err != nil {
		return false, err
	}
	spec, err := linked(module)
	if err != nil {
		return false, err
	}
	content, err := render("all.go.tmpl", spec)
	if err != nil {
		return false, err
	}
	target := filepath.Join(module.Dir, "connectors", "all", "all.go")
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return false, fmt.Errorf("link connectors: %w", err)
	}
	if err := os.WriteFile(target, content, 0o644); err != nil {
		return false, fmt.Errorf("link connectors: %w", err)
	}
	return true, nil
}

// linked finds the packages in connectors/ that declare Plugin.
func linked(module Module) (linkSpec, error) {
	entries, err := os.ReadDir(filepath.Join(module.Dir, "connectors"))
	if errors.Is(err, fs.ErrNotExist) {
		return linkSpec{}, fmt.Errorf("link connectors: %s has no folder connectors; run weir init or weir new", module.Dir)
	}
	if err != nil {
		return linkSpec{}, fmt.Errorf("link connectors: %w", err)
	}
	var spec linkSpec
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "all" || strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_") {
			continue
		}
		name, err := pluginPackage(filepath.Join(module.Dir, "connectors", e.Name()))
		if err != nil {
			return linkSpec{}, fmt.Errorf("link connectors: %w", err)
		}
		if name == "" {
			continue
		}
		if slices.Contains(spec.Packages, name) {
			return linkSpec{}, fmt.Errorf("link connectors: two packages in connectors are named %s; rename one", name)
		}
		spec.Imports = append(spec.Imports, path.Join(module.Path, "connectors", e.Name()))
		spec.Packages = append(spec.Packages, name)
	}
	return spec, nil
}

// pluginPackage returns the name of the package in folder if it declares a
// variable Plugin, else "". Files that do not parse are the compiler's to
// report, so a name found beside them counts.
func pluginPackage(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		parsed, _ := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, e.Name()), nil, parser.SkipObjectResolution)
		if parsed == nil {
			continue
		}
		for _, d := range parsed.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR && declares(g, "Plugin") {
				return parsed.Name.Name, nil
			}
		}
	}
	return "", nil
}

func declares(g *ast.GenDecl, name string) bool {
	for _, s := range g.Specs {
		if v, ok := s.(*ast.ValueSpec); ok {
			for _, n := range v.Names {
				if n.Name == name {
					return true
				}
			}
		}
	}
	return false
}

package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").ParseFS(files, "templates/connector/*.tmpl", "templates/module/*.tmpl"))

// ErrNoModule says that a folder lies in no Go module.
var ErrNoModule = errors.New("no go.mod in this folder or above it; run weir init, or, in a workspace, go to the folder of one of its modules")

// Module is a Go module on disk.
type Module struct {
	// Dir is its root folder.
	Dir string
	// Path is its module path.
	Path string
}

// FindModule returns the module that dir lies in, or [ErrNoModule].
func FindModule(dir string) (Module, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Module{}, fmt.Errorf("find module: %w", err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			for line := range strings.Lines(string(content)) {
				if path, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
					return Module{Dir: dir, Path: strings.Trim(strings.TrimSpace(path), `"`)}, nil
				}
			}
			return Module{}, fmt.Errorf("find module: %s has no module line", filepath.Join(dir, "go.mod"))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return Module{}, ErrNoModule
		}
		dir = parent
	}
}

// render fills one template, and formats it when it is Go.
func render(name string, with any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, with); err != nil {
		return nil, fmt.Errorf("fill template %s: %w", name, err)
	}
	if !strings.HasSuffix(name, ".go.tmpl") {
		return b.Bytes(), nil
	}
	source, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", name, err)
	}
	return source, nil
}

// file is one file to write.
type file struct {
	path    string
	content []byte
}

// writeAll writes files that must not exist yet: all of them, or none.
func writeAll(all []file) error {
	var errs []error
	for _, f := range all {
		if _, err := os.Lstat(f.path); err == nil {
			errs = append(errs, fmt.Errorf("%s exists already; nothing was written", f.path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range all {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(f.path, f.content, 0o644); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
	}
	return nil
}

// InitOptions say what [Init] writes.
type InitOptions struct {
	// Module is the path of the new module; "" for the folder's name.
	Module string
	// Replace is the folder of a local checkout of Weir, "" for none.
	Replace string
	// Version is the version of Weir to require, such as "v0.1.0".
	Version string
	// GoVersion is the Go version of the new module, such as "1.26.0".
	GoVersion string
}

// Init writes a module of one's own at dir: a main package that is the whole
// product with the module's connectors linked in. It returns the files written,
// relative to dir.
func Init(dir string, o InitOptions) ([]string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("init: %w", err)
	}
	name := filepath.Base(root)
	if o.Module == "" {
		o.Module = name
	}
	if strings.ContainsAny(o.Module, " \t\n\"'`\\") || o.Module == "" || o.Module == "/" {
		return nil, fmt.Errorf("init: %q is no module path; set one with --module", o.Module)
	}
	mod := fmt.Sprintf("module %s\n\ngo %s\n\nrequire github.com/weirhq/weir %s\n\ntool github.com/weirhq/weir/cmd/catalogcheck\n", o.Module, o.GoVersion, o.Version)
	if o.Replace != "" {
		checkout, err := filepath.Abs(o.Replace)
		if err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
		if m, err := FindModule(checkout); err != nil || m.Path != "github.com/weirhq/weir" || m.Dir != checkout {
			return nil, fmt.Errorf("init: --replace %s is no checkout of Weir: it must hold the go.mod of github.com/weirhq/weir", o.Replace)
		}
		mod += "\nreplace github.com/weirhq/weir => " + checkout + "\n"
	}
	with := struct{ Name, Module string }{name, o.Module}
	all := []file{{filepath.Join(root, "go.mod"), []byte(mod)}}
	for _, t := range []struct{ template, path string }{
		{"main.go.tmpl", "main.go"}, {"weir.yaml.tmpl", "weir.yaml"}, {"README.md.tmpl", "README.md"}, {"gitignore.tmpl", ".gitignore"},
	} {
		content, err := render(t.template, with)
		if err != nil {
			return nil, err
		}
		all = append(all, file{filepath.Join(root, t.path), content})
	}
	linked, err := render("all.go.tmpl", linkSpec{})
	if err != nil {
		return nil, err
	}
	all = append(all, file{filepath.Join(root, "connectors", "all", "all.go"), linked})
	if err := writeAll(all); err != nil {
		return nil, err
	}
	return relative(root, all), nil
}

func relative(root string, all []file) []string {
	paths := make([]string, len(all))
	for i, f := range all {
		paths[i], _ = filepath.Rel(root, f.path)
	}
	return paths
}

package catalogcheck

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// loadForWriting loads packages whose generated files may be broken, as a merge
// or a renamed package leaves them. Those files are about to be written anew,
// so they are taken for empty.
func loadForWriting(ctx context.Context, dir string, patterns []string, memory *memory) (*loaded, error) {
	l, err := load(ctx, dir, patterns, nil, memory, true)
	var failed *LoadError
	if !errors.As(err, &failed) {
		return l, err
	}
	overlay := map[string][]byte{}
	for _, problem := range failed.Problems {
		end := strings.Index(problem, generatedFile)
		if end < 0 {
			continue
		}
		name := problem[strings.LastIndexAny(problem[:end], " \t(")+1:end] + generatedFile
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if name, err := filepath.Abs(name); err == nil {
			if pkg := packageBeside(name); pkg != "" {
				overlay[name] = []byte("package " + pkg + "\n")
			}
		}
	}
	if len(overlay) == 0 {
		return nil, err
	}
	return load(ctx, dir, patterns, overlay, nil, true)
}

// packageBeside returns the package name that the other files of the folder of
// a generated file have, or "".
func packageBeside(name string) string {
	if content, err := os.ReadFile(name); err != nil || !strings.Contains(string(content), generatedHeader) {
		return "" // not ours to replace
	}
	siblings, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*.go"))
	if err != nil {
		return ""
	}
	for _, sibling := range siblings {
		if sibling == name || strings.HasSuffix(sibling, "_test.go") {
			continue
		}
		if file, err := parser.ParseFile(token.NewFileSet(), sibling, nil, parser.PackageClauseOnly); err == nil {
			return file.Name.Name
		}
	}
	return ""
}

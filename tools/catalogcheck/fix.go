package catalogcheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/tools/go/analysis"
)

// fix is a change of the source that ends a finding.
type fix struct {
	label string
	edits []analysis.TextEdit
	// file is the absolute path of a new file, with its content. It is not
	// written over an existing one.
	file    string
	content []byte
}

// suggested returns f as drivers other than our own take it: they cannot make
// files, so a change that needs one is not offered to them.
func (f *fix) suggested() []analysis.SuggestedFix {
	if f == nil || f.file != "" {
		return nil
	}
	return []analysis.SuggestedFix{{Message: f.label, TextEdits: f.edits}}
}

// insertion puts text at pos.
func insertion(pos token.Pos, text string) analysis.TextEdit {
	return analysis.TextEdit{Pos: pos, End: pos, NewText: []byte(text)}
}

// fixConstant returns the fix that rewrites a string literal, if e is one.
func fixConstant(label string, e ast.Node, quoted string) *fix {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return nil
	}
	return &fix{label: label, edits: []analysis.TextEdit{{Pos: literal.Pos(), End: literal.End(), NewText: []byte(quoted)}}}
}

// change is a file before and after the fixes.
type change struct {
	path          string
	before, after []byte
}

// changes applies fixes to the files they are about. Of fixes that overlap only
// the first is taken: the next run has the others.
func changes(fset *token.FileSet, fixes []*fix) ([]change, error) {
	edits := map[string][]analysis.TextEdit{}
	made := map[string][]byte{}
	for _, f := range fixes {
		if f.file != "" {
			if _, err := os.Lstat(f.file); err == nil || made[f.file] != nil {
				continue
			}
			made[f.file] = f.content
		}
		for _, e := range f.edits {
			name := fset.Position(e.Pos).Filename
			edits[name] = append(edits[name], e)
		}
	}
	var all []change
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		before, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read source: %w", err)
		}
		after, err := format.Source(applyEdits(fset, before, edits[name]))
		if err != nil {
			return nil, fmt.Errorf("fix %s: %w", name, err)
		}
		all = append(all, change{name, before, after})
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		all = append(all, change{name, nil, made[name]})
	}
	return all, nil
}

func applyEdits(fset *token.FileSet, source []byte, edits []analysis.TextEdit) []byte {
	slices.SortStableFunc(edits, func(a, b analysis.TextEdit) int { return int(a.Pos - b.Pos) })
	var b bytes.Buffer
	done := 0
	for _, e := range edits {
		from, to := fset.Position(e.Pos).Offset, fset.Position(e.End).Offset
		if from < done || to > len(source) {
			continue
		}
		b.Write(source[done:from])
		b.Write(e.NewText)
		done = to
	}
	b.Write(source[done:])
	return b.Bytes()
}

// writeChanges writes the changed files and says so.
func writeChanges(out io.Writer, dir string, all []change, verbose bool) error {
	for _, c := range all {
		if err := os.WriteFile(c.path, c.after, 0o644); err != nil { //nolint:gosec // source code has the mode of source code
			return fmt.Errorf("write fix: %w", err)
		}
		if verbose {
			if _, err := fmt.Fprintf(out, "%s: fixed\n", relative(dir, c.path)); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
	}
	return nil
}

// printDiff prints the changes as one patch, which changes nothing.
func printDiff(out io.Writer, dir string, all []change) error {
	for _, c := range all {
		name := filepath.ToSlash(relative(dir, c.path))
		if _, err := out.Write(diff.Diff("a/"+name, c.before, "b/"+name, c.after)); err != nil {
			return fmt.Errorf("print diff: %w", err)
		}
	}
	return nil
}

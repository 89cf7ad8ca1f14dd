package catalogcheck

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// specDoc returns the description of a variable: the comment above it, or else
// the one at the end of its line. The comment above a group of variables
// describes the group and none of them.
func specDoc(spec *ast.ValueSpec, parents []ast.Node) string {
	if s := prose(spec.Doc); s != "" {
		return s
	}
	if len(parents) > 0 {
		if group, ok := parents[len(parents)-1].(*ast.GenDecl); ok && !group.Lparen.IsValid() {
			if s := prose(group.Doc); s != "" {
				return s
			}
		}
	}
	return prose(spec.Comment)
}

// nearbyDoc returns the comment above n, or else the one at the end of its last
// line, for places to which the parser attaches no comment.
func nearbyDoc(fset *token.FileSet, file *ast.File, n ast.Node) string {
	first, last := fset.Position(n.Pos()).Line, fset.Position(n.End()).Line
	trailing := ""
	for _, group := range file.Comments {
		switch {
		case group.End() <= n.Pos() && fset.Position(group.End()).Line == first-1 && alone(fset, file, group):
			return prose(group)
		case group.Pos() >= n.End() && fset.Position(group.Pos()).Line == last:
			trailing = prose(group)
		}
	}
	return trailing
}

// fieldDoc returns the comment of a field of a struct type of the package, which
// describes what the field holds as long as nothing is said where it is filled.
func (m *model) fieldDoc(obj types.Object) (doc string) {
	for _, file := range m.files {
		if obj == nil || obj.Pos() < file.FileStart || obj.Pos() >= file.FileEnd {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && slices.ContainsFunc(field.Names, func(id *ast.Ident) bool { return id.Pos() == obj.Pos() }) {
				doc = cmp.Or(prose(field.Doc), prose(field.Comment))
			}
			return doc == ""
		})
	}
	return doc
}

// alone reports whether a comment has its lines for itself.
func alone(fset *token.FileSet, file *ast.File, group *ast.CommentGroup) bool {
	line := fset.Position(group.Pos()).Line
	found := true
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case nil, *ast.File, *ast.Comment, *ast.CommentGroup:
			return true
		}
		if fset.Position(n.Pos()).Line == line && n.Pos() < group.Pos() {
			found = false
		}
		return found
	})
	return found
}

// prose returns the text of a comment without its line breaks: paragraphs are
// parted by one empty line, and directives are left out.
func prose(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	var paragraphs []string
	for paragraph := range strings.SplitSeq(group.Text(), "\n\n") {
		if words := strings.Join(strings.Fields(paragraph), " "); words != "" {
			paragraphs = append(paragraphs, words)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// packageDescription returns the first paragraph of the package's doc comment.
func packageDescription(files []*ast.File) string {
	for _, file := range files {
		if s := prose(file.Doc); s != "" && !ast.IsGenerated(file) {
			first, _, _ := strings.Cut(s, "\n\n")
			return first
		}
	}
	return ""
}

package catalogcheck

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weirhq/weir/catalog"
)

var (
	commandData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// githubAnnotations returns one workflow command for each finding. GitHub needs
// paths relative to root, the workspace of the job; without a job they stay
// relative to dir.
func githubAnnotations(dir, root string, findings []Finding) []byte {
	if root == "" {
		root = dir
	}
	name := func(file string) string {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		return filepath.ToSlash(relative(root, file))
	}
	var b strings.Builder
	for _, f := range findings {
		verb := "error"
		if f.Severity == catalog.SeverityWarning {
			verb = "warning"
		}
		fmt.Fprintf(&b, "::%s file=%s,line=%d", verb, commandProperty.Replace(name(f.File)), f.Line)
		switch {
		case f.EndLine == f.Line:
			// The column after the range is the last one of it, to GitHub.
			fmt.Fprintf(&b, ",endLine=%d,col=%d,endColumn=%d", f.EndLine, f.Column, max(f.EndColumn-1, f.Column))
		case f.EndLine > f.Line:
			fmt.Fprintf(&b, ",endLine=%d", f.EndLine) // columns are for ranges in one line
		default:
			fmt.Fprintf(&b, ",col=%d", f.Column)
		}
		text := []string{f.Message}
		for _, r := range f.Related {
			text = append(text, fmt.Sprintf("%s:%d:%d: %s", name(r.File), r.Line, r.Column, r.Message))
		}
		text = append(text, f.URL)
		fmt.Fprintf(&b, ",title=%s::%s\n", commandProperty.Replace(f.Rule), commandData.Replace(strings.Join(text, "\n")))
	}
	return []byte(b.String())
}

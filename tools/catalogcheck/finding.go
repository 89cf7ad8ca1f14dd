package catalogcheck

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/weirhq/weir/catalog"
)

// Finding is one thing that is wrong, with its place in the source.
type Finding struct {
	// Rule is the stable id, for example "SC201".
	Rule string `json:"rule"`
	// Severity ranks the finding. Only errors make the check fail.
	Severity catalog.Severity `json:"severity"`
	// Message states the fact and then what to do.
	Message string `json:"message"`
	// Place is the range of source that the finding is about.
	Place
	// Related are further places that explain the finding.
	Related []RelatedPlace `json:"related,omitempty"`
	// URL is the documentation of the rule.
	URL string `json:"url"`
}

// Place is a range of source. Lines and columns count from 1, columns in bytes.
type Place struct {
	// File is relative to the folder that was checked from, where it lies below it.
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"end_line,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
}

// RelatedPlace is a place with the reason why it is shown.
type RelatedPlace struct {
	Place
	Message string `json:"message"`
}

// String formats f on one line: place, rule, message.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, line(f.Rule, f.Severity, f.Message))
}

// warningMark ends the line of a finding that does not fail the check.
const warningMark = " [warning]"

// line is what both drivers print after the place.
func line(rule string, severity catalog.Severity, message string) string {
	text := rule + " " + message
	if severity == catalog.SeverityWarning {
		text += warningMark
	}
	return text
}

// severityIn returns the severity that line printed.
func severityIn(d analysis.Diagnostic) catalog.Severity {
	if strings.HasSuffix(d.Message, warningMark) {
		return catalog.SeverityWarning
	}
	return catalog.SeverityError
}

// message undoes line for a diagnostic.
func message(d analysis.Diagnostic, severity catalog.Severity) string {
	text := strings.TrimPrefix(d.Message, d.Category+" ")
	if severity == catalog.SeverityWarning {
		text = strings.TrimSuffix(text, warningMark)
	}
	return text
}

// sortFindings orders findings by place and then by rule, so that the output
// does not depend on the order of loading.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Rule, b.Rule),
			strings.Compare(a.Message, b.Message),
		)
	})
}

func countErrors(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == catalog.SeverityError {
			n++
		}
	}
	return n
}

// within returns f with names of files relative to dir, where they lie below it.
func (f Finding) within(dir string) Finding {
	f.File = relative(dir, f.File)
	f.Related = slices.Clone(f.Related)
	for i := range f.Related {
		f.Related[i].File = relative(dir, f.Related[i].File)
	}
	return f
}

// place converts a range of positions into a place with an absolute name.
func place(fset *token.FileSet, pos, end token.Pos) Place {
	from := fset.Position(pos)
	p := Place{File: from.Filename, Line: from.Line, Column: from.Column}
	if end.IsValid() && end > pos {
		to := fset.Position(end)
		p.EndLine, p.EndColumn = to.Line, to.Column
	}
	return p
}

// relative shortens name when it lies below dir.
func relative(dir, name string) string {
	short, err := filepath.Rel(dir, name)
	if err != nil || short == ".." || strings.HasPrefix(short, ".."+string(filepath.Separator)) {
		return name
	}
	return short
}

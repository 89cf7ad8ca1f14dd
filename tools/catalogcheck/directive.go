package catalogcheck

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// directivePrefix starts a comment that suppresses one rule on its line, or on
// the next line when it stands alone:
//
//	//catalogcheck:ignore SC113 the gap at the full hour is wanted
const directivePrefix = "//catalogcheck:"

// directive is one parsed comment.
type directive struct {
	rule, reason string
}

// parseDirective reads the text of a comment. ok is false for comments that are
// not addressed to the checker; err says what is wrong with one that is.
func parseDirective(comment string) (d directive, ok bool, err error) {
	rest, ok := strings.CutPrefix(comment, directivePrefix)
	if !ok {
		return directive{}, false, nil
	}
	verb, rest := cutWord(rest)
	if verb != "ignore" {
		return directive{}, true, fmt.Errorf("unknown directive %q; the only one is %signore", verb, directivePrefix)
	}
	d.rule, d.reason = cutWord(rest)
	switch {
	case d.rule == "":
		return directive{}, true, fmt.Errorf("ignore comment without a rule; write %signore SC113 and the reason", directivePrefix)
	case !known(d.rule):
		return directive{}, true, fmt.Errorf("ignore comment names the unknown rule %q; write one id such as SC113 (catalogcheck -rules lists them)", d.rule)
	case d.rule == "SC001":
		return directive{}, true, fmt.Errorf("SC001 cannot be ignored; remove the comment")
	case lockRule(d.rule):
		return directive{}, true, fmt.Errorf("%s cannot be ignored by a comment; a change of the catalog is accepted with weir catalog accept", d.rule)
	case d.reason == "":
		return directive{}, true, fmt.Errorf("ignore comment for %s without a reason; write why the finding is accepted", d.rule)
	}
	return d, true, nil
}

// cutWord splits s after its first word.
func cutWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// suppress removes the findings that a directive of the files accepts, and adds
// one for each directive that is malformed or accepts nothing.
func suppress(fset *token.FileSet, files []*ast.File, findings []finding) []finding {
	type line struct {
		file string
		line int
		rule string
	}
	suppressed := map[line]*ast.Comment{}
	order := []*ast.Comment{}
	used := map[*ast.Comment]bool{}
	var complaints []finding
	for _, file := range files {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				d, ok, err := parseDirective(comment.Text)
				if !ok {
					continue
				}
				if err != nil {
					wrong := found("SC001", comment, "%s", err)
					wrong.fix = removeComment(comment)
					complaints = append(complaints, wrong)
					continue
				}
				at := fset.Position(comment.Pos())
				order = append(order, comment)
				suppressed[line{at.Filename, at.Line, d.rule}] = comment
				if !alone(fset, file, group) {
					continue
				}
				below := fset.Position(group.End()).Line + 1
				if _, taken := suppressed[line{at.Filename, below, d.rule}]; !taken {
					suppressed[line{at.Filename, below, d.rule}] = comment
				}
			}
		}
	}
	var kept []finding
	for _, f := range findings {
		at := fset.Position(f.pos)
		if comment := suppressed[line{at.Filename, at.Line, f.rule}]; comment != nil {
			used[comment] = true
			continue
		}
		kept = append(kept, f)
	}
	for _, comment := range order {
		if !used[comment] {
			d, _, _ := parseDirective(comment.Text)
			unused := found("SC001", comment, "ignore comment for %s is not used: there is no such finding on this line or the next; remove it", d.rule)
			unused.fix = removeComment(comment)
			complaints = append(complaints, unused)
		}
	}
	return append(kept, complaints...)
}

// severityOf returns how bad a finding of the rule is.
func severityOf(id string) catalog.Severity {
	if rule, ok := RuleByID(id); ok {
		return rule.Severity
	}
	return catalog.SeverityError
}

package catalogcheck

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Format is how findings are printed.
type Format string

const (
	// FormatText prints one line a finding, as compilers do, and below it an
	// indented one for each related place.
	FormatText Format = "text"
	// FormatPretty prints each finding with the source it is about, for people.
	// It has colours on a terminal, unless NO_COLOR is set.
	FormatPretty Format = "pretty"
	// FormatJSON prints one object with all findings and their counts.
	FormatJSON Format = "json"
	// FormatGitHub prints workflow commands, which GitHub Actions shows beside
	// the lines of a change.
	FormatGitHub Format = "github"
	// FormatSARIF prints one SARIF 2.1.0 log, as code scanning reads it.
	FormatSARIF Format = "sarif"
)

// Formats lists every format.
func Formats() []Format {
	return []Format{FormatText, FormatPretty, FormatJSON, FormatGitHub, FormatSARIF}
}

// formatList names every format for a message.
func formatList() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func (f Format) validate() error {
	if slices.Contains(Formats(), f) {
		return nil
	}
	return fmt.Errorf("unknown format %q; use %s", string(f), formatList())
}

// forPeople reports whether lines about what was done may be mixed in.
func (f Format) forPeople() bool { return f == FormatText || f == FormatPretty }

// report is the JSON form of a whole check.
type report struct {
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

// printFindings prints findings, whose places are relative to dir.
func printFindings(out io.Writer, format Format, dir string, findings []Finding) error {
	var text []byte
	var err error
	switch format {
	case FormatJSON:
		failed := countErrors(findings)
		if findings == nil {
			findings = []Finding{}
		}
		text, err = encodeJSON(report{findings, failed, len(findings) - failed})
	case FormatSARIF:
		text, err = encodeJSON(newSARIF(newSources(dir), findings))
	case FormatGitHub:
		text = githubAnnotations(dir, os.Getenv("GITHUB_WORKSPACE"), findings)
	case FormatPretty:
		text = prettyText(newSources(dir), findings, coloursFor(out))
	case FormatText:
		text = plainText(findings)
	}
	if err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	if _, err := out.Write(text); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}

func encodeJSON(v any) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	return []byte(b.String()), err
}

// plainText has a line for each finding, and one for each related place, as go
// vet prints it.
func plainText(findings []Finding) []byte {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
		for _, r := range f.Related {
			fmt.Fprintf(&b, "%s:%d:%d: \t%s\n", r.File, r.Line, r.Column, r.Message)
		}
	}
	return []byte(b.String())
}

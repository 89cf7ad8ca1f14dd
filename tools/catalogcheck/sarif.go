package catalogcheck

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// The parts of SARIF 2.1.0 (OASIS standard) that the checker fills in. The
// names are the standard's own.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool            `json:"tool"`
		Columns string               `json:"columnKind"`
		Roots   map[string]sarifFile `json:"originalUriBaseIds"`
		Results []sarifResult        `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		URL   string      `json:"informationUri"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID     string      `json:"id"`
		Title  sarifText   `json:"shortDescription"`
		Doc    sarifText   `json:"fullDescription"`
		Help   sarifText   `json:"help"`
		URL    string      `json:"helpUri"`
		Config sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifResult struct {
		Rule    string          `json:"ruleId"`
		Index   int             `json:"ruleIndex"`
		Level   string          `json:"level"`
		Message sarifText       `json:"message"`
		Places  []sarifLocation `json:"locations"`
		Related []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifLocation struct {
		ID       int           `json:"id,omitempty"`
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifText    `json:"message,omitempty"`
	}
	sarifPhysical struct {
		File   sarifFile   `json:"artifactLocation"`
		Region sarifRegion `json:"region"`
	}
	sarifFile struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		Line      int `json:"startLine"`
		Column    int `json:"startColumn"`
		EndLine   int `json:"endLine,omitempty"`
		EndColumn int `json:"endColumn,omitempty"`
	}
)

// sarifRoot names the folder that relative paths start from.
const sarifRoot = "SRCROOT"

// newSARIF returns the log of one run.
func newSARIF(src *sources, findings []Finding) sarifLog {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "catalogcheck", URL: ruleURL("")}},
		Columns: "unicodeCodePoints",
		Roots:   map[string]sarifFile{sarifRoot: {URI: strings.TrimSuffix(fileURI(src.dir), "/") + "/"}},
		Results: []sarifResult{},
	}
	rules := Rules()
	for _, r := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: r.ID, Title: sarifText{Text: r.Title}, Doc: sarifText{Text: r.Doc}, URL: ruleURL(r.ID),
			Help: sarifText{
				Text:     r.Doc + "\n\nBad:\n\n" + r.Bad + "\n\nGood:\n\n" + r.Good,
				Markdown: r.Doc + "\n\nBad:\n\n```" + r.Stage.language() + "\n" + r.Bad + "\n```\n\nGood:\n\n```" + r.Stage.language() + "\n" + r.Good + "\n```",
			},
			Config: sarifConfig{string(r.Severity)},
		})
	}
	for _, f := range findings {
		result := sarifResult{
			Rule: f.Rule, Level: string(f.Severity), Message: sarifText{Text: f.Message},
			Index:  slices.IndexFunc(rules, func(r Rule) bool { return r.ID == f.Rule }),
			Places: []sarifLocation{{Physical: src.physical(f.Place)}},
		}
		for i, r := range f.Related {
			result.Related = append(result.Related, sarifLocation{ID: i + 1, Physical: src.physical(r.Place), Message: &sarifText{Text: r.Message}})
		}
		run.Results = append(run.Results, result)
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

func (s *sources) physical(p Place) sarifPhysical {
	physical := sarifPhysical{
		File:   sarifFile{URI: (&url.URL{Path: filepath.ToSlash(p.File)}).EscapedPath(), Base: sarifRoot},
		Region: sarifRegion{Line: p.Line, Column: s.codePoints(p.File, p.Line, p.Column), EndLine: p.EndLine},
	}
	if filepath.IsAbs(p.File) {
		physical.File = sarifFile{URI: fileURI(p.File)}
	}
	if p.EndLine > 0 {
		physical.Region.EndColumn = s.codePoints(p.File, p.EndLine, p.EndColumn)
	}
	return physical
}

func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive of Windows
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

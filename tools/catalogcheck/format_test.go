package catalogcheck

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// samples are findings about a file in a folder of their own.
func samples(t *testing.T) (dir string, findings []Finding) {
	t.Helper()
	dir = t.TempDir()
	source := "package acme\n\n" +
		"var\tÄpfel = poll(\"100%\") // \x1b[31mred\x1b[0m\n" +
		"func open() {\n\treturn\n}\n" +
		strings.Repeat("x", 300) + "HERE" + strings.Repeat("y", 300) + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a b,c.go"), []byte(source), 0o600))
	at := func(line, column, endLine, endColumn int) Place {
		return Place{File: "a b,c.go", Line: line, Column: column, EndLine: endLine, EndColumn: endColumn}
	}
	return dir, []Finding{
		{
			Rule: "SC201", Severity: catalog.SeverityError, URL: ruleURL("SC201"),
			Message: "poll stream \"100%\" has no sync route; add framework.Sync(Äpfel, …)",
			Place:   at(3, 5, 3, 11),
			Related: []RelatedPlace{{Place: at(4, 1, 6, 2), Message: "the routes are handed out here"}},
		},
		{Rule: "SC116", Severity: catalog.SeverityWarning, URL: ruleURL("SC116"), Message: "no zone", Place: at(7, 301, 7, 305)},
		{Rule: "SC104", Severity: catalog.SeverityWarning, URL: ruleURL("SC104"), Message: "gone", Place: Place{File: "gone.go", Line: 99, Column: 7}},
	}
}

func TestPrettyDrawsTheSource(t *testing.T) {
	t.Parallel()
	dir, findings := samples(t)
	require.Equal(t, `error SC201: poll stream "100%" has no sync route
 --> a b,c.go:3:5
3 | var    Äpfel = poll("100%") // `+"\uFFFD[31mred\uFFFD[0m"+`
  |        ^^^^^
 ::: a b,c.go:4:1
4 | func open() {
  | -------------… the routes are handed out here
  = help: add framework.Sync(Äpfel, …)
  = https://github.com/weirhq/weir/blob/main/docs/rules.md#sc201

warning SC116: no zone
 --> a b,c.go:7:301
7 | …`+strings.Repeat("x", frameLead)+"HERE"+strings.Repeat("y", frameWidth-frameLead-4)+`…
  | `+strings.Repeat(" ", frameLead+1)+`^^^^
  = https://github.com/weirhq/weir/blob/main/docs/rules.md#sc116

warning SC104: gone
  --> gone.go:99:7
   = https://github.com/weirhq/weir/blob/main/docs/rules.md#sc104

1 error, 2 warnings
`, string(prettyText(newSources(dir), findings, colours{})))
}

func TestPrettyHasColoursOnATerminalOnly(t *testing.T) {
	dir, findings := samples(t)
	require.Contains(t, string(prettyText(newSources(dir), findings, terminalColours())), "\x1b[1;31merror SC201\x1b[0m: ")
	require.Zero(t, coloursFor(&bytes.Buffer{}))
	file, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	require.Zero(t, coloursFor(file))

	terminal, err := os.Open(os.DevNull) // a character device, as a terminal is
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	require.Equal(t, terminalColours(), coloursFor(terminal))
	t.Setenv("NO_COLOR", "1")
	require.Zero(t, coloursFor(terminal))
}

func TestPrettyIsSilentWithoutFindings(t *testing.T) {
	t.Parallel()
	require.Empty(t, prettyText(newSources(t.TempDir()), nil, colours{}))
}

func TestGitHubAnnotationsAreEscaped(t *testing.T) {
	t.Parallel()
	dir, findings := samples(t)
	text := string(githubAnnotations(dir, filepath.Dir(dir), findings))
	base := filepath.Base(dir)
	require.Equal(t, `::error file=`+base+`/a b%2Cc.go,line=3,endLine=3,col=5,endColumn=10,title=SC201::`+
		`poll stream "100%25" has no sync route; add framework.Sync(Äpfel, …)%0A`+base+`/a b,c.go:4:1: the routes are handed out here%0A`+ruleURL("SC201")+`
::warning file=`+base+`/a b%2Cc.go,line=7,endLine=7,col=301,endColumn=304,title=SC116::no zone%0A`+ruleURL("SC116")+`
::warning file=`+base+`/gone.go,line=99,col=7,title=SC104::gone%0A`+ruleURL("SC104")+"\n", text)
	require.Contains(t, string(githubAnnotations(dir, "", findings)), "file=a b%2Cc.go,")
}

// TestSARIFHasTheStandardsShape holds what section 3 of SARIF 2.1.0 demands of
// the properties that are used. It is not the standard's own JSON schema.
func TestSARIFHasTheStandardsShape(t *testing.T) {
	t.Parallel()
	dir, findings := samples(t)
	var out bytes.Buffer
	require.NoError(t, printFindings(&out, FormatSARIF, dir, findings))
	decoder := json.NewDecoder(bytes.NewReader(out.Bytes()))
	decoder.DisallowUnknownFields()
	var log sarifLog
	require.NoError(t, decoder.Decode(&log))

	require.Equal(t, "2.1.0", log.Version)
	require.Len(t, log.Runs, 1)
	run := log.Runs[0]
	require.Equal(t, "catalogcheck", run.Tool.Driver.Name)
	require.Contains(t, []string{"utf16CodeUnits", "unicodeCodePoints"}, run.Columns)
	require.Regexp(t, `^file:///.*/$`, run.Roots[sarifRoot].URI)
	require.Len(t, run.Tool.Driver.Rules, len(Rules()))
	for _, r := range run.Tool.Driver.Rules {
		require.NotEmpty(t, r.ID)
		require.NotEmpty(t, r.Title.Text)
		require.Contains(t, []string{"none", "note", "warning", "error"}, r.Config.Level)
	}
	require.Len(t, run.Results, len(findings))
	for i, r := range run.Results {
		require.Equal(t, findings[i].Rule, r.Rule)
		require.Equal(t, r.Rule, run.Tool.Driver.Rules[r.Index].ID)
		require.NotEmpty(t, r.Message.Text)
		require.Len(t, r.Places, 1)
		ids := []int{}
		for _, l := range slices.Concat(r.Places, r.Related) {
			require.NotContains(t, l.Physical.File.URI, " ")
			require.Equal(t, sarifRoot, l.Physical.File.Base)
			require.Positive(t, l.Physical.Region.Line)
			require.Positive(t, l.Physical.Region.Column)
			require.NotContains(t, ids, l.ID)
			ids = append(ids, l.ID)
		}
	}
	first := run.Results[0].Places[0].Physical
	require.Equal(t, "a%20b,c.go", first.File.URI)
	require.Equal(t, sarifRegion{Line: 3, Column: 5, EndLine: 3, EndColumn: 10}, first.Region, "columns count characters, not bytes")
	require.Equal(t, 1, run.Results[0].Related[0].ID)
}

func TestSARIFWithoutFindingsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, printFindings(&out, FormatSARIF, t.TempDir(), nil))
	require.Contains(t, out.String(), `"results": []`)
}

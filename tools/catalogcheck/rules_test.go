package catalogcheck_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/catalogcheck"
)

// expectation is one want comment: a finding on a line.
type expectation struct {
	file string
	line int
	text *regexp.Regexp
}

var (
	wantComment = regexp.MustCompile(`// want([+-]\d+)?((?: "[^"]*")+)\s*$`)
	wantText    = regexp.MustCompile(`"([^"]*)"`)
)

// TestRules checks all of testdata/rules.
func TestRules(t *testing.T) {
	t.Parallel()
	dir := rulesModule(t)
	generate(t, dir)
	t.Run("FindWhatTheyPromise", func(t *testing.T) {
		t.Parallel()
		findWhatTheyPromise(t, dir)
	})
	if os.Getenv("WEIR_TEST_ALL") == "" {
		return // go vet compiles all of the testdata: make test-all does that
	}
	t.Run("AreTheSameInBothDrivers", func(t *testing.T) {
		t.Parallel()
		areTheSameInBothDrivers(t, dir)
	})
}

// findWhatTheyPromise compares the findings with the want comments: none may be
// missing and none too many.
func findWhatTheyPromise(t *testing.T, dir string) {
	t.Helper()
	findings := checkJSON(t, dir, "./...")
	wanted := expectations(t, dir)

	var problems []string
	for _, f := range findings {
		require.NotEmpty(t, f.URL)
		require.NotZero(t, f.EndLine, "%s has no range", f)
		i := slices.IndexFunc(wanted, func(e expectation) bool {
			return e.file == f.File && e.line == f.Line && e.text.MatchString(f.Rule+" "+f.Message)
		})
		switch {
		case i >= 0:
			wanted = slices.Delete(wanted, i, i+1)
		case f.Rule == "SC504" && strings.Contains(f.File, "bad") && !strings.HasPrefix(f.File, "sc504"):
			// Packages with errors cannot be generated.
		case f.Rule == "SC504" && (strings.HasPrefix(f.File, "sc501") || strings.HasPrefix(f.File, "kit")):
			// Packages that others link need no generated catalog here.
		default:
			problems = append(problems, "unexpected: "+f.String())
		}
	}
	for _, e := range wanted {
		problems = append(problems, fmt.Sprintf("missing: %s:%d: %s", e.file, e.line, e.text))
	}
	require.Empty(t, problems, "\n%s", strings.Join(problems, "\n"))
}

// generate writes the generated catalogs of the correct packages.
func generate(t *testing.T, dir string) {
	t.Helper()
	patterns := []string{"./styles/..."}
	for _, r := range catalogcheck.Rules() {
		for _, kind := range []string{"good", "near"} {
			name := filepath.Join(strings.ToLower(r.ID), kind)
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				patterns = append(patterns, "./"+name+"/...")
			}
		}
	}
	var out bytes.Buffer
	_, err := catalogcheck.Check(t.Context(), dir, patterns, catalogcheck.Options{Write: true}, &out)
	require.NoError(t, err)
	require.Contains(t, out.String(), "sc504/good/catalog_gen.go: written\n")
}

func checkJSON(t *testing.T, dir string, patterns ...string) []catalogcheck.Finding {
	t.Helper()
	var out bytes.Buffer
	failed, err := catalogcheck.Check(t.Context(), dir, patterns, catalogcheck.Options{Format: catalogcheck.FormatJSON}, &out)
	require.NoError(t, err)
	var all struct {
		Findings []catalogcheck.Finding `json:"findings"`
		Errors   int                    `json:"errors"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &all))
	require.Equal(t, failed, all.Errors)
	return all.Findings
}

func expectations(t *testing.T, dir string) []expectation {
	t.Helper()
	var all []expectation
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		scanner := bufio.NewScanner(bytes.NewReader(content))
		for line := 1; scanner.Scan(); line++ {
			match := wantComment.FindStringSubmatch(scanner.Text())
			if match == nil {
				continue
			}
			offset := 0
			if match[1] != "" {
				if offset, err = strconv.Atoi(match[1]); err != nil {
					return err
				}
			}
			for _, quoted := range wantText.FindAllStringSubmatch(match[2], -1) {
				text, err := regexp.Compile("^" + quoted[1])
				if err != nil {
					return err
				}
				all = append(all, expectation{name, line + offset, text})
			}
		}
		return scanner.Err()
	})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

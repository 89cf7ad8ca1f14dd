package catalogcheck_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/tools/catalogcheck"
)

// TestEveryRuleIsTestedAndDocumented holds table, testdata and page together.
func TestEveryRuleIsTestedAndDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(repository, "docs", "rules.md"))
	require.NoError(t, err)
	var ids []string
	for _, r := range catalogcheck.Rules() {
		ids = append(ids, r.ID)
		require.Regexp(t, `^SC\d{3}$`, r.ID)
		for _, text := range []string{r.Title, r.Doc, r.Bad, r.Good, string(r.Stage)} {
			require.NotEmpty(t, text, r.ID)
		}
		require.NotEqual(t, r.Bad, r.Good, r.ID)
		require.Contains(t, []catalog.Severity{catalog.SeverityError, catalog.SeverityWarning}, r.Severity)
		require.Contains(t, string(page), "\n## "+r.ID+"\n")

		folder := "rules"
		if r.Stage == catalogcheck.StageLock {
			folder = "lock" // see TestLockRules
		}
		archive, err := txtar.ParseFile(filepath.Join("testdata", folder, strings.ToLower(r.ID)+".txtar"))
		require.NoError(t, err)
		if r.Stage == catalogcheck.StageCompiler {
			continue // see TestCompilerKeepsTheTypedRules
		}
		for _, kind := range []string{"bad", "good", "near"} {
			content := ""
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, strings.ToLower(r.ID)+"/"+kind+"/") {
					content += string(f.Data)
				}
			}
			require.NotEmpty(t, content, "%s has no %s package", r.ID, kind)
			if kind == "bad" {
				require.Regexp(t, `// want(\+\d+|-\d+)?( "[^"]*")* "`+r.ID+" ", content, r.ID)
			} else {
				require.NotContains(t, content, "// want", "%s: a %s package has findings", r.ID, kind)
			}
		}
	}
	require.True(t, slices.IsSorted(ids))
	require.Len(t, slices.Compact(ids), len(catalogcheck.Rules()))
}

// TestRulePageIsFresh fails until go generate ran after a change of the table.
func TestRulePageIsFresh(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(repository, "docs", "rules.md"))
	require.NoError(t, err)
	require.Equal(t, catalogcheck.Markdown(), string(page), "run go generate ./tools/catalogcheck")
}

// TestRulesOfTheRuntimeAreInTheTable looks for rule ids in what package catalog
// and package schedule report, and compares how bad they are.
func TestRulesOfTheRuntimeAreInTheTable(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, name := range []string{"catalog/validate.go", "catalog/schedule/problem.go"} {
		source, err := os.ReadFile(filepath.Join(repository, name))
		require.NoError(t, err)
		ids = append(ids, regexp.MustCompile(`"SC\d{3}"`).FindAllString(string(source), -1)...)
	}
	require.NotEmpty(t, ids)
	for _, id := range ids {
		_, ok := catalogcheck.RuleByID(strings.Trim(id, `"`))
		require.True(t, ok, "rule %s of the runtime is not in the table", id)
	}
	for _, r := range catalogcheck.Rules() {
		_, spec, ok := strings.Cut(r.Bad, `Schedule: "`)
		if !ok || !strings.HasPrefix(r.ID, "SC11") {
			continue
		}
		spec, _, _ = strings.Cut(spec, `"`)
		i := slices.IndexFunc(schedule.Check(spec), func(p schedule.Problem) bool { return p.Rule == r.ID })
		require.GreaterOrEqual(t, i, 0, "the bad example of %s is good", r.ID)
		require.Equal(t, string(r.Severity), schedule.Check(spec)[i].Severity.String(), r.ID)
		_, good, _ := strings.Cut(r.Good, `Schedule: "`)
		good, _, _ = strings.Cut(good, `"`)
		require.Empty(t, schedule.Check(good), "the good example of %s is bad", r.ID)
	}
}

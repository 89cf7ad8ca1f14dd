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

		if r.Stage == catalogcheck.StageConfig {
			continue // see TestTheRuntimeFindsWhatTheTableSays, and the tests of package config
		}
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

// startup lists the files in which the running program finds what the checker
// finds, by where it does so.
var startup = map[string][]string{
	catalogcheck.AtValidate: {"catalog/validate.go", "catalog/action.go", "catalog/schedule/problem.go"},
	catalogcheck.AtOpen:     {"framework/binding.go"},
	catalogcheck.AtStart:    {"framework/runtime/catalogs.go"},
	catalogcheck.AtEmission: {"ingest/buffer.go", "ingest/key.go"},
	catalogcheck.AtSave:     {"framework/config/subscription.go", "framework/config/trigger.go", "connectors/http/sinkcheck.go"},
}

// TestTheRuntimeFindsWhatTheTableSays looks for rule ids in what the running
// program reports: exactly those that the table says, and where it says so.
func TestTheRuntimeFindsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	for where, files := range startup {
		var reported, promised []string
		for _, name := range files {
			source, err := os.ReadFile(filepath.Join(repository, name))
			require.NoError(t, err)
			code := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(string(source), "")
			for _, match := range regexp.MustCompile(`["(](SC\d{3})[")]`).FindAllStringSubmatch(code, -1) {
				reported = append(reported, match[1])
			}
		}
		for _, r := range catalogcheck.Rules() {
			if r.Repeated == where {
				promised = append(promised, r.ID)
			}
		}
		slices.Sort(reported)
		require.Equal(t, promised, slices.Compact(reported), where)
	}
	for _, r := range catalogcheck.Rules() {
		_, known := startup[r.Repeated]
		require.True(t, known || strings.HasPrefix(r.Repeated, "-: ") && len(r.Repeated) > 10,
			"%s: say where the running program finds it again, or why it cannot", r.ID)
	}
}

// TestFixesAreInTheTable looks for the rules that a machine mends in the scripts
// and goldens.
func TestFixesAreInTheTable(t *testing.T) {
	t.Parallel()
	var golden string
	scripts, err := filepath.Glob("testdata/*/*.txtar")
	require.NoError(t, err)
	ofCLI, err := filepath.Glob("../../cmd/cli/testdata/script/*.txtar") // rules about weir.yaml
	require.NoError(t, err)
	for _, name := range slices.Concat(scripts, ofCLI) {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		golden += string(content)
	}
	for _, r := range catalogcheck.Rules() {
		if r.Fix != "" {
			require.True(t, strings.Contains(golden, r.ID), "no golden shows the fix of %s", r.ID) //nolint:testifylint // Contains would print every golden
		}
	}
}

// TestBadSchedulesOfTheTableAreBad compares the examples of the rules about
// schedules with what package schedule says of them.
func TestBadSchedulesOfTheTableAreBad(t *testing.T) {
	t.Parallel()
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

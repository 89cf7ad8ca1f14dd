package hosts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/weirhq/weir/tools/foreign/need"
)

const linterModule = "github.com/golangci/golangci-lint/v2"

const config = `version: "2"
linters:
  default: none
  enable: [catalogcheck]
  settings:
    custom:
      catalogcheck: {type: module, description: proves catalogs}
  exclusions:
    generated: disable
issues:
  max-issues-per-linter: 0
  max-same-issues: 0
  uniq-by-line: false
`

// tree writes the broken connectors of the checker's own tests, those in the
// archives that the patterns name, into a module.
func tree(t *testing.T, root string, patterns ...string) string {
	t.Helper()
	dir := t.TempDir()
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	module := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(string(own), "module example.com/rules")
	module += "\nrequire github.com/weirhq/weir v0.0.0\n\nreplace github.com/weirhq/weir => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600))
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".golangci.yml"), []byte(config), 0o600))
	var archives []string
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(root, "tools/catalogcheck/testdata/rules", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, matches)
		archives = append(archives, matches...)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		for _, f := range archive.Files {
			path := filepath.Join(dir, filepath.FromSlash(f.Name))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, f.Data, 0o600))
		}
	}
	return dir
}

// run runs a host in the tree. Findings make it fail, so only its output counts.
func run(t *testing.T, dir string, command ...string) (stdout, stderr string) {
	t.Helper()
	host := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var out, errs bytes.Buffer
	host.Dir, host.Stdout, host.Stderr = dir, &out, &errs
	err := host.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit, "%s", errs.String())
	}
	return out.String(), errs.String()
}

var place = regexp.MustCompile(`^(?:\./)?([^\s:]+\.go):(\d+):(\d+): (SC\d{3} .*)$`)

// lines returns the findings in the text of a compiler.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if place.MatchString(strings.TrimSpace(line)) {
			all = append(all, strings.TrimPrefix(strings.TrimSpace(line), "./"))
		}
	}
	slices.Sort(all)
	return all
}

// custom builds golangci-lint with the checker, as its users do: golangci-lint
// custom with the .custom-gcl.yml of tools/golangci. It clones golangci-lint, so
// git is told to take the source that the Go module proxy has.
func custom(t *testing.T, root string) string {
	t.Helper()
	goTool := []string{"tool", "-modfile=" + filepath.Join(root, "tools/dev.mod")}
	linter := strings.TrimSpace(output(t, root, nil, "go", append(goTool, "-n", "golangci-lint")...))

	dir := t.TempDir()
	settings, err := os.ReadFile(filepath.Join(root, "tools/golangci/.custom-gcl.yml"))
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^version: (\S+)$`).FindStringSubmatch(string(settings))
	require.NotNil(t, version)
	require.Contains(t, string(settings), "path: ../..")
	settings = bytes.Replace(settings, []byte("path: ../.."), []byte("path: "+root), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".custom-gcl.yml"), settings, 0o600))

	var module struct{ Dir, Version string }
	require.NoError(t, json.Unmarshal([]byte(output(t, root, nil, "go", "list", "-modfile="+filepath.Join(root, "tools/dev.mod"), "-m", "-json=Dir,Version", linterModule)), &module))
	require.Equal(t, module.Version, version[1], "tools/dev.mod and .custom-gcl.yml name one golangci-lint")
	clone := filepath.Join(dir, "source")
	require.NoError(t, os.CopyFS(clone, os.DirFS(module.Dir)))
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "--all", "--force"},
		{"-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false", "commit", "-q", "-m", module.Version},
		{"tag", module.Version},
	} {
		output(t, clone, nil, "git", args...)
	}
	output(t, dir, []string{
		"GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=url.file://" + clone + ".insteadOf",
		"GIT_CONFIG_VALUE_0=https://github.com/golangci/golangci-lint.git",
		// It builds in a folder of a new name, and without -trimpath the name is part of every package.
		"GOFLAGS=" + os.Getenv("GOFLAGS") + " -trimpath",
	}, linter, "custom", "-v")
	return filepath.Join(dir, "custom-gcl")
}

// output runs a command that must succeed.
func output(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = dir, &out, &errs
	command.Env = append(os.Environ(), env...)
	require.NoError(t, command.Run(), "%s %v\n%s%s", name, args, out.String(), errs.String())
	return out.String()
}

// The own driver, go vet and golangci-lint find the same in the same broken tree.
func TestEveryHostFindsTheSame(t *testing.T) {
	need.Long(t)
	t.Parallel()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	own := filepath.Join(t.TempDir(), "catalogcheck")
	output(t, root, nil, "go", "build", "-o", own, "./cmd/catalogcheck")
	linter := custom(t, root)

	dir := tree(t, root, "*.txtar")
	stdout, stderr := run(t, dir, own, "./...")
	wanted := lines(stdout)
	require.Greater(t, len(wanted), 100, stderr)

	_, stderr = run(t, dir, "go", "vet", "-vettool="+own, "./...")
	require.Equal(t, wanted, lines(stderr))

	stdout, stderr = run(t, dir, linter, "run", "--output.json.path=stdout", "--show-stats=false", "./...")
	var report struct {
		Issues []struct {
			Text string
			Pos  struct {
				Filename     string
				Line, Column int
			}
		}
	}
	require.NoError(t, json.NewDecoder(strings.NewReader(stdout)).Decode(&report), "%s\n%s", stdout, stderr)
	var found []string
	for _, i := range report.Issues {
		// golangci-lint makes a related place an issue of its own.
		if strings.Contains(i.Text, "(related information)") {
			continue
		}
		found = append(found, fmt.Sprintf("%s:%d:%d: %s", i.Pos.Filename, i.Pos.Line, i.Pos.Column, strings.TrimPrefix(i.Text, "catalogcheck: ")))
	}
	slices.Sort(found)
	require.Equal(t, wanted, found)
}

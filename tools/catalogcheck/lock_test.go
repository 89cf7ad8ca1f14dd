package catalogcheck_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/weirhq/weir/tools/catalogcheck"
)

// lockModule writes the packages of testdata/lock into a module, with a program
// that links them. What the lock is written from comes first; later writes what
// the packages become.
func lockModule(t *testing.T) (dir string, later func()) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, writeModule(dir, "example.com/lock"))
	names, err := filepath.Glob("testdata/lock/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	before, after, all := &txtar.Archive{}, &txtar.Archive{}, map[string]bool{}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		for _, f := range archive.Files {
			if name, first := strings.CutPrefix(f.Name, "before/"); first {
				before.Files = append(before.Files, txtar.File{Name: name, Data: f.Data})
				continue
			}
			if strings.HasSuffix(f.Name, "/all/all.go") {
				all[filepath.Dir(f.Name)] = true
			}
			after.Files = append(after.Files, f)
		}
	}
	program := "package main\n\nimport (\n\t_ \"github.com/weirhq/weir/framework\"\n"
	for name := range all {
		program += fmt.Sprintf("\t_ %q\n", "example.com/lock/"+name)
	}
	after.Files = append(after.Files, txtar.File{Name: "main.go", Data: []byte(program + ")\n\nfunc main() {}\n")})
	unpack(t, dir, after)
	unpack(t, dir, before)
	return dir, func() { unpack(t, dir, after) }
}

func check(t *testing.T, dir string, options catalogcheck.Options, patterns ...string) string {
	t.Helper()
	var out bytes.Buffer
	_, err := catalogcheck.Check(t.Context(), dir, patterns, options, &out)
	require.NoError(t, err)
	return out.String()
}

// TestLockRules holds the rules about changes of a catalog against testdata/lock.
func TestLockRules(t *testing.T) {
	t.Parallel()
	dir, later := lockModule(t)
	require.Contains(t, check(t, dir, catalogcheck.Options{Write: true}, "./..."), "sc505/bad/all/catalog.lock.json: written")
	later()
	check(t, dir, catalogcheck.Options{Write: true}, "./...") // catalog_gen.go
	lock, err := os.ReadFile(filepath.Join(dir, "sc505/bad/all/catalog.lock.json"))
	require.NoError(t, err)
	require.Contains(t, string(lock), "customers", "a change without a reason is not written into the lock")
	lock, err = os.ReadFile(filepath.Join(dir, "sc505/good/all/catalog.lock.json"))
	require.NoError(t, err)
	require.Contains(t, string(lock), `"renamed_from": "customers"`)

	wanted := expectations(t, dir)
	var problems []string
	for _, f := range checkJSON(t, dir, "./...") {
		require.NotEmpty(t, f.URL)
		i := slices.IndexFunc(wanted, func(e expectation) bool {
			return e.file == f.File && e.line == f.Line && e.text.MatchString(f.Rule+" "+f.Message)
		})
		if i < 0 {
			problems = append(problems, "unexpected: "+f.String())
			continue
		}
		wanted = slices.Delete(wanted, i, i+1)
	}
	for _, e := range wanted {
		problems = append(problems, fmt.Sprintf("missing: %s:%d: %s", e.file, e.line, e.text))
	}
	require.Empty(t, problems, "\n%s", strings.Join(problems, "\n"))

	// The fix says what the new stream was.
	patch := check(t, dir, catalogcheck.Options{Diff: true}, "./sc505/bad/...")
	require.Contains(t, patch, `+var Clients = catalog.Poll[struct{}, string]("clients", catalog.PollSpec{RenamedFrom: "customers", Schedule: "@hourly"})`)
	require.Contains(t, patch, `+var C = catalog.Webhook[struct{}]("c", catalog.WebhookSpec{FormerKeys: []string{"a"}, RenamedFrom: "b"})`)
	require.Contains(t, patch, `+var E = catalog.Webhook[struct{}]("e", catalog.WebhookSpec{RenamedFrom: "d"})`)
	check(t, dir, catalogcheck.Options{Fix: true}, "./sc505/bad/...")
	require.NotContains(t, check(t, dir, catalogcheck.Options{}, "./sc505/bad/..."), "customers")
	require.NotContains(t, check(t, dir, catalogcheck.Options{}, "./sc505/bad/again/..."), "its key was \"a\"")

	// A lock that somebody broke is not written over.
	path := filepath.Join(dir, "sc507/good/all/catalog.lock.json")
	require.NoError(t, os.WriteFile(path, []byte("<<<<<<< ours\n"), 0o600))
	require.Contains(t, check(t, dir, catalogcheck.Options{Write: true}, "./sc507/good/all"), "SC504 sc507/good/all/catalog.lock.json cannot be read")
}

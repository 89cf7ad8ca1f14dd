package catalogcheck_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// repository is the folder of the root go.mod.
const repository = "../.."

// writeModule makes dir a module of somebody else that requires this one, with
// the versions that this one builds with.
func writeModule(dir, module string) error {
	root, err := filepath.Abs(repository)
	if err != nil {
		return err
	}
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	var mod bytes.Buffer
	for line := range strings.Lines(string(own)) {
		switch {
		case strings.HasPrefix(line, "module "):
			mod.WriteString("module " + module + "\n")
		case strings.HasPrefix(line, "tool "):
			mod.WriteString(line)
		default:
			mod.WriteString(line)
		}
	}
	mod.WriteString("\nrequire github.com/weirhq/weir v0.0.0\n\nreplace github.com/weirhq/weir => " + root + "\n")
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), mod.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600)
}

// unpack writes the files of an archive below dir.
func unpack(t *testing.T, dir string, archive *txtar.Archive) {
	t.Helper()
	for _, f := range archive.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, f.Data, 0o600))
	}
}

// rulesModule writes the packages of testdata/rules into a module.
func rulesModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, writeModule(dir, "example.com/rules"))
	files, err := filepath.Glob("testdata/rules/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		unpack(t, dir, archive)
	}
	return dir
}

// tool builds the command once. The go command caches vet results by the tool's
// build id, so a binary that is built the same way each time keeps them.
var tool = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "catalogcheck")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "catalogcheck")
	build := exec.Command("go", "build", "-o", path, "./cmd/catalogcheck")
	build.Dir = repository
	out, err := build.CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := tool(); err == nil {
		os.RemoveAll(filepath.Dir(path)) //nolint:errcheck // it is a folder of temporary files
	}
	os.Exit(code)
}

package connectortest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is the folder of the root go.mod.
const repository = "../.."

// module writes the connector of testdata/acme into a module of its own, as
// somebody has who only requires this one, and returns its folder.
func module(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	// The versions are those of this module, so that nothing is downloaded.
	mod = bytes.Replace(mod, []byte("module github.com/weirhq/weir\n"), []byte("module example.com/desk\n"), 1)
	mod = append(mod, "\nrequire github.com/weirhq/weir v0.0.0\n\nreplace github.com/weirhq/weir => "+root+"\n"...)
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), sum)
	for _, name := range []string{"acme.go", "acme_test.go"} {
		b, err := os.ReadFile(filepath.Join("testdata", "acme", name))
		require.NoError(t, err)
		write(t, filepath.Join(dir, "acme", name), b)
	}
	return dir
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, content, 0o600))
}

// run runs the go command in dir and returns what it printed.
func run(t *testing.T, dir string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestAConnectorInAModuleOfItsOwnIsAsGoodAsOurs(t *testing.T) {
	t.Parallel()
	dir := module(t)
	for _, arguments := range [][]string{
		{"generate", "./..."},
		{"test", "./..."},
		{"tool", "catalogcheck", "./..."},
	} {
		out, err := run(t, dir, arguments...)
		require.NoError(t, err, "go %v:\n%s", arguments, out)
	}
	require.FileExists(t, filepath.Join(dir, "acme", "catalog_gen.go"))

	// The line that makes the promise good is gone: the checker says so.
	source := filepath.Join(dir, "acme", "acme.go")
	before, err := os.ReadFile(source)
	require.NoError(t, err)
	after := bytes.Replace(before, []byte("\t\tframework.Sync(Tickets, c.tickets),\n"), nil, 1)
	require.NotEqual(t, before, after)
	write(t, source, after)
	out, err := run(t, dir, "tool", "catalogcheck", "./...")
	require.Error(t, err)
	require.Contains(t, out, "acme/acme.go:")
	require.Contains(t, out, "SC201")
}

package scaffold_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/scaffold"
)

// module makes an empty module with the given files.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/mine\n\ngo 1.26.0\n"
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(b)
}

func TestReportsEverythingThatIsWrongAndWritesNothing(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{})
	_, _, err := scaffold.New(dir, "Bad", "a,B:poll,c:push,d:poll,d:poll,all:poll")
	for _, reason := range []string{
		`connector name "Bad" does not match`, `stream "a" has no mode`, `stream key "B" does not match`,
		`stream "c" has the unknown mode "push"`, `stream "d" is listed twice`, `stream key "all"`,
	} {
		require.ErrorContains(t, err, reason)
	}
	for _, name := range []string{"type", "http", "all", "catalog"} {
		_, _, err := scaffold.New(dir, name, "a:poll")
		require.ErrorContains(t, err, "cannot be a package name", name)
	}
	require.NoDirExists(t, filepath.Join(dir, "connectors"))
}

func TestAnExistingFileIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{"connectors/acme/page.go": "package acme // mine\n"})
	_, _, err := scaffold.New(dir, "acme", "customers:poll")
	require.ErrorContains(t, err, "page.go exists already; nothing was written")
	require.Equal(t, "package acme // mine\n", read(t, dir, "connectors/acme/page.go"))
	require.NoFileExists(t, filepath.Join(dir, "connectors/acme/acme.go"))
}

func TestLinksWhatDeclaresAPlugin(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{
		"connectors/b/b.go":             "package b\n\nvar Plugin = 1\n",
		"connectors/a/a.go":             "package a\n\nvar (\n\tOther = 2\n\tPlugin = 1\n)\n",
		"connectors/helper/h.go":        "package helper\n\nfunc Plugin() {}\n",
		"connectors/testonly/a_test.go": "package testonly\n\nvar Plugin = 1\n",
		"connectors/broken/b.go":        "package broken\n\nvar Plugin = 1\n\nfunc {\n",
	})
	changed, err := scaffold.Link(filepath.Join(dir, "connectors", "a"))
	require.NoError(t, err)
	require.True(t, changed)
	list := read(t, dir, "connectors/all/all.go")
	require.Contains(t, list, "\t\ta.Plugin,\n\t\tb.Plugin,\n\t\tbroken.Plugin,\n\t}")
	require.NotContains(t, list, "helper")
	require.NotContains(t, list, "testonly")
	changed, err = scaffold.Link(dir)
	require.NoError(t, err)
	require.False(t, changed)
}

func TestTwoPackagesOfOneNameCannotBeLinked(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{
		"connectors/x/x.go": "package same\n\nvar Plugin = 1\n",
		"connectors/y/y.go": "package same\n\nvar Plugin = 1\n",
	})
	_, err := scaffold.Link(dir)
	require.ErrorContains(t, err, "two packages in connectors are named same")
}

func TestOutsideAModuleItSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, _, err := scaffold.New(t.TempDir(), "acme", "customers:poll")
	require.ErrorIs(t, err, scaffold.ErrNoModule)
}

func TestInitWantsARealCheckoutAndAnEmptyFolder(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{})
	_, err := scaffold.Init(filepath.Join(t.TempDir(), "mine"), scaffold.InitOptions{Replace: dir, Version: "v0.0.0", GoVersion: "1.26.0"})
	require.ErrorContains(t, err, "is no checkout of Weir")
	_, err = scaffold.Init(dir, scaffold.InitOptions{Version: "v0.1.0", GoVersion: "1.26.0"})
	require.ErrorContains(t, err, "go.mod exists already")
	_, err = scaffold.Init(dir, scaffold.InitOptions{Module: "a b", Version: "v0.1.0", GoVersion: "1.26.0"})
	require.ErrorContains(t, err, "is no module path")
}

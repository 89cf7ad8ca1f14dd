package testneed

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a testing.TB that keeps how a test ended instead of ending it.
type recorder struct {
	testing.TB

	skipped, failed string
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "TestOfAnAuthor" }

func (r *recorder) Skip(args ...any) { r.skipped = fmt.Sprint(args...); runtime.Goexit() }

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run calls f as a test of its own and returns how it ended.
func run(f func(tb testing.TB)) *recorder {
	r := &recorder{}
	var wg sync.WaitGroup
	wg.Go(func() { f(r) })
	wg.Wait()
	return r
}

// program writes an executable file and returns its path.
func program(t *testing.T, elements ...string) string {
	t.Helper()
	path := filepath.Join(elements...)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	return path
}

func TestToolFindsAProgramInPath(t *testing.T) {
	t.Parallel()
	require.True(t, filepath.IsAbs(Tool(t, "go")))
	require.Equal(t, Tool(t, "go"), Tool(t, "the Go command", "no-such-program-xyz", "go"))
}

func TestToolTakesTheFirstCandidateThatExists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := program(t, dir, "first"), program(t, dir, "second")
	require.Equal(t, second, Tool(t, "thing", filepath.Join(dir, "none"), second, first))
}

func TestToolTakesTheHighestVersionOfAGlob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program(t, dir, "9", "bin", "postgres")
	program(t, dir, "9.6", "bin", "postgres")
	newest := program(t, dir, "15", "bin", "postgres")
	require.Equal(t, newest, Tool(t, "postgres", filepath.Join(dir, "*", "bin", "postgres")))
}

func TestToolNamesTheMissingThingAndTheWayOut(t *testing.T) {
	t.Parallel()
	skips := filepath.Join(t.TempDir(), "skips")
	for range 2 {
		r := run(func(tb testing.TB) { missing(tb, settings{skips: skips}, "needs chromium") })
		require.Equal(t, "MISSING: TestOfAnAuthor needs chromium", r.skipped)
		require.Empty(t, r.failed)
	}
	written, err := os.ReadFile(skips)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("MISSING: TestOfAnAuthor needs chromium\n", 2), string(written))
}

func TestMissingIsAFailureInCI(t *testing.T) {
	t.Parallel()
	r := run(func(tb testing.TB) { missing(tb, settings{ci: true}, "needs chromium") })
	require.Contains(t, r.failed, "TestOfAnAuthor needs chromium")
	require.Contains(t, r.failed, "CI=true")
	require.Empty(t, r.skipped)
}

func TestMissingFailsWhenItsLineCannotBeWritten(t *testing.T) {
	t.Parallel()
	r := run(func(tb testing.TB) { missing(tb, settings{skips: t.TempDir()}, "needs chromium") })
	require.Contains(t, r.failed, "needs chromium")
	require.Contains(t, r.failed, envSkips)
}

func TestToolThatIsNowhereEndsTheTest(t *testing.T) {
	t.Setenv(envCI, "true")
	r := run(func(tb testing.TB) { Tool(tb, "no-such-program-xyz") })
	require.Contains(t, r.failed, "needs no-such-program-xyz")

	t.Setenv(envCI, "")
	t.Setenv(envSkips, "")
	r = run(func(tb testing.TB) { Tool(tb, "a browser", "no-such-program-xyz", "/no/such/*/path") })
	require.Contains(t, r.skipped, "needs a browser, which is not here (looked for no-such-program-xyz, /no/such/*/path)")
	require.Contains(t, r.skipped, "make setup")
}

func TestLongRunsOnlyWhenAsked(t *testing.T) {
	t.Setenv(envLong, "")
	r := run(func(tb testing.TB) { Long(tb) })
	require.Contains(t, r.skipped, "make test-all")

	t.Setenv(envLong, "1")
	r = run(func(tb testing.TB) { Long(tb) })
	require.Empty(t, r.skipped+r.failed)
}

func TestIsTrueTakesOnlyWhatStrconvTakes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"true": true, "1": true, "TRUE": true, "": false, "no": false, "false": false, "0": false} {
		require.Equal(t, want, isTrue(value), "value %q", value)
	}
}

func TestByVersionComparesNumbersAsNumbers(t *testing.T) {
	t.Parallel()
	for _, ordered := range [][2]string{
		{"/pg/9/bin", "/pg/15/bin"},
		{"/pg/9.6/bin", "/pg/10/bin"},
		{"/pg/15/a", "/pg/15/b"},
		{"/pg/15", "/pg/15.1"},
		{"/pg/x", "/pg/y"},
	} {
		require.Negative(t, byVersion(ordered[0], ordered[1]), "%v", ordered)
		require.Positive(t, byVersion(ordered[1], ordered[0]), "%v", ordered)
		require.Zero(t, byVersion(ordered[0], ordered[0]), "%v", ordered)
	}
}

package need

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	// envCI turns a missing thing into a failure: a machine that is there to test must have it.
	envCI = "CI"
	// envLong lets the long tests run.
	envLong = "WEIR_TEST_ALL"
	// envSkips names the file that collects what was skipped.
	envSkips = "WEIR_TEST_SKIPS"
)

// Tool returns the path of a program that t needs, or a folder or file such as a fixture. name
// says what it is ("postgres", "chromium"); candidates are the places to look in, best first:
// one without a slash is looked up in PATH, one with a slash is a path or a glob, of whose
// matches the highest version counts ("/usr/lib/postgresql/*/bin/postgres"). Without candidates
// name itself is looked up in PATH. Where nothing is found the test is skipped with one line
// that says so, or fails when the environment holds CI=true.
func Tool(t testing.TB, name string, candidates ...string) string {
	t.Helper()
	if len(candidates) == 0 {
		candidates = []string{name}
	}
	if path := find(candidates); path != "" {
		return path
	}
	missing(t, environment(), fmt.Sprintf("needs %s, which is not here (looked for %s); `make setup` installs it where it can",
		name, strings.Join(candidates, ", ")))
	return ""
}

// Long skips t unless WEIR_TEST_ALL=1, which `make test-all` sets. It is for tests that take
// seconds to minutes: fault injection, many nodes, millions of rows.
func Long(t testing.TB) {
	t.Helper()
	if !environment().long {
		t.Skipf("%s is a long test: `make test-all` runs it, or WEIR_TEST_ALL=1", t.Name())
	}
}

// settings are what the environment says; tests hand in their own, since one process has only
// one environment.
type settings struct {
	ci, long bool
	skips    string
}

func environment() settings {
	return settings{ci: isTrue(os.Getenv(envCI)), long: isTrue(os.Getenv(envLong)), skips: os.Getenv(envSkips)}
}

// isTrue takes what strconv takes, and nothing else: CI=no is not CI.
func isTrue(value string) bool {
	b, err := strconv.ParseBool(value)
	return err == nil && b
}

// missing ends the test: it fails in CI, and is skipped elsewhere with its line written down.
func missing(t testing.TB, s settings, reason string) {
	t.Helper()
	line := fmt.Sprintf("MISSING: %s %s", t.Name(), reason)
	if s.ci {
		t.Fatalf("%s; CI=true, so this is a failure and not a skip", line)
	}
	if s.skips != "" {
		// A file that cannot be written must not turn the skip into silence: the test fails.
		if err := appendLine(s.skips, line); err != nil {
			t.Fatalf("%s; and the file of skips (%s) takes no line: %v", line, envSkips, err)
		}
	}
	t.Skip(line)
}

// appendLine writes one line in one call, so that lines of packages that are tested at the same
// time stay whole.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return cmp.Or(f.Close(), err)
	}
	return f.Close()
}

// find returns the first candidate that exists, or "".
func find(candidates []string) string {
	for _, c := range candidates {
		if !strings.ContainsRune(c, filepath.Separator) {
			if path, err := exec.LookPath(c); err == nil {
				return path
			}
			continue
		}
		matches, err := filepath.Glob(c)
		if err == nil && len(matches) > 0 {
			return slices.MaxFunc(matches, byVersion)
		}
	}
	return ""
}

// byVersion orders paths so that numbers in them count as numbers: .../9/... before .../15/....
func byVersion(a, b string) int {
	for a != "" && b != "" {
		ra, na := digits(a)
		rb, nb := digits(b)
		if na > 0 && nb > 0 {
			if c := cmp.Compare(ra, rb); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits returns the number that s starts with and its length in bytes; 0, 0 without one.
func digits(s string) (value uint64, length int) {
	for length < len(s) && s[length] >= '0' && s[length] <= '9' {
		length++
	}
	if length == 0 {
		return 0, 0
	}
	value, err := strconv.ParseUint(s[:length], 10, 64)
	if err != nil {
		return 0, 0
	}
	return value, length
}

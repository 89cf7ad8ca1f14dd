package walls

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// threats are the rows of docs/threats.md: R1 to R24 and so on.
var threats = map[string]int{"R": 24, "M": 18, "S": 15}

// threatCount is how many rows there are.
func threatCount() (n int) {
	for _, rows := range threats {
		n += rows
	}
	return n
}

var (
	threatRow  = regexp.MustCompile(`(?m)^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \|$`)
	threatTest = regexp.MustCompile("`([^`]+)`")
)

// testRows reads a table whose rows name tests: how often each row is there, and
// what is wrong with the names. row has the name of a row first and its tests last;
// exists reports that a package has a test.
func testRows(page string, row *regexp.Regexp, exists func(folder, test string) bool) (rows map[string]int, wrong []string) {
	rows = map[string]int{}
	for _, found := range row.FindAllStringSubmatch(page, -1) {
		rows[found[1]]++
		folder, tests := "", 0
		for _, name := range threatTest.FindAllStringSubmatch(found[len(found)-1], -1) {
			if strings.Contains(name[1], "/") {
				folder = name[1]
				continue
			}
			tests++
			if !exists(folder, name[1]) {
				wrong = append(wrong, fmt.Sprintf("%s names %s of %q, which is not there", found[1], name[1], folder))
			}
		}
		if tests == 0 {
			wrong = append(wrong, found[1]+" names no test")
		}
	}
	return rows, wrong
}

// testIn returns what reports that a package has a test.
func testIn(t *testing.T) func(folder, test string) bool {
	t.Helper()
	files := goFiles(t)
	return func(folder, test string) bool {
		for name, content := range files {
			if filepath.ToSlash(filepath.Dir(name)) == folder && strings.HasSuffix(name, "_test.go") && strings.Contains(string(content), "\nfunc "+test+"(") {
				return true
			}
		}
		return false
	}
}

// brokenThreats says what is wrong with a table of threats.
func brokenThreats(page string, exists func(folder, test string) bool) []string {
	rows, wrong := testRows(page, threatRow, exists)
	for group, count := range threats {
		for i := range count {
			if id := fmt.Sprintf("%s%d", group, i+1); rows[id] != 1 {
				wrong = append(wrong, fmt.Sprintf("%s has %d rows", id, rows[id]))
			}
		}
	}
	return wrong
}

func TestEveryThreatHasItsTest(t *testing.T) {
	t.Parallel()
	exists := testIn(t)
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "threats.md"))
	require.NoError(t, err)
	stands(t, brokenThreats(string(page), exists), "every threat names tests that are there")

	// The wall itself falls when it should.
	none := func(string, string) bool { return false }
	require.Len(t, brokenThreats("", exists), threatCount())
	require.NotEmpty(t, brokenThreats(string(page), none))
	require.Contains(t, brokenThreats("| R1 | a | `x/y`: none |\n", exists), "R1 names no test")
}

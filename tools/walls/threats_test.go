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

// brokenThreats says what is wrong with a table of threats; exists reports that a
// package has a test.
func brokenThreats(page string, exists func(folder, test string) bool) (wrong []string) {
	rows := map[string]int{}
	for _, row := range threatRow.FindAllStringSubmatch(page, -1) {
		rows[row[1]]++
		folder, tests := "", 0
		for _, name := range threatTest.FindAllStringSubmatch(row[3], -1) {
			if strings.Contains(name[1], "/") {
				folder = name[1]
				continue
			}
			tests++
			if !exists(folder, name[1]) {
				wrong = append(wrong, fmt.Sprintf("%s names %s of %q, which is not there", row[1], name[1], folder))
			}
		}
		if tests == 0 {
			wrong = append(wrong, row[1]+" names no test")
		}
	}
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
	files := goFiles(t)
	exists := func(folder, test string) bool {
		for name, content := range files {
			if filepath.ToSlash(filepath.Dir(name)) == folder && strings.HasSuffix(name, "_test.go") && strings.Contains(string(content), "\nfunc "+test+"(") {
				return true
			}
		}
		return false
	}
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "threats.md"))
	require.NoError(t, err)
	stands(t, brokenThreats(string(page), exists), "every threat names tests that are there")

	// The wall itself falls when it should.
	none := func(string, string) bool { return false }
	require.Len(t, brokenThreats("", exists), threatCount())
	require.NotEmpty(t, brokenThreats(string(page), none))
	require.Contains(t, brokenThreats("| R1 | a | `x/y`: none |\n", exists), "R1 names no test")
}

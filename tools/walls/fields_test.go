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

// fields are those of the systems that docs/fields.md is about.
var fields = []string{
	"name", "class", "stream", "type", "config", "enabled", "endpoint", "method", "interval_ms", "timeout_seconds", "retry_attempts", "authentication",
	"batch.max_events", "batch.timeout_ms", "batch.max_bytes", "compression", "compression_threshold", "tls",
	"topics", "callback.request.url", "callback.request.method", "callback.request.methods", "callback.request.headers", "exception.strategy",
	"retry.backoff.sec", "request.delay.sec", "retry", "/connectors",
	"httpMethod", "fullUrl", "headerList", "timeout", "connectionPoolMaxConnectionPerHost", "connectionPoolMaxConnectionTotal",
}

var fieldRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| ([^|]+) \\|$")

// brokenFields says what is wrong with the table of fields; exists reports that a
// package has a test.
func brokenFields(page string, exists func(folder, test string) bool) (wrong []string) {
	rows := map[string]int{}
	for _, row := range fieldRow.FindAllStringSubmatch(page, -1) {
		rows[row[1]]++
		folder, tests := "", 0
		for _, name := range threatTest.FindAllStringSubmatch(row[2], -1) {
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
	for _, field := range fields {
		if rows[field] == 0 {
			wrong = append(wrong, field+" has no row")
		}
	}
	return wrong
}

func TestEveryFieldHasItsTest(t *testing.T) {
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
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "fields.md"))
	require.NoError(t, err)
	stands(t, brokenFields(string(page), exists), "every field of the systems that people come from names tests that are there")

	// The wall itself falls when it should.
	none := func(string, string) bool { return false }
	require.Len(t, brokenFields("", exists), len(fields))
	require.NotEmpty(t, brokenFields(string(page), none))
	require.Contains(t, brokenFields("| `name` | x | none |\n", exists), "name names no test")
}

package walls

import (
	"os"
	"path/filepath"
	"regexp"
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

// brokenFields says what is wrong with the table of fields.
func brokenFields(page string, exists func(folder, test string) bool) []string {
	rows, wrong := testRows(page, fieldRow, exists)
	for _, field := range fields {
		if rows[field] == 0 {
			wrong = append(wrong, field+" has no row")
		}
	}
	return wrong
}

func TestEveryFieldHasItsTest(t *testing.T) {
	t.Parallel()
	exists := testIn(t)
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "fields.md"))
	require.NoError(t, err)
	stands(t, brokenFields(string(page), exists), "every field of the systems that people come from names tests that are there")

	// The wall itself falls when it should.
	none := func(string, string) bool { return false }
	require.Len(t, brokenFields("", exists), len(fields))
	require.NotEmpty(t, brokenFields(string(page), none))
	require.Contains(t, brokenFields("| `name` | x | none |\n", exists), "name names no test")
}

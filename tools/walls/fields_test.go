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

// fields are those of the systems that docs/fields.md is about, by its sections.
var fields = map[string][]string{
	"Connectors of class http": {
		"name", "class", "stream", "type", "config", "enabled", "endpoint", "method", "interval_ms", "timeout_seconds", "retry_attempts", "authentication",
		"batch.max_events", "batch.timeout_ms", "batch.max_bytes", "compression", "compression_threshold", "tls",
	},
	"The HTTP sink for Kafka Connect": {
		"topics", "callback.request.url", "callback.request.method", "callback.request.methods", "callback.request.headers", "exception.strategy",
		"PROGRESS_BACK_OFF_DROP_MESSAGE", "PROGRESS_BACK_OFF_STOP_TASK", "DROP_MESSAGE", "STOP_TASK",
		"retry.backoff.sec", "request.delay.sec", "retry", "401", "name", "config", "/connectors", "/connectors/{name}", "/connectors/{name}/pause", "/connectors/{name}/resume",
	},
	"Webhook connections in the flat form": {
		"projectName", "connectionName", "Authorization", "Content-Type", "type", "name", "description", "deployToWorker", "enabled", "httpMethod", "fullUrl", "headerList",
		"headerList.name", "headerList.value", "timeout", "connectionPoolMaxConnectionPerHost", "connectionPoolMaxConnectionTotal",
	},
	"Triggers over HTTP": {
		"app_id", "path", "method", "auth_token", "/sink/trigger/http/{app_id}/{path}", "/{app_id}{path}", "Authorization", "Content-Type", "text/event-stream",
		"type", "run_id", "progress", "output", "200", "401", "404", "500",
	},
}

// fieldCount is how many rows there must be.
func fieldCount() (n int) {
	for _, names := range fields {
		n += len(names)
	}
	return n
}

// later is what the page must name as not there yet.
var later = []string{"Dashboard forms", "Kafka and NATS", "`source_stream`", "`sink_streams`", "record and replay", "tracing"}

var fieldRow = regexp.MustCompile("(?m)^\\| `([^`]+)`[^|]* \\| [^|]+ \\| ([^|]+) \\|$")

// brokenFields says what is wrong with the tables of fields.
func brokenFields(page string, exists func(folder, test string) bool) (wrong []string) {
	sections := map[string]string{}
	for section := range strings.SplitSeq("\n"+page, "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	for title, names := range fields {
		rows, faults := testRows(sections[title], fieldRow, exists)
		wrong = append(wrong, faults...)
		for _, name := range names {
			if rows[name] != 1 {
				wrong = append(wrong, fmt.Sprintf("%s has %d rows under %s", name, rows[name], title))
			}
		}
	}
	for _, name := range later {
		if !strings.Contains(strings.ReplaceAll(sections["Later"], "\n", " "), name) {
			wrong = append(wrong, name+" is not named as later")
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
	require.Len(t, brokenFields("", exists), fieldCount()+len(later))
	require.NotEmpty(t, brokenFields(string(page), none))
	require.Contains(t, brokenFields("## Triggers over HTTP\n| `path` | x | none |\n", exists), "path names no test")
}

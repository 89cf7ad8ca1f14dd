package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// problemCode finds the code of a problem where it is made.
var problemCode = regexp.MustCompile(`newProblem\(http\.Status\w+, "([a-z_]+[a-z])"`)

func TestEveryCodeOfAProblemIsDocumented(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| status | code |")
	require.True(t, found)
	found = false
	for _, name := range files {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, m := range problemCode.FindAllStringSubmatch(string(content), -1) {
			found = true
			require.Contains(t, table, "`"+m[1]+"`", name)
		}
	}
	require.True(t, found)
}

package catalogcheck_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/tools/catalogcheck"
)

// areTheSameInBothDrivers compares the output of the two drivers.
func areTheSameInBothDrivers(t *testing.T, dir string) {
	t.Helper()
	var out bytes.Buffer
	failed, err := catalogcheck.Check(t.Context(), dir, []string{"./..."}, catalogcheck.Options{}, &out)
	require.NoError(t, err)
	require.Positive(t, failed)

	path, err := tool()
	require.NoError(t, err)
	vet := exec.CommandContext(t.Context(), "go", "vet", "-vettool="+path, "./...")
	vet.Dir = dir
	printed, err := vet.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Equal(t, sortedLines(out.String(), dir), sortedLines(string(printed), dir))
}

// sortedLines returns the lines of findings, with places relative to dir.
func sortedLines(text, dir string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimPrefix(line, dir+string(filepath.Separator))
		lines = append(lines, strings.TrimPrefix(line, "./"))
	}
	slices.Sort(lines)
	return lines
}

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/store/storetest"
)

func TestAStoreIsBackedUpRestoredAndMoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "a"), Clock: storetest.FilledAt})
	require.NoError(t, err)
	storetest.Fill(t, s)
	run := func(want int, args ...string) (stdout, stderr string) {
		code, stdout, stderr := weir(t, nil, nil, args...)
		require.Equal(t, want, code, stderr)
		return stdout, stderr
	}
	file := filepath.Join(dir, "b")
	// One of the connections was deleted: its rows go in the background, which nothing tells of.
	var out string
	require.Eventually(t, func() bool {
		require.NoError(t, os.RemoveAll(file))
		out, _ = run(0, "backup", file, "--data-dir", filepath.Join(dir, "a"))
		return strings.Contains(out, "2 connections, 3 streams, 11 events")
	}, time.Minute, 10*time.Millisecond)
	out, _ = run(0, "backup", dir, "--json", "--data-dir", filepath.Join(dir, "a"))
	var described struct {
		File   string `json:"file"`
		Tables []any  `json:"tables"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &described))
	require.Regexp(t, `/weir-\d{8}T\d{6}Z\.backup$`, described.File)
	require.NotEmpty(t, described.Tables)
	_, problem := run(1, "backup", file, "--data-dir", filepath.Join(dir, "a"))
	require.Contains(t, problem, "there is a file "+file)
	_, problem = run(1, "migrate", "sqlite://"+filepath.Join(dir, "a"), "sqlite://"+filepath.Join(dir, "c"))
	require.Contains(t, problem, "store is in use")
	require.NoError(t, s.Close())

	run(0, "restore", file, "--data-dir", filepath.Join(dir, "r"))
	_, problem = run(1, "restore", file, "--data-dir", filepath.Join(dir, "r"))
	require.Contains(t, problem, "not empty")
	out, problem = run(0, "migrate", "sqlite://"+filepath.Join(dir, "r"), "sqlite://"+filepath.Join(dir, "c"))
	require.Contains(t, out, "The target holds the same.")
	require.Contains(t, problem, "100 %", "progress, as lines where there is no terminal")
	moved, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "c"), Clock: storetest.FilledAt})
	require.NoError(t, err)
	storetest.CheckFilled(t, moved)
	require.Greater(t, moved.LogEpoch(), int64(1))
	require.NoError(t, moved.Close())

	_, problem = run(2, "backup", filepath.Join(dir, "x"), "--data-dir", filepath.Join(dir, "none"))
	require.Contains(t, problem, "--data-dir or --store")
	_, problem = run(2, "migrate", "mysql://x", "sqlite:y")
	require.Contains(t, problem, `scheme "mysql" is unknown`)
}

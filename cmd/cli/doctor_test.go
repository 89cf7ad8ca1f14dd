package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store/sqlite"
)

func TestDoctorNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	// Nobody listens on a port that was just given back.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nowhere := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	ask := func(content string, args ...string) (int, string) {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		code, out, stderr := weir(t, nil, nil, append([]string{"doctor", "--config", file, "--data-dir", filepath.Join(dir, "data"), "--server", nowhere, "--offline"}, args...)...)
		require.Empty(t, stderr)
		return code, out
	}
	code, out := ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "ok       store")
	require.Contains(t, out, "skipped  streams")

	data := filepath.Join(dir, "data")
	made, err := sqlite.Open(t.Context(), sqlite.Options{Dir: data})
	require.NoError(t, err)
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "is in use")
	require.NoError(t, made.Close())
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "every page is sound")
	require.NoError(t, os.WriteFile(filepath.Join(data, "weir.db"), []byte(strings.Repeat("no store ", 1000)), 0o600))
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "restore a backup with weir restore")

	code, out = ask("connections:\n  - name: pay\n    connector: stripe\n    rate_limit: often\n    config: {api_key: \"${WEIR_DOCTOR_NOT_SET}\"}\n")
	require.Equal(t, 1, code)
	require.Contains(t, out, "WEIR_DOCTOR_NOT_SET is not set")
	require.Contains(t, out, "is no rate")
	require.GreaterOrEqual(t, strings.Count(out, "->"), 2, "each finding says what to do")

	code, out = ask("listen: 127.0.0.1:0\n", "--store", "postgres://weir@127.0.0.1:1/none", "--json")
	require.Equal(t, 1, code)
	require.Contains(t, out, `"check": "store"`)
	require.Contains(t, out, `"do": "start the database`)
}

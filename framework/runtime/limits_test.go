package runtime_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/runtime"
)

var update = flag.Bool("update", false, "write docs/limits.md anew")

func TestTheLimitsPageIsFresh(t *testing.T) {
	t.Parallel()
	const page = "../../docs/limits.md"
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(runtime.LimitsPage()), 0o644))
	}
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, runtime.LimitsPage(), string(written), "run go generate ./framework/runtime")
	require.NotContains(t, string(written), "| 0 bytes |")
}

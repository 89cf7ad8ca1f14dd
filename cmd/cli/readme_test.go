package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework/config"
)

// The weir.yaml of the README is one that weir run takes.
func TestTheReadmesConfigurationIsValid(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	secret := filepath.Join(t.TempDir(), "github")
	require.NoError(t, os.WriteFile(secret, []byte("token\n"), 0o600))
	text := strings.ReplaceAll(string(block[1]), "/run/secrets/github", secret)
	f, err := config.Parse("README.md", []byte(text), func(string) (string, bool) { return "whsec_0123456789abcdef0123", true }, all.Plugins())
	require.NoError(t, err)
	require.Len(t, f.Connections, 2)
}

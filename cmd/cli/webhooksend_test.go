package cli_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/github"
	"github.com/weirhq/weir/framework"
)

func TestSendsWhatVerifyAccepts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := file("weir.yaml", `data_dir: data
connections:
  - name: shop
    connector: github
    config: {token: t, org: o, webhook_secret: a secret MfKQ9r8 of the hook}
`)
	body := file("body.json", `{"a":1}`)
	var got http.Header
	status := http.StatusOK
	server := answering(t, func(_ int, r *http.Request) (int, string) {
		got = r.Header
		sent, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, `{"a":1}`, string(sent))
		require.Equal(t, "/webhooks/shop/github", r.URL.Path)
		return status, "{}"
	})
	send := []string{"webhook", "send", "shop", "github", "--config", config, "--file", body, "--server", server, "--header", "X-Extra: yes"}
	code, stdout, stderr := weir(t, nil, []framework.Plugin{github.Plugin}, send...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "200 OK")
	require.Equal(t, "yes", got.Get("X-Extra"))
	verify := []string{"webhook", "verify", "shop", "github", "--config", config}
	for _, name := range []string{"X-Github-Delivery", "X-Hub-Signature-256"} {
		verify = append(verify, "--header", name+": "+got.Get(name))
	}
	code, stdout, stderr = weir(t, nil, []framework.Plugin{github.Plugin}, append(verify, "--file", body)...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "verified")
	code, stdout, _ = weir(t, nil, []framework.Plugin{github.Plugin}, append(verify, "--file", file("other.json", "{\"a\":1}\n"))...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "a line break at its end")
	require.NotContains(t, stdout, "MfKQ9r8")

	status = http.StatusUnauthorized
	code, _, _ = weir(t, nil, []framework.Plugin{github.Plugin}, send...)
	require.Equal(t, 1, code)
	code, _, stderr = weir(t, nil, []framework.Plugin{github.Plugin}, "webhook", "send", "shop", "none", "--config", config, "--file", body)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "it has github")
}

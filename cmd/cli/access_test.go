package cli_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/framework/seal"
)

func TestTokensAreMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	const admin = "the-admin-token-of-the-test"
	office := dashboardtest.Busy(time.Now())
	front, err := office.Open(api.ListenPolicy{Listen: "127.0.0.1:0", Token: admin}, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	server := httptest.NewServer(front.Handler)
	defer server.Close()
	env := map[string]string{"WEIR_SERVER": server.URL, "WEIR_ADMIN_TOKEN": admin}
	run := func(want int, args ...string) (string, string) {
		t.Helper()
		code, stdout, stderr := weir(t, env, nil, args...)
		require.Equal(t, want, code, "%v: %s", args, stderr)
		return stdout, stderr
	}
	out, told := run(0, "token", "create", "--name", "eyes", "--role", "viewer", "--project", "billing", "--expires", "90d")
	token := strings.TrimSpace(out)
	require.Regexp(t, `^weirtok_[A-Za-z0-9_-]{43}$`, token, "nothing else is on standard output")
	require.Contains(t, told, "viewer of project billing")
	require.NotContains(t, told, token)
	out, _ = run(0, "token", "list")
	require.Contains(t, out, "project billing")
	require.NotContains(t, out, token)

	out, _ = run(0, "status", "--token", token, "--project", "billing")
	require.Contains(t, out, "stripe-us")
	_, told = run(1, "status", "--token", token)
	require.Contains(t, told, `it is one of project "billing"`)
	_, told = run(1, "token", "list", "--token", token)
	require.Contains(t, told, "this needs role admin")

	_, told = run(1, "token", "create", "--name", "eyes", "--role", "king")
	require.Contains(t, told, "it must be viewer, operator or admin")
	for _, expires := range []string{"soon", "-1h", "2020-01-01", "0d", "99999999d"} {
		_, told = run(2, "token", "create", "--name", "a", "--role", "viewer", "--expires", expires)
		require.Contains(t, told, "--expires")
	}
	run(2, "token", "create", "--name", "a")

	out, _ = run(0, "token", "revoke", "eyes")
	require.Contains(t, out, "named eyes is revoked")
	_, told = run(1, "status", "--token", token, "--project", "billing")
	require.Contains(t, told, "does not know this token")
	run(1, "token", "revoke", "eyes")

	out, _ = run(0, "audit")
	require.Contains(t, out, "POST /api/v1/tokens")
	require.Contains(t, out, "named eyes, role viewer, project billing")
	require.NotContains(t, out, token)
	out, _ = run(0, "audit", "--actor", "eyes", "--json", "--limit", "1")
	require.Equal(t, 1, strings.Count(out, "\n"))
	require.Contains(t, out, `"actor":"eyes"`)
	run(2, "audit", "--limit", "0")
}

func TestAKeyRotationGoesOnUntilAllIsDone(t *testing.T) {
	t.Parallel()
	failed := `[]`
	server := answering(t, func(n int, r *http.Request) (int, string) {
		require.Equal(t, "/api/v1/secrets/rotate", r.URL.Path)
		next := "null"
		if n%2 == 0 {
			require.Empty(t, r.URL.Query().Get("page_token"))
			next = `"there"`
		} else {
			require.Equal(t, "there", r.URL.Query().Get("page_token"))
		}
		if n == 3 {
			failed = `["revision 1 of con_a: setting key: it was changed"]`
		}
		return http.StatusOK, fmt.Sprintf(`{"key_id":"ab12","revisions":100,"secrets":7,"resealed":3,"failed":%s,"next":%s}`, failed, next)
	})
	code, stdout, stderr := weir(t, nil, nil, "secrets", "rotate-key", "--server", server)
	require.Zero(t, code, stderr)
	require.Equal(t, "14 secrets in 200 revisions; 6 were sealed anew with key ab12\n", stdout)
	code, _, stderr = weir(t, nil, nil, "secrets", "rotate-key", "--server", server)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "revision 1 of con_a: setting key")
	require.Contains(t, stderr, "keep every key")
}

func TestAKeyIsPrintedAloneAndReads(t *testing.T) {
	t.Parallel()
	code, stdout, _ := weir(t, nil, nil, "secrets", "generate-key")
	require.Zero(t, code)
	keys, err := seal.ParseKeys(stdout)
	require.NoError(t, err)
	require.NotEmpty(t, keys.ID())
	require.Equal(t, 1, strings.Count(stdout, "\n"))
}

// TestAWrongSecretKeyRefusesTheStart: with a key that cannot be read, or two
// places for it, nothing is sealed with another one by mistake.
func TestAWrongSecretKeyRefusesTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte("connections: []\n"), 0o600))
	args := []string{"run", "--config", file, "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0"}
	code, _, stderr := weir(t, map[string]string{"WEIR_SECRET_KEY": "canary-no-key"}, all.Plugins(), args...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "WEIR_SECRET_KEY: secret key 1 does not begin with weirkey_")
	require.NotContains(t, stderr, "canary")
	require.NoError(t, os.WriteFile(file, []byte("secrets:\n  key_file: /none/weir.key\n"), 0o600))
	code, _, stderr = weir(t, map[string]string{"WEIR_SECRET_KEY": seal.NewKey()}, all.Plugins(), args...)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "both set")
}

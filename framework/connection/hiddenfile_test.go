package connection_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/trigger"
)

const calledFile = `connections: [{name: called, type: trigger, description: %q, config: {path: /x, method: POST, action: ingest, auth_token: %q}}]`

// A file that hides a secret keeps the one that is there, and is refused where the
// store has none: it would run with "***".
func TestAHiddenSecretIsKeptOrRefused(t *testing.T) {
	t.Parallel()
	for name, keyed := range map[string]bool{"with a key": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			cfg := connection.DeskConfig{Store: s, Plugins: []framework.Plugin{trigger.Plugin}}
			if keyed {
				cfg.Keys, err = seal.ParseKeys(seal.NewKey())
				require.NoError(t, err)
			}
			desk, err := connection.NewDesk(cfg)
			require.NoError(t, err)
			apply := func(description, token string) (connection.Plan, error) {
				file, err := desk.ReadFile(t.Context(), "f.yaml", fmt.Appendf(nil, calledFile, description, token), true)
				if err != nil {
					return connection.Plan{}, err
				}
				return desk.ApplyFile(t.Context(), file.Projects, file.Connections, connection.FileOptions{}, connection.Request{By: "file"}, false)
			}
			_, err = apply("one", "a-token-of-callers-0123456789")
			require.NoError(t, err)
			plan, err := apply("two", "***")
			if !keyed {
				problems := config.Problems{}
				require.ErrorAs(t, err, &problems)
				require.ErrorContains(t, err, `config.auth_token: is "***", and the secret stands in the file of weir run alone`)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []connection.Change{{Path: "description", Before: `"one"`, After: `"two"`}}, plan.Steps[0].Changes)
		})
	}
}

package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/tools/catalogcheck"
)

// The lock names cursor types as checkpoints do: what it calls unchanged can be
// read.
func TestTheLockNamesCursorTypesAsCheckpointsDo(t *testing.T) {
	t.Parallel()
	locks, err := catalogcheck.Locks(t.Context(), "../..", []string{"./connectors/all"})
	require.NoError(t, err)
	require.Len(t, locks, 1)
	require.Equal(t, locks[0].Saved.Digest(), locks[0].Now.Digest(), "run go generate ./connectors/all")
	settings := map[string]map[string]any{
		"demo":   {"base_url": "http://127.0.0.1:1", "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		"github": {"token": "a-token-of-nobody-0123456789", "repos": []any{"weirhq/weir"}, "webhook_secret": "0123456789abcdef"},
		"stripe": {"api_key": "sk_test_0123456789", "webhook_secret": "whsec_0123456789abcdef"},
	}
	compared := 0
	for _, p := range all.Plugins() {
		if p.Dynamic() || !p.Source() {
			continue // its streams come from the settings of connections, or it has none: nor has the lock
		}
		binding, err := p.Open(t.Context(), framework.OpenRequest{ConnectionID: "con_1", Connection: "c", Project: "default", Settings: settings[p.Key()]})
		require.NoError(t, err, p.Key())
		for _, c := range locks[0].Now.Connectors {
			for _, s := range c.Streams {
				if c.Key != p.Key() || s.Cursor == nil {
					continue
				}
				require.Equal(t, framework.CursorType{Version: s.Cursor.Version, Digest: s.Cursor.Type}, binding.CursorType(s.Key), "%s.%s", c.Key, s.Key)
				compared++
			}
		}
	}
	require.GreaterOrEqual(t, compared, 7)
}

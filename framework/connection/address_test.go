package connection_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	httpconnector "github.com/weirhq/weir/connectors/http" //nolint:depguard // addresses are those of a sink that people use
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// A URL with a token that stands in the operator's file is in the store sealed, or
// without a key as it is shown; either way the file is known to say the same.
func TestAFileKeepsTheTokensOfItsAddresses(t *testing.T) {
	t.Parallel()
	const token = "aBcD0efGh1jKlMnOpQrStUvWx"
	plugins := []framework.Plugin{httpconnector.Plugin}
	file := func(host string) config.Connection {
		c, err := config.Parse("weir.yaml", []byte("connections:\n  - {name: out, type: sink, class: http, config: {endpoint: \"https://"+host+"/hooks/"+token+"\"}}\n"),
			func(string) (string, bool) { return "", false }, plugins)
		require.NoError(t, err)
		return c.Connections[0]
	}
	sealing, err := seal.ParseKeys(seal.NewKey())
	require.NoError(t, err)
	for name, keys := range map[string]*seal.Keys{"with a key": sealing, "without": nil} {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		desk, err := connection.NewDesk(connection.DeskConfig{Store: s, Plugins: plugins, Keys: keys})
		require.NoError(t, err)
		one := file("hooks.example")
		plan, err := desk.PlanFile(t.Context(), nil, []config.Connection{one}, connection.FileOptions{})
		require.NoError(t, err, name)
		require.NoError(t, desk.Apply(t.Context(), plan, connection.Request{By: "file", File: true}))
		v, err := desk.Get(t.Context(), "default", "out")
		require.NoError(t, err)
		require.Equal(t, "https://hooks.example/hooks/aBcD***", v.Config["endpoint"], name)
		kept, err := s.Revision(t.Context(), v.ID, 1)
		require.NoError(t, err)
		require.NotContains(t, string(kept.Spec), token, name)

		for host, differs := range map[string]bool{"hooks.example": false, "elsewhere.example": true} {
			plan, err = desk.PlanFile(t.Context(), nil, []config.Connection{file(host)}, connection.FileOptions{CreateOnly: true})
			require.NoError(t, err)
			written, err := connection.SpecOf(file(host), plugins)
			require.NoError(t, err)
			require.Equal(t, differs, desk.Differs(plan.Specs()[[2]string{"default", "out"}], written), "%s: %s", name, host)
			plan, err = desk.PlanFile(t.Context(), nil, []config.Connection{file(host)}, connection.FileOptions{})
			require.NoError(t, err)
			require.Equal(t, differs, plan.Changes(), "%s: %s", name, host)
		}
	}
}

// Of two files that find an empty store at once, one fills it, wholly, whatever the
// other says; it hears of that and may compare.
func TestOneOfTwoFilesFillsAnEmptyStore(t *testing.T) {
	t.Parallel()
	plugins := []framework.Plugin{httpconnector.Plugin}
	desk, s := extraDesk(t, newKeys(t))
	file := func(names ...string) (all []config.Connection) {
		text := "connections:\n"
		for _, name := range names {
			text += "  - {name: " + name + ", type: sink, class: http, config: {endpoint: \"https://receiver.example/" + name + "\", headers: [{name: X-Key, value: a secret}]}}\n"
		}
		f, err := config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "", false }, plugins)
		require.NoError(t, err)
		return f.Connections
	}
	q := connection.Request{By: "file", File: true, Key: "fill 0"}
	options := connection.FileOptions{CreateOnly: true}
	first, err := desk.PlanFile(t.Context(), nil, file("a", "b"), options)
	require.NoError(t, err)
	second, err := desk.PlanFile(t.Context(), nil, file("c"), options)
	require.NoError(t, err)
	require.NoError(t, desk.Apply(t.Context(), first, q))
	require.ErrorIs(t, desk.Apply(t.Context(), second, q), store.ErrReused)
	for _, others := range [][]string{{"c"}, {"b", "c"}, {"a", "b"}} {
		_, err = desk.ApplyFile(t.Context(), nil, file(append(others, "d")...), options, q, false)
		require.ErrorIs(t, err, store.ErrReused, others)
	}
	there, err := s.Configured(t.Context(), "default", "", 10)
	require.NoError(t, err)
	require.Len(t, there, 2)
	compared, err := desk.ApplyFile(t.Context(), nil, file("b", "c"), options, q, true)
	require.NoError(t, err)
	require.Equal(t, connection.ActionUnchanged, compared.Steps[0].Action)
	require.Equal(t, connection.ActionCreate, compared.Steps[1].Action)
}

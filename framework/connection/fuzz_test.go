package connection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	httpconnector "github.com/weirhq/weir/connectors/http" //nolint:depguard // names are checked with a connector that people use
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// Whatever names come from outside, they are taken as they are and found again, or
// refused as a fault; nothing else is touched.
func FuzzNamesFromOutside(f *testing.F) {
	for _, hostile := range []string{
		"", "shop", "a-b_c9", "' OR 1=1--", "%", "_", "a\x00b", "../admin", "con_1", "default", "api", "Ünï", "\xff\xfe", "a.b", "*", "${HOME}", "***", "weird name!",
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("x", 1<<20), "x\r\ny", "null", "true", "7", `"`, `\`, "/a/", "\u202e",
	} {
		f.Add(hostile, "orders", "X-Key", "team")
		f.Add("shop", hostile, hostile, hostile)
	}
	s, err := sqlite.Open(f.Context(), sqlite.Options{Dir: f.TempDir()})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, s.Close()) })
	keys, err := seal.ParseKeys(seal.NewKey())
	require.NoError(f, err)
	desk, err := connection.NewDesk(connection.DeskConfig{Store: s, Plugins: []framework.Plugin{httpconnector.Plugin}, Keys: keys})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name, stream, header, label string) {
		ctx := t.Context()
		count := func(project string, filter connection.Filter) int {
			views, _, err := desk.List(ctx, project, filter, "", 100)
			require.NoError(t, err)
			return len(views)
		}
		before, err := desk.Projects(ctx)
		require.NoError(t, err)
		_, err = desk.Get(ctx, name, stream)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, _, err = desk.History(ctx, "default", name, 0, 10)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Zero(t, count(name, connection.Filter{Labels: map[string]string{label: header}}))

		document := map[string]any{
			"type": "sink", "connector": "http", "labels": map[string]any{label: label}, "streams": []any{stream + ".*", "shop." + stream},
			"config": map[string]any{"endpoint": "https://a.example", "headers": []any{map[string]any{"name": header, "value": stream}}},
		}
		var faults connection.Faults
		v, err := desk.Create(ctx, "default", name, document, connection.Request{By: label, Message: stream})
		if err != nil {
			require.True(t, errors.As(err, &faults) || errors.Is(err, store.ErrInvalid), "%v", err)
			require.Zero(t, count("default", connection.Filter{}), "something was saved")
		} else {
			require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,62}$`, name)
			got, err := desk.Get(ctx, "default", name)
			require.NoError(t, err)
			require.Equal(t, []string{name, v.ID, label}, []string{got.Name, got.ID, got.Labels[label]})
			require.Equal(t, []any{map[string]any{"name": header, "value": got.Config["headers"].([]any)[0].(map[string]any)["value"]}}, got.Config["headers"]) //nolint:errcheck,forcetypeassert // they are written so
			require.Equal(t, 1, count("default", connection.Filter{Labels: map[string]string{label: label}}))
			_, err = desk.Delete(ctx, "default", name, connection.Kept{}, connection.Request{})
			require.NoError(t, err)
			require.Zero(t, count("default", connection.Filter{}))
		}
		if _, err := desk.CreateProject(ctx, name, stream, connection.Request{}); err == nil {
			p, err := desk.Project(ctx, name)
			require.NoError(t, err)
			require.Equal(t, stream, p.Description)
			_, err = desk.DeleteProject(ctx, name, connection.Request{})
			require.NoError(t, err)
		} else {
			require.True(t, errors.As(err, &faults) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrInvalid), "%v", err)
		}
		after, err := desk.Projects(ctx)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

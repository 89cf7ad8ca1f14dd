package runtime_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// startSealed runs a Weir with keys for secrets.
func startSealed(t *testing.T, dir, keys string) *weir {
	t.Helper()
	log := &lines{}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Listen: "127.0.0.1:0", Secrets: config.Secrets{Key: keys}}, Plugins: []framework.Plugin{leaky()},
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.NoError(t, err)
	return serve(t, r, log)
}

// TestKeysAreReplacedWhileEverythingRuns: what one key has sealed, in every
// revision, is sealed with the next one and opens with it alone.
func TestKeysAreReplacedWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := seal.NewKey(), seal.NewKey()
	w := startSealed(t, dir, first)
	settings := leakySettingsOf("http://127.0.0.1:1")
	document := func(key string) map[string]any {
		settings["key"] = key
		return map[string]any{"type": "source", "connector": "leaky", "config": settings}
	}
	_, err := w.Connections().Create(t.Context(), "default", "kept", document(canaryKey), resource.Request{By: "test"})
	require.NoError(t, err)
	_, err = w.Connections().Replace(t.Context(), "default", "kept", document("another-secret-of-it"), resource.Request{By: "test"})
	require.NoError(t, err)
	require.NoError(t, w.stop())

	rotate := func(w *weir) (resealed, secrets int, failed []string) {
		status, answer := w.do(t, http.MethodPost, "/api/v1/secrets/rotate", http.Header{}, nil)
		require.Equal(t, http.StatusOK, status, string(answer))
		var out struct {
			Revisions, Secrets, Resealed int
			Failed                       []string
			Next                         *string
		}
		require.NoError(t, json.Unmarshal(answer, &out))
		require.Nil(t, out.Next)
		require.Equal(t, 2, out.Revisions)
		return out.Resealed, out.Secrets, out.Failed
	}
	w = startSealed(t, dir, second+" "+first)
	resealed, secrets, failed := rotate(w)
	require.Positive(t, secrets)
	require.Equal(t, secrets, resealed, "every secret of every revision")
	require.Empty(t, failed)
	resealed, _, failed = rotate(w)
	require.Zero(t, resealed, "what is done is not done again")
	require.Empty(t, failed)
	require.NoError(t, w.stop())

	// The old key is needed no more: the connection runs, and goes back to what it was.
	w = startSealed(t, dir, second)
	_, _, failed = rotate(w)
	require.Empty(t, failed)
	view, err := w.Connections().Rollback(t.Context(), "default", "kept", 1, resource.Request{By: "test"})
	require.NoError(t, err)
	require.NotEmpty(t, view)
	require.NoError(t, w.stop())

	// Without the key, nothing opens, and that is said.
	w = startSealed(t, dir, seal.NewKey())
	status, answer := w.do(t, http.MethodPost, "/api/v1/secrets/rotate", http.Header{}, nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(answer), "key that is not configured")
	require.NoError(t, w.stop())
	content, err := os.ReadFile(filepath.Join(dir, "weir.db"))
	require.NoError(t, err)
	require.Empty(t, revealing(string(content)))
}

func TestWithoutAKeyALiteralSecretIsRefused(t *testing.T) {
	t.Parallel()
	w := startSealed(t, t.TempDir(), "")
	_, err := w.Connections().Create(t.Context(), "default", "kept", map[string]any{
		"type": "source", "connector": "leaky", "config": leakySettingsOf("http://127.0.0.1:1"),
	}, resource.Request{By: "test"})
	require.ErrorContains(t, err, "weir secrets generate-key")
	require.NotContains(t, err.Error(), "canary")
	status, answer := w.do(t, http.MethodPost, "/api/v1/secrets/rotate", http.Header{}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, string(answer), "no_secret_key")
}

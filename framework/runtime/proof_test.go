package runtime_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/webhook"
)

// deliver sends a delivery that is signed with a secret.
func (w *weir) deliver(t *testing.T, connection, id, secret string) int {
	t.Helper()
	body := []byte(`{"id":"` + id + `"}`)
	header, err := webhook.Sign(inbox.Spec(), secret, time.Now(), id, body)
	require.NoError(t, err)
	status, _ := w.do(t, http.MethodPost, "/webhooks/"+connection+"/in", header, body)
	return status
}

// A revision that is deployed and does not open here leaves the one before at
// work; but a secret that it took away lets nobody in any more.
func TestARevisionThatDoesNotOpenHereTakesItsSecretsAwayAllTheSame(t *testing.T) {
	t.Parallel()
	const next = "whsec_bmV4dCBzZWNyZXQgb2Ygc3VmZmljaWVudCBsZW5ndGg="
	dir, key := t.TempDir(), seal.NewKey()
	// opens is how often the connector opens before it does not; negative is for ever.
	var opens atomic.Int64
	opens.Store(-1)
	b := behaviour{opened: func() error {
		if left := opens.Load(); left < 0 || opens.CompareAndSwap(left, max(left-1, 0)) && left > 0 {
			return nil
		}
		return errors.New("the provider knows no such account")
	}}
	w := keyed(t, dir, key, b)
	who := resource.Request{By: "ada"}
	_, err := w.Connections().Create(t.Context(), "default", "one", document(), who)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.deliver(t, "one", "d1", secret))

	// It opens when it is tried, and not when it is taken up: as on another process
	// that cannot reach the provider.
	opens.Store(1)
	_, err = w.Connections().Patch(t.Context(), "default", "one", map[string]any{"config": map[string]any{"webhook_secret": next}}, who)
	require.NoError(t, err)
	v, err := w.Connections().Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2, 1}, []int64{v.Revision, v.Deployed, v.Running})
	require.Equal(t, resource.StateFailed, v.State)
	require.Equal(t, http.StatusUnauthorized, w.deliver(t, "one", "d2", secret))
	require.Equal(t, http.StatusOK, w.deliver(t, "one", "d3", next))
	require.NoError(t, w.stop())

	// After a restart there is none before it: senders come again later.
	opens.Store(0)
	w = keyed(t, dir, key, b)
	require.Equal(t, http.StatusServiceUnavailable, w.deliver(t, "one", "d4", next))
	require.Equal(t, http.StatusServiceUnavailable, w.deliver(t, "one", "d4", secret))
	opens.Store(-1)
	_, err = w.Connections().Patch(t.Context(), "default", "one", map[string]any{"description": "mended"}, who)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.deliver(t, "one", "d4", next))
	require.Equal(t, http.StatusUnauthorized, w.deliver(t, "one", "d5", secret))
}

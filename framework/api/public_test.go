package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
)

// shortcuts answers every path that nothing else has.
type shortcuts struct{}

func (shortcuts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
}
func (shortcuts) Local(string) bool { return true }

func TestTheShortAddressesOfTriggersAreOnNoPublicListener(t *testing.T) {
	t.Parallel()
	gate, err := api.NewGate(api.GateConfig{Policy: api.ListenPolicy{Listen: "127.0.0.1:9657"}, Triggers: shortcuts{}})
	require.NoError(t, err)
	private, err := gate.Handler(chi.NewRouter())
	require.NoError(t, err)
	public, err := gate.PublicHandler(chi.NewRouter())
	require.NoError(t, err)
	for want, handler := range map[int]http.Handler{http.StatusAccepted: private, http.StatusNotFound: public} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/shop/orders", http.NoBody))
		require.Equal(t, want, w.Code)
	}
}

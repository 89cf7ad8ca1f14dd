package runtime_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnEntityIsErasedByItsIDWhichIsNowhereAfterwards(t *testing.T) {
	t.Parallel()
	w := run(t, t.TempDir(), behaviour{}, connection("acme"))
	status, body := w.send(t, "acme", "ada-lovelace")
	require.Equal(t, http.StatusOK, status, "%s", body)
	erase := func(content string) (int, string) {
		status, body := w.do(t, http.MethodPost, "/api/v1/connections/acme/erasures", http.Header{"Content-Type": {"application/json"}}, []byte(content))
		return status, string(body)
	}
	for _, content := range []string{``, `{}`, `{"entity":"a"}`, `{"entity":7}`, `{"entity":"ada-lovelace","x":1}`, `[]`} {
		status, said := erase(content)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", content, said)
	}
	_, listed := w.do(t, http.MethodGet, "/api/v1/connections/acme/streams/reports/events", nil, nil)
	require.Contains(t, string(listed), `"data":{"id":"ada-lovelace"}`)
	status, said := erase(`{"entity":"ada-lovelace"}`)
	require.Equal(t, http.StatusOK, status, said)
	require.Contains(t, said, `"events":1`)
	require.NotContains(t, said, "lovelace")
	_, listed = w.do(t, http.MethodGet, "/api/v1/connections/acme/streams/reports/events", nil, nil)
	require.NotContains(t, string(listed), `"data":{"id":"ada-lovelace"}`)
	require.Contains(t, string(listed), `"subject":"ada-lovelace"`)
	status, body = w.do(t, http.MethodGet, "/api/v1/connections/acme/erasures", nil, nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(body), `"id":"era_`)
	require.NotContains(t, string(body), "lovelace")
	require.Eventually(t, func() bool { return w.stream(t, "acme", "reports").EventsTotal == 1 }, time.Minute, 5*time.Millisecond)
	require.Contains(t, w.log.String(), "entity erased")
	require.NotContains(t, w.log.String(), "lovelace")
}

package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoPageMakesAGetThatActs: some tools pause with a GET. An image on a page
// makes one too, also on this process's own pages, and also where no token is
// needed.
func TestNoPageMakesAGetThatActs(t *testing.T) {
	t.Parallel()
	gate, err := NewGate(GateConfig{Policy: ListenPolicy{Listen: "127.0.0.1:0"}})
	require.NoError(t, err)
	pause := Route{Method: http.MethodGet, Pattern: "/connectors/{name}/pause", Role: RoleOperator, Face: FaceAPI}
	require.True(t, acts(pause))
	ask := func(row Route, headers ...string) bool {
		r := httptest.NewRequestWithContext(t.Context(), row.Method, "http://localhost/connectors/a/pause", http.NoBody)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return gate.checkOrigin(r, row) == nil
	}
	const site, dest = "Sec-Fetch-Site", "Sec-Fetch-Dest"
	require.True(t, ask(pause), "a program")
	require.True(t, ask(pause, site, "none", dest, "document"), "somebody who typed the address")
	require.True(t, ask(pause, site, "same-origin", "Authorization", "Bearer x"), "a program in a browser that has a token")
	for _, headers := range [][]string{
		{site, "same-origin", dest, "image"},
		{site, "cross-site", dest, "image"},
		{site, "same-site", dest, "image"},
		{site, "cross-site", dest, "document"},
		{"Origin", "http://localhost"},
		{"Origin", "null"},
		{site, "cross-site", dest, "image", "Authorization", "Bearer x"},
	} {
		require.False(t, ask(pause, headers...), "%v", headers)
	}
	read := Route{Method: http.MethodGet, Pattern: "/connectors/{name}/status", Role: RoleViewer, Face: FaceAPI}
	require.False(t, acts(read))
	require.True(t, ask(read, site, "same-origin", dest, "empty"))
}

func TestWhatIsNotNamedIsAboutTheWholeProcess(t *testing.T) {
	t.Parallel()
	require.Equal(t, scopeWhole, scopeOf(Route{Method: http.MethodGet, Pattern: "/api/v1/anything", Role: RoleViewer, Face: FaceAPI}))
	require.Equal(t, scopeWhole, scopeOf(Route{Method: http.MethodGet, Pattern: "/api/v1/connectionsx", Role: RoleViewer, Face: FaceAPI}))
	require.Equal(t, scopeMany, scopeOf(Route{Method: http.MethodGet, Pattern: "/api/v1/projects", Role: RoleViewer, Face: FaceAPI}))
	require.Equal(t, scopeWhole, scopeOf(Route{Method: http.MethodPost, Pattern: "/api/v1/projects", Role: RoleAdmin, Face: FaceAPI}), "who makes one is of none")
	for _, row := range Routes() {
		if scopeOf(row) == scopeOpen {
			require.True(t, row.Role == RolePublic || row.Face == FaceIntake, row.Pattern)
		}
	}
}

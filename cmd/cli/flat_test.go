package cli_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The defaults of the flat form are those of its document, and so are its methods.
func TestAWebhookNeedsNoMoreThanItsAddress(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	status, v, _ := p.ask(t, http.MethodPost, hook, `{"type":"webhook","name":"hook","fullUrl":"http://127.0.0.1:1/in"}`)
	require.Equal(t, http.StatusOK, status, v)
	for field, want := range map[string]any{
		"httpMethod": "GET", "headerList": []any{}, "timeout": 2.0, "connectionPoolMaxConnectionPerHost": 24.0, "connectionPoolMaxConnectionTotal": 48.0,
		"enabled": true, "deployToWorker": true, "description": "", "fullUrl": "http://127.0.0.1:1/in", "state": "running",
	} {
		require.Equal(t, want, v[field], field)
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
		body := fmt.Sprintf(`{"type":"webhook","name":"hook","fullUrl":"https://a.example","httpMethod":%q}`, method)
		status, v, _ = p.ask(t, http.MethodPut, hook, body)
		require.Equal(t, http.StatusOK, status, "%s: %v", method, v)
		require.Equal(t, method, v["httpMethod"])
	}
}

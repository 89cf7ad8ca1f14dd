package kafkaconnect

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A header's value is a secret, also where the list of them cannot be read.
func TestNoAnswerRepeatsASecretThatStandsInALargerText(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for key, text := range map[string]string{
		"headers":                  `[{"name":"Authorization","value":"canary-0123456789"`,
		"callback.request.headers": `{"Authorization":"canary-0123456789"`,
	} {
		config := map[string]string{"connector.class": "http", "name": "out", "topics": "a.b", "callback.request.url": "https://receiver.example", key: text}
		body, err := json.Marshal(config)
		require.NoError(t, err)
		for _, one := range []struct {
			method, path string
			status       int
		}{{http.MethodPut, "/connectors/out/config", http.StatusBadRequest}, {http.MethodPut, "/connector-plugins/http/config/validate", http.StatusOK}} {
			var answer json.RawMessage
			s.call(one.method, one.path, string(body), one.status, &answer, "Content-Type", "application/json")
			require.Contains(t, string(answer), key)
			require.False(t, strings.Contains(string(answer), "canary"), "%s repeats the secret", one.path) //nolint:testifylint // the answer is long
		}
	}
}

package config_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

func check(t *testing.T, document string) (config.Connection, error) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var v map[string]any
	require.NoError(t, decoder.Decode(&v))
	c, _, err := config.CheckDocument(v, config.Surroundings{
		Plugins: []framework.Plugin{http.Plugin},
		Streams: func(string) []config.StreamRef { return []config.StreamRef{{Connection: "pay", Stream: "customers"}} },
		Lookup: func(name string) (string, error) {
			if name == "TOKEN" {
				return "token-of-the-test", nil
			}
			return "", errors.New("environment variable " + name + " may not be read from here")
		},
	})
	return c, err
}

func TestADocumentIsReadAsAnEntryOfAFile(t *testing.T) {
	t.Parallel()
	c, err := check(t, `{"name":"hook","connector":"http","type":"sink","streams":["customers"],"displayName":"Hook","description":"d",
		"labels":{"team":"a"},"config":{"fullUrl":"https://example.com/in","headerList":[{"name":"X-Key","value":"${TOKEN}"}],"timeout_seconds":5}}`)
	require.NoError(t, err)
	require.Equal(t, "https://example.com/in", c.Settings["endpoint"], "synonyms")
	require.Equal(t, "token-of-the-test", framework.SettingAt(c.Settings, "headers[0].value"), "references")
	require.Equal(t, "${TOKEN}", framework.SettingAt(c.Document, "config.headerList[0].value"))
	require.Equal(t, map[string]string{"team": "a"}, c.Labels)
	require.Equal(t, "Hook", c.DisplayName)
}

func TestADocumentNamesThePathOfEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := check(t, `{"name":"Hook!","connector":"http","type":"sink","streams":["customer"],"enabled":"yes","lables":{},"project":"eu",
		"config":{"endpoint":"ftp://x","headers":[{"name":"Host","value":"a"},{"name":"X","value":7}],"batch":{"max_events":0},"retry_attempt":1,"signing_secret":"${HOME}"}}`)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	got := map[string]string{}
	for _, p := range problems {
		got[p.Path] = p.Message
		require.Equal(t, p.Path+": "+p.Message, p.String())
	}
	require.Contains(t, got["name"], `"Hook!"`)
	require.Contains(t, got["streams[0]"], `there are pay.customers`)
	require.Contains(t, got["enabled"], "true or false")
	require.Contains(t, got["lables"], `did you mean "labels"`)
	require.Contains(t, got["project"], "eu")
	require.Contains(t, got["config.batch.max_events"], "at least 1")
	require.Contains(t, got["config.retry_attempt"], `did you mean "retry_attempts"`)
	require.Contains(t, got["config.headers[1].value"], "text")
	require.Contains(t, got["config.signing_secret"], "may not be read from here")
	require.NotContains(t, err.Error(), "/root")
}

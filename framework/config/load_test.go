package config_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

type record struct{ ID string }

type settings struct {
	APIKey  framework.Secret `json:"api_key" required:"true"`
	BaseURL framework.URL    `json:"base_url" default:"https://api.acme.test"`
	Pages   int              `json:"pages" default:"10"`
}

var (
	customers = catalog.Poll[record, string]("customers", catalog.PollSpec{Schedule: "*/15 * * * *"})
	events    = catalog.Webhook[record]("events")
	inbox     = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
)

func plugins() []framework.Plugin {
	c := catalog.Connector{Key: "acme", Streams: []catalog.Stream{customers, events}, Endpoints: []catalog.Endpoint{inbox}}
	return []framework.Plugin{framework.Define(c, func(context.Context, framework.Instance[settings]) (framework.Routes, error) { return nil, nil })}
}

func parse(t *testing.T, text string, env map[string]string) (*config.File, error) {
	t.Helper()
	return config.Parse("weir.yaml", []byte(text), func(name string) (string, bool) { v, ok := env[name]; return v, ok }, plugins())
}

func TestReadsAWholeFile(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600))
	f, err := parse(t, `
listen: 127.0.0.1:9657
admin_token: ${TOKEN}
data_dir: ./data
store: sqlite:weir.db
allow_private: [10.0.0.0/8]
projects:
  - name: eu
    description: Europe
connections:
  - name: shop
    project: eu
    connector: acme
    type: source
    streams: [customers]
    enabled: false
    config:
      api_key: key-${KEY}-$${plain}
      pages: 3
      webhook_secret: ["${file:`+secret+`}", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"]
`, map[string]string{"TOKEN": "tok", "KEY": "k"})
	require.NoError(t, err)
	require.Equal(t, "tok", f.AdminToken)
	require.Len(t, f.Connections, 1)
	c := f.Connections[0]
	require.Equal(t, "eu", c.Project)
	require.False(t, c.Enabled)
	require.Equal(t, []string{"customers"}, c.Streams)
	require.Equal(t, "key-k-${plain}", c.Settings["api_key"])
	require.Equal(t, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}, framework.SecretList(c.Settings["webhook_secret"]))
}

func TestReportsEveryProblemWithItsPlace(t *testing.T) {
	t.Parallel()
	_, err := parse(t, `lisen: 127.0.0.1:1
listen: nowhere
data_dir: [x]
connections:
  - name: Shop One
    connector: acne
  - name: shop
    conector: acme
    connector: acme
    streams: [custommers]
    config:
      api_kee: ${MISSING}
      pages: many
      base_url: ftp://x
  - name: shop
    connector: acme
    project: nowhere
    type: sink
    config: {api_key: "${ALSO_MISSING}", webhook_secret: "${file:/does/not/exist}"}
  - name: third
    project: default
    connector: acme
    config: {pages: many, base_url: "ftp://x", api_kee: x}
`, nil)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	got := strings.Split(err.Error(), "\n")
	require.Equal(t, []string{
		`weir.yaml:1:1: the file has no key "lisen"; did you mean "listen"?`,
		`weir.yaml:2:9: listen: "nowhere" is no address such as 127.0.0.1:9657`,
		`weir.yaml:3:11: data_dir must be text`,
		`weir.yaml:5:11: connection name "Shop One" does not match ^[a-z0-9][a-z0-9_-]{0,62}$`,
		`weir.yaml:6:16: no connector "acne" is linked into this binary; did you mean "acme"?`,
		`weir.yaml:8:5: a connection has no key "conector"; did you mean "connector"?`,
		`weir.yaml:10:15: connector "acme" has no stream "custommers"; did you mean "customers"?`,
		`weir.yaml:12:7: connection "shop": setting "api_kee" is unknown; did you mean "api_key"?`,
		`weir.yaml:12:7: connection "shop": setting "api_key" is required`,
		`weir.yaml:12:7: connection "shop": setting "webhook_secret" is required: endpoint "acme" verifies its deliveries with it`,
		`weir.yaml:12:16: config.api_kee: environment variable MISSING is not set`,
		`weir.yaml:13:7: connection "shop": setting "pages" must be a whole number, not string`,
		`weir.yaml:14:7: connection "shop": setting "base_url" must start with http:// or https:// and name a host`,
		`weir.yaml:17:14: project "nowhere" is not listed under projects`,
		`weir.yaml:18:11: connector "acme" is no sink; use one that is, such as http`,
		`weir.yaml:19:23: config.api_key: environment variable ALSO_MISSING is not set`,
		`weir.yaml:19:58: config.webhook_secret: file /does/not/exist cannot be read; make it, or change ${file:…}`,
		`weir.yaml:23:13: connection "third": setting "api_key" is required`,
		`weir.yaml:23:13: connection "third": setting "webhook_secret" is required: endpoint "acme" verifies its deliveries with it`,
		`weir.yaml:23:14: connection "third": setting "pages" must be a whole number, not string`,
		`weir.yaml:23:27: connection "third": setting "base_url" must start with http:// or https:// and name a host`,
		`weir.yaml:23:48: connection "third": setting "api_kee" is unknown; did you mean "api_key"?`,
	}, got)
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "listen: a\n  b: [", nil)
	require.ErrorContains(t, err, "weir.yaml:")
	require.ErrorContains(t, err, "not valid YAML")
}

func TestAConnectionThatIsNoneIsOneProblem(t *testing.T) {
	t.Parallel()
	_, err := parse(t, `connections:
  - just text
  - connector: acme
    config: {api_key: k, webhook_secret: "not base64!"}
  - name: twice
    connector: acme
    streams: [events, customers, events]
    config: {api_key: k, webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
`, nil)
	require.EqualError(t, err, strings.Join([]string{
		`weir.yaml:2:5: a connection must be a mapping of keys to values, such as name and connector`,
		`weir.yaml:3:5: a connection needs a name`,
		`weir.yaml:4:26: connection "", endpoint "acme": verify with auth "standard_webhooks": setting "webhook_secret" is not base64 (after "whsec_", if it starts so); copy it from the sender as it is`,
		`weir.yaml:7:34: stream "events" is listed twice`,
	}, "\n"))
}

func TestAnEmptyFileIsAllDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "{}"} {
		f, err := parse(t, text, nil)
		require.NoError(t, err)
		require.Empty(t, f.Connections)
	}
}

func TestRefusesReservedAndRepeatedProjects(t *testing.T) {
	t.Parallel()
	_, err := parse(t, "projects: [{name: api}, {name: eu}, {name: eu}, {name: 'A b'}]", nil)
	require.ErrorContains(t, err, `project name "api" is reserved`)
	require.ErrorContains(t, err, `project "eu" is listed twice`)
	require.ErrorContains(t, err, `project name "A b" does not match`)
}

func FuzzParse(f *testing.F) {
	f.Add("connections: [{name: a, connector: acme, config: {api_key: '${K}'}}]")
	f.Add("a: &x [*x]")
	f.Add("listen: ${")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			return // the fuzz target reads no files
		}
		file, err := config.Parse("weir.yaml", []byte(text), func(string) (string, bool) { return "value", true }, plugins())
		require.NotEqual(t, file == nil, err == nil)
	})
}

func TestTheSpreadOfSchedulesCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": false, "spread: true\n": false, "spread: false\n": true} {
		f, err := parse(t, "listen: 127.0.0.1:0\n"+text, nil)
		require.NoError(t, err)
		require.Equal(t, want, f.NoSpread, text)
	}
	_, err := parse(t, "spread: sometimes\n", nil)
	require.ErrorContains(t, err, "spread must be true or false")
}

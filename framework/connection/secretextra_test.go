package connection_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	httpconnector "github.com/weirhq/weir/connectors/http" //nolint:depguard // a sink that people use, with what Kafka Connect adds
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// secretExtras are keys that Kafka Connect users have, each with a secret in it.
var secretExtras = map[string]string{
	"sasl.jaas.config":                        `org.example.PlainLoginModule required username="u" password="canary-jaas";`,
	"connection.password":                     "canary-connection",
	"ssl.keystore.password":                   "canary-keystore",
	"ssl.key.password":                        "canary-key",
	"ssl.keystore.key":                        "-----BEGIN PRIVATE KEY-----\ncanary-pem\n-----END PRIVATE KEY-----",
	"confluent.api.key":                       "canary-api-key",
	"client_secret":                           "canary-client",
	"githubToken":                             "canary-token",
	"aws.secret.access.key":                   "canary-aws",
	"gcs.credentials.json":                    `{"private_key":"canary-gcs"}`,
	"basic.auth.user.info":                    "user:canary-info",
	"http.headers.additional":                 "Authorization: Bearer canary-header",
	"connection.url":                          "jdbc:postgresql://user:canary-url@db.example/shop",
	"connection.string":                       "Server=db;User=u;Password=canary-dsn",
	"producer.override.sasl.jaas.config":      `x required password='canary-override';`,
	"transforms.a.passphrase":                 "canary-passphrase",
	"azure.eventhubs.shared-access-key":       "canary-azure",
	"schema.registry.basic.auth.password.old": "canary-old",
}

// plainExtras are keys beside them that must read back as they were written.
var plainExtras = map[string]string{
	"tasks.max": "1", "key.converter": "org.apache.kafka.connect.storage.StringConverter", "header.converter": "x.SimpleHeaderConverter",
	"errors.deadletterqueue.context.headers.enable": "true", "ssl.keystore.location": "/etc/keys.jks", "schema.registry.url": "http://registry:8081",
	"database.password": "${file:/run/secrets/db}",
}

func extraDocument(extra map[string]string) map[string]any {
	list := map[string]any{}
	for name, text := range extra {
		list[name] = text
	}
	return map[string]any{
		"type": "sink", "connector": "http", "enabled": false, "streams": []any{"*"}, "extra": list,
		"config": map[string]any{"endpoint": "https://receiver.example/x"},
	}
}

func extraDesk(t *testing.T, keys *seal.Keys) (*connection.Desk, *sqlite.Store) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	desk, err := connection.NewDesk(connection.DeskConfig{Store: s, Plugins: []framework.Plugin{httpconnector.Plugin}, Keys: keys})
	require.NoError(t, err)
	return desk, s
}

func newKeys(t *testing.T) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewKey())
	require.NoError(t, err)
	return keys
}

func TestWhatIsKeptForOthersKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	desk, s := extraDesk(t, newKeys(t))
	all := map[string]string{}
	for _, part := range []map[string]string{secretExtras, plainExtras} {
		maps.Copy(all, part)
	}
	q := connection.Request{By: "test"}
	v, err := desk.Create(t.Context(), "default", "out", extraDocument(all), q)
	require.NoError(t, err)
	shown := func(v connection.View) {
		t.Helper()
		for name := range secretExtras {
			require.Equal(t, connection.Hidden, v.Extra[name], name)
			require.Len(t, v.Fingerprints["extra."+name], 8, name)
		}
		for name, text := range plainExtras {
			require.Equal(t, text, v.Extra[name], name)
		}
	}
	shown(v)
	kept := func() connection.Spec {
		t.Helper()
		latest, err := desk.Get(t.Context(), "default", "out")
		require.NoError(t, err)
		r, err := s.Revision(t.Context(), v.ID, latest.Revision)
		require.NoError(t, err)
		require.NotContains(t, string(r.Spec), "canary")
		var spec connection.Spec
		require.NoError(t, spec.UnmarshalJSON(r.Spec))
		return spec
	}
	first := kept()

	// Written back as it was read, nothing is changed; a patch of one leaves the others.
	again, err := desk.Replace(t.Context(), "default", "out", extraDocument(v.Extra), q)
	require.NoError(t, err)
	require.Equal(t, int64(1), again.Revision)
	patched, err := desk.Patch(t.Context(), "default", "out", map[string]any{"extra": map[string]any{"connection.password": "canary-second"}}, q)
	require.NoError(t, err)
	shown(patched)
	second := kept()
	for name := range secretExtras {
		require.Equal(t, name == "connection.password", first.Extra[name] != second.Extra[name], name)
		require.Equal(t, name == "connection.password", v.Fingerprints["extra."+name] != patched.Fingerprints["extra."+name], name)
	}
	history, _, err := desk.History(t.Context(), "default", "out", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []connection.Change{{Path: "extra.connection.password", Before: "(changed)", After: "(changed)"}}, history[0].Changes)
	back, err := desk.Rollback(t.Context(), "default", "out", 1, q)
	require.NoError(t, err)
	require.Equal(t, v.Fingerprints, back.Fingerprints)
	kept()
	old, err := desk.Revision(t.Context(), "default", "out", 1)
	require.NoError(t, err)
	said, err := json.Marshal([]any{v, again, patched, history, back, old})
	require.NoError(t, err)
	require.NotContains(t, string(said), "canary")

	// *** keeps nothing where there is nothing, and a sealed text is none of the caller's.
	for text, want := range map[string]string{connection.Hidden: "there is none", second.Extra["connection.password"]: "looks like"} {
		_, err = desk.Patch(t.Context(), "default", "out", map[string]any{"extra": map[string]any{"new.password": text}}, q)
		require.ErrorContains(t, err, "extra.new.password")
		require.ErrorContains(t, err, want)
	}
}

func TestSecretsKeptForOthersFollowTheKeys(t *testing.T) {
	t.Parallel()
	first, second := seal.NewKey(), seal.NewKey()
	keys, err := seal.ParseKeys(first)
	require.NoError(t, err)
	desk, s := extraDesk(t, keys)
	v, err := desk.Create(t.Context(), "default", "out", extraDocument(secretExtras), connection.Request{By: "test"})
	require.NoError(t, err)
	both, err := seal.ParseKeys(second + "\n" + first)
	require.NoError(t, err)
	done, err := both.Rotate(t.Context(), s, "", 0, 100)
	require.NoError(t, err)
	require.Equal(t, len(secretExtras), done.Resealed)
	alone, err := seal.ParseKeys(second)
	require.NoError(t, err)
	r, err := s.Revision(t.Context(), v.ID, 1)
	require.NoError(t, err)
	sealed, stale, err := alone.Check(v.ID, r.Spec, seal.SettingsMember)
	require.NoError(t, err)
	require.Equal(t, []int{len(secretExtras), 0}, []int{sealed, stale})

	// Without keys nothing of it is kept through the API.
	bare, _ := extraDesk(t, nil)
	_, err = bare.Create(t.Context(), "default", "out", extraDocument(secretExtras), connection.Request{By: "test"})
	for name := range secretExtras {
		require.ErrorContains(t, err, "extra."+name)
	}
	require.NotContains(t, err.Error(), "canary")
}

// What an earlier version has kept in clear is hidden at once, and sealed by the
// next write.
func TestSecretsThatWereKeptInClearAreHiddenAndThenSealed(t *testing.T) {
	t.Parallel()
	desk, s := extraDesk(t, newKeys(t))
	document := extraDocument(secretExtras)
	document["project"], document["name"] = "default", "out"
	spec, err := json.Marshal(document)
	require.NoError(t, err)
	require.Contains(t, string(spec), "canary")
	id := store.NewID("con_", time.Now())
	_, err = s.Configure(t.Context(), store.Configuration{Key: "fill", At: time.Now(), Connections: []store.ConnectionChange{{Configured: store.Configured{
		Connection: store.Connection{ID: id, Project: "default", Name: "out", Connector: "http", Type: "sink"},
		State:      store.DesiredRunning, Latest: 1, Deployed: 1, ManagedBy: store.ManagedByAPI,
	}, Spec: spec}}})
	require.NoError(t, err)
	v, err := desk.Get(t.Context(), "default", "out")
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v", v), "canary")
	_, err = desk.Replace(t.Context(), "default", "out", extraDocument(v.Extra), connection.Request{By: "test"})
	require.NoError(t, err)
	r, err := s.Revision(t.Context(), id, 2)
	require.NoError(t, err)
	require.NotContains(t, string(r.Spec), "canary")
	after, err := desk.Get(t.Context(), "default", "out")
	require.NoError(t, err)
	require.Equal(t, v.Fingerprints, after.Fingerprints, "they are the same secrets")
}

// A file with such keys says the same when it is applied again, with a key to seal
// them and without; its plans show none of it.
func TestAFileKeepsSecretsForOthers(t *testing.T) {
	t.Parallel()
	file := func(password string) []config.Connection {
		f, err := config.Parse("weir.yaml", fmt.Appendf(nil, `
connections:
  - name: out
    type: sink
    class: http
    enabled: false
    config: {endpoint: "https://receiver.example/x"}
    extra: {tasks.max: "1", connection.password: %q}
`, password), func(string) (string, bool) { return "", false }, []framework.Plugin{httpconnector.Plugin})
		require.NoError(t, err)
		return f.Connections
	}
	for name, keys := range map[string]*seal.Keys{"with a key": newKeys(t), "without": nil} {
		desk, s := extraDesk(t, keys)
		apply := func(password string) connection.Plan {
			t.Helper()
			plan, err := desk.ApplyFile(t.Context(), nil, file(password), connection.FileOptions{}, connection.Request{By: "file"}, false)
			require.NoError(t, err, name)
			said, err := json.Marshal(plan)
			require.NoError(t, err)
			require.NotContains(t, string(said), "canary", name)
			return plan
		}
		require.True(t, apply("canary-file").Changes())
		require.False(t, apply("canary-file").Changes(), name)
		v, err := desk.Get(t.Context(), "default", "out")
		require.NoError(t, err)
		require.Equal(t, connection.Hidden, v.Extra["connection.password"])
		r, err := s.Revision(t.Context(), v.ID, v.Revision)
		require.NoError(t, err)
		require.NotContains(t, string(r.Spec), "canary", name)
		if keys != nil {
			require.False(t, apply(connection.Hidden).Changes(), "what it reads back keeps the old one")
			require.True(t, apply("canary-other").Changes())
			continue
		}
		_, err = desk.PlanFile(t.Context(), nil, file(connection.Hidden), connection.FileOptions{})
		require.ErrorContains(t, err, "extra.connection.password")
		require.ErrorContains(t, err, "there is none")
	}
}

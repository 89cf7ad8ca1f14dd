package runtime_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// What a careless connector knows and says everywhere. The characters of the key
// are written differently in paths, queries, JSON and Go's quotes.
const (
	canaryKey     = `canary/key+0123"456789`
	canaryNested  = "canary-nested-0123456789"
	canaryToken   = "canary-admin-token-0123456789"
	canaryGuess   = "canary-guess-0123456789"
	canaryHeader  = "canary-header-0123456789"
	canaryBearer  = "canary-bearer-0123456789"
	canaryWebhook = "whsec_Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAxMjM0NTY3ODk="
	// canarySealing are 32 bytes: canarycanary…
	canarySealing = "weirkey_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5ISE"
)

type leakySettings struct {
	BaseURL framework.URL    `json:"base_url"`
	Key     framework.Secret `json:"key"`
	More    struct {
		Nested framework.Secret            `json:"nested"`
		ByName map[string]framework.Secret `json:"by_name"`
	} `json:"more"`
}

var (
	leakyPages = catalog.Poll[record, position]("pages", catalog.PollSpec{Schedule: "@every 1h"})
	leakyPanic = catalog.Poll[record, position]("panics", catalog.PollSpec{Schedule: "@every 1h"})
	leakyWire  = catalog.Poll[record, position]("wires", catalog.PollSpec{Schedule: "@every 1h"})
	leakyHooks = catalog.Webhook[record]("hooks")
	leakyIn    = catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
	leakyKeyed = catalog.Receive("keyed", catalog.EndpointSpec{Auth: catalog.AuthBearer, SecretSetting: "bearer"})

	leakyConnector = catalog.Connector{
		Key: "leaky", Streams: []catalog.Stream{leakyPages, leakyPanic, leakyWire, leakyHooks},
		Endpoints: []catalog.Endpoint{leakyIn, leakyKeyed},
	}
)

// everything says every secret in every spelling that a program comes upon.
func everything(s leakySettings) string {
	key := s.Key.Reveal()
	return strings.Join([]string{
		key, url.QueryEscape(key), url.PathEscape(key), fmt.Sprintf("%q", key),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+key)), base64.StdEncoding.EncodeToString([]byte(key)),
		"https://user:" + url.PathEscape(key) + "@provider.test/v1?token=" + url.QueryEscape(key),
		s.More.Nested.Reveal(), s.More.ByName["a"].Reveal(), canaryWebhook, canaryBearer,
	}, " | ")
}

// leaky is a connector that says its secrets in errors, panics, logs and URLs.
func leaky() framework.Plugin {
	return framework.Define(leakyConnector, func(_ context.Context, in framework.Instance[leakySettings]) (framework.Routes, error) {
		said := func() error {
			text := everything(in.Settings)
			in.Log.Debug("debugging "+text, "settings", in.Settings, "key", in.Settings.Key.Reveal())
			in.Log.With("with", text).WithGroup("group").Error(text, "err", errors.New(text), slog.Group("inner", "list", []string{text}, "text", text))
			return errors.New("the provider says " + text)
		}
		type result = framework.SyncResult[position]
		return framework.Routes{
			framework.Sync(leakyPages, func(context.Context, framework.SyncRequest[position], *ingest.Buffer) (result, error) {
				return result{}, framework.Auth(said())
			}),
			framework.Sync(leakyPanic, func(context.Context, framework.SyncRequest[position], *ingest.Buffer) (result, error) {
				panic(said())
			}),
			framework.Sync(leakyWire, func(ctx context.Context, _ framework.SyncRequest[position], _ *ingest.Buffer) (result, error) {
				key := in.Settings.Key.Reveal()
				address := string(in.Settings.BaseURL) + "/bot" + url.PathEscape(key) + "?token=" + url.QueryEscape(key)
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
				if err != nil {
					return result{}, err
				}
				request.SetBasicAuth("user", key)
				_, fetchErr := framework.Fetch(in.HTTP, request)
				response, err := in.HTTP.Do(request)
				if err == nil {
					_ = response.Body.Close()
					err = fmt.Errorf("redirected to %s", response.Header.Get("Location"))
				}
				return result{}, errors.Join(fetchErr, err)
			}),
			framework.Webhook(leakyIn, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
				if d.Key == "msg_panic" {
					panic(said())
				}
				return said()
			}),
			framework.Webhook(leakyKeyed, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return framework.Permanent(said()) }),
		}, nil
	})
}

// revealing returns the secrets that text holds, in any spelling.
func revealing(text string) []string {
	var found []string
	add := func(name, spelling string) {
		if strings.Contains(text, spelling) {
			found = append(found, name+" as "+spelling)
		}
	}
	for name, s := range map[string]string{
		"key": canaryKey, "nested": canaryNested, "token": canaryToken, "guess": canaryGuess, "header": canaryHeader,
		"bearer": canaryBearer, "webhook": canaryWebhook,
	} {
		quoted := fmt.Sprintf("%q", s)
		for _, spelling := range []string{
			s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1], strings.TrimPrefix(s, "whsec_"),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte("user:" + s)),
		} {
			add(name, spelling)
		}
	}
	// What stays in every spelling that was not thought of.
	for _, part := range []string{"canary/", "canary%", "canary-", "key+0123", "Y2FuYXJ5"} {
		add("part", part)
	}
	return found
}

// leakySettingsOf are settings with a secret in every place that takes one.
func leakySettingsOf(provider string) map[string]any {
	return map[string]any{
		"base_url": provider, "key": canaryKey, "webhook_secret": canaryWebhook, "bearer": canaryBearer,
		"more": map[string]any{"nested": canaryNested, "by_name": map[string]any{"a": canaryNested + "-a"}},
	}
}

func startLeaky(t *testing.T, dir string) (*weir, *lines) {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Another host than the one that was asked, with what the client has sent.
		w.Header().Set("Location", "http://elsewhere.test"+r.URL.RequestURI()+"&auth="+url.QueryEscape(r.Header.Get("Authorization")))
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(provider.Close)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	log := &lines{}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{
			AdminToken: canaryToken, Secrets: config.Secrets{Key: canarySealing},
			Connections: []config.Connection{{
				Project: "default", Name: "leaky", Connector: "leaky", Type: "source", Enabled: true,
				Settings: leakySettingsOf(provider.URL),
			}},
		},
		Plugins: []framework.Plugin{leaky()}, Listener: listener,
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OpenStore: func(ctx context.Context) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(log, nil))})
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	w := &weir{Runtime: r, log: log, provider: provider.URL, client: &http.Client{
		Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.stop = sync.OnceValue(func() error {
		cancel()
		defer w.client.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() { require.NoError(t, w.stop()) })
	return w, log
}

// TestNoSecretComesOut puts secrets everywhere at once, makes everything fail
// that can, and looks for them in all that comes out.
func TestNoSecretComesOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, log := startLeaky(t, dir)
	admin := http.Header{"Authorization": {"Bearer " + canaryToken}}
	page := http.Header{"Authorization": {"Bearer " + canaryToken}, "Accept": {"text/html"}}
	said := map[string]string{}
	ask := func(method, path string, header http.Header, body string) int {
		status, answer := w.do(t, method, path, header.Clone(), []byte(body))
		said[fmt.Sprintf("%s %s %d", method, path, len(said))] = string(answer)
		return status
	}
	const stream = "/api/v1/connections/leaky/streams/"
	for _, s := range []string{"pages", "panics", "wires"} {
		require.Eventually(t, func() bool {
			_, answer := w.do(t, http.MethodGet, stream+s, admin.Clone(), nil)
			return bytes.Contains(answer, []byte(`"failing"`))
		}, time.Minute, 5*time.Millisecond, s)
		require.Eventually(t, func() bool { // the first run may still be at its end
			return ask(http.MethodPost, "/api/v1/connections/leaky/sync/"+s, admin, "") == http.StatusBadGateway
		}, time.Minute, 5*time.Millisecond, s)
	}

	// The same connection once more, made through the API: its secrets are kept.
	settings := leakySettingsOf(w.provider)
	view, err := w.Connections().Create(t.Context(), "default", "kept", map[string]any{
		"type": "source", "connector": "leaky", "config": settings,
		"extra": map[string]any{"sasl.jaas.config": `x required password="` + canaryNested + `";`, "ssl.key.password": canaryKey, "connection.url": "jdbc:x://u:" + canaryNested + "@db/x"},
	}, resource.Request{By: "test"})
	require.NoError(t, err)
	said["the view of it"] = fmt.Sprintf("%+v", view)
	_, err = w.Connections().Create(t.Context(), "default", "refused", map[string]any{
		"type": "source", "connector": "leaky", "config": settings, "nonsense": canaryKey, "labels": map[string]any{canaryNested: canaryKey},
	}, resource.Request{By: "test"})
	require.Error(t, err)
	said["why it is refused"] = "unknown field: " + strings.ReplaceAll(err.Error(), canaryNested, "") // a key is named
	for _, s := range []string{"pages", "panics", "wires"} {
		require.Eventually(t, func() bool {
			return ask(http.MethodPost, "/api/v1/connections/kept/sync/"+s, admin, "") == http.StatusBadGateway
		}, time.Minute, 5*time.Millisecond, s)
	}
	// At the other face: read, written back as it was read, and with another secret.
	_, read := w.do(t, http.MethodGet, "/connectors/kept/config", admin.Clone(), nil)
	said["its configuration for Kafka Connect"] = string(read)
	require.Contains(t, string(read), `"sasl.jaas.config":"***"`)
	require.Equal(t, http.StatusOK, ask(http.MethodPut, "/connectors/kept/config", admin, string(read)))
	require.Equal(t, http.StatusOK, ask(http.MethodPatch, "/connectors/kept/config", admin, fmt.Sprintf(`{"consumer.override.password":%q}`, canaryNested)))
	require.Equal(t, http.StatusOK, ask(http.MethodPut, "/connector-plugins/leaky/config/validate", admin,
		fmt.Sprintf(`{"name":"x","connector.class":"leaky","ssl.key.password":%q,"connection.url":"jdbc:x://u:%s@db/x"}`, canaryNested, canaryNested)))
	// A token is shown once and kept nowhere.
	status, answer := w.do(t, http.MethodPost, "/api/v1/tokens", admin.Clone(), []byte(`{"name":"ci","role":"admin"}`))
	require.Equal(t, http.StatusCreated, status)
	var made struct{ Token string }
	require.NoError(t, json.Unmarshal(answer, &made))
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/tokens", http.Header{"Authorization": {"Bearer " + made.Token}}, ""))
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "/api/v1/secrets/rotate", admin, ""))

	// Deliveries that verify and fail, that do not verify, and all that senders add.
	for _, id := range []string{"msg_error", "msg_panic"} {
		header, err := webhook.Sign(leakyIn.Spec(), canaryWebhook, time.Now(), id, []byte(`{"id":"a"}`))
		require.NoError(t, err)
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Token", "X-Shop-Secret", "X-Hub-Signature-256"} {
			header.Set(name, canaryHeader)
		}
		require.Equal(t, http.StatusOK, ask(http.MethodPost, "/webhooks/leaky/in?token="+canaryHeader, header, `{"id":"a"}`))
	}
	require.Equal(t, http.StatusOK, ask(http.MethodPost, "/webhooks/leaky/keyed", http.Header{"Authorization": {"Bearer " + canaryBearer}}, `{}`))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "/webhooks/leaky/keyed", http.Header{"Authorization": {"Bearer " + canaryGuess}}, `{}`))

	// Guesses, in every place that takes the token.
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/streams", http.Header{"Authorization": {"Bearer " + canaryGuess}}, ""))
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/streams", http.Header{"Cookie": {"weir_session=" + canaryGuess}}, ""))
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"}}
	require.Equal(t, http.StatusUnauthorized, ask(http.MethodPost, "/login", form, "token="+canaryGuess))
	require.Equal(t, http.StatusSeeOther, ask(http.MethodPost, "/login", form, "token="+canaryToken))

	// Every route of the table, by its rows.
	var runs struct {
		Runs []struct {
			ID string `json:"id"`
		} `json:"runs"`
	}
	_, answer = w.do(t, http.MethodGet, stream+"pages/runs", admin.Clone(), nil)
	require.NoError(t, json.Unmarshal(answer, &runs))
	require.NotEmpty(t, runs.Runs)
	var deliveries struct {
		Deliveries []struct {
			ID string `json:"id"`
		} `json:"deliveries"`
	}
	_, answer = w.do(t, http.MethodGet, "/api/v1/connections/leaky/deliveries", admin.Clone(), nil)
	require.NoError(t, json.Unmarshal(answer, &deliveries))
	require.NotEmpty(t, deliveries.Deliveries)
	for _, route := range api.Routes() {
		if route.Pattern == "/api/v1/changes" || route.Pattern == "/login" {
			continue
		}
		for i, s := range []string{"pages", "panics", "wires", "hooks", "pages"} {
			connection := "leaky"
			if i == 4 {
				connection = "kept"
			}
			path := strings.NewReplacer("{project}", "default", "{connection}", connection, "{stream}", s, "{run_id}", runs.Runs[0].ID,
				"{action}", "run", "{path}", "in", "{backfill}", "bfl_1",
				"{delivery}", deliveries.Deliveries[0].ID, "{letter}", "dlt_1", "{app_id}", "default", "{name}", "weir.js", "{token}", "tok_1", "{replay}", "rpl_1", "{redelivery}", "rdl_1", "{logger}", "root", "{connector}", connection, "{task}", "0", "{plugin}", "leaky", "{revision}", "1").Replace(route.Pattern)
			require.NotContains(t, path, "{", "a parameter that this test does not know")
			header := admin
			if route.Face == api.FaceDashboard {
				header = page
			}
			ask(route.Method, path, header, "")
		}
	}
	require.NoError(t, w.stop())

	said["log"] = log.String()
	require.Contains(t, said["log"], "debugging", "the connector's own lines are there")
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		said["file "+entry.Name()] = string(content)
		return err
	}))
	require.Contains(t, said, "file weir.db")
	require.Contains(t, said["file weir.db"]+said["file weir.db-wal"], "weir:sealed:v1:", "the secrets of the other connection are there, sealed")
	for where, text := range said {
		require.NotContains(t, text, made.Token, where)
		if found := revealing(text); len(found) > 0 {
			at := strings.Index(text, "canary")
			t.Errorf("%s reveals %q: …%s…", where, found, text[max(0, at-200):min(len(text), max(0, at)+200)])
		}
	}
}

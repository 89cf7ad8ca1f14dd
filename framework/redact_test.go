package framework_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// TestTheLongerOfTwoSecretsIsHiddenWhole: a secret may begin with another one.
func TestTheLongerOfTwoSecretsIsHiddenWhole(t *testing.T) {
	t.Parallel()
	p := framework.Define(sky, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
		return nil, errors.New("first prefix-secret then prefix-secret-and-more")
	})
	_, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"api_key": "prefix-secret", "webhook_secret": "prefix-secret-and-more"}})
	require.ErrorContains(t, err, "first *** then ***")
	require.NotContains(t, err.Error(), "and-more")
}

// careless checks its settings and says their values.
type careless struct {
	Key framework.Secret `json:"key"`
	How how              `json:"how"`
}

func (c careless) Validate() error {
	if c.Key == "panicking-secret" {
		panic("no " + c.Key.Reveal())
	}
	return fmt.Errorf("the key %q is wrong", c.Key.Reveal())
}

type how string

func (h *how) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot be %s", b) }

func TestWhatACheckOfSettingsSaysHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p := framework.Define(catalog.Connector{Key: "careless"}, func(context.Context, framework.Instance[careless]) (framework.Routes, error) { return nil, nil })
	require.ErrorContains(t, p.CheckSettings(map[string]any{"key": "canary-secret"}), `the key "***" is wrong`)
	err := p.CheckSettings(map[string]any{"key": "panicking-secret"})
	require.ErrorContains(t, err, "no ***")
	err = p.CheckSettings(map[string]any{"key": "canary-secret", "how": "canary-secret"})
	require.ErrorContains(t, err, `setting "how" cannot be "***"`)
}

func TestAConnectorsLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const key = `sk_live/canary "+"`
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		p := framework.Define(sky, func(_ context.Context, in framework.Instance[planetSettings]) (framework.Routes, error) {
			pointed := key
			in.Log.With("with", key, "count", 3).WithGroup("g").Info("said "+key, key, "name",
				"err", errors.New(key), "bytes", []byte(key), "list", []string{key}, "pointer", &pointed, slog.Group("in", "v", key), "plain", "stays")
			return framework.Routes{
				framework.Sync(Planets, func(context.Context, framework.SyncRequest[planetCursor], *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
					return framework.SyncResult[planetCursor]{}, nil
				}), framework.Webhook(Inbox, nil),
			}, nil
		})
		_, err := p.Open(t.Context(), framework.OpenRequest{
			Settings: map[string]any{"api_key": key}, Log: slog.New(handler(&out)),
		})
		require.NoError(t, err)
		require.NotContains(t, out.String(), "canary", name)
		for _, kept := range []string{"said ***", "stays", "count", "3", "in"} {
			require.Contains(t, out.String(), kept, name)
		}
	}
}

func FuzzNoSpellingOfASecretSurvives(f *testing.F) {
	f.Add("canary-0123456789", "before ", " after")
	f.Add(`a"b\c/d+e%f g`, "", "\n")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 6 || len(secret) > 200 {
			return
		}
		p := framework.Define(sky, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
			return nil, errors.New(before + secret + after)
		})
		_, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"webhook_secret": secret, "api_key": "k"}})
		require.Error(t, err)
		require.NotContains(t, err.Error()+"\n", before+secret+after+"\n")
	})
}

type addresses struct {
	A framework.URL `json:"a"`
	B framework.URL `json:"b"`
}

func TestAHostIsCalledWithoutTLSOnlyWhenASettingSaysSo(t *testing.T) {
	t.Parallel()
	var hosts []string
	p := framework.Define(catalog.Connector{Key: "c", Hosts: []string{"api.acme.test"}},
		func(context.Context, framework.Instance[addresses]) (framework.Routes, error) { return nil, nil })
	_, err := p.Open(t.Context(), framework.OpenRequest{
		Settings: map[string]any{"a": "http://inside.test:8080/x", "b": "HTTPS://[2001:db8::1]:1/"},
		Client:   func(h []string) *http.Client { hosts = h; return nil },
	})
	require.NoError(t, err)
	require.Equal(t, []string{"api.acme.test", "http://inside.test", "2001:db8::1"}, hosts)
}

package http_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// configured opens the endpoint of a connection that is nothing but settings.
func configured(t *testing.T, settings map[string]any) (catalog.EndpointSpec, webhook.Config, *webhook.Verifier) {
	t.Helper()
	settings["mode"], settings["path"] = "push", "in"
	declared, err := connector.Plugin.Declare(settings)
	require.NoError(t, err)
	spec := declared.Endpoints[0].Spec()
	secrets, err := webhook.ReadSecrets(spec, func(name string) any { return framework.SettingAt(settings, name) })
	require.NoError(t, err)
	c := webhook.Config{Secrets: secrets, PublicURL: "https://weir.example"}
	v, err := webhook.Open(spec, c)
	require.NoError(t, err)
	return spec, c, v
}

// requireHeld signs a delivery as its sender would; it verifies, and a changed one does not.
func requireHeld(t *testing.T, settings map[string]any) {
	t.Helper()
	spec, c, v := configured(t, settings)
	now := time.Now()
	r := webhook.Request{URI: "/webhooks/a/in", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"id":"evt_1"}`)}
	require.NoError(t, webhook.SignRequest(spec, c, now, "msg_1", &r))
	require.NoError(t, v.Verify(now, r))
	r.Body = bytes.Replace(r.Body, []byte("evt_1"), []byte("evt_2"), 1)
	require.ErrorIs(t, v.Verify(now, r), webhook.ErrUnverified)
}

// All but those that only their sender can sign, or that sign no body.
func TestEveryPresetVerifiesFromSettingsAlone(t *testing.T) {
	t.Parallel()
	others := map[catalog.Auth]string{
		catalog.AuthSNS: "Amazon signs", catalog.AuthPayPal: "PayPal signs", catalog.AuthDiscord: "public key", catalog.AuthSendGrid: "public key",
		catalog.AuthGitLab: "the token alone", catalog.AuthMailgun: "signs no body", catalog.AuthMeta: "has a second secret, below",
	}
	for _, auth := range catalog.Presets() {
		if others[auth] != "" {
			continue
		}
		t.Run(string(auth), func(t *testing.T) {
			t.Parallel()
			requireHeld(t, map[string]any{"auth": string(auth), "webhook_secret": hookSecret})
		})
	}
}

func TestModesVerifyFromSettingsAlone(t *testing.T) {
	t.Parallel()
	for name, auth := range map[string]map[string]any{
		"hmac":              {"type": "hmac", "signature": map[string]any{"header": "X-Sig", "signed": "{timestamp}.{body}", "timestamp": "header:X-Time"}},
		"jwt":               {"type": "jwt", "jwt": map[string]any{"algorithms": []any{"HS256"}, "body_claim": "sha"}},
		"message signature": {"type": string(catalog.AuthMessageSignature), "message_signature": map[string]any{"algorithm": "hmac-sha256"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireHeld(t, map[string]any{"auth": auth, "webhook_secret": hookSecret})
		})
	}
}

// Two proofs with a secret each: either alone is not enough.
func TestSeveralProofsVerifyFromSettingsAlone(t *testing.T) {
	t.Parallel()
	spec, c, v := configured(t, map[string]any{
		"auth": map[string]any{"type": "all_of", "all_of": []any{
			map[string]any{"auth": "hmac", "secret_setting": "secrets.hmac", "signature": map[string]any{"header": "X-Sig"}},
			map[string]any{"auth": "bearer", "secret_setting": "secrets.token"},
		}},
		"secrets": map[string]any{"hmac": hookSecret, "token": "a bearer token of some length"},
	})
	r := webhook.Request{URI: "/webhooks/a/in", Header: http.Header{}, Body: []byte(`{}`)}
	require.NoError(t, webhook.SignRequest(spec, c, time.Now(), "", &r))
	require.NoError(t, v.Verify(time.Now(), r))
	for _, name := range []string{"X-Sig", "Authorization"} {
		without := r
		without.Header = r.Header.Clone()
		without.Header.Del(name)
		require.ErrorIs(t, v.Verify(time.Now(), without), webhook.ErrUnverified, name)
	}
	r.Body = []byte(`[]`)
	require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified)
}

func TestSlacksHandshakeWorksFromSettingsAlone(t *testing.T) {
	t.Parallel()
	spec, c, v := configured(t, map[string]any{"auth": "slack", "webhook_secret": hookSecret})
	now := time.Now()
	r := webhook.Request{URI: "/webhooks/a/in", Header: http.Header{}, Body: []byte(`{"type":"url_verification","challenge":"c1"}`)}
	require.NoError(t, webhook.SignRequest(spec, c, now, "", &r))
	reply, handled, err := v.Handshake(t.Context(), now, r, func() error { return v.Verify(now, r) })
	require.NoError(t, err)
	require.True(t, handled)
	require.Equal(t, "c1", string(reply.Body))
}

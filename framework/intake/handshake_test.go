package intake

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// shakes serves one endpoint of the given mode and counts what its handler gets.
func shakes(t *testing.T, spec catalog.EndpointSpec, change ...func(*Config)) (*fixture, *[]string) {
	t.Helper()
	var got []string
	f := newFixture(t, func(_ context.Context, d *framework.Delivery, _ *ingest.Buffer) error {
		got = append(got, string(d.Body))
		return nil
	}, change...)
	v, err := webhook.New(spec, []string{secret})
	require.NoError(t, err)
	table := &Table{}
	target, ok := f.config.Targets.ByID(connectionID, "github")
	require.True(t, ok)
	target.Endpoint, target.Verifier = "github", v
	table.Replace([]Target{target})
	f.config.Targets = table
	return f, &got
}

func ask(method, query string, body string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, "/webhooks/hooks/github"+query, bytes.NewReader([]byte(body)))
	if header != nil {
		r.Header = header
	}
	return r
}

// What the challenge of X signs for anybody must not verify as a delivery.
func TestTheChallengeOfXSignsNoDelivery(t *testing.T) {
	t.Parallel()
	f, got := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthX})
	for _, forged := range []string{`{"id":"forged"}`, "1", "true", "forged", `"a"`, "a b", "", "a\n", strings.Repeat("a", 101)} {
		w := serve(f, ask(http.MethodGet, "?crc_token="+url.QueryEscape(forged), "", nil))
		if w.Code != http.StatusOK {
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.NotContains(t, w.Body.String(), "sha256=")
			continue
		}
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		token := strings.TrimSuffix(strings.TrimPrefix(w.Body.String(), `{"response_token":"`), `"}`)
		require.True(t, strings.HasPrefix(token, "sha256="), w.Body.String())
		w = serve(f, ask(http.MethodPost, "", forged, http.Header{"X-Twitter-Webhooks-Signature": {token}}))
		require.Equal(t, http.StatusUnauthorized, w.Code, "the answer to crc_token=%q is a valid signature", forged)
	}
	require.Empty(t, *got)
	h, err := webhook.Sign(catalog.EndpointSpec{Auth: catalog.AuthX}, secret, start, "", []byte(`{"id":"real"}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, serve(f, ask(http.MethodPost, "", `{"id":"real"}`, h)).Code)
	require.Len(t, *got, 1)
}

// Zoom's validation is answered to Zoom alone, and never for a text that could
// be what Zoom signs.
func TestTheChallengeOfZoomSignsNoDelivery(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthZoom}
	f, got := shakes(t, spec)
	body := func(token string) string {
		return fmt.Sprintf(`{"event":"endpoint.url_validation","payload":{"plainToken":%q}}`, token)
	}
	plain := body("qgg8vlvZRS6UYooatFL8Aw")
	w := serve(f, ask(http.MethodPost, "", plain, nil))
	require.Equal(t, http.StatusUnauthorized, w.Code, "nobody signed this")
	require.NotContains(t, w.Body.String(), "encryptedToken")
	h, err := webhook.Sign(spec, secret, start, "", []byte(plain))
	require.NoError(t, err)
	w = serve(f, ask(http.MethodPost, "", plain, h))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), `{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"`)
	forged := body(fmt.Sprintf(`v0:%d:{"id":"forged"}`, start.Unix()))
	h, err = webhook.Sign(spec, secret, start, "", []byte(forged))
	require.NoError(t, err)
	w = serve(f, ask(http.MethodPost, "", forged, h))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.NotContains(t, w.Body.String(), "encryptedToken")
	require.Empty(t, *got, "a handshake is no delivery")
}

func TestAChallengeIsNeverAPage(t *testing.T) {
	t.Parallel()
	hub, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthMeta})
	graph, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub, Challenges: []catalog.ChallengeSpec{{Kind: catalog.ChallengeGraph}}})
	slack, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthSlack})
	answers := func(token string) []*httptest.ResponseRecorder {
		body := fmt.Sprintf(`{"type":"url_verification","challenge":%q}`, token)
		h, err := webhook.Sign(catalog.EndpointSpec{Auth: catalog.AuthSlack}, secret, start, "", []byte(body))
		require.NoError(t, err)
		return []*httptest.ResponseRecorder{
			serve(hub, ask(http.MethodGet, "?hub.mode=subscribe&hub.verify_token="+url.QueryEscape(secret)+"&hub.challenge="+url.QueryEscape(token), "", nil)),
			serve(graph, ask(http.MethodPost, "?validationToken="+url.QueryEscape(token), "", nil)),
			serve(slack, ask(http.MethodPost, "", body, h)),
		}
	}
	for _, w := range answers("1158201444") {
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Equal(t, "1158201444", w.Body.String())
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
	for _, bad := range []string{"<script>alert(1)</script>", `"><img src=x>`, "a&b", "a'b", "", "a\r\nSet-Cookie: a=b", "é", strings.Repeat("a", 1001)} {
		for i, w := range answers(bad) {
			if bad == "" && i == 1 {
				continue // no token: an unsigned delivery, refused as such
			}
			require.Equal(t, http.StatusUnauthorized, w.Code, "%d %q", i, bad)
			require.NotContains(t, w.Body.String(), "script")
		}
	}
}

func TestASubscriptionNeedsItsToken(t *testing.T) {
	t.Parallel()
	f, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthMeta})
	for _, query := range []string{
		"", "?hub.mode=subscribe&hub.challenge=1", "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong",
		"?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=" + url.QueryEscape(secret),
		"?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong&hub.verify_token=" + url.QueryEscape(secret),
	} {
		require.Equal(t, http.StatusUnauthorized, serve(f, ask(http.MethodGet, query, "", nil)).Code, query)
	}
}

func TestOnlyEndpointsWithAHandshakeTakeOtherMethods(t *testing.T) {
	t.Parallel()
	plain, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub})
	for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPut} {
		w := serve(plain, ask(method, "?crc_token=1", "", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "POST", w.Header().Get("Allow"))
	}
	events, _ := shakes(t, catalog.EndpointSpec{Auth: catalog.AuthBearer, Challenges: []catalog.ChallengeSpec{{Kind: catalog.ChallengeCloudEvents}}})
	w := serve(events, ask(http.MethodOptions, "", "", http.Header{
		"Webhook-Request-Origin": {"eventemitter.example.com"}, "Webhook-Request-Rate": {"120"}, "Webhook-Request-Callback": {"http://127.0.0.1/steal"},
	}))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "eventemitter.example.com", w.Header().Get("WebHook-Allowed-Origin"))
	require.Equal(t, "*", w.Header().Get("WebHook-Allowed-Rate"))
	for _, origin := range []string{"", "a b", "<x>", "*"} {
		require.Equal(t, http.StatusUnauthorized, serve(events, ask(http.MethodOptions, "", "", http.Header{"Webhook-Request-Origin": {origin}})).Code, origin)
	}
}

func TestDiscordsPingsAreAnswered(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Sig"}, Challenges: []catalog.ChallengeSpec{{Kind: catalog.ChallengeDiscord}}}
	f, got := shakes(t, spec)
	post := func(body string) *httptest.ResponseRecorder {
		h, err := webhook.Sign(spec, secret, start, "", []byte(body))
		require.NoError(t, err)
		return serve(f, ask(http.MethodPost, "", body, h))
	}
	require.Equal(t, `{"type":1}`, post(`{"type":1,"token":"t"}`).Body.String())
	require.Equal(t, http.StatusNoContent, post(`{"type":0}`).Code)
	require.Empty(t, *got)
	require.Equal(t, http.StatusOK, post(`{"type":1,"event":{}}`).Code)
	require.Len(t, *got, 1, "a webhook event has the number of an interaction's ping")
}

func TestAllowedAddressesCountOnlyWhatTrustedProxiesSay(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "a test", AllowedIPs: []string{"203.0.113.0/24"}}
	proxied := func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }
	for _, c := range []struct {
		remote, forwarded string
		change            []func(*Config)
		want              int
	}{
		{"203.0.113.7:1", "", nil, 200},
		{"198.51.100.1:1", "", nil, 401},
		{"198.51.100.1:1", "203.0.113.7", nil, 401},
		{"198.51.100.1:1", "203.0.113.7", []func(*Config){proxied}, 401},
		{"10.1.1.1:1", "203.0.113.7", []func(*Config){proxied}, 200},
		{"10.1.1.1:1", "203.0.113.7, 198.51.100.1", []func(*Config){proxied}, 401},
		{"10.1.1.1:1", "198.51.100.1, 203.0.113.7, 10.2.2.2", []func(*Config){proxied}, 200},
		{"10.1.1.1:1", "203.0.113.7, nonsense", []func(*Config){proxied}, 401},
		{"10.1.1.1:1", "", []func(*Config){proxied}, 401},
		{"[::ffff:203.0.113.7]:1", "", nil, 200},
	} {
		f, _ := shakes(t, spec, c.change...)
		r := ask(http.MethodPost, "", "{}", http.Header{"X-Real-Ip": {"203.0.113.7"}, "Forwarded": {"for=203.0.113.7"}})
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		require.Equal(t, c.want, serve(f, r).Code, "%+v", c)
	}
}

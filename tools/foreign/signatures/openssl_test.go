package signatures

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/tools/foreign/need"
)

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// openssl runs OpenSSL with a text on its standard input.
func openssl(t *testing.T, in string, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), need.Tool(t, "openssl"), args...)
	command.Stdin = strings.NewReader(in)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	require.NoError(t, command.Run(), problems.String())
	return out.Bytes()
}

func opensslHMAC(t *testing.T, hash, text string) []byte {
	t.Helper()
	return openssl(t, text, "dgst", "-"+hash, "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString([]byte(secret)), "-binary")
}

// What a provider's documentation says is signed, as OpenSSL signs it: ours accepts it, and signs
// the same.
func TestOpenSSLSignsAsTheProvidersSay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	stamp, body := unix(now), string(payload)
	millis := strconv.FormatInt(now.UnixMilli(), 10)
	linear := fmt.Sprintf(`{"action":"create","webhookTimestamp":%s}`, millis)
	b64 := base64.StdEncoding.EncodeToString
	sha256 := func(text string) []byte { return opensslHMAC(t, "sha256", text) }
	for auth, c := range map[catalog.Auth]struct {
		body   string
		header http.Header
	}{
		catalog.AuthShopify:   {body, http.Header{"X-Shopify-Hmac-Sha256": {b64(sha256(body))}}},
		catalog.AuthSlack:     {body, http.Header{"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(sha256("v0:"+stamp+":"+body))}}},
		catalog.AuthZoom:      {body, http.Header{"X-Zm-Request-Timestamp": {stamp}, "X-Zm-Signature": {"v0=" + hex.EncodeToString(sha256("v0:"+stamp+":"+body))}}},
		catalog.AuthGitHub:    {body, http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sha256(body))}}},
		catalog.AuthMeta:      {body, http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sha256(body))}}},
		catalog.AuthBitbucket: {body, http.Header{"X-Hub-Signature": {"sha256=" + hex.EncodeToString(sha256(body))}}},
		catalog.AuthIntercom:  {body, http.Header{"X-Hub-Signature": {"sha1=" + hex.EncodeToString(opensslHMAC(t, "sha1", body))}}},
		catalog.AuthX:         {body, http.Header{"X-Twitter-Webhooks-Signature": {"sha256=" + b64(sha256(body))}}},
		catalog.AuthHookdeck:  {body, http.Header{"X-Hookdeck-Signature": {b64(sha256(body))}}},
		catalog.AuthConvoy:    {body, http.Header{"X-Convoy-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(sha256(stamp+","+body))}}},
		catalog.AuthTypeform:  {body, http.Header{"Typeform-Signature": {"sha256=" + b64(sha256(body))}}},
		catalog.AuthCalendly:  {body, http.Header{"Calendly-Webhook-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(sha256(stamp+"."+body))}}},
		catalog.AuthSquare:    {body, http.Header{"X-Square-Hmacsha256-Signature": {b64(sha256(public + uri + body))}}},
		catalog.AuthHubSpot:   {body, http.Header{"X-Hubspot-Request-Timestamp": {millis}, "X-Hubspot-Signature-V3": {b64(sha256("POST" + public + uri + body + millis))}}},
		catalog.AuthTwilio: {"To=%2B1800&CallSid=CA1&To=%2B1800&From=a+b", http.Header{
			"Content-Type":       {"application/x-www-form-urlencoded"},
			"X-Twilio-Signature": {b64(opensslHMAC(t, "sha1", public+uri+"CallSidCA1"+"Froma b"+"To+1800"))},
		}},
		catalog.AuthLinear: {linear, http.Header{"Linear-Signature": {hex.EncodeToString(sha256(linear))}}},
		catalog.AuthStripe: {body, http.Header{"Stripe-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(sha256(stamp+"."+body))}}},
	} {
		t.Run(string(auth), func(t *testing.T) {
			t.Parallel()
			verify(t, auth, secret, webhook.Request{Header: c.header, Body: []byte(c.body)})
			ours := webhook.Request{URI: uri, Header: http.Header{}, Body: []byte(c.body)}
			if kind := c.header.Get("Content-Type"); kind != "" {
				ours.Header.Set("Content-Type", kind)
			}
			require.NoError(t, webhook.SignRequest(catalog.EndpointSpec{Auth: auth}, settings(auth, secret), now, "", &ours))
			require.Equal(t, c.body, string(ours.Body))
			for name, values := range c.header {
				require.Equal(t, values, ours.Header.Values(name), name)
			}
		})
	}
	// While a secret is rotated a second header carries the other signature.
	verify(t, catalog.AuthHookdeck, secret, webhook.Request{Body: payload, Header: http.Header{
		"X-Hookdeck-Signature": {b64([]byte(strings.Repeat("x", 32)))}, "X-Hookdeck-Signature-2": {b64(sha256(body))},
	}})
	simple := http.Header{"X-Convoy-Signature": {hex.EncodeToString(sha256(body))}}
	verify(t, catalog.AuthConvoy, secret, webhook.Request{Header: simple, Body: payload})
}

func TestMailgun(t *testing.T) {
	t.Parallel()
	stamp := unix(time.Now())
	token := strings.Repeat("c", 50)
	body := func(signature string) []byte {
		b, err := json.Marshal(map[string]any{"signature": map[string]string{"timestamp": stamp, "token": token, "signature": signature}, "event-data": map[string]string{"id": "e1"}})
		require.NoError(t, err)
		return b
	}
	v, err := webhook.Open(catalog.EndpointSpec{Auth: catalog.AuthMailgun}, settings(catalog.AuthMailgun, secret))
	require.NoError(t, err)
	good := body(hex.EncodeToString(opensslHMAC(t, "sha256", stamp+token)))
	require.NoError(t, v.Verify(time.Now(), webhook.Request{Header: http.Header{}, Body: good}))
	require.Equal(t, token, webhook.DeliveryID(v.DeliveryKey(http.Header{}, good)), "one signature serves one delivery")
	ours := webhook.Request{Header: http.Header{}, Body: []byte(`{"event-data":{"id":"e1"}}`)}
	require.NoError(t, webhook.SignRequest(catalog.EndpointSpec{Auth: catalog.AuthMailgun}, settings(catalog.AuthMailgun, secret), time.Now(), token, &ours))
	var sent struct {
		Signature struct {
			Timestamp        json.Number
			Token, Signature string
		}
	}
	require.NoError(t, json.Unmarshal(ours.Body, &sent))
	require.Equal(t, token, sent.Signature.Token)
	require.Equal(t, hex.EncodeToString(opensslHMAC(t, "sha256", sent.Signature.Timestamp.String()+token)), sent.Signature.Signature)
	for _, bad := range []string{"", "00", strings.Repeat("0", 64)} {
		require.ErrorIs(t, v.Verify(time.Now(), webhook.Request{Header: http.Header{}, Body: body(bad)}), webhook.ErrUnverified)
	}
}

// Keys and signatures of OpenSSL against ours, in both directions.
func TestOpenSSLsKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		auth     catalog.Auth
		generate []string
		sign     []string
	}{
		{catalog.AuthRSA, []string{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, []string{"dgst", "-sha256", "-sign"}},
		{catalog.AuthECDSA, []string{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, []string{"dgst", "-sha256", "-sign"}},
		{catalog.AuthEd25519, []string{"genpkey", "-algorithm", "ed25519"}, []string{"pkeyutl", "-sign", "-rawin", "-inkey"}},
	} {
		t.Run(string(c.auth), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := func(name string) string { return filepath.Join(dir, name) }
			write := func(name string, b []byte) string {
				require.NoError(t, os.WriteFile(path(name), b, 0o600))
				return path(name)
			}
			private := openssl(t, "", c.generate...)
			key := write("private.pem", private)
			publicKey := openssl(t, "", "pkey", "-in", key, "-pubout")
			write("public.pem", publicKey)
			spec := catalog.EndpointSpec{Auth: c.auth, Signature: catalog.SignatureSpec{Header: "X-Sig", Signed: "{timestamp}.{body}", Timestamp: "header:X-Time"}}
			stamp := unix(time.Now())
			text := write("text", []byte(stamp+"."+string(payload)))
			args := append(append([]string{}, c.sign...), key)
			if c.auth == catalog.AuthEd25519 {
				args = append(args, "-in", text)
			} else {
				args = append(args, text)
			}
			signature := openssl(t, "", args...)
			config := webhook.Config{Secrets: map[string][]webhook.Secret{"webhook_secret": webhook.Plain(strings.TrimSpace(string(publicKey)))}}
			v, err := webhook.Open(spec, config)
			require.NoError(t, err)
			r := webhook.Request{Header: http.Header{"X-Time": {stamp}, "X-Sig": {base64.StdEncoding.EncodeToString(signature)}}, Body: payload}
			require.NoError(t, v.Verify(time.Now(), r))
			r.Body = []byte("{}")
			require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified)

			ours := webhook.Request{Header: http.Header{}, Body: payload}
			config.Secrets["webhook_secret"] = webhook.Plain(strings.TrimSpace(string(private)))
			require.NoError(t, webhook.SignRequest(spec, config, time.Now(), "", &ours))
			raw, err := base64.StdEncoding.DecodeString(ours.Header.Get("X-Sig"))
			require.NoError(t, err)
			text = write("ours", []byte(ours.Header.Get("X-Time")+"."+string(payload)))
			sig := write("ours.sig", raw)
			if c.auth == catalog.AuthEd25519 {
				openssl(t, "", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", path("public.pem"), "-sigfile", sig, "-in", text)
			} else {
				openssl(t, "", "dgst", "-sha256", "-verify", path("public.pem"), "-signature", sig, text)
			}
		})
	}
}

// Discord and SendGrid publish verifiers only; OpenSSL signs in their place.
func TestOpenSSLSignsAsDiscordAndSendGrid(t *testing.T) {
	t.Parallel()
	stamp := unix(time.Now())
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte(stamp+string(payload)), 0o600))
	key := filepath.Join(t.TempDir(), "key.pem")

	private := openssl(t, "", "genpkey", "-algorithm", "ed25519")
	require.NoError(t, os.WriteFile(key, private, 0o600))
	der, err := base64.StdEncoding.DecodeString(spki(t, openssl(t, string(private), "pkey", "-pubout")))
	require.NoError(t, err)
	signature := openssl(t, "", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", text)
	verify(t, catalog.AuthDiscord, hex.EncodeToString(der[len(der)-32:]), webhook.Request{Body: payload, Header: http.Header{
		"X-Signature-Timestamp": {stamp}, "X-Signature-Ed25519": {hex.EncodeToString(signature)},
	}})

	private = openssl(t, "", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	require.NoError(t, os.WriteFile(key, private, 0o600))
	signature = openssl(t, "", "dgst", "-sha256", "-sign", key, text)
	verify(t, catalog.AuthSendGrid, spki(t, openssl(t, string(private), "pkey", "-pubout")), webhook.Request{Body: payload, Header: http.Header{
		"X-Twilio-Email-Event-Webhook-Timestamp": {stamp}, "X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)},
	}})
}

// The packages of Standard Webhooks know shared secrets only; OpenSSL signs and verifies with keys.
func TestOpenSSLSignsStandardWebhooksWithAKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	private := openssl(t, "", "genpkey", "-algorithm", "ed25519")
	key, public := write("key.pem", private), openssl(t, string(private), "pkey", "-pubout")
	der, err := base64.StdEncoding.DecodeString(spki(t, public))
	require.NoError(t, err)
	stamp := unix(time.Now())
	text := write("text", []byte("msg_1."+stamp+"."+string(payload)))
	signature := base64.StdEncoding.EncodeToString(openssl(t, "", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", text))
	published := "whpk_" + base64.StdEncoding.EncodeToString(der[len(der)-32:])
	for _, list := range []string{"v1a," + signature, "v1,AAAA v1a," + signature} {
		verify(t, catalog.AuthStandardWebhooks, published, webhook.Request{Body: payload, Header: http.Header{
			"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {list},
		}})
	}

	// The seed is the end of the key in PKCS #8.
	seed := openssl(t, string(private), "pkey", "-outform", "DER")
	own := "whsk_" + base64.StdEncoding.EncodeToString(seed[len(seed)-32:])
	ours := sign(t, catalog.AuthStandardWebhooks, own, payload, nil)
	encoded, found := strings.CutPrefix(ours.Header.Get("Webhook-Signature"), "v1a,")
	require.True(t, found)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	text = write("ours", []byte("msg_1."+ours.Header.Get("Webhook-Timestamp")+"."+string(payload)))
	openssl(t, "", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", write("public.pem", public), "-sigfile", write("ours.sig", raw), "-in", text)
}

// spki is the public key of a PEM block as SendGrid shows it.
func spki(t *testing.T, publicPEM []byte) string {
	t.Helper()
	block, _ := pem.Decode(publicPEM)
	require.NotNil(t, block)
	_, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

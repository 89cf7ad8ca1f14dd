package signatures

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-github/v84/github"
	"github.com/slack-go/slack"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	stripewebhook "github.com/stripe/stripe-go/v84/webhook"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/twilio/twilio-go/client"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/webhook"
)

const (
	secret   = "a secret of sufficient length"
	standard = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	public   = "https://weir.example"
	uri      = "/webhooks/shop/inbox"
)

var payload = []byte(`{"id":"evt_1","object":"event","n":1.5,"s":"é / <b>"}`)

// sign makes a request of ours, of now: SDKs look at their own clock.
func sign(t *testing.T, auth catalog.Auth, key string, body []byte, header http.Header) webhook.Request {
	t.Helper()
	if header == nil {
		header = http.Header{}
	}
	r := webhook.Request{URI: uri, Header: header, Body: body}
	require.NoError(t, webhook.SignRequest(catalog.EndpointSpec{Auth: auth}, settings(auth, key), time.Now(), "msg_1", &r))
	return r
}

func settings(auth catalog.Auth, key string) webhook.Config {
	c := webhook.Config{PublicURL: public, Secrets: map[string][]webhook.Secret{}}
	for _, name := range (catalog.EndpointSpec{Auth: auth}).SecretSettings() {
		c.Secrets[name] = webhook.Plain(key)
	}
	return c
}

// verify holds a request of theirs to our verifier, and a changed one too.
func verify(t *testing.T, auth catalog.Auth, key string, r webhook.Request) {
	t.Helper()
	v, err := webhook.Open(catalog.EndpointSpec{Auth: auth}, settings(auth, key))
	require.NoError(t, err)
	if r.URI == "" {
		r.URI = uri
	}
	require.NoError(t, v.Verify(time.Now(), r), webhook.ReasonOf(v.Verify(time.Now(), r)))
	r.Body = append(bytes.Clone(r.Body), '1')
	require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified)
}

func TestStripe(t *testing.T) {
	t.Parallel()
	ours := sign(t, catalog.AuthStripe, "whsec_"+secret, payload, nil)
	require.NoError(t, stripewebhook.ValidatePayload(payload, ours.Header.Get("Stripe-Signature"), "whsec_"+secret))
	theirs := stripewebhook.GenerateTestSignedPayload(&stripewebhook.UnsignedPayload{Payload: payload, Secret: "whsec_" + secret})
	verify(t, catalog.AuthStripe, "whsec_"+secret, webhook.Request{Header: http.Header{"Stripe-Signature": {theirs.Header}}, Body: payload})
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	for _, auth := range []catalog.Auth{catalog.AuthGitHub, catalog.AuthMeta, catalog.AuthBitbucket, catalog.AuthIntercom} {
		ours := sign(t, auth, secret, payload, nil)
		signature := ours.Header.Get("X-Hub-Signature-256") + ours.Header.Get("X-Hub-Signature")
		require.NoError(t, github.ValidateSignature(signature, payload, []byte(secret)), auth)
		require.Error(t, github.ValidateSignature(signature, append(bytes.Clone(payload), ' '), []byte(secret)), auth)
	}
}

// Slack's package verifies and does not sign; OpenSSL signs in TestOpenSSLSignsAsTheProvidersSay.
func TestSlack(t *testing.T) {
	t.Parallel()
	ours := sign(t, catalog.AuthSlack, secret, payload, nil)
	verifier, err := slack.NewSecretsVerifier(ours.Header, secret)
	require.NoError(t, err)
	_, err = verifier.Write(payload)
	require.NoError(t, err)
	require.NoError(t, verifier.Ensure())
}

func TestStandardWebhooksAndSvix(t *testing.T) {
	t.Parallel()
	theirs, err := standardwebhooks.NewWebhook(standard)
	require.NoError(t, err)
	ours := sign(t, catalog.AuthStandardWebhooks, standard, payload, nil)
	require.NoError(t, theirs.Verify(payload, ours.Header))
	now := time.Now()
	signature, err := theirs.Sign("msg_2", now, payload)
	require.NoError(t, err)
	verify(t, catalog.AuthStandardWebhooks, standard, webhook.Request{Body: payload, Header: http.Header{
		"Webhook-Id": {"msg_2"}, "Webhook-Timestamp": {unix(now)}, "Webhook-Signature": {signature},
	}})

	sender, err := svix.NewWebhook(standard)
	require.NoError(t, err)
	require.NoError(t, sender.Verify(payload, sign(t, catalog.AuthSvix, standard, payload, nil).Header))
	signature, err = sender.Sign("msg_3", now, payload)
	require.NoError(t, err)
	verify(t, catalog.AuthSvix, standard, webhook.Request{Body: payload, Header: http.Header{
		"Svix-Id": {"msg_3"}, "Svix-Timestamp": {unix(now)}, "Svix-Signature": {signature},
	}})
}

func TestTwilio(t *testing.T) {
	t.Parallel()
	theirs := client.NewRequestValidator(secret)
	form := url.Values{"To": {"+18005551212"}, "CallSid": {"CA1234567890ABCDE"}, "From": {"+1 415 867 5309"}, "Digits": {"1234"}}
	parameters := map[string]string{}
	for name := range form {
		parameters[name] = form.Get(name)
	}
	ours := sign(t, catalog.AuthTwilio, secret, []byte(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}})
	require.True(t, theirs.Validate(public+ours.URI, parameters, ours.Header.Get("X-Twilio-Signature")))
	parameters["Digits"] = "1235"
	require.False(t, theirs.Validate(public+ours.URI, parameters, ours.Header.Get("X-Twilio-Signature")))

	ours = sign(t, catalog.AuthTwilio, secret, payload, http.Header{"Content-Type": {"application/json"}})
	require.Contains(t, ours.URI, "bodySHA256=")
	require.True(t, theirs.ValidateBody(public+ours.URI, payload, ours.Header.Get("X-Twilio-Signature")))
	require.False(t, theirs.ValidateBody(public+ours.URI, []byte("{}"), ours.Header.Get("X-Twilio-Signature")))
	verify(t, catalog.AuthTwilio, secret, ours)
}

// The vector of Twilio's documentation, and the attacks on it.
func TestTwiliosVector(t *testing.T) {
	t.Parallel()
	form := "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
	c := webhook.Config{PublicURL: "https://mycompany.com", Secrets: map[string][]webhook.Secret{"webhook_secret": webhook.Plain("12345")}}
	_, err := webhook.Open(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, c)
	require.ErrorContains(t, err, "has 5 bytes", "the documented token is too short for us")
	require.True(t, func() bool {
		v := client.NewRequestValidator("12345")
		values, err := url.ParseQuery(form)
		require.NoError(t, err)
		parameters := map[string]string{}
		for name := range values {
			parameters[name] = values.Get(name)
		}
		return v.Validate("https://mycompany.com/myapp.php?foo=1&bar=2", parameters, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
	}(), "the SDK that our signatures are held against knows the documented one")

	v, err := webhook.Open(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, settings(catalog.AuthTwilio, secret))
	require.NoError(t, err)
	good := sign(t, catalog.AuthTwilio, secret, payload, http.Header{"Content-Type": {"application/json"}})
	for name, change := range map[string]func(*webhook.Request){
		"an empty form in its place": func(r *webhook.Request) {
			r.Body = nil
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		},
		"another body":                  func(r *webhook.Request) { r.Body = []byte("{}") },
		"another address":               func(r *webhook.Request) { r.URI = "/webhooks/other/inbox?" + r.URI[len(uri)+1:] },
		"no hash of the body":           func(r *webhook.Request) { r.URI = uri },
		"a repeated hash of the body":   func(r *webhook.Request) { r.URI += "&bodySHA256=00" },
		"a host that the request names": func(r *webhook.Request) { r.Header.Set("X-Forwarded-Host", "evil.io"); r.URI = uri },
	} {
		r := good
		r.Header = good.Header.Clone()
		change(&r)
		require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified, name)
	}
}

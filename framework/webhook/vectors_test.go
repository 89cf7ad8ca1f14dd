package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// These signatures were made by others: published by the providers, or by
// their own SDKs' tests.

func TestAcceptsTheStandardWebhooksVector(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret)
	at := time.Unix(1614265330, 0)
	for _, prefix := range []string{"webhook-", "svix-"} {
		h := header(prefix+"id", "msg_p5jXN8AQM9LWM0D4loKWxJek", prefix+"timestamp", "1614265330",
			prefix+"signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
		require.NoError(t, v.Verify(at, Request{Header: h, Body: []byte(`{"test": 2432232314}`)}))
		requireRefused(t, v.Verify(at, Request{Header: h, Body: []byte(`{"test":2432232314}`)}))
	}
}

func TestAcceptsTheGitHubVector(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub}, "It's a Secret to Everybody")
	h := header("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	require.NoError(t, v.Verify(clock, Request{Header: h, Body: []byte("Hello, World!")}))
	requireRefused(t, v.Verify(clock, Request{Header: h, Body: []byte("Hello, World?")}))
}

func TestAcceptsTheSlackVectorAsADeclaredScheme(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{
		Header: "X-Slack-Signature", Prefix: "v0=", Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Slack-Request-Timestamp",
	}}, "8f742231b10e8888abcd99yyyzzz85a5")
	form := "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
		"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
		"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
		"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	h := header("X-Slack-Request-Timestamp", "1531420618",
		"X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
	require.NoError(t, v.Verify(time.Unix(1531420618, 0), Request{Header: h, Body: []byte(form)}))
	requireRefused(t, v.Verify(time.Unix(1531420618+301, 0), Request{Header: h, Body: []byte(form)}))
}

// The event and its two signatures are the vector of Stripe's own .NET SDK. Its
// secret is shorter than New accepts, so the scheme is used as it is.
func TestAcceptsTheVectorOfStripesOwnSDK(t *testing.T) {
	t.Parallel()
	event := `{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
`
	s, err := newScheme(presets[catalog.AuthStripe].spec.Signature, "")
	require.NoError(t, err)
	s.keys = []key{hmacKey([]byte("webhook_secret"), "sha256", encodingOf("hex"))}
	v1 := "v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"
	v0 := "v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"
	at := time.Unix(1533204620+100, 0)
	request := Request{Header: header("Stripe-Signature", "t=1533204620,"+v1+","+v0), Body: []byte(event)}
	require.NoError(t, s.verify(at, request))

	requireRefused(t, s.verify(at.Add(300*time.Second), request))
	request.Header.Set("Stripe-Signature", "t=1533204620,"+v0)
	requireRefused(t, s.verify(at, request))
	request.Header.Set("Stripe-Signature", "t=1533204620,v0="+v1[3:])
	requireRefused(t, s.verify(at, request))
}

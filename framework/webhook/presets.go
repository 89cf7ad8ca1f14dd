package webhook

import (
	"time"

	"github.com/weirhq/weir/catalog"
)

// preset is what is known of one provider or standard: an endpoint as an author
// would describe it, and the little that no description can say.
type preset struct {
	spec catalog.EndpointSpec
	// key makes the key of a secret; nil means as the spec says.
	key func(secret string) (key, error)
	// spellings are further names of the same headers.
	spellings []catalog.SignatureSpec
	// also are further forms of which each is enough on its own.
	also []catalog.SignatureSpec
}

// brief is the limit of providers that wait three seconds for an answer.
const brief = 2500 * time.Millisecond

func hmac256(s catalog.SignatureSpec) catalog.EndpointSpec {
	return catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: s}
}

func keyed(spec catalog.EndpointSpec, deadline time.Duration, key ...string) catalog.EndpointSpec {
	spec.Deadline, spec.DeliveryKey = deadline, key
	return spec
}

func challenged(spec catalog.EndpointSpec, kind catalog.ChallengeKind) catalog.EndpointSpec {
	spec.Challenges = []catalog.ChallengeSpec{{Kind: kind}}
	return spec
}

var (
	standardSpec = hmac256(catalog.SignatureSpec{
		Header: "Webhook-Signature", Parse: catalog.ParseWords, VersionKeys: []string{"v1", "v1a"}, Encoding: "base64",
		Signed: "{id}.{timestamp}.{body}", ID: "header:Webhook-Id", Timestamp: "header:Webhook-Timestamp",
	})
	svixSignature = catalog.SignatureSpec{
		Header: "Svix-Signature", ID: "header:Svix-Id", Timestamp: "header:Svix-Timestamp",
	}
)

// presets is the one table of schemes that have a name of their own.
//
//nolint:gosec // places of tokens, no tokens
var presets = map[catalog.Auth]preset{
	// https://www.standardwebhooks.com; Svix sends the same with headers of its own name.
	catalog.AuthStandardWebhooks: {
		spec: keyed(standardSpec, 0, "header:Webhook-Id", "header:Svix-Id"),
		key:  standardKey, spellings: []catalog.SignatureSpec{svixSignature},
	},
	// https://docs.svix.com/receiving/verifying-payloads/how-manual
	catalog.AuthSvix: {
		spec: keyed(standardSpec, 0, "header:Webhook-Id", "header:Svix-Id"),
		key:  standardKey, spellings: []catalog.SignatureSpec{svixSignature},
	},
	// https://docs.stripe.com/webhooks/signature. The delivery's id is that of
	// the event in the body, which is signed.
	catalog.AuthStripe: {
		spec: keyed(hmac256(catalog.SignatureSpec{
			Header: "Stripe-Signature", Parse: catalog.ParsePairs, VersionKeys: []string{"v1"}, Signed: "{timestamp}.{body}", Timestamp: "key:t",
		}), 0, "body:id"),
		key: prefixedKey,
	},
	// https://docs.github.com/webhooks: no timestamp, payloads of at most 25 MB,
	// an answer within 10 s, and no redelivery by itself.
	catalog.AuthGitHub: {spec: catalog.EndpointSpec{
		Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Hub-Signature-256", Prefix: "sha256="},
		DeliveryKey: []string{"header:X-GitHub-Delivery"}, MaxBody: 25 << 20, Deadline: 9500 * time.Millisecond,
	}},
	// https://api.slack.com/authentication/verifying-requests-from-slack
	catalog.AuthSlack: {spec: challenged(keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Slack-Signature", Prefix: "v0=", Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Slack-Request-Timestamp",
	}), brief, "body:event_id"), catalog.ChallengeSlack)},
	// https://shopify.dev/docs/apps/build/webhooks/subscribe/https: 5 s in all.
	catalog.AuthShopify: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Shopify-Hmac-Sha256", Encoding: "base64",
	}), 4500*time.Millisecond, "header:X-Shopify-Webhook-Id")},
	// https://www.twilio.com/docs/usage/security: the address and the sorted form,
	// or the address alone with the body's hash in it. It waits for 15 s.
	catalog.AuthTwilio: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Twilio-Signature", Algorithm: "sha1", Encoding: "base64", Signed: "{url}{sorted_form}",
	}), 0, "header:I-Twilio-Idempotency-Token")},
	// https://developer.squareup.com/docs/webhooks/step3validate
	catalog.AuthSquare: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Square-Hmacsha256-Signature", Encoding: "base64", Signed: "{url}{body}",
	}), 9500*time.Millisecond, "body:event_id")},
	// https://developer.paypal.com/api/rest/webhooks/rest: the body is covered by
	// its CRC-32 only, and retries go on for three days with a new time.
	catalog.AuthPayPal: {spec: keyed(catalog.EndpointSpec{Auth: catalog.AuthRSA, Signature: catalog.SignatureSpec{
		Header: "Paypal-Transmission-Sig", Encoding: "base64", Signed: "{id}|{timestamp}|{secret}|{body_crc32}",
		ID: "header:Paypal-Transmission-Id", Timestamp: "header:Paypal-Transmission-Time", TimestampUnit: "rfc3339",
		Tolerance: 24 * time.Hour, FutureTolerance: DefaultTolerance,
		CertURL: "header:Paypal-Cert-Url", CertHosts: []string{"api.paypal.com", "api.sandbox.paypal.com"},
	}}, 0, "body:id")},
	// https://developers.zoom.us/docs/api/webhooks: 3 s, no id of a delivery.
	catalog.AuthZoom: {spec: challenged(keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Zm-Signature", Prefix: "v0=", Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Zm-Request-Timestamp",
	}), brief), catalog.ChallengeZoom)},
	// https://developers.facebook.com/docs/graph-api/webhooks/getting-started
	catalog.AuthMeta: {spec: challenged(keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Hub-Signature-256", Prefix: "sha256=",
	}), 4500*time.Millisecond), catalog.ChallengeHub)},
	// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html:
	// the signed text is no template; see sns.go.
	catalog.AuthSNS: {spec: challenged(keyed(catalog.EndpointSpec{Auth: catalog.AuthSNS}, 14500*time.Millisecond, "body:MessageId"), catalog.ChallengeSNS)},
	// https://linear.app/developers/webhooks: 5 s; the time stands in the body.
	catalog.AuthLinear: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "Linear-Signature", Timestamp: "body:webhookTimestamp", TimestampUnit: "ms", Tolerance: time.Minute,
	}), 4500*time.Millisecond, "header:Linear-Delivery")},
	// https://developers.intercom.com/docs/webhooks: SHA-1, 5 s.
	catalog.AuthIntercom: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Hub-Signature", Prefix: "sha1=", Algorithm: "sha1",
	}), 4500*time.Millisecond, "body:id")},
	// https://discord.com/developers/docs/events/webhook-events: 3 s, and bad
	// signatures on purpose.
	catalog.AuthDiscord: {spec: challenged(keyed(catalog.EndpointSpec{Auth: catalog.AuthEd25519, Signature: catalog.SignatureSpec{
		Header: "X-Signature-Ed25519", Encoding: "hex", KeyEncoding: "hex", Signed: "{timestamp}{body}", Timestamp: "header:X-Signature-Timestamp",
	}}, brief, "body:id"), catalog.ChallengeDiscord)},
	// https://docs.x.com/x-api/webhooks
	catalog.AuthX: {spec: challenged(keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Twitter-Webhooks-Signature", Prefix: "sha256=", Encoding: "base64",
	}), 0), catalog.ChallengeCRC)},
	// https://hookdeck.com/docs/authentication: a second header while rotating.
	catalog.AuthHookdeck: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Hookdeck-Signature", ExtraHeaders: []string{"X-Hookdeck-Signature-2"}, Encoding: "base64",
	}), 0, "header:X-Hookdeck-Eventid")},
	// https://www.getconvoy.io/docs/product-manual/signatures: advanced with a
	// time and a comma, or simple without either.
	catalog.AuthConvoy: {
		spec: keyed(hmac256(catalog.SignatureSpec{
			Header: "X-Convoy-Signature", Parse: catalog.ParsePairs, VersionKeys: []string{"v1", "v2", "v3"}, Signed: "{timestamp},{body}", Timestamp: "key:t",
		}), 9500*time.Millisecond, "header:X-Convoy-Event-Id"),
		also: []catalog.SignatureSpec{{Header: "X-Convoy-Signature"}},
	},
	// https://docs.gitlab.com/user/project/integrations/webhooks: the token itself,
	// 10 s.
	catalog.AuthGitLab: {spec: catalog.EndpointSpec{
		Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Gitlab-Token", DeliveryKey: []string{"header:Idempotency-Key", "header:X-Gitlab-Event-Uuid"},
		MaxBody: 25 << 20, Deadline: 9500 * time.Millisecond,
	}},
	// https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks: 10 s.
	catalog.AuthBitbucket: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Hub-Signature", Prefix: "sha256=",
	}), 9500*time.Millisecond, "header:X-Request-Uuid")},
	// https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks:
	// a time and a random token are signed, the rest of the body is not. The
	// token is the delivery's key, so one signature serves one delivery.
	catalog.AuthMailgun: {spec: keyed(hmac256(catalog.SignatureSpec{
		BodyField: "signature.signature", Signed: "{timestamp}{id}", Timestamp: "body:signature.timestamp", ID: "body:signature.token",
	}), 0, "body:signature.token")},
	// https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
	catalog.AuthSendGrid: {spec: keyed(catalog.EndpointSpec{Auth: catalog.AuthECDSA, Signature: catalog.SignatureSpec{
		Header: "X-Twilio-Email-Event-Webhook-Signature", Encoding: "base64", Signed: "{timestamp}{body}",
		Timestamp: "header:X-Twilio-Email-Event-Webhook-Timestamp",
	}}, 9500*time.Millisecond)},
	// https://www.typeform.com/developers/webhooks/secure-your-webhooks: 30 s.
	catalog.AuthTypeform: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "Typeform-Signature", Prefix: "sha256=", Encoding: "base64",
	}), 0, "body:event_id")},
	// https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures
	catalog.AuthCalendly: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "Calendly-Webhook-Signature", Parse: catalog.ParsePairs, VersionKeys: []string{"v1"}, Signed: "{timestamp}.{body}", Timestamp: "key:t",
	}), 0)},
	// https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation: 5 s.
	catalog.AuthHubSpot: {spec: keyed(hmac256(catalog.SignatureSpec{
		Header: "X-Hubspot-Signature-V3", Encoding: "base64", Signed: "{method}{url}{body}{timestamp}",
		Timestamp: "header:X-Hubspot-Request-Timestamp", TimestampUnit: "ms",
	}), 4500*time.Millisecond)},
}

// resolve returns the endpoint that a preset stands for, with what the author
// says beside it.
func resolve(spec catalog.EndpointSpec) (catalog.EndpointSpec, preset) {
	p, ok := presets[spec.Auth]
	if !ok {
		return spec, preset{spec: spec}
	}
	r := p.spec
	r.SecretSetting, r.AllowedIPs = spec.SecretSetting, spec.AllowedIPs
	r.Challenges = append(append([]catalog.ChallengeSpec(nil), r.Challenges...), spec.Challenges...)
	if len(spec.DeliveryKey) > 0 {
		r.DeliveryKey = spec.DeliveryKey
	}
	if spec.MaxBody != 0 {
		r.MaxBody = spec.MaxBody
	}
	if spec.Deadline != 0 {
		r.Deadline = spec.Deadline
	}
	return r, p
}

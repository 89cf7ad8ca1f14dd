package catalog

// Auth names how the deliveries of an endpoint prove who sent them. The
// framework verifies before any handler runs; there is no default.
type Auth string

// Modes that an endpoint describes itself.
const (
	// AuthNone accepts every delivery. It needs a written Reason.
	AuthNone Auth = "none"
	// AuthCustom hands the unverified delivery to the handler, which must call
	// the delivery's Verify itself. It verifies the scheme described in Signature.
	AuthCustom Auth = "custom"
	// AuthBearer compares "Authorization: Bearer <secret>".
	AuthBearer Auth = "bearer"
	// AuthBasic compares HTTP Basic credentials; the secret is "user:password".
	AuthBasic Auth = "basic"
	// AuthAPIKey compares the secret with the header named in APIKeyHeader, or
	// with the query parameter named in APIKeyQuery.
	AuthAPIKey Auth = "api_key"
	// AuthHMAC verifies the HMAC scheme described in Signature.
	AuthHMAC Auth = "hmac"
	// AuthEd25519 verifies the scheme described in Signature with Ed25519. The
	// secret is the sender's public key.
	AuthEd25519 Auth = "ed25519"
	// AuthECDSA verifies the scheme described in Signature with ECDSA over P-256
	// and SHA-256, in ASN.1. The secret is the sender's public key.
	AuthECDSA Auth = "ecdsa"
	// AuthRSA verifies the scheme described in Signature with RSA (PKCS #1 v1.5).
	// The secret is the sender's public key; with Signature.CertURL the key
	// comes from a certificate, and the secret is what stands for {secret}.
	AuthRSA Auth = "rsa"
	// AuthStandardWebhooks verifies Standard Webhooks 1.0.0, symmetric (v1) and
	// asymmetric (v1a) by the form of each secret, also with the svix- headers.
	AuthStandardWebhooks Auth = "standard_webhooks"
	// AuthJWT verifies the JSON web token described in JWT.
	AuthJWT Auth = "jwt"
	// AuthMTLS verifies the client certificate of the connection against the
	// certificate authorities that the secret holds as PEM.
	AuthMTLS Auth = "mtls"
	// AuthMessageSignature verifies an HTTP message signature (RFC 9421).
	AuthMessageSignature Auth = "http_message_signatures"
	// AuthAllOf accepts what every part in AllOf accepts.
	AuthAllOf Auth = "all_of"
)

// Presets: one provider each, with its scheme, its limits, its challenge and
// the place of its delivery's id.
const (
	// AuthStripe verifies Stripe-Signature.
	AuthStripe Auth = "stripe"
	// AuthGitHub verifies X-Hub-Signature-256.
	AuthGitHub Auth = "github"
	// AuthSlack verifies X-Slack-Signature and answers url_verification.
	AuthSlack Auth = "slack"
	// AuthShopify verifies X-Shopify-Hmac-SHA256.
	AuthShopify Auth = "shopify"
	// AuthTwilio verifies X-Twilio-Signature over the public URL and the form.
	AuthTwilio Auth = "twilio"
	// AuthSquare verifies x-square-hmacsha256-signature over the public URL and
	// the body.
	AuthSquare Auth = "square"
	// AuthPayPal verifies PayPal-Transmission-Sig with the certificate that the
	// delivery names. The secret is the webhook's id at PayPal.
	AuthPayPal Auth = "paypal"
	// AuthZoom verifies x-zm-signature and answers endpoint.url_validation.
	AuthZoom Auth = "zoom"
	// AuthMeta verifies X-Hub-Signature-256 and answers the GET of a
	// subscription, with the token in setting "webhook_verify_token".
	AuthMeta Auth = "meta"
	// AuthSNS verifies messages of Amazon SNS and confirms subscriptions. The
	// secret is the ARN of the topic: everybody may have a topic.
	AuthSNS Auth = "aws_sns"
	// AuthLinear verifies Linear-Signature and the time in the body.
	AuthLinear Auth = "linear"
	// AuthIntercom verifies X-Hub-Signature (SHA-1).
	AuthIntercom Auth = "intercom"
	// AuthDiscord verifies X-Signature-Ed25519 and answers pings. The secret is
	// the application's public key.
	AuthDiscord Auth = "discord"
	// AuthX verifies x-twitter-webhooks-signature and answers its challenge.
	AuthX Auth = "x"
	// AuthSvix verifies Standard Webhooks as Svix sends them.
	AuthSvix Auth = "svix"
	// AuthHookdeck verifies x-hookdeck-signature and its second header.
	AuthHookdeck Auth = "hookdeck"
	// AuthConvoy verifies X-Convoy-Signature, simple or advanced.
	AuthConvoy Auth = "convoy"
	// AuthGitLab compares X-Gitlab-Token.
	AuthGitLab Auth = "gitlab"
	// AuthBitbucket verifies X-Hub-Signature (SHA-256).
	AuthBitbucket Auth = "bitbucket"
	// AuthMailgun verifies the signature in the body, which covers a time and a
	// token but not the rest of the body: Mailgun signs nothing else.
	AuthMailgun Auth = "mailgun"
	// AuthSendGrid verifies the ECDSA signature of the event webhook. The secret
	// is the verification key that SendGrid shows.
	AuthSendGrid Auth = "sendgrid"
	// AuthTypeform verifies Typeform-Signature.
	AuthTypeform Auth = "typeform"
	// AuthCalendly verifies Calendly-Webhook-Signature.
	AuthCalendly Auth = "calendly"
	// AuthHubSpot verifies X-HubSpot-Signature-v3 over the public URL.
	AuthHubSpot Auth = "hubspot"
)

// describedModes are the modes that take a description or a plain secret.
var describedModes = []Auth{
	AuthNone, AuthCustom, AuthBearer, AuthBasic, AuthAPIKey, AuthHMAC, AuthEd25519, AuthECDSA, AuthRSA,
	AuthStandardWebhooks, AuthJWT, AuthMTLS, AuthMessageSignature, AuthAllOf,
}

// presetModes are the modes that need nothing beside a secret.
var presetModes = []Auth{
	AuthStripe, AuthGitHub, AuthSlack, AuthShopify, AuthTwilio, AuthSquare, AuthPayPal, AuthZoom, AuthMeta, AuthSNS,
	AuthLinear, AuthIntercom, AuthDiscord, AuthX, AuthSvix, AuthHookdeck, AuthConvoy, AuthGitLab, AuthBitbucket,
	AuthMailgun, AuthSendGrid, AuthTypeform, AuthCalendly, AuthHubSpot,
}

// Auths lists every authentication mode that can be declared.
func Auths() []Auth { return append(append([]Auth(nil), describedModes...), presetModes...) }

// Presets lists the modes that stand for one provider each.
func Presets() []Auth { return append([]Auth(nil), presetModes...) }

// NeedsSecret reports whether deliveries are verified with the setting that
// SecretSetting names. Parts of AuthAllOf have settings of their own.
func (a Auth) NeedsSecret() bool { return a != AuthNone && a != AuthAllOf && a != "" }

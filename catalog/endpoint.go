package catalog

import "time"

// Auth names how the deliveries of an endpoint prove who sent them. The
// framework verifies before any handler runs; there is no default.
type Auth string

const (
	// AuthNone accepts every delivery. It needs a written Reason.
	AuthNone Auth = "none"
	// AuthCustom hands the unverified delivery to the handler, which must call
	// the delivery's Verify itself.
	AuthCustom Auth = "custom"
	// AuthBearer compares "Authorization: Bearer <secret>".
	AuthBearer Auth = "bearer"
	// AuthBasic compares HTTP Basic credentials; the secret is "user:password".
	AuthBasic Auth = "basic"
	// AuthAPIKey compares the secret with the header named in APIKeyHeader.
	AuthAPIKey Auth = "api_key"
	// AuthHMAC verifies the scheme described in HMAC.
	AuthHMAC Auth = "hmac"
	// AuthStandardWebhooks verifies Standard Webhooks 1.0.0 (also with the
	// svix- header prefix).
	AuthStandardWebhooks Auth = "standard_webhooks"
	// AuthStripe verifies Stripe-Signature.
	AuthStripe Auth = "stripe"
	// AuthGitHub verifies X-Hub-Signature-256.
	AuthGitHub Auth = "github"
)

// Auths lists every authentication mode that can be declared.
func Auths() []Auth {
	return []Auth{AuthNone, AuthCustom, AuthBearer, AuthBasic, AuthAPIKey, AuthHMAC, AuthStandardWebhooks, AuthStripe, AuthGitHub}
}

// HMACSpec describes a signature scheme of its own, for [AuthHMAC].
type HMACSpec struct {
	// Header carries the signature, for example "X-Acme-Signature".
	Header string
	// Prefix stands before the signature, for example "sha256=".
	Prefix string
	// Algorithm is "sha256" (the default), "sha512" or "sha1".
	Algorithm string
	// Encoding of the signature is "hex" (the default), "base64" or "base64url".
	Encoding string
	// Signed is the signed text with {body} and {timestamp} in it. The default
	// is "{body}".
	Signed string
	// TimestampHeader carries the Unix time in seconds. It is required when
	// Signed contains {timestamp}.
	TimestampHeader string
	// Tolerance is how far the timestamp may lie from the present, in either
	// direction. The default is 5 minutes.
	Tolerance time.Duration
}

// EndpointSpec says how an endpoint's deliveries are verified and told apart.
type EndpointSpec struct {
	// Auth is the authentication mode. Required.
	Auth Auth
	// Reason says why AuthNone is right here. Required with it, refused otherwise.
	Reason string
	// SecretSetting names the connection setting that holds the secret, or a
	// list of secrets while they are rotated. The default is "webhook_secret".
	SecretSetting string
	// APIKeyHeader names the header of AuthAPIKey.
	APIKeyHeader string
	// HMAC describes the scheme of AuthHMAC.
	HMAC HMACSpec
	// DeliveryKey lists where the provider's own id of a delivery is found:
	// "header:X-Request-Id" or "body:id", first present wins. Without any, the
	// hash of the body is used. A preset brings its own list.
	DeliveryKey []string
	// MaxBody is the largest body in bytes. The default is 1 MiB, or the preset's.
	MaxBody int64
	// Deadline is how long the handler may take. The default is the preset's,
	// else 10 seconds.
	Deadline time.Duration
}

// Endpoint is a declared webhook endpoint. Only [Receive] makes one.
type Endpoint struct{ declaration *endpointDeclaration }

type endpointDeclaration struct {
	path string
	spec EndpointSpec
}

// Receive declares a webhook endpoint at /webhooks/{connection}/{path}. Call it
// only in a package-level variable, with a constant path: one segment of
// ^[a-z0-9][a-z0-9_-]{0,62}$.
func Receive(path string, spec EndpointSpec) Endpoint {
	return Endpoint{&endpointDeclaration{path, spec}}
}

// Path returns the endpoint's last path segment, or "" for an endpoint that
// [Receive] did not make.
func (e Endpoint) Path() string {
	if e.declaration == nil {
		return ""
	}
	return e.declaration.path
}

// Spec returns what was declared, with the defaults filled in that do not
// depend on a preset.
func (e Endpoint) Spec() EndpointSpec {
	if e.declaration == nil {
		return EndpointSpec{}
	}
	spec := e.declaration.spec
	if spec.SecretSetting == "" && spec.Auth.NeedsSecret() {
		spec.SecretSetting = "webhook_secret"
	}
	return spec
}

// NeedsSecret reports whether deliveries are verified with a secret of the
// connection.
func (a Auth) NeedsSecret() bool { return a != AuthNone && a != "" }

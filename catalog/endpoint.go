package catalog

import (
	"slices"
	"time"
)

// EndpointSpec says how an endpoint's deliveries are verified and told apart.
// Its JSON form is that of manifests and of configured endpoints; see
// [ParseEndpoint].
type EndpointSpec struct {
	// Auth is the authentication mode. Required.
	Auth Auth `json:"auth"`
	// Reason says why AuthNone is right here. Required with it, refused otherwise.
	Reason string `json:"reason,omitempty"`
	// SecretSetting names the connection setting that holds the secret, or a
	// list of secrets while they are rotated. The default is "webhook_secret".
	SecretSetting string `json:"secret_setting,omitempty"`
	// APIKeyHeader names the header of AuthAPIKey.
	APIKeyHeader string `json:"api_key_header,omitempty"`
	// APIKeyQuery names the query parameter of AuthAPIKey instead. Addresses end
	// up in logs on the way, so it is for senders that cannot set a header.
	APIKeyQuery string `json:"api_key_query,omitempty"`
	// Signature describes the scheme of AuthHMAC, AuthEd25519, AuthECDSA, AuthRSA
	// and AuthCustom.
	Signature SignatureSpec `json:"signature,omitzero"`
	// JWT describes the token of AuthJWT.
	JWT JWTSpec `json:"jwt,omitzero"`
	// ClientNames are the names of which the client certificate of AuthMTLS must
	// carry one: a DNS name ("*." for every name below), URI or mail address.
	ClientNames []string `json:"client_names,omitempty"`
	// MessageSignature describes what AuthMessageSignature demands.
	MessageSignature MessageSignatureSpec `json:"message_signature,omitzero"`
	// AllOf are the parts of AuthAllOf. Each verifies on its own; what is not
	// about verification is declared on the whole.
	AllOf []EndpointSpec `json:"all_of,omitempty"`
	// AllowedIPs are the networks ("192.0.2.0/24") and addresses from which
	// deliveries may come, in addition to what Auth demands. Empty means all.
	AllowedIPs []string `json:"allowed_ips,omitempty"`
	// Challenges are the handshakes that the framework answers. A preset brings
	// its own.
	Challenges []ChallengeSpec `json:"challenges,omitempty"`
	// DeliveryKey lists where the provider's own id of a delivery is found:
	// "header:X-Request-Id" or "body:id", first present wins. Without any, the
	// hash of the body is used. A preset brings its own list.
	DeliveryKey []string `json:"delivery_key,omitempty"`
	// MaxBody is the largest body in bytes. The default is 1 MiB, or the preset's.
	MaxBody int64 `json:"max_body,omitempty"`
	// Deadline is how long the handler may take. The default is the preset's,
	// else 10 seconds.
	Deadline time.Duration `json:"deadline,omitempty"`
}

// SignatureSpec describes where a signature stands and what it covers.
type SignatureSpec struct {
	// Header carries the signature, for example "X-Acme-Signature".
	Header string `json:"header,omitempty"`
	// ExtraHeaders are further headers of which each may carry a signature in
	// the same form, as some senders do while a secret is rotated.
	ExtraHeaders []string `json:"extra_headers,omitempty"`
	// BodyField is where the signature stands in a JSON body, instead of in a
	// header: "signature.value".
	BodyField string `json:"body_field,omitempty"`
	// Parse is how the header is written. The default is [ParseWhole].
	Parse Parse `json:"parse,omitempty"`
	// Prefix stands before the signature, for example "sha256=".
	Prefix string `json:"prefix,omitempty"`
	// VersionKeys are the keys of ParsePairs and ParseWords whose signatures
	// count, for example "v1".
	VersionKeys []string `json:"version_keys,omitempty"`
	// Algorithm of AuthHMAC and AuthRSA is "sha256" (the default), "sha512" or
	// "sha1".
	Algorithm string `json:"algorithm,omitempty"`
	// Encoding of the signature is "hex", "base64" or "base64url". The default
	// is "hex" for AuthHMAC and "base64" else.
	Encoding string `json:"encoding,omitempty"`
	// KeyEncoding says how the secret is written: "utf8" (the default of
	// AuthHMAC), "hex" or "base64". Public keys are read as PEM whatever stands
	// here, else as "base64" (their default) or "hex".
	KeyEncoding string `json:"key_encoding,omitempty"`
	// KeyPrefix is cut off the secret before it is decoded, for example "whsec_".
	KeyPrefix string `json:"key_prefix,omitempty"`
	// Signed is the signed text. In it may stand {body}, {timestamp}, {id},
	// {method}, {url} (public_url and the request's path and query), {path},
	// {sorted_form} (names and values of a form, sorted by name), {body_sha256}
	// (hex), {body_crc32} (decimal) and {secret}. The default is "{body}".
	Signed string `json:"signed,omitempty"`
	// ID is where {id} is found: "header:Name" or "body:path".
	ID string `json:"id,omitempty"`
	// Timestamp is where {timestamp} is found: "header:Name", "key:t" of
	// ParsePairs, or "body:path".
	Timestamp string `json:"timestamp,omitempty"`
	// TimestampUnit is "s" (the default), "ms" or "rfc3339".
	TimestampUnit string `json:"timestamp_unit,omitempty"`
	// Tolerance is how old the timestamp may be. The default is 5 minutes.
	Tolerance time.Duration `json:"tolerance,omitempty"`
	// FutureTolerance is how far the timestamp may lie in the future. The
	// default is Tolerance.
	FutureTolerance time.Duration `json:"future_tolerance,omitempty"`
	// CertURL is where AuthRSA finds the address of the sender's certificate:
	// "header:Name" or "body:path".
	CertURL string `json:"cert_url,omitempty"`
	// CertHosts are the only hosts a certificate may come from, exact names.
	CertHosts []string `json:"cert_hosts,omitempty"`
}

// Parse names how a signature header is written.
type Parse string

const (
	// ParseWhole is one signature after Prefix: "sha256=ab12".
	ParseWhole Parse = "whole"
	// ParsePairs is a list of pairs: "t=1700000000,v1=ab12,v1=cd34".
	ParsePairs Parse = "pairs"
	// ParseWords is a list of words, each a key, a comma and a signature, or
	// without VersionKeys a signature after Prefix: "v1,ab12 v1,cd34".
	ParseWords Parse = "words"
	// ParseRepeated is a header that may be there several times, each with one
	// signature after Prefix.
	ParseRepeated Parse = "repeated"
)

// JWTSpec describes the JSON web token of AuthJWT.
type JWTSpec struct {
	// Header carries the token. The default is "Authorization", after "Bearer ".
	Header string `json:"header,omitempty"`
	// Algorithms are the only ones accepted: HS256, HS384, HS512, RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA. Those with HS
	// may not be mixed with others. Required.
	Algorithms []string `json:"algorithms,omitempty"`
	// JWKSURL is where the sender publishes its keys. Without it the secret is
	// the key: text for HS, a PEM public key else.
	JWKSURL string `json:"jwks_url,omitempty"`
	// Issuer is the iss that the token must carry. Required with JWKSURL.
	Issuer string `json:"issuer,omitempty"`
	// Audience is the aud that the token must carry. With JWKSURL and no Audience
	// it is the secret: other customers of the sender have tokens too.
	Audience string `json:"audience,omitempty"`
	// Leeway is how far clocks may differ. The default is one minute.
	Leeway time.Duration `json:"leeway,omitempty"`
	// BodyClaim names the claim that holds the SHA-256 of the body, in hex or
	// base64. Without it the token says nothing about the body.
	BodyClaim string `json:"body_claim,omitempty"`
}

// MessageSignatureSpec says what an HTTP message signature (RFC 9421) must
// cover. The body is always covered, by Content-Digest (RFC 9530).
type MessageSignatureSpec struct {
	// Algorithm is "hmac-sha256", "ed25519", "ecdsa-p256-sha256",
	// "rsa-v1_5-sha256" or "rsa-pss-sha512". Required.
	Algorithm string `json:"algorithm,omitempty"`
	// Components must be covered in addition to content-digest. The default is
	// "@method" and "@path".
	Components []string `json:"components,omitempty"`
	// Label is the signature's label. The default is the only one there is.
	Label string `json:"label,omitempty"`
	// Tag is the tag parameter that the signature must carry, if any.
	Tag string `json:"tag,omitempty"`
	// KeyID is the keyid parameter that the signature must carry, if any.
	KeyID string `json:"key_id,omitempty"`
	// KeyEncoding says how the secret of hmac-sha256 is written: "utf8" (the
	// default), "hex" or "base64". Public keys are PEM or base64.
	KeyEncoding string `json:"key_encoding,omitempty"`
	// Tolerance is how old the created parameter may be. The default is 5 minutes.
	Tolerance time.Duration `json:"tolerance,omitempty"`
}

// ChallengeKind names a handshake.
type ChallengeKind string

const (
	// ChallengeCustom is described by the fields of its [ChallengeSpec].
	ChallengeCustom ChallengeKind = ""
	// ChallengeSlack echoes the challenge of a verified url_verification.
	ChallengeSlack ChallengeKind = "slack"
	// ChallengeHub answers a GET with hub.challenge when hub.verify_token is the
	// token in SecretSetting ("webhook_verify_token").
	ChallengeHub ChallengeKind = "hub"
	// ChallengeZoom answers a verified endpoint.url_validation.
	ChallengeZoom ChallengeKind = "zoom"
	// ChallengeCRC answers a GET with crc_token with its HMAC.
	ChallengeCRC ChallengeKind = "crc"
	// ChallengeDiscord answers verified pings.
	ChallengeDiscord ChallengeKind = "discord"
	// ChallengeSNS confirms subscriptions of Amazon SNS; for AuthSNS only.
	ChallengeSNS ChallengeKind = "aws_sns"
	// ChallengeGraph echoes the validationToken of Microsoft Graph.
	ChallengeGraph ChallengeKind = "graph"
	// ChallengeCloudEvents answers the OPTIONS of CloudEvents HTTP webhooks.
	ChallengeCloudEvents ChallengeKind = "cloudevents"
)

// ChallengeSpec is a handshake that the framework answers itself. With a Kind
// nothing else is needed.
type ChallengeSpec struct {
	// Kind names a known handshake, or is empty for one that is described here.
	Kind ChallengeKind `json:"kind,omitempty"`
	// Method is "POST" (the default) or "GET".
	Method string `json:"method,omitempty"`
	// When lists what must hold: "query:mode=subscribe", "body:type=ping", or
	// without "=…" that it is there.
	When []string `json:"when,omitempty"`
	// Token is where the sender's token is found: "query:name" or "body:path".
	Token string `json:"token,omitempty"`
	// VerifyToken is where a token is found that must equal SecretSetting's.
	VerifyToken string `json:"verify_token,omitempty"`
	// SecretSetting names the setting that VerifyToken is compared with.
	SecretSetting string `json:"secret_setting,omitempty"`
	// Reply is the body of the answer, with {token}, {hmac_hex} or {hmac_base64}
	// (of the token, with the endpoint's secret) in it. The default is the token.
	Reply string `json:"reply,omitempty"`
	// JSON says that Reply is JSON; it is plain text otherwise.
	JSON bool `json:"json,omitempty"`
	// Status of the answer; the default is 200.
	Status int `json:"status,omitempty"`
	// Unsigned says that the sender does not sign a POST of the handshake. It
	// must then be recognised by its query alone. A GET is never signed.
	Unsigned bool `json:"unsigned,omitempty"`
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
	return e.declaration.spec.withDefaults()
}

// Names of the settings that hold secrets where nothing else is declared.
const (
	defaultSecretSetting = "webhook_secret"
	defaultVerifySetting = "webhook_verify_token"
)

func (s EndpointSpec) withDefaults() EndpointSpec {
	if s.SecretSetting == "" && s.Auth.NeedsSecret() && !s.keyless() {
		s.SecretSetting = defaultSecretSetting
	}
	if len(s.AllOf) > 0 {
		parts := make([]EndpointSpec, len(s.AllOf))
		for i, part := range s.AllOf {
			parts[i] = part.withDefaults()
		}
		s.AllOf = parts
	}
	return s
}

// keyless reports that a mode which needs a secret finds all it needs in the
// declaration: published keys, with issuer and audience pinned.
func (s EndpointSpec) keyless() bool {
	return s.Auth == AuthJWT && s.JWT.JWKSURL != "" && s.JWT.Audience != "" ||
		s.Auth == AuthRSA && s.Signature.CertURL != "" && !s.Signature.signs("secret")
}

// SecretSettings lists the settings that verification needs, each once: the
// endpoint's own, those of the parts of AuthAllOf and those of challenges.
func (s EndpointSpec) SecretSettings() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	s = s.withDefaults()
	add(s.SecretSetting)
	for _, part := range s.AllOf {
		for _, name := range part.SecretSettings() {
			add(name)
		}
	}
	challenges := s.Challenges
	if s.Auth == AuthMeta {
		challenges = append([]ChallengeSpec{{Kind: ChallengeHub}}, challenges...)
	}
	for _, c := range challenges {
		add(c.VerifySetting())
	}
	return names
}

// VerifySetting names the setting that holds the token of the handshake, or is
// "" for one that compares none.
func (c ChallengeSpec) VerifySetting() string {
	if c.SecretSetting == "" && (c.Kind == ChallengeHub || c.VerifyToken != "") {
		return defaultVerifySetting
	}
	return c.SecretSetting
}

package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Config is what a verifier needs beside the endpoint's declaration.
type Config struct {
	// Secrets holds the secrets by the setting that the endpoint names; see
	// [catalog.EndpointSpec.SecretSettings].
	Secrets map[string][]Secret
	// Client makes the guarded client that may call the given hosts only. It
	// fetches certificates and published keys, and confirms subscriptions.
	// Without it those deliveries are refused.
	Client func(hosts []string) *http.Client
	// PublicURL is the address under which senders call this server, without
	// the request's path. Schemes that sign the address need it.
	PublicURL string
}

// check tells whether a delivery is what it claims to be.
type check func(now time.Time, r Request) error

// Verifier verifies the deliveries of one endpoint of one connection, and
// knows what else its mode says: limits, challenges, where the delivery's id
// is, which headers are credentials. It is safe for concurrent use; nil refuses
// every delivery.
type Verifier struct {
	auth       catalog.Auth
	check      check
	warnings   []string
	maxBody    int64
	deadline   time.Duration
	keys       []catalog.Source
	private    []string
	allowed    []netip.Prefix
	challenges []challenge
	// schemes are the signature schemes in use, for [Explain] and [SignRequest].
	schemes  []*scheme
	tokens   []*tokenCheck
	messages []*messageCheck
}

// New returns the verifier of an endpoint whose settings all hold the same
// secrets, of which each is accepted and none expires.
func New(spec catalog.EndpointSpec, secrets []string) (*Verifier, error) {
	c := Config{Secrets: map[string][]Secret{}}
	for _, name := range spec.SecretSettings() {
		c.Secrets[name] = Plain(secrets...)
	}
	return Open(spec, c)
}

// Open returns the verifier of an endpoint. The error lists everything that is
// wrong with the declaration and the secrets, and never holds a secret.
func Open(spec catalog.EndpointSpec, c Config) (*Verifier, error) {
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	b := &builder{config: c, v: &Verifier{auth: spec.Auth}}
	for _, problem := range spec.Problems() {
		b.fail("%s", problem)
	}
	if slices.Contains(catalog.Auths(), spec.Auth) {
		b.build(spec)
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, fmt.Errorf("verify with auth %q: %w", spec.Auth, err)
	}
	return b.v, nil
}

// builder collects what makes a verifier, and everything that is wrong.
type builder struct {
	config Config
	v      *Verifier
	errs   []error
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *builder) build(spec catalog.EndpointSpec) {
	resolved, _ := resolve(spec)
	b.limits(resolved)
	b.challenges(resolved)
	verify := b.checkOf(spec)
	for _, text := range resolved.AllowedIPs {
		if network, err := catalog.ParseNetwork(text); err == nil {
			b.v.allowed = append(b.v.allowed, network)
		}
	}
	if len(b.v.allowed) > 0 {
		inner, allowed := verify, b.v.allowed
		verify = func(now time.Time, r Request) error {
			if !r.Remote.IsValid() || !contains(allowed, r.Remote.Unmap().WithZone("")) {
				return refuse("sender's address is not among the allowed ones")
			}
			return inner(now, r)
		}
	}
	if errors.Join(b.errs...) == nil && verify != nil {
		b.v.check = verify
	}
}

// checkOf makes the check of one mode.
func (b *builder) checkOf(spec catalog.EndpointSpec) check {
	resolved, p := resolve(spec)
	setting := settingOf(spec)
	secrets := b.config.Secrets[setting]
	switch resolved.Auth {
	case catalog.AuthNone:
		return func(time.Time, Request) error { return nil }
	case catalog.AuthBearer, catalog.AuthBasic, catalog.AuthAPIKey:
		return b.credentials(resolved, setting, secrets)
	case catalog.AuthJWT:
		return b.jwt(resolved, setting, secrets)
	case catalog.AuthMTLS:
		return b.mtls(resolved, setting, secrets)
	case catalog.AuthMessageSignature:
		return b.messageSignature(resolved, setting, secrets)
	case catalog.AuthSNS:
		return b.sns(setting, secrets)
	case catalog.AuthAllOf:
		var all []check
		for _, part := range resolved.AllOf {
			all = append(all, b.checkOf(part))
		}
		return func(now time.Time, r Request) error {
			for _, one := range all {
				if err := one(now, r); err != nil {
					return err
				}
			}
			return nil
		}
	default:
		return b.signature(resolved, p, setting, secrets)
	}
}

// signature makes the check of a signature scheme, or of several of which one
// is enough.
func (b *builder) signature(spec catalog.EndpointSpec, p preset, setting string, secrets []Secret) check {
	var schemes []*scheme
	for i, description := range append([]catalog.SignatureSpec{spec.Signature}, p.also...) {
		s, err := newScheme(description, b.config.PublicURL)
		if err != nil {
			b.errs = append(b.errs, err)
		}
		if s == nil {
			continue // the declaration's own problem says why
		}
		for _, other := range p.spellings {
			s.spellings = append(s.spellings, spellingOf(other))
		}
		s.oracle = slices.ContainsFunc(b.v.challenges, challenge.signs)
		makeKey := p.key
		switch {
		case makeKey != nil:
		case description.CertURL != "":
			s.certs = newCertKeys(b.config.Client, description.CertHosts)
			makeKey = func(string) (key, error) { return key{}, nil }
		default:
			makeKey = func(secret string) (key, error) { return schemeKey(spec.Auth, description, secret) }
		}
		if settled := s.certs != nil && spec.SecretSetting == "" && !slices.Contains(s.parts, catalog.SignedPart{Variable: "secret"}); !settled {
			err = eachSecret(setting, secrets, func(_ string, secret Secret) error {
				k, err := makeKey(secret.Value)
				k.secret, k.until = secret.Value, secret.Until
				s.keys = append(s.keys, k)
				return err
			})
			if i == 0 {
				b.errs = append(b.errs, err)
			}
		}
		schemes = append(schemes, s)
		b.v.private = append(b.v.private, s.credentials()...)
	}
	if _, known := presets[b.v.auth]; !known && spec.Signature.Algorithm == "sha1" {
		b.v.warnings = append(b.v.warnings, "Signature.Algorithm is sha1, which is weak; use sha256 if the sender can")
	}
	b.v.schemes = append(b.v.schemes, schemes...)
	return func(now time.Time, r Request) error {
		err := refuse("endpoint has no scheme")
		for _, s := range schemes {
			if err = s.verify(now, r); err == nil {
				return nil
			}
		}
		return err
	}
}

func settingOf(spec catalog.EndpointSpec) string {
	if spec.SecretSetting == "" {
		return "webhook_secret"
	}
	return spec.SecretSetting
}

func (b *builder) limits(spec catalog.EndpointSpec) {
	v := b.v
	v.maxBody, v.deadline = DefaultMaxBody, DefaultDeadline
	if spec.MaxBody != 0 {
		v.maxBody = spec.MaxBody
	}
	if spec.Deadline != 0 {
		v.deadline = spec.Deadline
	}
	if v.maxBody < 0 || v.maxBody > MaxMaxBody {
		b.fail("MaxBody %d is not between 1 and %d bytes", v.maxBody, MaxMaxBody)
	}
	if v.deadline < 0 || v.deadline > MaxDeadline {
		b.fail("Deadline %s is not between 0 and %s", v.deadline, MaxDeadline)
	}
	for _, text := range spec.DeliveryKey {
		source, err := catalog.ParseSource(text, "header", "body")
		if err != nil {
			continue // the declaration's own problem says why
		}
		if source.Kind == "header" {
			source.Name = http.CanonicalHeaderKey(source.Name)
		}
		v.keys = append(v.keys, source)
	}
}

// Verify returns nil when the delivery was sent by somebody who knows one of
// the secrets, and [ErrUnverified] in every other case.
func (v *Verifier) Verify(now time.Time, r Request) error {
	if v == nil || v.check == nil {
		return refuse("endpoint has no verifier")
	}
	return v.check(now, r)
}

// Auth returns the endpoint's mode, or "" for nil.
func (v *Verifier) Auth() catalog.Auth {
	if v == nil {
		return ""
	}
	return v.auth
}

// Warnings lists what an operator should mend but what does not stop the
// endpoint, such as a short token. They hold no secret.
func (v *Verifier) Warnings() []string { return v.warnings }

// MaxBody is the largest body that the endpoint accepts, in bytes.
func (v *Verifier) MaxBody() int64 { return v.maxBody }

// Deadline is how long the endpoint's handler may take.
func (v *Verifier) Deadline() time.Duration { return v.deadline }

// Challenge is the WWW-Authenticate header of a refusal, or "". It depends on
// the mode only: senders of HTTP credentials wait for it.
func (v *Verifier) Challenge() string {
	switch v.Auth() {
	case catalog.AuthBasic:
		return `Basic realm="webhook"`
	case catalog.AuthBearer:
		return "Bearer"
	default:
		return ""
	}
}

// credentials makes the check of a mode that sends the secret itself.
func (b *builder) credentials(spec catalog.EndpointSpec, setting string, secrets []Secret) check {
	type credential struct {
		digest [sha256.Size]byte
		key    key
	}
	var accepted []credential
	b.errs = append(b.errs, eachSecret(setting, secrets, func(name string, s Secret) error {
		guessable := s.Value
		if spec.Auth == catalog.AuthBasic {
			_, password, ok := strings.Cut(s.Value, ":")
			if !ok || password == "" {
				return errors.New(`is not of the form "user:password" with a password`)
			}
			guessable = password
		}
		if len(guessable) < MinSigningSecret {
			b.v.warnings = append(b.v.warnings, fmt.Sprintf("%s has %d bytes; below %d it can be guessed", name, len(guessable), MinSigningSecret))
		}
		accepted = append(accepted, credential{sha256.Sum256([]byte(s.Value)), key{until: s.Until}})
		return nil
	}))
	if spec.APIKeyQuery != "" {
		b.v.warnings = append(b.v.warnings, "the key stands in the address, which proxies and senders write to their logs; use a header if the sender can")
	}
	read := credentialReader(spec)
	if spec.APIKeyHeader != "" {
		b.v.private = append(b.v.private, http.CanonicalHeaderKey(spec.APIKeyHeader))
	}
	// Digests are compared, since the time of a comparison must not tell the
	// length of a secret either.
	return func(now time.Time, r Request) error {
		sent, err := read(r)
		if err != nil {
			return err
		}
		if len(sent) == 0 {
			return refuse("credentials are malformed")
		}
		got := sha256.Sum256(sent)
		matched := false
		for _, want := range accepted {
			if hmac.Equal(got[:], want.digest[:]) && want.key.live(now) {
				matched = true
			}
		}
		if !matched {
			return refuse("credentials differ")
		}
		return nil
	}
}

// credentialReader returns how a mode that sends the secret itself sends it.
func credentialReader(spec catalog.EndpointSpec) func(r Request) ([]byte, error) {
	header := func(name string, read func(value string) ([]byte, bool)) func(Request) ([]byte, error) {
		return func(r Request) ([]byte, error) {
			value, err := single(r.Header, name)
			if err != nil {
				return nil, err
			}
			sent, ok := read(value)
			if !ok {
				return nil, refuse("credentials are malformed")
			}
			return sent, nil
		}
	}
	switch {
	case spec.Auth == catalog.AuthBearer:
		return header("Authorization", func(value string) ([]byte, bool) {
			token, ok := cutScheme(value, "Bearer")
			return []byte(token), ok
		})
	case spec.Auth == catalog.AuthBasic:
		return header("Authorization", func(value string) ([]byte, bool) {
			encoded, ok := cutScheme(value, "Basic")
			decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
			return decoded, ok && err == nil
		})
	case spec.APIKeyQuery != "":
		return func(r Request) ([]byte, error) {
			value, ok := r.query(spec.APIKeyQuery)
			if !ok {
				return nil, refuse("a required query parameter is missing or repeated")
			}
			return []byte(value), nil
		}
	default:
		return header(spec.APIKeyHeader, func(value string) ([]byte, bool) { return []byte(value), true })
	}
}

// cutScheme cuts the name of an authentication scheme, of which case does not
// matter (RFC 9110, section 11.1), and one space.
func cutScheme(value, name string) (rest string, ok bool) {
	scheme, rest, found := strings.Cut(value, " ")
	return rest, found && strings.EqualFold(scheme, name)
}

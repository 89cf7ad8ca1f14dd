package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Request is the part of a webhook request that is verified.
type Request struct {
	// Header is the request's header as it came.
	Header http.Header
	// Body is the raw body, byte for byte as it was sent.
	Body []byte
}

// Verifier verifies the deliveries of one endpoint of one connection, and
// knows what else its mode says: limits, where the delivery's id is, which
// headers are credentials. It is immutable; nil refuses every delivery.
type Verifier struct {
	auth        catalog.Auth
	check       func(now time.Time, r Request) error
	warnings    []string
	maxBody     int64
	deadline    time.Duration
	keys        []keySource
	credentials []string
}

// New returns the verifier of an endpoint. secrets are the values of the
// setting that spec.SecretSetting names; each of them is accepted, so that a
// secret can be rotated. The error lists everything that is wrong and never
// holds a secret.
func New(spec catalog.EndpointSpec, secrets []string) (*Verifier, error) {
	v := &Verifier{auth: spec.Auth}
	setting := settingOf(spec)
	errs := []error{v.setLimits(spec)}
	switch spec.Auth {
	case catalog.AuthNone:
		if strings.TrimSpace(spec.Reason) == "" {
			errs = append(errs, errors.New("auth is none without a reason; write in Reason why everybody may send"))
		}
		v.check = func(time.Time, Request) error { return nil }
	case catalog.AuthBearer, catalog.AuthBasic, catalog.AuthAPIKey:
		key := plainKey
		if spec.Auth == catalog.AuthBasic {
			key = basicKey
		}
		keys, err := checkSecrets(setting, secrets, key)
		errs = append(errs, err)
		read, name := credentialReader(spec)
		if !validHeaderName(name) {
			errs = append(errs, fmt.Errorf("APIKeyHeader %q is no header name; name the header that carries the key", name))
		}
		v.credentials = append(v.credentials, http.CanonicalHeaderKey(name))
		v.warnings = append(v.warnings, shortSecrets(spec.Auth, setting, secrets)...)
		v.check = credentialCheck(http.CanonicalHeaderKey(name), read, keys)
	default:
		s, err := schemeOf(spec)
		errs = append(errs, err)
		if s == nil {
			break
		}
		keys, err := checkSecrets(setting, secrets, s.key)
		errs = append(errs, err)
		for _, set := range s.sets {
			v.credentials = append(v.credentials, set.signature)
		}
		if spec.Signature.Algorithm == "sha1" {
			v.warnings = append(v.warnings, "Signature.Algorithm is sha1, which is weak; use sha256 if the sender can")
		}
		v.check = func(now time.Time, r Request) error { return s.verify(keys, now, r) }
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("verify with auth %q: %w", spec.Auth, err)
	}
	return v, nil
}

// schemeOf returns the HMAC scheme of a mode that signs.
func schemeOf(spec catalog.EndpointSpec) (*scheme, error) {
	if p, ok := presets[spec.Auth]; ok {
		return &p.scheme, nil
	}
	switch spec.Auth {
	default:
		return nil, errors.New("the mode is unknown; use one of the catalog.Auth constants")
	case catalog.AuthHMAC:
		return declaredScheme(spec.Signature)
	case catalog.AuthCustom:
		// The handler calls Verify, which needs a scheme to verify with.
		if spec.Signature.Header == "" {
			return nil, errors.New("auth is custom without Signature, so that no delivery could ever be verified; describe the scheme in Signature")
		}
		return declaredScheme(spec.Signature)
	}
}

func settingOf(spec catalog.EndpointSpec) string {
	if spec.SecretSetting == "" {
		return "webhook_secret"
	}
	return spec.SecretSetting
}

func (v *Verifier) setLimits(spec catalog.EndpointSpec) error {
	var errs []error
	p := presets[spec.Auth]
	v.maxBody, v.deadline = DefaultMaxBody, DefaultDeadline
	for _, n := range []int64{p.maxBody, spec.MaxBody} {
		if n != 0 {
			v.maxBody = n
		}
	}
	for _, d := range []time.Duration{p.deadline, spec.Deadline} {
		if d != 0 {
			v.deadline = d
		}
	}
	if v.maxBody < 0 || v.maxBody > MaxMaxBody {
		errs = append(errs, fmt.Errorf("MaxBody %d is not between 1 and %d bytes", v.maxBody, MaxMaxBody))
	}
	if v.deadline < 0 || v.deadline > MaxDeadline {
		errs = append(errs, fmt.Errorf("Deadline %s is not between 0 and %s", v.deadline, MaxDeadline))
	}
	list := spec.DeliveryKey
	if len(list) == 0 {
		list = p.deliveryKey
	}
	for _, text := range list {
		source, err := parseKeySource(text)
		errs = append(errs, err)
		v.keys = append(v.keys, source)
	}
	return errors.Join(errs...)
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

// credentialReader returns how a mode that sends the secret itself sends it,
// and in which header.
func credentialReader(spec catalog.EndpointSpec) (read func(value string) ([]byte, bool), header string) {
	switch spec.Auth {
	case catalog.AuthBearer:
		return func(value string) ([]byte, bool) {
			token, ok := cutScheme(value, "Bearer")
			return []byte(token), ok
		}, "Authorization"
	case catalog.AuthBasic:
		return func(value string) ([]byte, bool) {
			encoded, ok := cutScheme(value, "Basic")
			decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
			return decoded, ok && err == nil
		}, "Authorization"
	default:
		return func(value string) ([]byte, bool) { return []byte(value), true }, spec.APIKeyHeader
	}
}

// cutScheme cuts the name of an authentication scheme, of which case does not
// matter (RFC 9110, section 11.1), and one space.
func cutScheme(value, name string) (rest string, ok bool) {
	scheme, rest, found := strings.Cut(value, " ")
	return rest, found && strings.EqualFold(scheme, name)
}

// credentialCheck compares what was sent with every key. Digests are compared,
// since the time of a comparison must not tell the length of a secret either.
func credentialCheck(header string, read func(string) ([]byte, bool), keys [][]byte) func(time.Time, Request) error {
	digests := make([][sha256.Size]byte, len(keys))
	for i, key := range keys {
		digests[i] = sha256.Sum256(key)
	}
	return func(_ time.Time, r Request) error {
		value, err := single(r.Header, header)
		if err != nil {
			return err
		}
		sent, ok := read(value)
		if !ok || len(sent) == 0 {
			return refuse("credentials are malformed")
		}
		got := sha256.Sum256(sent)
		matched := false
		for _, want := range digests {
			if hmac.Equal(got[:], want[:]) {
				matched = true
			}
		}
		if !matched {
			return refuse("credentials differ")
		}
		return nil
	}
}

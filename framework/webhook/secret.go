package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Secret is one secret of a connection. While a secret is rotated there are
// several, each accepted until its time has come.
type Secret struct {
	// Value is the secret as the sender shows it.
	Value string
	// Until is when it is accepted last, or zero for always.
	Until time.Time
}

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// Plain returns secrets that never expire.
func Plain(values ...string) []Secret {
	list := make([]Secret, len(values))
	for i, value := range values {
		list[i] = Secret{Value: value}
	}
	return list
}

// SecretsOf reads the value of a setting: a text, a list of texts, or a list of
// {"secret": text, "until": RFC 3339} while secrets are rotated.
func SecretsOf(value any) ([]Secret, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return Plain(v), nil
	case []string:
		return Plain(v...), nil
	case map[string]any:
		one, err := secretOf(v)
		return []Secret{one}, err
	case []any:
		var list []Secret
		var errs []error
		for i, entry := range v {
			switch e := entry.(type) {
			case string:
				list = append(list, Secret{Value: e})
			case map[string]any:
				one, err := secretOf(e)
				if err != nil {
					errs = append(errs, fmt.Errorf("entry %d %w", i+1, err))
				}
				list = append(list, one)
			default:
				errs = append(errs, fmt.Errorf(`entry %d is neither text nor {secret, until}`, i+1))
			}
		}
		return list, errors.Join(errs...)
	}
	return nil, errors.New("is neither text, nor a list of texts or {secret, until}")
}

func secretOf(m map[string]any) (Secret, error) {
	var s Secret
	for name, value := range m {
		switch name {
		case "secret":
			text, ok := value.(string)
			if !ok {
				return s, errors.New("has a secret that is no text")
			}
			s.Value = text
		case "until":
			switch at := value.(type) {
			case time.Time:
				s.Until = at
			case string:
				parsed, err := time.Parse(time.RFC3339, at)
				if err != nil {
					parsed, err = time.Parse(time.DateOnly, at)
				}
				if err != nil {
					return s, errors.New(`has an "until" that is no time; write "2026-12-31T00:00:00Z"`)
				}
				s.Until = parsed
			default:
				return s, errors.New(`has an "until" that is no time; write "2026-12-31T00:00:00Z"`)
			}
		default:
			// The name may be a secret at the wrong place: it is not shown.
			return s, errors.New(`has a key beside "secret" and "until"`)
		}
	}
	return s, nil
}

// secretPrefix marks the secrets of Standard Webhooks, Svix and Stripe.
const secretPrefix = "whsec_"

func checkLength(n int) error {
	if n < MinSigningSecret {
		return fmt.Errorf("has %d bytes; a signing secret needs at least %d, so make a longer one and set it at the sender too", n, MinSigningSecret)
	}
	return nil
}

// signingSecret decodes the secret of an HMAC.
func signingSecret(secret, encoding, prefix string) ([]byte, error) {
	if strings.HasPrefix(secret, "-----BEGIN") {
		return nil, errors.New("is a PEM block; an HMAC needs the secret that is shared with the sender, not a key that others may know")
	}
	secret = strings.TrimPrefix(secret, prefix)
	key := []byte(secret)
	switch encoding {
	case "hex":
		b, err := hex.DecodeString(secret)
		if err != nil {
			return nil, errors.New("is not hex; copy it from the sender as it is")
		}
		key = b
	case "base64":
		b, err := decodeBase64(secret)
		if err != nil {
			if prefix != "" {
				return nil, fmt.Errorf("is not base64 (after %q, if it starts so); copy it from the sender as it is", prefix)
			}
			return nil, errors.New("is not base64; copy it from the sender as it is")
		}
		key = b
	}
	return key, checkLength(len(key))
}

// decodeBase64 decodes base64 with or without padding.
func decodeBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		b, err = base64.RawStdEncoding.Strict().DecodeString(text)
	}
	return b, err
}

// eachSecret calls use for every secret that is whole, and returns every error.
// Texts name the setting and never hold the secret.
func eachSecret(setting string, secrets []Secret, use func(name string, s Secret) error) error {
	if len(secrets) == 0 {
		return fmt.Errorf("setting %q is missing: deliveries cannot be verified without a secret; set it to the one that the sender uses", setting)
	}
	var errs []error
	for i, secret := range secrets {
		name := secretName(setting, i, len(secrets))
		err := wholeSecret(secret.Value)
		if err == nil {
			err = use(name, secret)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func wholeSecret(secret string) error {
	switch trimmed := strings.TrimSpace(secret); {
	case trimmed == "":
		return errors.New("is empty; set it to the secret that the sender uses")
	case len(trimmed) != len(secret) && !strings.HasPrefix(trimmed, "-----BEGIN"):
		return errors.New("begins or ends with white space; remove it (a file often ends with a line break)")
	}
	return nil
}

func secretName(setting string, i, of int) string {
	if of == 1 {
		return fmt.Sprintf("setting %q", setting)
	}
	return fmt.Sprintf("setting %q (secret %d of %d)", setting, i+1, of)
}

// ReadSecrets returns the secrets that an endpoint needs, by setting. at returns
// the value of a setting. The error lists every setting of a wrong form; what is
// missing or too short is found by [Open].
func ReadSecrets(spec catalog.EndpointSpec, at func(setting string) any) (map[string][]Secret, error) {
	found := map[string][]Secret{}
	var errs []error
	for _, name := range spec.SecretSettings() {
		secrets, err := SecretsOf(at(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("setting %q %w", name, err))
		}
		if len(secrets) > 0 {
			found[name] = secrets
		}
	}
	return found, errors.Join(errs...)
}

// sameText compares two secrets in a time that tells neither.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}

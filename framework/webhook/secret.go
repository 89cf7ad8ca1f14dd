package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// secretPrefix marks the secrets of Standard Webhooks, Svix and Stripe.
const secretPrefix = "whsec_"

// textKey uses the secret's bytes as they are.
func textKey(secret string) ([]byte, error) {
	if err := checkLength(len(secret)); err != nil {
		return nil, err
	}
	return []byte(secret), nil
}

// prefixedKey uses the secret's bytes with their prefix, which does not count
// for the length.
func prefixedKey(secret string) ([]byte, error) {
	if err := checkLength(len(strings.TrimPrefix(secret, secretPrefix))); err != nil {
		return nil, err
	}
	return []byte(secret), nil
}

// base64Key decodes the secret, with or without its prefix.
func base64Key(secret string) ([]byte, error) {
	for _, asymmetric := range []string{"whpk_", "whsk_"} {
		if strings.HasPrefix(secret, asymmetric) {
			return nil, fmt.Errorf("is an asymmetric key (%s…), which is not supported; use the symmetric secret (%s…)", asymmetric, secretPrefix)
		}
	}
	encoded := strings.TrimPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		key, err = base64.RawStdEncoding.Strict().DecodeString(encoded)
	}
	if err != nil {
		return nil, fmt.Errorf("is not base64 (after %q, if it starts so); copy it from the sender as it is", secretPrefix)
	}
	if err := checkLength(len(key)); err != nil {
		return nil, err
	}
	return key, nil
}

func checkLength(n int) error {
	if n < MinSigningSecret {
		return fmt.Errorf("has %d bytes; a signing secret needs at least %d, so make a longer one and set it at the sender too", n, MinSigningSecret)
	}
	return nil
}

// checkSecrets returns the keys of the secrets, or every error, and what is
// only worth a warning. key turns one secret into a key. Texts name the setting
// and never hold the secret.
func checkSecrets(setting string, secrets []string, key func(string) ([]byte, error)) (keys [][]byte, err error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("setting %q is missing: deliveries cannot be verified without a secret; set it to the one that the sender uses", setting)
	}
	var errs []error
	for i, secret := range secrets {
		name := secretName(setting, i, len(secrets))
		k, err := checkSecret(secret, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, errors.Join(errs...)
}

func checkSecret(secret string, key func(string) ([]byte, error)) ([]byte, error) {
	switch trimmed := strings.TrimSpace(secret); {
	case trimmed == "":
		return nil, errors.New("is empty; set it to the secret that the sender uses")
	case len(trimmed) != len(secret):
		return nil, errors.New("begins or ends with white space; remove it (a file often ends with a line break)")
	}
	return key(secret)
}

func secretName(setting string, i, of int) string {
	if of == 1 {
		return fmt.Sprintf("setting %q", setting)
	}
	return fmt.Sprintf("setting %q (secret %d of %d)", setting, i+1, of)
}

// plainKey is the key of a mode that sends the secret itself.
func plainKey(secret string) ([]byte, error) { return []byte(secret), nil }

// basicKey wants "user:password".
func basicKey(secret string) ([]byte, error) {
	_, password, ok := strings.Cut(secret, ":")
	if !ok || password == "" {
		return nil, errors.New(`is not of the form "user:password" with a password`)
	}
	return []byte(secret), nil
}

// shortSecrets returns a warning for each sent secret that is easily guessed.
func shortSecrets(auth catalog.Auth, setting string, secrets []string) []string {
	var warnings []string
	for i, secret := range secrets {
		if auth == catalog.AuthBasic {
			_, secret, _ = strings.Cut(secret, ":")
		}
		if len(secret) < MinSigningSecret {
			warnings = append(warnings, fmt.Sprintf("%s has %d bytes; below %d it can be guessed", secretName(setting, i, len(secrets)), len(secret), MinSigningSecret))
		}
	}
	return warnings
}

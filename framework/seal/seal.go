package seal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// sealedPrefix is what sealed texts begin with.
const sealedPrefix = "weir:sealed:v1:"

// MaxPlaintext bounds a secret, in bytes.
const MaxPlaintext = 64 << 10

// IsSealed reports that a text has the form of a sealed secret. Whether it opens
// is another question.
func IsSealed(text string) bool { return strings.HasPrefix(text, sealedPrefix) }

// KeyID returns the id of the key that a text was sealed with, or "".
func KeyID(sealed string) string {
	rest, ok := strings.CutPrefix(sealed, sealedPrefix)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, ":")
	return id
}

// Seal returns what stands for a secret in the stored settings of a connection.
// path is that of the setting, from the settings' root: "headers[1].value". It
// fails with [ErrNoKey], and for a text that is sealed already: only a copy from
// a store can be one.
func (k *Keys) Seal(connectionID, path, plaintext string) (string, error) {
	switch {
	case k == nil:
		return "", ErrNoKey
	case connectionID == "" || path == "":
		return "", errors.New("seal a secret: it has no connection or no path")
	case IsSealed(plaintext):
		return "", errors.New("the text is a sealed secret already; write the secret itself")
	case len(plaintext) > MaxPlaintext:
		return "", fmt.Errorf("the secret has %d bytes; the limit is %d", len(plaintext), MaxPlaintext)
	}
	first := k.all[0]
	box := first.aead.Seal(nil, nil, []byte(plaintext), bound(first.id, connectionID, path)) //nolint:gosec // this AEAD makes a random nonce itself and takes none
	return sealedPrefix + first.id + ":" + base64.RawURLEncoding.EncodeToString(box), nil
}

// Open returns the secret that was sealed for this setting of this connection.
// Errors: [ErrNoKey], [ErrUnknownKey], [ErrBroken].
func (k *Keys) Open(connectionID, path, sealed string) (string, error) {
	if k == nil {
		return "", ErrNoKey
	}
	rest, ok := strings.CutPrefix(sealed, sealedPrefix)
	if !ok {
		return "", ErrBroken
	}
	id, encoded, _ := strings.Cut(rest, ":")
	for _, one := range k.all {
		if one.id != id {
			continue
		}
		box, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return "", ErrBroken
		}
		plaintext, err := one.aead.Open(nil, nil, box, bound(id, connectionID, path))
		if err != nil {
			return "", ErrBroken
		}
		return string(plaintext), nil
	}
	return "", ErrUnknownKey
}

// bound is what is authenticated with a secret. The lengths keep two pairs from
// being the same bytes.
func bound(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

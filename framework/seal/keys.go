package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrNoKey says that a secret was to be sealed or opened and no key is
// configured. Its text says what to do.
var ErrNoKey = errors.New("no secret key is configured, so a secret cannot be kept here; " +
	"set WEIR_SECRET_KEY or secrets.key_file (make a key with: weir secrets generate-key), or refer to the secret as ${NAME} or ${file:/path}")

// ErrUnknownKey says that a text was sealed with a key that is not configured.
var ErrUnknownKey = errors.New("it was sealed with a key that is not configured; add that key again, after the first one")

// ErrBroken says that a sealed text was changed, or belongs to another
// connection or setting.
var ErrBroken = errors.New("it was changed, or was sealed for another connection or setting; write the secret again")

const (
	// keyPrefix is what keys begin with, so that secret scanners find them.
	keyPrefix = "weirkey_"
	keyBytes  = 32
	// maxKeys bounds how many keys open.
	maxKeys = 16
	// minFingerprinted is the length below which a secret gets no fingerprint:
	// there are too few of them.
	minFingerprinted = 8
)

// Keys seal and open secrets. A nil *Keys has no key: it seals nothing. Keys are
// safe for use by many goroutines.
type Keys struct {
	// all has the key that seals first.
	all []key
}

// key is what is derived from one key of the operator.
type key struct {
	id   string
	aead cipher.AEAD
	mark []byte
}

// NewKey returns a new random key, in the form that [ParseKeys] reads.
func NewKey() string {
	var b [keyBytes]byte
	// crypto/rand never fails: https://pkg.go.dev/crypto/rand#Read
	_, _ = rand.Read(b[:])
	return keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseKeys reads keys that are separated by spaces, commas or line breaks; what
// follows a # on its line is a comment. The first one seals. Text without any is
// nil. An error never holds a part of a key.
func ParseKeys(text string) (*Keys, error) {
	var words []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words = append(words, strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })...)
	}
	if len(words) == 0 {
		return nil, nil //nolint:nilnil // no key is a state of its own, and all methods know it
	}
	if len(words) > maxKeys {
		return nil, fmt.Errorf("%d secret keys are given; at most %d can be", len(words), maxKeys)
	}
	keys := &Keys{}
	var errs []error
	for i, word := range words {
		k, err := parseKey(word)
		if err != nil {
			errs = append(errs, fmt.Errorf("secret key %d %w; make one with: weir secrets generate-key", i+1, err))
			continue
		}
		for j, other := range keys.all {
			if other.id == k.id {
				errs = append(errs, fmt.Errorf("secret keys %d and %d are the same; remove one", j+1, i+1))
			}
		}
		keys.all = append(keys.all, k)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return keys, nil
}

func parseKey(word string) (key, error) {
	encoded, ok := strings.CutPrefix(word, keyPrefix)
	if !ok {
		return key{}, fmt.Errorf("does not begin with %s", keyPrefix)
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(secret) != keyBytes {
		return key{}, fmt.Errorf("is not %s and %d characters of base64url", keyPrefix, base64.RawURLEncoding.EncodedLen(keyBytes))
	}
	if hmac.Equal(secret, make([]byte, keyBytes)) {
		return key{}, errors.New("is all zeros")
	}
	var parts [3][]byte
	for i, use := range []string{"weir seal v1", "weir fingerprint v1", "weir key id v1"} {
		// It fails for lengths beyond 255 hashes only.
		if parts[i], err = hkdf.Key(sha256.New, secret, nil, use, keyBytes); err != nil {
			return key{}, fmt.Errorf("cannot be used: %w", err)
		}
	}
	block, err := aes.NewCipher(parts[0])
	if err != nil {
		return key{}, fmt.Errorf("cannot be used: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, fmt.Errorf("cannot be used: %w", err)
	}
	return key{id: hex.EncodeToString(parts[2][:6]), aead: aead, mark: parts[1]}, nil
}

// ID names the key that seals; it says nothing about the key. It is "" without one.
func (k *Keys) ID() string {
	if k == nil {
		return ""
	}
	return k.all[0].id
}

// Digest tells documents apart that may hold secrets: whoever has it and not the
// keys can try no secret on it. Without keys it is the plain SHA-256: what is
// digested then holds no secret that could be kept.
func (k *Keys) Digest(document []byte) []byte {
	if k == nil {
		sum := sha256.Sum256(document)
		return sum[:]
	}
	mac := hmac.New(sha256.New, k.all[0].mark)
	mac.Write(document)
	return mac.Sum(nil)
}

// Fingerprint is a short text that tells whether two secrets are the same, to
// those who have the key only. It is "" without a key, and for short secrets. It
// is another one when another key seals.
func (k *Keys) Fingerprint(value string) string {
	if k == nil || len(value) < minFingerprinted {
		return ""
	}
	mac := hmac.New(sha256.New, k.all[0].mark)
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

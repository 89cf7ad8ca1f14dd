package webhook

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // some senders sign with SHA-1; Open warns about those an author describes
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
)

// key verifies signatures, and makes them where the secret allows it.
type key struct {
	// secret is the setting's value, for signed texts that hold it.
	secret string
	// until is when the key counts last, or zero.
	until time.Time
	// version is the key of lists under which its signatures stand; "" is any.
	version string
	// prepare returns what tells whether a signature is good for the pieces.
	prepare func(pieces [][]byte) func(signature string) bool
	// sign is nil for a public key.
	sign func(pieces [][]byte) (string, error)
}

func (k key) live(now time.Time) bool { return k.until.IsZero() || !now.After(k.until) }

// encoding writes and reads signatures. One signature has one spelling, save
// that base64url may come without padding.
type encoding struct {
	encode func([]byte) string
	decode func(string) ([]byte, error)
	loose  bool
}

func encodingOf(name string) encoding {
	switch name {
	case "base64":
		return encoding{base64.StdEncoding.EncodeToString, base64.StdEncoding.Strict().DecodeString, false}
	case "base64url":
		return encoding{base64.URLEncoding.EncodeToString, func(s string) ([]byte, error) {
			return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
		}, true}
	default:
		return encoding{hex.EncodeToString, hex.DecodeString, false}
	}
}

// read decodes a signature and holds it to its one spelling.
func (e encoding) read(text string) ([]byte, bool) {
	b, err := e.decode(text)
	if err != nil || len(b) == 0 {
		return nil, false
	}
	written := e.encode(b)
	return b, text == written || e.loose && text == strings.TrimRight(written, "=")
}

func hashOf(algorithm string) (func() hash.Hash, crypto.Hash) {
	switch algorithm {
	case "sha512":
		return sha512.New, crypto.SHA512
	case "sha1":
		return sha1.New, crypto.SHA1
	default:
		return sha256.New, crypto.SHA256
	}
}

// hmacKey compares signatures as text, in constant time.
func hmacKey(secret []byte, algorithm string, e encoding) key {
	newHash, _ := hashOf(algorithm)
	// One that was used before knows the hash of the secret.
	used := sync.Pool{New: func() any { return hmac.New(newHash, secret) }}
	digest := func(pieces [][]byte) string {
		mac, _ := used.Get().(hash.Hash)
		defer used.Put(mac)
		mac.Reset()
		for _, piece := range pieces {
			mac.Write(piece)
		}
		var sum [sha512.Size]byte
		return e.encode(mac.Sum(sum[:0]))
	}
	return key{
		prepare: func(pieces [][]byte) func(string) bool {
			want := digest(pieces)
			bare := strings.TrimRight(want, "=")
			return func(signature string) bool {
				match := hmac.Equal([]byte(signature), []byte(want))
				return e.loose && hmac.Equal([]byte(signature), []byte(bare)) || match
			}
		},
		sign: func(pieces [][]byte) (string, error) { return digest(pieces), nil },
	}
}

// publicKey verifies with a key that others may know. private is nil, or makes
// signatures for tests and for sending by hand.
func publicKey(public crypto.PublicKey, private crypto.Signer, algorithm string, e encoding) (key, error) {
	var verify func(pieces [][]byte, signature []byte) bool
	options := crypto.SignerOpts(crypto.Hash(0))
	newHash, id := hashOf(algorithm)
	sum := func(pieces [][]byte) []byte {
		h := newHash()
		for _, piece := range pieces {
			h.Write(piece)
		}
		return h.Sum(nil)
	}
	switch public := public.(type) {
	case ed25519.PublicKey:
		sum = func(pieces [][]byte) []byte { return bytes.Join(pieces, nil) }
		verify = func(pieces [][]byte, signature []byte) bool { return ed25519.Verify(public, sum(pieces), signature) }
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return key{}, errors.New("is an ECDSA key of another curve than P-256")
		}
		options = id
		verify = func(pieces [][]byte, signature []byte) bool { return ecdsa.VerifyASN1(public, sum(pieces), signature) }
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			return key{}, fmt.Errorf("is an RSA key of %d bits; at least %d are needed", public.N.BitLen(), minRSABits)
		}
		options = id
		verify = func(pieces [][]byte, signature []byte) bool {
			return rsa.VerifyPKCS1v15(public, id, sum(pieces), signature) == nil
		}
	default:
		return key{}, errors.New("is a public key of a kind that cannot be used here")
	}
	k := key{prepare: func(pieces [][]byte) func(string) bool {
		return func(text string) bool {
			signature, ok := e.read(text)
			return ok && verify(pieces, signature)
		}
	}}
	if private != nil {
		k.sign = func(pieces [][]byte) (string, error) {
			signature, err := private.Sign(rand.Reader, sum(pieces), options)
			return e.encode(signature), err
		}
	}
	return k, nil
}

// minRSABits is the shortest RSA key that is accepted.
const minRSABits = 2048

// readPublicKey reads PEM (a public key, a certificate, or a private key to
// sign with), else base64 or hex of a SPKI structure or of a bare Ed25519 key.
func readPublicKey(text, encodingName string) (crypto.PublicKey, crypto.Signer, error) {
	malformed := errors.New("is no public key; give PEM (-----BEGIN PUBLIC KEY-----), or what the sender shows")
	if block, _ := pem.Decode([]byte(strings.TrimSpace(text))); block != nil {
		switch block.Type {
		case "PUBLIC KEY":
			public, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, nil, malformed
			}
			return public, nil, nil
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, malformed
			}
			return certificate.PublicKey, nil, nil
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			signer, err := readPrivateKey(block)
			if err != nil {
				return nil, nil, malformed
			}
			return signer.Public(), signer, nil
		}
		return nil, nil, malformed
	}
	var raw []byte
	var err error
	if encodingName == "hex" {
		raw, err = hex.DecodeString(text)
	} else {
		raw, err = decodeBase64(text)
	}
	if err != nil {
		return nil, nil, malformed
	}
	if len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil, nil
	}
	public, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, nil, malformed
	}
	return public, nil, nil
}

func readPrivateKey(block *pem.Block) (crypto.Signer, error) {
	var private any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("cannot sign")
	}
	return signer, nil
}

// schemeKey makes the key of a secret as the mode and its Signature say.
func schemeKey(auth catalog.Auth, s catalog.SignatureSpec, secret string) (key, error) {
	if auth == catalog.AuthHMAC || auth == catalog.AuthCustom {
		raw, err := signingSecret(secret, s.KeyEncoding, s.KeyPrefix)
		return hmacKey(raw, s.Algorithm, encodingOf(s.Encoding)), err
	}
	public, private, err := readPublicKey(strings.TrimPrefix(secret, s.KeyPrefix), s.KeyEncoding)
	if err != nil {
		return key{}, err
	}
	if err := kindOf(auth, public); err != nil {
		return key{}, err
	}
	return publicKey(public, private, s.Algorithm, encodingOf(cmp.Or(s.Encoding, "base64")))
}

// kindOf holds a key to the mode: a key must not choose its own algorithm.
func kindOf(auth catalog.Auth, public crypto.PublicKey) error {
	ok := false
	switch public.(type) {
	case ed25519.PublicKey:
		ok = auth == catalog.AuthEd25519
	case *ecdsa.PublicKey:
		ok = auth == catalog.AuthECDSA
	case *rsa.PublicKey:
		ok = auth == catalog.AuthRSA
	}
	if !ok {
		return fmt.Errorf("is a key of another kind than auth %q needs", auth)
	}
	return nil
}

// standardKey makes the key of a secret of Standard Webhooks: symmetric, or
// asymmetric by its prefix. Each counts under its own version only.
func standardKey(secret string) (key, error) {
	e := encodingOf("base64")
	seed, private := strings.CutPrefix(secret, "whsk_")
	point, public := strings.CutPrefix(secret, "whpk_")
	switch {
	case private:
		raw, err := decodeBase64(seed)
		if err != nil || len(raw) != ed25519.PrivateKeySize && len(raw) != ed25519.SeedSize {
			return key{}, errors.New("begins with whsk_ but is no Ed25519 key in base64")
		}
		signer := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		k, err := publicKey(signer.Public(), signer, "", e)
		k.version = "v1a"
		return k, err
	case public:
		raw, err := decodeBase64(point)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return key{}, errors.New("begins with whpk_ but is no Ed25519 key in base64")
		}
		k, err := publicKey(ed25519.PublicKey(raw), nil, "", e)
		k.version = "v1a"
		return k, err
	}
	raw, err := signingSecret(secret, "base64", secretPrefix)
	k := hmacKey(raw, "sha256", e)
	k.version = "v1"
	return k, err
}

// prefixedKey uses the secret with its prefix, which does not count for the length.
func prefixedKey(secret string) (key, error) {
	raw, err := signingSecret(secret, "", "")
	if err == nil {
		err = checkLength(len(strings.TrimPrefix(secret, secretPrefix)))
	}
	return hmacKey(raw, "sha256", encodingOf("hex")), err
}

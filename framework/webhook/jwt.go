package webhook

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
)

const (
	// maxToken is the longest token that is read, in bytes.
	maxToken = 16 << 10
	// defaultLeeway is how far clocks may differ.
	defaultLeeway = time.Minute
	// keySetLife is how long published keys are used without asking again.
	keySetLife = time.Hour
	// keySetGrace is how long they are used when asking fails.
	keySetGrace = 24 * time.Hour
)

// tokenCheck verifies JSON web tokens (RFC 7519) in their compact form.
type tokenCheck struct {
	spec      catalog.JWTSpec
	audiences []key
	secrets   []tokenKey
	published *keySet
}

// tokenKey is a key that may verify tokens. id is that of a published key.
type tokenKey struct {
	id     string
	public crypto.PublicKey // nil for a shared secret
	shared []byte
	signer crypto.Signer
	until  time.Time
	// algorithm is the only one the key is for, or "".
	algorithm string
}

func (b *builder) jwt(spec catalog.EndpointSpec, setting string, secrets []Secret) check {
	t := &tokenCheck{spec: spec.JWT}
	symmetric := len(spec.JWT.Algorithms) > 0 && strings.HasPrefix(spec.JWT.Algorithms[0], "HS")
	keyless := spec.JWT.JWKSURL != "" && spec.JWT.Audience != ""
	if !keyless {
		b.errs = append(b.errs, eachSecret(setting, secrets, func(_ string, s Secret) error {
			switch {
			case spec.JWT.JWKSURL != "":
				t.audiences = append(t.audiences, key{secret: s.Value, until: s.Until})
			case symmetric:
				raw, err := signingSecret(s.Value, "", "")
				t.secrets = append(t.secrets, tokenKey{shared: raw, until: s.Until})
				return err
			default:
				public, signer, err := readPublicKey(s.Value, "base64")
				t.secrets = append(t.secrets, tokenKey{public: public, signer: signer, until: s.Until})
				if err == nil && !slices.ContainsFunc(spec.JWT.Algorithms, func(a string) bool { return fits(a, tokenKey{public: public}) }) {
					return errors.New("is a key that none of JWT.Algorithms can use")
				}
				return err
			}
			return nil
		}))
	}
	if spec.JWT.Audience != "" {
		t.audiences = []key{{secret: spec.JWT.Audience}}
	}
	if spec.JWT.JWKSURL != "" {
		t.published = &keySet{fetcher: fetcher{client: b.config.Client}, address: spec.JWT.JWKSURL}
	}
	if spec.JWT.BodyClaim == "" {
		b.v.warnings = append(b.v.warnings, "the token says nothing about the body (JWT.BodyClaim is empty): who has one token can send what they like until it expires")
	}
	b.v.private = append(b.v.private, "Authorization")
	if spec.JWT.Header != "" {
		b.v.private = append(b.v.private, spec.JWT.Header)
	}
	b.v.tokens = append(b.v.tokens, t)
	return t.verify
}

func (t *tokenCheck) read(h Request) (string, error) {
	if t.spec.Header != "" {
		value, err := single(h.Header, t.spec.Header)
		token, bearer := cutScheme(value, "Bearer")
		if bearer {
			return token, err
		}
		return value, err
	}
	value, err := single(h.Header, "Authorization")
	if err != nil {
		return "", err
	}
	token, ok := cutScheme(value, "Bearer")
	if !ok {
		return "", refuse("credentials are malformed")
	}
	return token, nil
}

func (t *tokenCheck) verify(now time.Time, r Request) error {
	token, err := t.read(r)
	if err != nil {
		return err
	}
	malformed := refuse("token is malformed")
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return malformed
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return malformed
		}
	}
	var header struct {
		Algorithm string          `json:"alg"`
		KeyID     string          `json:"kid"`
		Critical  json.RawMessage `json:"crit"`
	}
	if json.Unmarshal(decoded[0], &header) != nil || header.Critical != nil {
		return malformed
	}
	if !slices.Contains(t.spec.Algorithms, header.Algorithm) {
		return refuse("token uses an algorithm that is not accepted")
	}
	keys := t.secrets
	if t.published != nil {
		if keys, err = t.published.find(now, header.KeyID); err != nil {
			return err
		}
	}
	signed := []byte(parts[0] + "." + parts[1])
	matched := false
	for _, k := range keys {
		if (key{until: k.until}).live(now) && fits(header.Algorithm, k) && tokenSigned(header.Algorithm, k, signed, decoded[2]) {
			matched = true
		}
	}
	if !matched {
		return refuse("no signature matches")
	}
	return t.claims(now, decoded[1], r.Body)
}

// claims checks what the token says of itself.
func (t *tokenCheck) claims(now time.Time, payload, body []byte) error {
	var c struct {
		Issuer    string          `json:"iss"`
		Audience  json.RawMessage `json:"aud"`
		Expires   *float64        `json:"exp"`
		NotBefore *float64        `json:"nbf"`
		Issued    *float64        `json:"iat"`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(payload, &c) != nil || json.Unmarshal(payload, &all) != nil {
		return refuse("token is malformed")
	}
	leeway := t.spec.Leeway
	if leeway == 0 {
		leeway = defaultLeeway
	}
	at, slack := float64(now.UnixNano())/1e9, leeway.Seconds()
	var audience []string
	var one string
	if json.Unmarshal(c.Audience, &one) == nil {
		audience = []string{one}
	} else {
		_ = json.Unmarshal(c.Audience, &audience) // an audience of another kind is none
	}
	switch {
	case c.Expires == nil:
		return refuse("token never expires")
	case at > *c.Expires+slack:
		return refuse("token has expired")
	case c.NotBefore != nil && at < *c.NotBefore-slack, c.Issued != nil && at < *c.Issued-slack:
		return refuse("token is not valid yet")
	case t.spec.Issuer != "" && c.Issuer != t.spec.Issuer:
		return refuse("token is of another issuer")
	case len(t.audiences) > 0 && !slices.ContainsFunc(t.audiences, func(k key) bool {
		return k.live(now) && slices.ContainsFunc(audience, func(a string) bool { return sameText(a, k.secret) })
	}):
		return refuse("token is for another audience")
	}
	if t.spec.BodyClaim == "" {
		return nil
	}
	var claimed string
	if json.Unmarshal(all[t.spec.BodyClaim], &claimed) != nil {
		return refuse("token says nothing about the body")
	}
	sum := sha256.Sum256(body)
	matched := false
	for _, spelling := range []string{hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])} {
		if hmac.Equal([]byte(claimed), []byte(spelling)) {
			matched = true
		}
	}
	if !matched {
		return refuse("token is for another body")
	}
	return nil
}

// fits reports that an algorithm is one for the kind of a key. A key never
// chooses the algorithm, and the token chooses only among those that fit.
func fits(algorithm string, k tokenKey) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case nil:
		return strings.HasPrefix(algorithm, "HS") && len(k.shared) > 0
	case *rsa.PublicKey:
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return algorithm == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[public.Curve]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

func tokenHash(algorithm string) (func() hash.Hash, crypto.Hash) {
	switch {
	case strings.HasSuffix(algorithm, "384"):
		return sha512.New384, crypto.SHA384
	case strings.HasSuffix(algorithm, "512"):
		return sha512.New, crypto.SHA512
	default:
		return sha256.New, crypto.SHA256
	}
}

func tokenSigned(algorithm string, k tokenKey, signed, signature []byte) bool {
	newHash, id := tokenHash(algorithm)
	h := newHash()
	h.Write(signed)
	switch public := k.public.(type) {
	case nil:
		mac := hmac.New(newHash, k.shared)
		mac.Write(signed)
		return hmac.Equal(signature, mac.Sum(nil))
	case *rsa.PublicKey:
		if strings.HasPrefix(algorithm, "PS") {
			return rsa.VerifyPSS(public, id, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, id, h.Sum(nil), signature) == nil
	case *ecdsa.PublicKey:
		return verifyFixed(public, h.Sum(nil), signature)
	case ed25519.PublicKey:
		return ed25519.Verify(public, signed, signature)
	}
	return false
}

// verifyFixed verifies an ECDSA signature written as two numbers of fixed
// length, as tokens and message signatures have it.
func verifyFixed(public *ecdsa.PublicKey, digest, signature []byte) bool {
	size := (public.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, digest, r, s)
}

// signFixed is the inverse of verifyFixed.
func signFixed(private *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, private, digest)
	if err != nil {
		return nil, err
	}
	size := (private.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

// keySet is a set of published keys (RFC 7517).
type keySet struct {
	fetcher
	address string
	keysMu  sync.Mutex
	keys    []tokenKey
	fetched time.Time
}

// find returns the published keys with an id; without one, all of them. It asks
// again when the set is old or the id is new.
func (s *keySet) find(now time.Time, id string) ([]tokenKey, error) {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	match := func() []tokenKey {
		return slices.DeleteFunc(slices.Clone(s.keys), func(k tokenKey) bool { return id != "" && k.id != id })
	}
	age := now.Sub(s.fetched)
	if found := match(); len(found) > 0 && age >= 0 && age < keySetLife {
		return found, nil
	}
	if s.allow(now) {
		body, err := s.get(context.Background(), s.address, []string{hostOf(s.address)})
		if err == nil {
			var keys []tokenKey
			if keys, err = readKeySet(body); err == nil {
				s.keys, s.fetched = keys, now
			}
		}
	}
	if found := match(); len(found) > 0 && now.Sub(s.fetched) < keySetGrace {
		return found, nil
	}
	return nil, refuse("no published key has the token's id")
}

// readKeySet reads the public keys of a set and skips what it does not know.
func readKeySet(body []byte) ([]tokenKey, error) {
	var set struct {
		Keys []struct {
			Kty, Kid, Use, Alg, Crv, N, E, X, Y string
		}
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("no key set")
	}
	var keys []tokenKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		number := func(text string) []byte {
			b, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				return nil
			}
			return b
		}
		found := tokenKey{id: k.Kid, algorithm: k.Alg}
		switch k.Kty {
		case "RSA":
			e := new(big.Int).SetBytes(number(k.E))
			if !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || len(number(k.N)) > 1024 {
				continue
			}
			found.public = &rsa.PublicKey{N: new(big.Int).SetBytes(number(k.N)), E: int(e.Int64())}
		case "EC":
			curve, known := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
			if !known {
				continue
			}
			size := (curve.Params().BitSize + 7) / 8
			x, y := number(k.X), number(k.Y)
			if len(x) != size || len(y) != size {
				continue
			}
			public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
			if err != nil {
				continue
			}
			found.public = public
		case "OKP":
			if x := number(k.X); k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
				found.public = ed25519.PublicKey(x)
			}
		}
		if found.public != nil {
			keys = append(keys, found)
		}
	}
	return keys, nil
}

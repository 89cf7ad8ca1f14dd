package webhook

import (
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
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// messageCheck verifies HTTP message signatures (RFC 9421) that cover the body
// by its digest (RFC 9530).
type messageCheck struct {
	spec      catalog.MessageSignatureSpec
	required  []string
	keys      []messageKey
	publicURL string
}

type messageKey struct {
	until  time.Time
	verify func(base, signature []byte) bool
	sign   func(base []byte) ([]byte, error)
}

func (b *builder) messageSignature(spec catalog.EndpointSpec, setting string, secrets []Secret) check {
	m := &messageCheck{spec: spec.MessageSignature, required: spec.MessageSignature.Components, publicURL: b.config.PublicURL}
	if len(m.required) == 0 {
		m.required = []string{"@method", "@path"}
	}
	b.errs = append(b.errs, eachSecret(setting, secrets, func(_ string, s Secret) error {
		k, err := newMessageKey(m.spec, s.Value)
		k.until = s.Until
		m.keys = append(m.keys, k)
		return err
	}))
	for _, component := range m.required {
		if slices.Contains([]string{"@target-uri", "@authority", "@scheme"}, component) && m.publicURL == "" {
			b.fail("the signature covers %s; set public_url, since the request's own Host can be forged", component)
		}
	}
	b.v.private = append(b.v.private, "Signature", "Signature-Input")
	b.v.messages = append(b.v.messages, m)
	return m.verify
}

func newMessageKey(spec catalog.MessageSignatureSpec, secret string) (messageKey, error) {
	if spec.Algorithm == "hmac-sha256" {
		raw, err := signingSecret(secret, spec.KeyEncoding, "")
		digest := func(base []byte) []byte {
			mac := hmac.New(sha256.New, raw)
			mac.Write(base)
			return mac.Sum(nil)
		}
		return messageKey{
			verify: func(base, signature []byte) bool { return hmac.Equal(signature, digest(base)) },
			sign:   func(base []byte) ([]byte, error) { return digest(base), nil },
		}, err
	}
	public, private, err := readPublicKey(secret, spec.KeyEncoding)
	if err != nil {
		return messageKey{}, err
	}
	wrong := fmt.Errorf("is a key of another kind than %q needs", spec.Algorithm)
	var k messageKey
	switch public := public.(type) {
	case ed25519.PublicKey:
		if spec.Algorithm != "ed25519" {
			return k, wrong
		}
		k.verify = func(base, signature []byte) bool { return ed25519.Verify(public, base, signature) }
		k.sign = func(base []byte) ([]byte, error) { return private.Sign(nil, base, crypto.Hash(0)) }
	case *ecdsa.PublicKey:
		if spec.Algorithm != "ecdsa-p256-sha256" || public.Curve != elliptic.P256() {
			return k, wrong
		}
		k.verify = func(base, signature []byte) bool {
			sum := sha256.Sum256(base)
			return verifyFixed(public, sum[:], signature)
		}
		k.sign = func(base []byte) ([]byte, error) {
			sum := sha256.Sum256(base)
			own, ok := private.(*ecdsa.PrivateKey)
			if !ok {
				return nil, errors.New("cannot sign")
			}
			return signFixed(own, sum[:])
		}
	case *rsa.PublicKey:
		if !strings.HasPrefix(spec.Algorithm, "rsa-") || public.N.BitLen() < minRSABits {
			return k, wrong
		}
		pss := &rsa.PSSOptions{SaltLength: 64, Hash: crypto.SHA512}
		k.verify = func(base, signature []byte) bool {
			if spec.Algorithm == "rsa-pss-sha512" {
				sum := sha512.Sum512(base)
				return rsa.VerifyPSS(public, crypto.SHA512, sum[:], signature, pss) == nil
			}
			sum := sha256.Sum256(base)
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
		}
		k.sign = func(base []byte) ([]byte, error) {
			if spec.Algorithm == "rsa-pss-sha512" {
				sum := sha512.Sum512(base)
				return private.Sign(rand.Reader, sum[:], pss)
			}
			sum := sha256.Sum256(base)
			return private.Sign(rand.Reader, sum[:], crypto.SHA256)
		}
	default:
		return k, wrong
	}
	if private == nil {
		k.sign = nil
	}
	return k, nil
}

func (m *messageCheck) verify(now time.Time, r Request) error {
	input, err := single(r.Header, "Signature-Input")
	if err != nil {
		return err
	}
	header, err := single(r.Header, "Signature")
	if err != nil {
		return err
	}
	inputs, ok := readDictionary(input)
	signatures, also := readDictionary(header)
	if !ok || !also {
		return refuse("signature header is malformed")
	}
	label := m.spec.Label
	if label == "" {
		if len(inputs) != 1 {
			return refuse("request has several signatures, and none is named")
		}
		label = inputs[0].name
	}
	covered, found := valueOf(inputs, label)
	encoded, there := valueOf(signatures, label)
	if !found || !there {
		return refuse("request lacks the named signature")
	}
	signature, ok := readBytes(encoded)
	if !ok {
		return refuse("signature header is malformed")
	}
	p, ok := readInput(covered)
	if !ok {
		return refuse("signature input is malformed")
	}
	if err := m.checkInput(now, p); err != nil {
		return err
	}
	if err := checkDigest(r); err != nil {
		return err
	}
	base, err := m.base(r, p)
	if err != nil {
		return err
	}
	matched := false
	for _, k := range m.keys {
		if (key{until: k.until}).live(now) && k.verify(base, signature) {
			matched = true
		}
	}
	if !matched {
		return refuse("no signature matches")
	}
	return nil
}

// checkInput holds what the signature covers and says of itself to the spec.
func (m *messageCheck) checkInput(now time.Time, p signatureInput) error {
	for _, component := range append([]string{"content-digest"}, m.required...) {
		if !slices.Contains(p.components, component) {
			return refuse("signature leaves out what it must cover")
		}
	}
	tolerance := m.spec.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	if err := checkTimestamp(p.parameters["created"], "s", now, tolerance, DefaultTolerance); err != nil {
		return err
	}
	if expires, ok := p.parameters["expires"]; ok {
		at, err := readTimestamp(expires, "s")
		if err != nil || now.After(at) {
			return refuse("signature has expired")
		}
	}
	for name, want := range map[string]string{"tag": m.spec.Tag, "keyid": m.spec.KeyID} {
		if got := p.parameters[name]; want != "" && got != strconv.Quote(want) {
			return refuse("signature is for another " + name)
		}
	}
	if algorithm, ok := p.parameters["alg"]; ok && algorithm != strconv.Quote(m.spec.Algorithm) {
		return refuse("signature is of another algorithm")
	}
	return nil
}

// base returns the signature base (RFC 9421, section 2.5).
func (m *messageCheck) base(r Request, p signatureInput) ([]byte, error) {
	var b strings.Builder
	for _, component := range p.components {
		value, ok := m.component(r, component)
		if !ok || strings.ContainsAny(value, "\r\n") {
			return nil, refuse("signature covers what the request does not have")
		}
		b.WriteString(`"` + component + `": ` + value + "\n")
	}
	b.WriteString(`"@signature-params": ` + p.text)
	return []byte(b.String()), nil
}

func (m *messageCheck) component(r Request, name string) (string, bool) {
	public, _ := url.Parse(m.publicURL)
	_, query, _ := strings.Cut(r.URI, "?")
	switch name {
	case "@method":
		return r.method(), true
	case "@path":
		return r.path(), r.path() != ""
	case "@query":
		return "?" + query, true
	case "@request-target":
		return r.URI, r.URI != ""
	case "@target-uri":
		return m.publicURL + r.URI, m.publicURL != ""
	case "@authority":
		if public == nil {
			return "", false
		}
		return strings.ToLower(public.Host), public.Host != ""
	case "@scheme":
		if public == nil {
			return "", false
		}
		return public.Scheme, public.Scheme != ""
	}
	values := r.Header.Values(name)
	if len(values) == 0 || strings.HasPrefix(name, "@") {
		return "", false
	}
	trimmed := make([]string, len(values))
	for i, value := range values {
		trimmed[i] = strings.TrimSpace(value)
	}
	return strings.Join(trimmed, ", "), true
}

// checkDigest holds the body to its Content-Digest. One known digest must be
// there, and every known one must be right.
func checkDigest(r Request) error {
	header, err := single(r.Header, "Content-Digest")
	if err != nil {
		return err
	}
	members, ok := readDictionary(header)
	if !ok {
		return refuse("content digest is malformed")
	}
	known := false
	for _, member := range members {
		var want []byte
		switch member.name {
		case "sha-256":
			sum := sha256.Sum256(r.Body)
			want = sum[:]
		case "sha-512":
			sum := sha512.Sum512(r.Body)
			want = sum[:]
		default:
			continue
		}
		got, ok := readBytes(member.value)
		if !ok || !hmac.Equal(got, want) {
			return refuse("content digest differs")
		}
		known = true
	}
	if !known {
		return refuse("content digest is of an unknown kind")
	}
	return nil
}

// contentDigest writes the header that checkDigest reads.
func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

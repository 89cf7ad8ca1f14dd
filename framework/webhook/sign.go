package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// ErrCannotSign says that only the sender itself can sign for an endpoint: the
// connection holds nothing but a public key, or not even that.
var ErrCannotSign = errors.New("only the sender can sign for this endpoint")

// Sign returns the headers that make a delivery of body valid for an endpoint:
// what its sender would add. id is the sender's id of the delivery; it is set
// where the mode or the endpoint's DeliveryKey expects it in a header. It is
// for tests; see [SignRequest] for schemes that sign more than the body.
func Sign(spec catalog.EndpointSpec, secret string, now time.Time, id string, body []byte) (http.Header, error) {
	c := Config{Secrets: map[string][]Secret{}}
	for _, name := range spec.SecretSettings() {
		c.Secrets[name] = Plain(secret)
	}
	r := Request{Header: http.Header{}, Body: body}
	if err := SignRequest(spec, c, now, id, &r); err != nil {
		return nil, err
	}
	return r.Header, nil
}

// SignRequest completes r so that the endpoint accepts it: it adds the headers
// that the sender would add, and for some schemes a query parameter or fields
// of the body. Of several secrets the first that has not expired signs. It
// fails with [ErrCannotSign] where the connection has no key to sign with.
func SignRequest(spec catalog.EndpointSpec, c Config, now time.Time, id string, r *Request) error {
	v, err := Open(spec, c)
	if err != nil {
		return fmt.Errorf("sign delivery: %w", err)
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, source := range v.keys {
		if source.Kind == "header" && id != "" && r.Header.Get(source.Name) == "" {
			r.Header.Set(source.Name, id)
			break
		}
	}
	if err := v.sign(spec, c, now, id, r); err != nil {
		return fmt.Errorf("sign delivery: %w", err)
	}
	return nil
}

func (v *Verifier) sign(spec catalog.EndpointSpec, c Config, now time.Time, id string, r *Request) error {
	resolved, _ := resolve(spec)
	switch resolved.Auth {
	case catalog.AuthNone, catalog.AuthMTLS:
		return nil // the connection itself is the proof, or there is none
	case catalog.AuthBearer, catalog.AuthBasic, catalog.AuthAPIKey:
		return sendCredentials(resolved, c.Secrets[settingOf(spec)], now, r)
	case catalog.AuthSNS:
		return fmt.Errorf("%w: Amazon's certificate is needed; publish to the topic instead", ErrCannotSign)
	case catalog.AuthAllOf:
		for _, part := range resolved.AllOf {
			if err := SignRequest(part, c, now, id, r); err != nil {
				return err
			}
		}
		return nil
	case catalog.AuthJWT:
		return v.tokens[0].sign(now, r)
	case catalog.AuthMessageSignature:
		return v.messages[0].sign(now, r)
	default:
		return v.schemes[0].sign(now, id, r)
	}
}

func sendCredentials(spec catalog.EndpointSpec, secrets []Secret, now time.Time, r *Request) error {
	for _, s := range secrets {
		if !(key{until: s.Until}).live(now) {
			continue
		}
		switch {
		case spec.Auth == catalog.AuthBearer:
			r.Header.Set("Authorization", "Bearer "+s.Value)
		case spec.Auth == catalog.AuthBasic:
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.Value)))
		case spec.APIKeyQuery != "":
			r.URI = withQuery(r.URI, spec.APIKeyQuery, s.Value)
		default:
			r.Header.Set(spec.APIKeyHeader, s.Value)
		}
		return nil
	}
	return errors.New("every secret has expired")
}

func withQuery(uri, name, value string) string {
	joint := "?"
	if strings.Contains(uri, "?") {
		joint = "&"
	}
	return uri + joint + url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

func (s *scheme) sign(now time.Time, id string, r *Request) error {
	signer := key{}
	for _, k := range s.keys {
		if k.live(now) && k.sign != nil {
			signer = k
			break
		}
	}
	if signer.sign == nil {
		return fmt.Errorf("%w: the setting holds no key to sign with that is still accepted; for a scheme with public keys, give the private key as PEM", ErrCannotSign)
	}
	set := s.spellings[0]
	c := claim{id: id}
	if s.spec.Timestamp != "" {
		c.timestamp = writeTimestamp(now, s.spec.TimestampUnit)
		switch set.timestamp.Kind {
		case "header":
			r.Header.Set(set.timestamp.Name, c.timestamp)
		case "body":
			if err := setBodyField(r, set.timestamp.Name, c.timestamp, s.spec.TimestampUnit != "rfc3339"); err != nil {
				return err
			}
		}
	}
	if set.id.Kind != "" {
		if id == "" || s.endsElsewhere(id) {
			return errors.New("the scheme signs the delivery's id; give one that does not hold the text that ends it")
		}
		if set.id.Kind == "header" {
			r.Header.Set(set.id.Name, id)
		} else if err := setBodyField(r, set.id.Name, id, false); err != nil {
			return err
		}
	}
	if s.signs("sorted_form") {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if _, bound := r.query(bodyHashParameter); kind != "application/x-www-form-urlencoded" && !bound {
			sum := sha256.Sum256(r.Body)
			r.URI = withQuery(r.URI, bodyHashParameter, hex.EncodeToString(sum[:]))
		}
	}
	pieces, err := s.pieces(c, *r, signer.secret)
	if err != nil {
		return err
	}
	text, err := signer.sign(pieces)
	if err != nil {
		return fmt.Errorf("sign with the setting's key: %w", err)
	}
	if s.spec.BodyField != "" {
		return setBodyField(r, s.spec.BodyField, text, false)
	}
	version := signer.version
	if version == "" && len(s.spec.VersionKeys) > 0 {
		version = s.spec.VersionKeys[0]
	}
	switch {
	case s.spec.Parse == catalog.ParsePairs && set.timestamp.Kind == "key":
		text = set.timestamp.Name + "=" + c.timestamp + "," + version + "=" + text
	case s.spec.Parse == catalog.ParsePairs:
		text = version + "=" + text
	case s.spec.Parse == catalog.ParseWords && version != "":
		text = version + "," + text
	default:
		text = s.spec.Prefix + text
	}
	r.Header.Set(set.signatures[0], text)
	return nil
}

func (s *scheme) signs(variable string) bool {
	for _, part := range s.parts {
		if part.Variable == variable {
			return true
		}
	}
	return false
}

// setBodyField sets a field of a JSON object, as some senders put a time or the
// signature into the body. The members are written in another order then.
func setBodyField(r *Request, path, value string, number bool) error {
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(string(r.Body)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil || tree == nil {
		return fmt.Errorf("the scheme has %q in the body, which must be a JSON object", path)
	}
	object := tree
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		inner, ok := object[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[name] = inner
		}
		object = inner
	}
	object[names[len(names)-1]] = value
	if number {
		object[names[len(names)-1]] = json.Number(value)
	}
	body, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("write %q into the body: %w", path, err)
	}
	r.Body = body
	return nil
}

func (t *tokenCheck) sign(now time.Time, r *Request) error {
	claims := map[string]any{"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if t.spec.Issuer != "" {
		claims["iss"] = t.spec.Issuer
	}
	if len(t.audiences) > 0 {
		claims["aud"] = t.audiences[0].secret
	}
	if t.spec.BodyClaim != "" {
		sum := sha256.Sum256(r.Body)
		claims[t.spec.BodyClaim] = hex.EncodeToString(sum[:])
	}
	for _, k := range t.secrets {
		for _, algorithm := range t.spec.Algorithms {
			if !fits(algorithm, k) || !(key{until: k.until}).live(now) || k.shared == nil && k.signer == nil {
				continue
			}
			token, err := signToken(algorithm, k, claims)
			if err != nil {
				return err
			}
			if t.spec.Header != "" {
				r.Header.Set(t.spec.Header, token)
			} else {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: the tokens are signed with a key that the connection does not have", ErrCannotSign)
}

func signToken(algorithm string, k tokenKey, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"`+algorithm+`","typ":"JWT"}`)) + "." + b64.EncodeToString(payload)
	newHash, id := tokenHash(algorithm)
	h := newHash()
	h.Write([]byte(text))
	var signature []byte
	switch private := k.signer.(type) {
	case nil:
		mac := hmac.New(newHash, k.shared)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	case *ecdsa.PrivateKey:
		signature, err = signFixed(private, h.Sum(nil))
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = id
		if strings.HasPrefix(algorithm, "PS") {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: id}
		}
		signature, err = private.Sign(rand.Reader, h.Sum(nil), options)
	default:
		signature, err = private.Sign(rand.Reader, []byte(text), crypto.Hash(0))
	}
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text + "." + b64.EncodeToString(signature), nil
}

func (m *messageCheck) sign(now time.Time, r *Request) error {
	r.Header.Set("Content-Digest", contentDigest(r.Body))
	label := m.spec.Label
	if label == "" {
		label = "sig1"
	}
	var in signatureInput
	var b strings.Builder
	for i, component := range append([]string{"content-digest"}, m.required...) {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(`"` + component + `"`)
		in.components = append(in.components, component)
	}
	in.text = fmt.Sprintf(`(%s);created=%d;alg="%s"`, b.String(), now.Unix(), m.spec.Algorithm)
	if m.spec.KeyID != "" {
		in.text += `;keyid="` + m.spec.KeyID + `"`
	}
	if m.spec.Tag != "" {
		in.text += `;tag="` + m.spec.Tag + `"`
	}
	base, err := m.base(*r, in)
	if err != nil {
		return err
	}
	for _, k := range m.keys {
		if k.sign == nil || !(key{until: k.until}).live(now) {
			continue
		}
		signature, err := k.sign(base)
		if err != nil {
			return fmt.Errorf("sign with the setting's key: %w", err)
		}
		r.Header.Set("Signature-Input", label+"="+in.text)
		r.Header.Set("Signature", label+"=:"+base64.StdEncoding.EncodeToString(signature)+":")
		return nil
	}
	return fmt.Errorf("%w: the setting holds no key to sign with that is still accepted; give the private key as PEM", ErrCannotSign)
}

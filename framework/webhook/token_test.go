package webhook

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

func tokenOf(t testing.TB, algorithm, secret string, header, claims map[string]any) Request {
	t.Helper()
	k := tokenKey{shared: []byte(secret)}
	if strings.HasPrefix(secret, "-----BEGIN") {
		_, signer, err := readPublicKey(secret, "")
		require.NoError(t, err)
		k = tokenKey{signer: signer}
	}
	token, err := signToken(algorithm, k, claims)
	require.NoError(t, err)
	if header != nil {
		// Signed again, with the header that the test wants.
		b, err := json.Marshal(header)
		require.NoError(t, err)
		_, rest, _ := strings.Cut(token, ".")
		payload, _, _ := strings.Cut(rest, ".")
		text := base64.RawURLEncoding.EncodeToString(b) + "." + payload
		signature := resign(t, algorithm, k, text)
		token = text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	return Request{Header: header2("Authorization", "Bearer "+token), Body: body}
}

func header2(name, value string) http.Header { return http.Header{name: {value}} }

func resign(t testing.TB, algorithm string, k tokenKey, text string) []byte {
	t.Helper()
	newHash, id := tokenHash(algorithm)
	h := newHash()
	h.Write([]byte(text))
	switch private := k.signer.(type) {
	case nil:
		signature, err := hmacKey(k.shared, "sha256", encodingOf("hex")).sign([][]byte{[]byte(text)})
		require.NoError(t, err)
		raw, _ := encodingOf("hex").read(signature)
		return raw
	case *ecdsa.PrivateKey:
		signature, err := signFixed(private, h.Sum(nil))
		require.NoError(t, err)
		return signature
	default:
		signature, err := private.Sign(nil, h.Sum(nil), id)
		require.NoError(t, err)
		return signature
	}
}

func in(d time.Duration) int64 { return clock.Add(d).Unix() }

func TestATokenMustBeWhatTheEndpointExpects(t *testing.T) {
	t.Parallel()
	rsaPrivate := privateKeys()["rsa"]
	good := map[string]any{"iss": "acme", "aud": []string{"other", "us"}, "exp": in(time.Minute), "iat": in(0)}
	spec := catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"RS256"}, Issuer: "acme", Audience: "us"}}
	v := newVerifier(t, spec, publicPEM(t, rsaPrivate))
	require.NoError(t, v.Verify(clock, tokenOf(t, "RS256", rsaPrivate, nil, good)))
	with := func(name string, value any) map[string]any {
		claims := maps.Clone(good)
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
		return claims
	}
	for name, claims := range map[string]map[string]any{
		"no exp": with("exp", nil), "expired": with("exp", in(-61*time.Second)), "not yet": with("nbf", in(61*time.Second)),
		"issued later": with("iat", in(2*time.Minute)), "issuer": with("iss", "evil"), "no issuer": with("iss", nil),
		"audience": with("aud", "others"), "no audience": with("aud", nil), "audience of a kind": with("aud", 1), "exp as text": with("exp", "9999999999"),
	} {
		require.ErrorIs(t, v.Verify(clock, tokenOf(t, "RS256", rsaPrivate, nil, claims)), ErrUnverified, name)
	}
	require.NoError(t, v.Verify(clock, tokenOf(t, "RS256", rsaPrivate, nil, with("exp", in(-59*time.Second)))), "within the leeway")
}

// The token must not choose how it is verified.
// A key of another kind than the mode says, which would verify by the algorithm
// that it brings along, is refused when the endpoint is opened, public or private.
func TestNoKeyChoosesItsAlgorithm(t *testing.T) {
	t.Parallel()
	keyed := privateKeys()
	timed := catalog.SignatureSpec{Header: "X-Acme-Signature", Signed: "{timestamp}.{body}", Timestamp: "header:X-Acme-Time"}
	modes := map[string]catalog.Auth{"ed25519": catalog.AuthEd25519, "ecdsa": catalog.AuthECDSA, "rsa": catalog.AuthRSA}
	for mode, auth := range modes {
		for kind := range modes {
			for _, secret := range []string{keyed[kind], publicPEM(t, keyed[kind])} {
				_, err := New(catalog.EndpointSpec{Auth: auth, Signature: timed}, []string{secret})
				if kind == mode {
					require.NoError(t, err, "a key of %s for %s", kind, mode)
					continue
				}
				require.ErrorContains(t, err, "of another kind", "a key of %s for %s", kind, mode)
			}
		}
	}
}

func TestNoTokenChoosesItsAlgorithm(t *testing.T) {
	t.Parallel()
	rsaPrivate := privateKeys()["rsa"]
	public := publicPEM(t, rsaPrivate)
	claims := map[string]any{"exp": in(time.Minute)}
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"RS256"}}}, public)
	require.NoError(t, v.Verify(clock, tokenOf(t, "RS256", rsaPrivate, map[string]any{"alg": "RS256", "kid": "../../etc/passwd"}, claims)))
	// The public key as the secret of an HMAC.
	require.ErrorIs(t, v.Verify(clock, tokenOf(t, "HS256", public, map[string]any{"alg": "HS256"}, claims)), ErrUnverified)
	for _, header := range []map[string]any{
		{"alg": "none"}, {"alg": "None"}, {"alg": ""}, {}, {"alg": "rs256"}, {"alg": "RS512"}, {"alg": "PS256"}, {"alg": "RS256", "crit": []string{"exp"}}, {"alg": 1},
	} {
		require.ErrorIs(t, v.Verify(clock, tokenOf(t, "RS256", rsaPrivate, header, claims)), ErrUnverified, "%v", header)
	}
	// Properly signed, with the right key, by an algorithm that was not declared.
	for _, algorithm := range []string{"RS384", "RS512", "PS256", "PS512"} {
		requireRefused(t, v.Verify(clock, tokenOf(t, algorithm, rsaPrivate, nil, claims)))
	}
	good := tokenOf(t, "RS256", rsaPrivate, nil, claims)
	token := strings.TrimPrefix(good.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for _, bad := range []string{"", none, parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1], token + ".", token + "=", token[:len(token)-1], "." + token, strings.Repeat("a", maxToken+1)} {
		require.ErrorIs(t, v.Verify(clock, Request{Header: header2("Authorization", "Bearer "+bad), Body: body}), ErrUnverified, bad)
	}
	_, err := Open(catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256"}}}, Config{Secrets: map[string][]Secret{"webhook_secret": Plain(public)}})
	require.ErrorContains(t, err, "is a PEM block")
	_, err = Open(catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"ES256"}}}, Config{Secrets: map[string][]Secret{"webhook_secret": Plain(public)}})
	require.ErrorContains(t, err, "none of JWT.Algorithms can use")
}

func TestATokenMayCoverTheBody(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256"}, BodyClaim: "body_sha256"}}
	v := newVerifier(t, spec, textSecret)
	r := signed(t, spec, textSecret, body)
	require.NoError(t, v.Verify(clock, r))
	r.Body = []byte(`{"id":"evt_2"}`)
	requireRefused(t, v.Verify(clock, r))
	require.ErrorIs(t, v.Verify(clock, tokenOf(t, "HS256", textSecret, nil, map[string]any{"exp": in(time.Minute)})), ErrUnverified)
}

func TestPublishedKeysAreFetchedSeldom(t *testing.T) {
	t.Parallel()
	private := privateKeys()["rsa"]
	public, _, err := readPublicKey(private, "")
	require.NoError(t, err)
	key, ok := public.(*rsa.PublicKey)
	require.True(t, ok)
	n := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
	var asked atomic.Int32
	var broken atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"},{"kty":"RSA","kid":"k1","use":"sig","n":%q,"e":"AQAB"},{"kty":"RSA","kid":"enc","use":"enc","n":%q,"e":"AQAB"}]}`, n, n)
	}))
	defer server.Close()
	spec := catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"RS256"}, JWKSURL: server.URL, Issuer: "acme"}}
	v, err := Open(spec, Config{Secrets: map[string][]Secret{"webhook_secret": Plain("our-audience")}, Client: func([]string) *http.Client { return server.Client() }})
	require.NoError(t, err)
	claims := map[string]any{"iss": "acme", "aud": "our-audience", "exp": in(48 * time.Hour)}
	token := func(kid string) Request {
		return tokenOf(t, "RS256", private, map[string]any{"alg": "RS256", "kid": kid}, claims)
	}
	for range 50 {
		require.NoError(t, v.Verify(clock, token("k1")))
	}
	require.EqualValues(t, 1, asked.Load())
	for i := range 100 {
		requireRefused(t, v.Verify(clock, token(fmt.Sprintf("unknown%d", i))))
	}
	require.LessOrEqual(t, asked.Load(), int32(fetchesPerMinute), "strangers decide how often we ask")
	requireRefused(t, v.Verify(clock, token("enc")))
	broken.Store(true)
	require.NoError(t, v.Verify(clock.Add(2*time.Hour), token("k1")), "old keys serve while nobody answers")
	requireRefused(t, v.Verify(clock.Add(25*time.Hour), token("k1")))
}

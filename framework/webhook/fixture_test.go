package webhook

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	textSecret     = "a secret of sufficient length"
	oldSecret      = "the secret before the rotation"
)

var (
	clock = time.Unix(1_700_000_000, 0).UTC()
	body  = []byte(`{"id":"evt_1","n":1}`)
)

// endpointCase is one way of signing, with a secret that can sign for it.
type endpointCase = struct {
	spec   catalog.EndpointSpec
	secret string
}

// privateKeys are PEM, one of each kind.
var privateKeys = sync.OnceValue(func() map[string]string {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	out := map[string]string{}
	for name, private := range map[string]any{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			panic(err)
		}
		out[name] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	out["whsk"] = "whsk_" + base64.StdEncoding.EncodeToString(ed)
	return out
})

// publicPEM is the public half of a private key.
func publicPEM(t testing.TB, private string) string {
	t.Helper()
	public, _, err := readPublicKey(private, "")
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

const publicURL = "https://weir.example"

// signingSpecs are one endpoint for each way of signing the body in headers.
func signingSpecs() map[string]endpointCase {
	timed := catalog.SignatureSpec{Header: "X-Acme-Signature", Signed: "{timestamp}.{body}", Timestamp: "header:X-Acme-Time"}
	keyed := privateKeys()
	hmac := func(s catalog.SignatureSpec) endpointCase {
		return endpointCase{catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: s}, textSecret}
	}
	specs := map[string]endpointCase{
		"standard":     {catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret},
		"standard v1a": {catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, keyed["whsk"]},
		"stripe":       {catalog.EndpointSpec{Auth: catalog.AuthStripe}, "whsec_" + textSecret},
		"hmac sha512 base64url": hmac(catalog.SignatureSpec{
			Header: "X-Acme-Signature", Algorithm: "sha512", Encoding: "base64url",
			Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Acme-Time",
		}),
		"hmac sha1 base64": hmac(catalog.SignatureSpec{Header: "X-Acme-Signature", Prefix: "sha1=", Algorithm: "sha1", Encoding: "base64"}),
		"hmac milliseconds": hmac(catalog.SignatureSpec{
			Header: "X-Acme-Signature", Signed: "{method} {url} {path} {timestamp} {body_sha256}", Timestamp: "header:X-Acme-Time", TimestampUnit: "ms",
		}),
		"hmac rfc3339": hmac(catalog.SignatureSpec{
			Header: "X-Acme-Signature", Signed: "{timestamp}.{secret}.{body}", Timestamp: "header:X-Acme-Time", TimestampUnit: "rfc3339",
		}),
		"hmac pairs": hmac(catalog.SignatureSpec{
			Header: "X-Acme-Signature", Parse: catalog.ParsePairs, VersionKeys: []string{"v1", "v2"}, Signed: "{timestamp}.{body}", Timestamp: "header:X-Acme-Time",
		}),
		"hmac words": hmac(catalog.SignatureSpec{Header: "X-Acme-Signature", Parse: catalog.ParseWords, Prefix: "v1="}),
		"custom":     {catalog.EndpointSpec{Auth: catalog.AuthCustom, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}}, textSecret},
		"ed25519":    {catalog.EndpointSpec{Auth: catalog.AuthEd25519, Signature: timed}, keyed["ed25519"]},
		"ecdsa":      {catalog.EndpointSpec{Auth: catalog.AuthECDSA, Signature: timed}, keyed["ecdsa"]},
		"rsa":        {catalog.EndpointSpec{Auth: catalog.AuthRSA, Signature: timed}, keyed["rsa"]},
		"discord":    {catalog.EndpointSpec{Auth: catalog.AuthDiscord}, keyed["ed25519"]},
		"sendgrid":   {catalog.EndpointSpec{Auth: catalog.AuthSendGrid}, keyed["ecdsa"]},
		"svix":       {catalog.EndpointSpec{Auth: catalog.AuthSvix}, standardSecret},
	}
	for _, auth := range []catalog.Auth{
		catalog.AuthGitHub, catalog.AuthSlack, catalog.AuthShopify, catalog.AuthSquare, catalog.AuthZoom, catalog.AuthMeta, catalog.AuthIntercom,
		catalog.AuthX, catalog.AuthHookdeck, catalog.AuthConvoy, catalog.AuthBitbucket, catalog.AuthTypeform, catalog.AuthCalendly, catalog.AuthHubSpot,
	} {
		specs[string(auth)] = endpointCase{catalog.EndpointSpec{Auth: auth}, textSecret}
	}
	return specs
}

// openCase opens an endpoint of which every setting holds the same secrets.
func openCase(spec catalog.EndpointSpec, secrets ...string) (*Verifier, error) {
	return Open(spec, caseConfig(spec, secrets...))
}

func caseConfig(spec catalog.EndpointSpec, secrets ...string) Config {
	c := Config{Secrets: map[string][]Secret{}, PublicURL: publicURL}
	for _, name := range spec.SecretSettings() {
		c.Secrets[name] = Plain(secrets...)
	}
	return c
}

func newVerifier(t testing.TB, spec catalog.EndpointSpec, secrets ...string) *Verifier {
	t.Helper()
	v, err := openCase(spec, secrets...)
	require.NoError(t, err)
	return v
}

func sign(t testing.TB, spec catalog.EndpointSpec, secret string, body []byte) http.Header {
	t.Helper()
	return signed(t, spec, secret, body).Header
}

func signed(t testing.TB, spec catalog.EndpointSpec, secret string, body []byte) Request {
	t.Helper()
	r := Request{Header: http.Header{}, Body: body}
	require.NoError(t, SignRequest(spec, caseConfig(spec, secret), clock, "msg_1", &r))
	return r
}

// signatureHeader is the header that carries the signature of a mode.
func signatureHeader(v *Verifier) string { return v.private[0] }

// header makes a header of pairs.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func requireRefused(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, ErrUnverified)
	require.EqualError(t, err, "delivery is not verified")
	require.NotEmpty(t, ReasonOf(err))
}

// signedBy signs a text with a key.
func signedBy(t testing.TB, k key, text string) string {
	t.Helper()
	signature, err := k.sign([][]byte{[]byte(text)})
	require.NoError(t, err)
	return signature
}

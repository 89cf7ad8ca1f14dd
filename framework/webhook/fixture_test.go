package webhook

import (
	"net/http"
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

// signingSpecs are one endpoint for each way of signing, with a secret for it.
func signingSpecs() map[string]struct {
	spec   catalog.EndpointSpec
	secret string
} {
	return map[string]struct {
		spec   catalog.EndpointSpec
		secret string
	}{
		"standard": {catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret},
		"stripe":   {catalog.EndpointSpec{Auth: catalog.AuthStripe}, "whsec_" + textSecret},
		"github":   {catalog.EndpointSpec{Auth: catalog.AuthGitHub}, textSecret},
		"hmac sha512 base64url": {catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{
			Header: "X-Acme-Signature", Algorithm: "sha512", Encoding: "base64url",
			Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Acme-Time",
		}}, textSecret},
		"hmac sha1 base64": {catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{
			Header: "X-Acme-Signature", Prefix: "sha1=", Algorithm: "sha1", Encoding: "base64",
		}}, textSecret},
		"custom": {catalog.EndpointSpec{Auth: catalog.AuthCustom, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}}, textSecret},
	}
}

func newVerifier(t testing.TB, spec catalog.EndpointSpec, secrets ...string) *Verifier {
	t.Helper()
	v, err := New(spec, secrets)
	require.NoError(t, err)
	return v
}

func sign(t testing.TB, spec catalog.EndpointSpec, secret string, body []byte) http.Header {
	t.Helper()
	h, err := Sign(spec, secret, clock, "msg_1", body)
	require.NoError(t, err)
	return h
}

// signatureHeader is the header that carries the signature of a mode.
func signatureHeader(v *Verifier) string { return v.credentials[0] }

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

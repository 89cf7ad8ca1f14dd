package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

func TestAcceptsWhatSignMakesInEveryMode(t *testing.T) {
	t.Parallel()
	specs := signingSpecs()
	specs["none"] = spec(catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "a test"}, "unused")
	specs["bearer"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBearer}, textSecret)
	specs["basic"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBasic}, "user:"+textSecret)
	specs["api key"] = spec(catalog.EndpointSpec{Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Acme-Key"}, textSecret)
	specs["api key in query"] = spec(catalog.EndpointSpec{Auth: catalog.AuthAPIKey, APIKeyQuery: "key"}, textSecret)
	specs["gitlab"] = spec(catalog.EndpointSpec{Auth: catalog.AuthGitLab}, textSecret)
	specs["twilio"] = spec(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret)
	specs["mailgun"] = spec(catalog.EndpointSpec{Auth: catalog.AuthMailgun}, textSecret)
	specs["linear"] = spec(catalog.EndpointSpec{Auth: catalog.AuthLinear}, textSecret)
	specs["jwt"] = spec(catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256"}, BodyClaim: "body_sha256"}}, textSecret)
	for algorithm, kind := range map[string]string{"RS256": "rsa", "PS512": "rsa", "ES256": "ecdsa", "EdDSA": "ed25519"} {
		specs["jwt "+algorithm] = spec(catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{algorithm}, Issuer: "acme", Audience: "us"}}, privateKeys()[kind])
	}
	for algorithm, kind := range map[string]string{"hmac-sha256": "", "ed25519": "ed25519", "ecdsa-p256-sha256": "ecdsa", "rsa-v1_5-sha256": "rsa", "rsa-pss-sha512": "rsa"} {
		secret := textSecret
		if kind != "" {
			secret = privateKeys()[kind]
		}
		specs["message "+algorithm] = spec(catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{
			Algorithm: algorithm, Components: []string{"@method", "@target-uri", "content-type"}, Tag: "acme", KeyID: "k1",
		}}, secret)
	}
	specs["all of"] = spec(catalog.EndpointSpec{Auth: catalog.AuthAllOf, AllOf: []catalog.EndpointSpec{
		{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}}, {Auth: catalog.AuthBearer, SecretSetting: "token"},
	}}, textSecret)
	// Only the sender can sign these; others do so in tests of their own.
	modes := map[catalog.Auth]bool{catalog.AuthMTLS: true, catalog.AuthSNS: true, catalog.AuthPayPal: true}
	for name, c := range specs {
		v := newVerifier(t, c.spec, c.secret)
		r := Request{URI: "/webhooks/a/b?c=d", Header: header("Content-Type", "application/json"), Body: body}
		require.NoError(t, SignRequest(c.spec, caseConfig(c.spec, c.secret), clock, "msg_1", &r), name)
		require.NoError(t, v.Verify(clock, r), name)
		modes[c.spec.Auth] = true
	}
	for _, auth := range catalog.Auths() {
		require.True(t, modes[auth], "mode %q has no test", auth)
	}
}

func spec(s catalog.EndpointSpec, secret string) struct {
	spec   catalog.EndpointSpec
	secret string
} {
	return struct {
		spec   catalog.EndpointSpec
		secret string
	}{s, secret}
}

func TestRefusesEveryPrefixOfAGoodSignature(t *testing.T) {
	t.Parallel()
	for name, c := range signingSpecs() {
		v := newVerifier(t, c.spec, c.secret)
		h := sign(t, c.spec, c.secret, body)
		good := h.Get(signatureHeader(v))
		for i := range good {
			if c.spec.Signature.Encoding == "base64url" && good[:i] == strings.TrimRight(good, "=") {
				continue // the whole signature: senders of base64url leave the padding out as often as not
			}
			h.Set(signatureHeader(v), good[:i])
			err := v.Verify(clock, Request{Header: h, Body: body})
			require.ErrorIs(t, err, ErrUnverified, "%s: %d of %d bytes", name, i, len(good))
		}
		h.Set(signatureHeader(v), good)
		require.NoError(t, v.Verify(clock, Request{Header: h, Body: body}), name)
	}
}

func TestRefusesSignaturesOfAnotherSpelling(t *testing.T) {
	t.Parallel()
	standard := sign(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret, body).Get("Webhook-Signature")
	digest := strings.TrimPrefix(standard, "v1,")
	for _, value := range []string{
		"", " ", "v1", "v1,", "v1, ", "v1,=", ",", "v1a," + digest, "V1," + digest, "v2," + digest, "v1 " + digest, "v1=" + digest, digest,
		"v1," + strings.ToLower(digest), "v1," + strings.TrimRight(digest, "="), "v1," + digest + "=", "v1," + digest + " ", " " + standard,
		"v1,\"" + digest + "\"", standard + ",v1",
	} {
		v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret)
		h := sign(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret, body)
		h.Set("Webhook-Signature", value)
		requireRefused(t, v.Verify(clock, Request{Header: h, Body: body}))
	}
	github := sign(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub}, textSecret, body).Get("X-Hub-Signature-256")
	for _, value := range []string{
		strings.ToUpper(github), "sha256=" + strings.ToUpper(github[7:]), "SHA256=" + github[7:], github[7:], "sha1=" + github[7:],
		github + " ", github + "," + github, "sha256=" + github, "sha256=0x" + github[7:],
	} {
		v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub}, textSecret)
		requireRefused(t, v.Verify(clock, Request{Header: header("X-Hub-Signature-256", value), Body: body}))
	}
}

func TestRefusesSecretsThatCouldBeGuessed(t *testing.T) {
	t.Parallel()
	signing := signingSpecs()
	for name, c := range signing {
		for _, secret := range []string{"", " ", "\t\n  ", "whsec_", "whsec_ ", "fifteen bytes..", textSecret + "\n", " " + textSecret} {
			_, err := New(c.spec, []string{secret})
			require.ErrorContains(t, err, `setting "webhook_secret"`, "%s: %q", name, secret)
			if len(strings.TrimSpace(secret)) > 8 {
				require.NotContains(t, err.Error(), strings.TrimSpace(secret))
			}
		}
		_, err := New(c.spec, nil)
		require.ErrorContains(t, err, `setting "webhook_secret" is missing`, name)
	}
	for _, c := range []catalog.EndpointSpec{
		{Auth: catalog.AuthBearer}, {Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Key"}, {Auth: catalog.AuthBasic},
	} {
		for _, secrets := range [][]string{nil, {}, {""}, {"  "}, {textSecret, ""}} {
			_, err := New(c, secrets)
			require.ErrorContains(t, err, `setting "webhook_secret"`, "%s %q", c.Auth, secrets)
		}
	}
}

func TestNamesEachBadSecretOfAList(t *testing.T) {
	t.Parallel()
	_, err := New(catalog.EndpointSpec{Auth: catalog.AuthGitHub, SecretSetting: "hook_secrets"}, []string{"short", textSecret, ""})
	require.ErrorContains(t, err, `setting "hook_secrets" (secret 1 of 3) has 5 bytes; a signing secret needs at least 16`)
	require.ErrorContains(t, err, `setting "hook_secrets" (secret 3 of 3) is empty`)
	require.NotContains(t, err.Error(), "secret 2 of 3")
}

func TestCountsTheBytesOfTheKeyNotOfItsEncoding(t *testing.T) {
	t.Parallel()
	// 15 bytes are 20 characters of base64, and 21 with the prefix of Stripe.
	_, err := New(catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, []string{"whsec_AAECAwQFBgcICQoLDA0O"})
	require.ErrorContains(t, err, "has 15 bytes")
	_, err = New(catalog.EndpointSpec{Auth: catalog.AuthStripe}, []string{"whsec_123456789012345"})
	require.ErrorContains(t, err, "has 15 bytes")
	_, err = New(catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, []string{"whsec_not base64 at all, no, no"})
	require.ErrorContains(t, err, "is not base64")
}

func TestRefusesAPublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"whpk_", "whsk_"} { // of the wrong length for what they claim to be
		_, err := New(catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, []string{prefix + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
		require.ErrorContains(t, err, "no Ed25519 key")
	}
}

func TestWarnsAboutShortCredentials(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec  catalog.EndpointSpec
		short string
	}{
		{catalog.EndpointSpec{Auth: catalog.AuthBearer}, "abc"},
		{catalog.EndpointSpec{Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Key"}, "abc"},
		{catalog.EndpointSpec{Auth: catalog.AuthBasic}, "a long user name:abc"},
	} {
		v := newVerifier(t, c.spec, c.short)
		require.Len(t, v.Warnings(), 1)
		require.Contains(t, v.Warnings()[0], `setting "webhook_secret" has 3 bytes`)
		require.Empty(t, newVerifier(t, c.spec, "user:0123456789abcdef").Warnings())
	}
	require.Contains(t, newVerifier(t, signingSpecs()["hmac sha1 base64"].spec, textSecret).Warnings()[0], "sha1")
}

func TestRefusesRepeatedHeaders(t *testing.T) {
	t.Parallel()
	specs := signingSpecs()
	specs["bearer"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBearer}, textSecret)
	for name, c := range specs {
		v := newVerifier(t, c.spec, c.secret)
		signed := sign(t, c.spec, c.secret, body)
		for repeated := range signed {
			if slices.Contains(v.keys, catalog.Source{Kind: "header", Name: repeated}) && !strings.HasPrefix(repeated, "Webhook-") {
				continue // no part of the proof
			}
			for _, second := range []string{signed.Get(repeated), "x", ""} {
				h := signed.Clone()
				h.Add(repeated, second)
				require.ErrorIs(t, v.Verify(clock, Request{Header: h, Body: body}), ErrUnverified, "%s: %s twice", name, repeated)
			}
		}
	}
}

func TestNeverMixesTheHeadersOfTwoSpellings(t *testing.T) {
	t.Parallel()
	c := catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}
	v := newVerifier(t, c, standardSecret)
	signed := sign(t, c, standardSecret, body)
	svix := header("Svix-Id", "msg_1", "Svix-Timestamp", signed.Get("Webhook-Timestamp"), "Svix-Signature", signed.Get("Webhook-Signature"))
	require.NoError(t, v.Verify(clock, Request{Header: svix, Body: body}))
	// An id that nobody signed must not become the delivery's key.
	svix.Set("Webhook-Id", "msg_2")
	requireRefused(t, v.Verify(clock, Request{Header: svix, Body: body}))
	svix.Set("Webhook-Id", "")
	requireRefused(t, v.Verify(clock, Request{Header: svix, Body: body}))
}

func TestRefusesAnIDThatShiftsTheDots(t *testing.T) {
	t.Parallel()
	c := catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}
	v := newVerifier(t, c, standardSecret)
	// The signed text of (msg, 1700000000, "1700000001.{}") is also that of
	// (msg.1700000000, 1700000001, "{}").
	signed, err := Sign(c, standardSecret, clock, "msg", []byte("1700000001.{}"))
	require.NoError(t, err)
	shifted := header("Webhook-Id", "msg.1700000000", "Webhook-Timestamp", "1700000001", "Webhook-Signature", signed.Get("Webhook-Signature"))
	requireRefused(t, v.Verify(clock, Request{Header: shifted, Body: []byte("{}")}))
}

func TestAcceptsEverySecretDuringRotation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]catalog.EndpointSpec{
		"github": {Auth: catalog.AuthGitHub}, "stripe": {Auth: catalog.AuthStripe}, "bearer": {Auth: catalog.AuthBearer},
		"api key": {Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Key"},
	} {
		v := newVerifier(t, c, oldSecret, textSecret)
		require.NoError(t, v.Verify(clock, Request{Header: sign(t, c, oldSecret, body), Body: body}), name)
		require.NoError(t, v.Verify(clock, Request{Header: sign(t, c, textSecret, body), Body: body}), name)
		require.ErrorIs(t, v.Verify(clock, Request{Header: sign(t, c, "a third secret, unknown", body), Body: body}), ErrUnverified, name)
	}
}

func TestTimestampsCountToTheSecond(t *testing.T) {
	t.Parallel()
	for _, auth := range []catalog.Auth{catalog.AuthStandardWebhooks, catalog.AuthStripe} {
		c := catalog.EndpointSpec{Auth: auth}
		v := newVerifier(t, c, standardSecret)
		h := sign(t, c, standardSecret, body)
		for seconds, ok := range map[int]bool{0: true, 299: true, 300: true, 301: false, -299: true, -300: true, -301: false} {
			err := v.Verify(clock.Add(time.Duration(seconds)*time.Second), Request{Header: h, Body: body})
			require.Equal(t, ok, err == nil, "%s at %+d s", auth, seconds)
		}
	}
}

func TestPastAndFutureHaveTheirOwnTolerance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		past, future   time.Duration
		oldest, newest time.Duration
	}{
		{0, 0, DefaultTolerance, DefaultTolerance}, {time.Hour, 0, time.Hour, time.Hour}, {time.Hour, time.Minute, time.Hour, time.Minute}, {0, time.Minute, DefaultTolerance, time.Minute},
	} {
		spec := catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{
			Header: "X-Sig", Signed: "{timestamp}.{body}", Timestamp: "header:X-Time", Tolerance: c.past, FutureTolerance: c.future,
		}}
		v := newVerifier(t, spec, textSecret)
		h := sign(t, spec, textSecret, body)
		for after, ok := range map[time.Duration]bool{c.oldest: true, c.oldest + time.Second: false, -c.newest: true, -c.newest - time.Second: false} {
			require.Equal(t, ok, v.Verify(clock.Add(after), Request{Header: h, Body: body}) == nil, "%+v: %s after it was sent", c, after)
		}
	}
}

func TestRefusesTimestampsOfAnotherSpelling(t *testing.T) {
	t.Parallel()
	c := catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}
	v := newVerifier(t, c, standardSecret)
	for _, stamp := range []string{
		"+1700000000", "01700000000", "-1700000000", " 1700000000", "1700000000 ", "1700000000.0", "1.7e9", "0x6553f100", "1_700_000_000",
		"1700000000000", "99999999999999999999", "9223372036854775807", "-9223372036854775808", "", "0", "00", "١٧٠٠٠٠٠٠٠٠",
	} {
		// Even properly signed.
		h := header("Webhook-Id", "msg_1", "Webhook-Timestamp", stamp,
			"Webhook-Signature", "v1,"+signedBy(t, v.schemes[0].keys[0], "msg_1."+stamp+"."+string(body)))
		requireRefused(t, v.Verify(clock, Request{Header: h, Body: body}))
	}
}

func TestRefusesWhatIsDeclaredBadly(t *testing.T) {
	t.Parallel()
	good := catalog.SignatureSpec{Header: "X-Sig"}
	hmac := func(change func(*catalog.SignatureSpec)) catalog.EndpointSpec {
		h := good
		change(&h)
		return catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: h}
	}
	for want, c := range map[string]catalog.EndpointSpec{
		"unknown Auth":                    {Auth: "Stripe"},
		`auth ""`:                         {},
		"without a reason":                {Auth: catalog.AuthNone},
		"is AuthCustom without Signature": {Auth: catalog.AuthCustom},
		"without APIKeyHeader":            {Auth: catalog.AuthAPIKey},
		"APIKeyQuery, which Auth":         {Auth: catalog.AuthGitHub, APIKeyQuery: "key"},
		"Signature, which Auth":           {Auth: catalog.AuthGitHub, Signature: good},
		"only AuthNone needs":             {Auth: catalog.AuthGitHub, Reason: "why not"},
		"Signature.Header":                hmac(func(h *catalog.SignatureSpec) { h.Header = "X Sig" }),
		"Signature.Algorithm":             hmac(func(h *catalog.SignatureSpec) { h.Algorithm = "md5" }),
		"Signature.Encoding":              hmac(func(h *catalog.SignatureSpec) { h.Encoding = "base32" }),
		"Signature.KeyEncoding":           hmac(func(h *catalog.SignatureSpec) { h.KeyEncoding = "pgp" }),
		"leaves the body out":             hmac(func(h *catalog.SignatureSpec) { h.Signed = "constant" }),
		"something else in braces":        hmac(func(h *catalog.SignatureSpec) { h.Signed = "{host}{body}" }),
		"{body} twice":                    hmac(func(h *catalog.SignatureSpec) { h.Signed = "{body}{body}" }),
		"without Signature.Timestamp":     hmac(func(h *catalog.SignatureSpec) { h.Signed = "{timestamp}{body}" }),
		"unsigned timestamp":              hmac(func(h *catalog.SignatureSpec) { h.Timestamp = "header:X-Time" }),
		"text must stand after {id}":      hmac(func(h *catalog.SignatureSpec) { h.Signed, h.ID = "{id}{body}", "header:X-Id" }),
		"without VersionKeys":             hmac(func(h *catalog.SignatureSpec) { h.Parse = catalog.ParsePairs }),
		"are for AuthRSA":                 hmac(func(h *catalog.SignatureSpec) { h.CertURL, h.CertHosts = "header:X-Cert", []string{"acme.test"} }),
		"Signature.Tolerance": hmac(func(h *catalog.SignatureSpec) {
			h.Signed, h.Timestamp, h.Tolerance = "{timestamp}{body}", "header:X-Time", -time.Hour
		}),
		"set public_url":                   hmac(func(h *catalog.SignatureSpec) { h.Signed = "{url}{body}" }),
		"without JWT.Algorithms":           {Auth: catalog.AuthJWT},
		"a public key would do as secret":  {Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256", "RS256"}}},
		`JWT.Algorithms "none" is unknown`: {Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"none"}}},
		"without JWT.Issuer":               {Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"RS256"}, JWKSURL: "https://acme.test/keys"}},
		"no https address":                 {Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"RS256"}, JWKSURL: "http://acme.test/keys", Issuer: "acme"}},
		"without ClientNames":              {Auth: catalog.AuthMTLS},
		"MessageSignature.Algorithm":       {Auth: catalog.AuthMessageSignature},
		"fewer than two parts":             {Auth: catalog.AuthAllOf},
		"AllowedIPs":                       {Auth: catalog.AuthGitHub, AllowedIPs: []string{"10.0.0.1/8"}},
		"would answer everything":          {Auth: catalog.AuthGitHub, Challenges: []catalog.ChallengeSpec{{Reply: "ok"}}},
		"use it with AuthHMAC":             {Auth: catalog.AuthBearer, Challenges: []catalog.ChallengeSpec{{Kind: catalog.ChallengeCRC}}},
		"MaxBody":                          {Auth: catalog.AuthGitHub, MaxBody: -1},
		"Deadline":                         {Auth: catalog.AuthGitHub, Deadline: time.Hour},
		`DeliveryKey "header"`:             {Auth: catalog.AuthGitHub, DeliveryKey: []string{"header"}},
		`DeliveryKey "body:a..b"`:          {Auth: catalog.AuthGitHub, DeliveryKey: []string{"body:a..b"}},
		`DeliveryKey "cookie:session"`:     {Auth: catalog.AuthGitHub, DeliveryKey: []string{"cookie:session"}},
	} {
		v, err := New(c, []string{textSecret})
		require.ErrorContains(t, err, want)
		require.Nil(t, v)
		requireRefused(t, v.Verify(clock, Request{Header: http.Header{}, Body: nil}))
	}
}

func TestListsEveryErrorAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(catalog.EndpointSpec{Auth: catalog.AuthHMAC, MaxBody: -1, Signature: catalog.SignatureSpec{Header: "X Sig", Algorithm: "md5"}}, []string{"short"})
	for _, want := range []string{"MaxBody", "Signature.Header", "Signature.Algorithm", "has 5 bytes"} {
		require.ErrorContains(t, err, want)
	}
}

func TestTheZeroVerifierRefuses(t *testing.T) {
	t.Parallel()
	var missing *Verifier
	requireRefused(t, missing.Verify(clock, Request{}))
	requireRefused(t, new(Verifier).Verify(clock, Request{}))
}

func TestComparesCredentialsExactly(t *testing.T) {
	t.Parallel()
	bearer := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthBearer}, textSecret)
	require.NoError(t, bearer.Verify(clock, Request{Header: header("Authorization", "bearer "+textSecret), Body: nil}))
	for _, value := range []string{"", "Bearer", "Bearer ", textSecret, "Basic " + textSecret, "Bearer  " + textSecret, "Bearer " + textSecret[1:], "Bearer " + textSecret + "x", "Bearer\t" + textSecret} {
		requireRefused(t, bearer.Verify(clock, Request{Header: header("Authorization", value), Body: nil}))
	}
	basic := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthBasic}, "user:password of some length")
	for _, value := range []string{"Basic", "Basic !", "Basic dXNlcjo=", "Basic dXNlcg==", "Bearer dXNlcjpwYXNzd29yZCBvZiBzb21lIGxlbmd0aA=="} {
		requireRefused(t, basic.Verify(clock, Request{Header: header("Authorization", value), Body: nil}))
	}
	requireRefused(t, basic.Verify(clock, Request{Header: http.Header{}, Body: nil}))
	_, err := New(catalog.EndpointSpec{Auth: catalog.AuthBasic}, []string{"user-without-password:"})
	require.ErrorContains(t, err, `"user:password"`)
}

func TestKnowsThePresetsLimits(t *testing.T) {
	t.Parallel()
	github := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub}, textSecret)
	require.EqualValues(t, 25<<20, github.MaxBody())
	require.Equal(t, 9500*time.Millisecond, github.Deadline())
	stripe := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStripe}, textSecret)
	require.EqualValues(t, 1<<20, stripe.MaxBody())
	require.Equal(t, 10*time.Second, stripe.Deadline())
	own := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub, MaxBody: 5, Deadline: time.Second}, textSecret)
	require.EqualValues(t, 5, own.MaxBody())
	require.Equal(t, time.Second, own.Deadline())
}

func TestReasonsHoldNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	for name, c := range signingSpecs() {
		v := newVerifier(t, c.spec, c.secret)
		for _, value := range []string{canary, "v1," + canary, "t=" + canary + ",v1=" + canary, "sha256=" + canary} {
			h := sign(t, c.spec, c.secret, body)
			for header := range h {
				one := h.Clone()
				one.Set(header, value)
				if err := v.Verify(clock, Request{Header: one, Body: body}); err != nil {
					require.NotContains(t, ReasonOf(err)+fmt.Sprintf("%v %+v", err, err), canary, name)
				}
			}
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, c := range signingSpecs() {
		b.Run(name, func(b *testing.B) {
			payload := []byte(strings.Repeat("x", 1024))
			v := newVerifier(b, c.spec, c.secret)
			r := Request{Header: sign(b, c.spec, c.secret, payload), Body: payload}
			b.ReportAllocs()
			for b.Loop() {
				if v.Verify(clock, r) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

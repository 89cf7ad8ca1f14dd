package webhook

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// proven is a delivery that verifies, and what of it is proven: another one
// verifies only where meaning is the same.
type proven struct {
	v       *Verifier
	good    Request
	headers []string
	uri     bool
	body    bool
	meaning func(r Request) string
}

// places returns the places of a delivery that prove something, to read and to change.
func (p proven) places() []func(r *Request, change func([]byte) []byte) {
	var places []func(*Request, func([]byte) []byte)
	for _, name := range p.headers {
		places = append(places, func(r *Request, change func([]byte) []byte) {
			r.Header.Set(name, string(change([]byte(r.Header.Get(name)))))
		})
	}
	if p.uri {
		places = append(places, func(r *Request, change func([]byte) []byte) { r.URI = string(change([]byte(r.URI))) })
	}
	if p.body {
		places = append(places, func(r *Request, change func([]byte) []byte) { r.Body = change(bytes.Clone(r.Body)) })
	}
	return places
}

// oneVersion writes the keys of a list of pairs as one: they stand for each
// other, since none chooses another algorithm.
func oneVersion(value string, versions []string) string {
	for _, version := range versions {
		value = strings.ReplaceAll(value, version+"=", versions[0]+"=")
	}
	return value
}

// exactly is the meaning of a scheme that covers every byte.
func exactly(p proven, versions []string) func(Request) string {
	return func(r Request) string {
		var b strings.Builder
		for _, name := range p.headers {
			value := oneVersion(r.Header.Get(name), versions)
			scheme, rest, two := strings.Cut(value, " ")
			if name == "Authorization" && two {
				value = strings.ToLower(scheme) + " " + rest
			}
			b.WriteString(value + "\x00")
		}
		return b.String() + r.URI + "\x00" + string(r.Body)
	}
}

// fieldsOf is the meaning of a JSON body of which only some fields count.
func fieldsOf(paths ...string) func(Request) string {
	return func(r Request) string {
		var out []string
		for _, path := range paths {
			text, _, ok := bodyField(r.Body, strings.Split(path, "."))
			out = append(out, fmt.Sprint(ok)+text)
		}
		return strings.Join(out, "\x00")
	}
}

// pairsOf is the meaning of a form: the set of its names with their values.
func pairsOf(r Request) string {
	form, err := url.ParseQuery(string(r.Body))
	var pairs []string
	for name, values := range form {
		for _, value := range values {
			pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(value))
		}
	}
	slices.Sort(pairs)
	return fmt.Sprint(slices.Compact(pairs), err) + "\x00" + r.URI + "\x00" + r.Header.Get("X-Twilio-Signature")
}

// everyProof returns one delivery for each verifier, signed schemes and credentials alike.
func everyProof(t testing.TB) map[string]proven {
	t.Helper()
	specs := signingSpecs()
	specs["bearer"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBearer}, textSecret)
	specs["basic"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBasic}, "user:"+textSecret)
	specs["gitlab"] = spec(catalog.EndpointSpec{Auth: catalog.AuthGitLab}, textSecret)
	specs["linear"] = spec(catalog.EndpointSpec{Auth: catalog.AuthLinear}, textSecret)
	specs["mailgun"] = spec(catalog.EndpointSpec{Auth: catalog.AuthMailgun}, textSecret)
	specs["twilio form"] = spec(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret)
	specs["twilio json"] = spec(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret)
	for algorithm, secret := range map[string]string{"HS256": textSecret, "RS256": privateKeys()["rsa"], "ES256": privateKeys()["ecdsa"], "EdDSA": privateKeys()["ed25519"]} {
		specs["jwt "+algorithm] = spec(catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{algorithm}, BodyClaim: "sha"}}, secret)
	}
	for algorithm, secret := range map[string]string{"hmac-sha256": textSecret, "ed25519": privateKeys()["ed25519"], "ecdsa-p256-sha256": privateKeys()["ecdsa"], "rsa-pss-sha512": privateKeys()["rsa"]} {
		specs["message "+algorithm] = spec(catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{
			Algorithm: algorithm, Components: []string{"@method", "@target-uri"},
		}}, secret)
	}
	specs["all of"] = spec(catalog.EndpointSpec{Auth: catalog.AuthAllOf, AllOf: []catalog.EndpointSpec{
		{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}}, {Auth: catalog.AuthBearer, SecretSetting: "token"},
	}}, textSecret)
	all := map[string]proven{}
	for name, c := range specs {
		r := Request{URI: "/webhooks/a/b?c=d", Header: header("Content-Type", "application/json"), Body: body}
		if name == "twilio form" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = []byte("To=%2B1800&CallSid=CA1&To=%2b1900&Empty=&From=a+b&A%3D=1")
		}
		require.NoError(t, SignRequest(c.spec, caseConfig(c.spec, c.secret), clock, "msg_1", &r), name)
		p := proven{v: newVerifier(t, c.spec, c.secret), good: r, body: true}
		var versions []string
		for _, s := range p.v.schemes {
			versions = append(versions, s.spec.VersionKeys...)
			p.headers = append(p.headers, s.spellings[0].headers()...)
			p.uri = p.uri || s.signs("url") || s.signs("path")
		}
		if len(p.v.messages) > 0 {
			p.headers, p.uri = []string{"Content-Digest"}, true
		}
		p.headers = append(append(p.headers, p.v.private...), "Authorization")
		for i := range p.headers {
			p.headers[i] = http.CanonicalHeaderKey(p.headers[i])
		}
		slices.Sort(p.headers)
		p.headers = slices.DeleteFunc(slices.Compact(p.headers), func(name string) bool { return r.Header.Get(name) == "" })
		p.meaning = exactly(p, versions)
		switch name {
		case "bearer", "basic", "gitlab":
			p.body = false // these prove the sender, not the body
		case "mailgun":
			p.meaning = fieldsOf("signature.timestamp", "signature.token", "signature.signature")
		case "twilio form":
			p.meaning = pairsOf
		}
		all[name] = p
	}
	all["sns"], all["paypal"] = provenByCertificate(t)
	return all
}

// provenByCertificate are the two whose key is fetched.
func provenByCertificate(t testing.TB) (sns, paypal proven) {
	t.Helper()
	_, signer, err := readPublicKey(privateKeys()["rsa"], "")
	require.NoError(t, err)
	private, ok := signer.(*rsa.PrivateKey)
	require.True(t, ok)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: clock.Add(-time.Hour), NotAfter: clock.Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	require.NoError(t, err)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	client, _ := pinnedHosts(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "sns.eu-west-1.amazonaws.com" && r.Host != "api.paypal.com" || r.RequestURI != "/cert.pem" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(certificate))
	})
	open := func(auth catalog.Auth, secret string) *Verifier {
		v, err := Open(catalog.EndpointSpec{Auth: auth}, Config{Secrets: map[string][]Secret{"webhook_secret": Plain(secret)}, Client: client})
		require.NoError(t, err)
		return v
	}
	sns = proven{v: open(catalog.AuthSNS, topic), body: true, meaning: fieldsOf(
		"Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "Token", "SubscribeURL", "SignatureVersion", "Signature", "SigningCertURL",
	)}
	sns.good = Request{Header: http.Header{}, Body: snsBody(t, private, map[string]string{"Subject": "a subject"})}
	paypal = proven{v: open(catalog.AuthPayPal, "WH-1"), body: true, headers: []string{
		"Paypal-Transmission-Id", "Paypal-Transmission-Time", "Paypal-Transmission-Sig", "Paypal-Cert-Url",
	}}
	stamp := clock.Format(time.RFC3339)
	k, err := publicKey(private.Public(), private, "", encodingOf("base64"))
	require.NoError(t, err)
	paypal.good = Request{Body: body, Header: header(
		"PAYPAL-TRANSMISSION-ID", "t1", "PAYPAL-TRANSMISSION-TIME", stamp, "PAYPAL-CERT-URL", "https://api.paypal.com/cert.pem",
		"PAYPAL-TRANSMISSION-SIG", signedBy(t, k, fmt.Sprintf("t1|%s|WH-1|%d", stamp, crc32.ChecksumIEEE(body))),
	)}
	paypal.meaning = exactly(paypal, nil)
	return sns, paypal
}

// holds changes one byte at a place of a good delivery.
func (p proven) holds(t testing.TB, name string, place, at int, change byte) {
	t.Helper()
	changed := p.good
	changed.Header = p.good.Header.Clone()
	p.places()[place](&changed, func(b []byte) []byte {
		b[at%len(b)] ^= change
		return b
	})
	if p.v.Verify(clock, changed) == nil {
		require.Equal(t, p.meaning(p.good), p.meaning(changed), "%s: place %d, byte %d, changed by %#x, verifies", name, place, at, change)
	}
}

func TestNoChangedByteVerifies(t *testing.T) {
	t.Parallel()
	for name, p := range everyProof(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, p.v.Verify(clock, p.good))
			places := p.places()
			require.NotEmpty(t, places)
			for place, of := range places {
				size := 0
				probe := p.good
				probe.Header = p.good.Header.Clone()
				of(&probe, func(b []byte) []byte {
					size = len(b)
					return b
				})
				require.NotZero(t, size)
				for at := range size {
					for _, change := range []byte{1, 2, 3, 0x20, 0x80} {
						p.holds(t, name, place, at, change)
					}
				}
			}
			require.NoError(t, p.v.Verify(clock, p.good))
		})
	}
}

// Every mode has its proof above, or says why not.
func TestEveryModeIsHeldAgainstChanges(t *testing.T) {
	t.Parallel()
	held := map[catalog.Auth]bool{
		catalog.AuthNone: true, // proves nothing
		catalog.AuthMTLS: true, // proves itself by the connection; TLS holds its bytes
	}
	for _, p := range everyProof(t) {
		held[p.v.Auth()] = true
	}
	held[catalog.AuthAPIKey] = held[catalog.AuthGitLab] // GitLab's token is such a key
	for _, auth := range catalog.Auths() {
		require.True(t, held[auth], "mode %q is held against no change", auth)
	}
}

func FuzzNoChangedByteVerifies(f *testing.F) {
	all := everyProof(f)
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range all {
			if !yield(name) {
				return
			}
		}
	})
	for i := range names {
		f.Add(uint(i), uint(0), uint(i*7), byte(4))
		f.Add(uint(i), uint(1), uint(i*5), byte(0x10))
	}
	f.Fuzz(func(t *testing.T, which, place, at uint, change byte) {
		if change == 0 {
			return // nothing would change
		}
		name := names[which%uint(len(names))]
		p := all[name]
		p.holds(t, name, int(place%uint(len(p.places()))), int(at%(1<<20)), change)
	})
}

// A line ends a value in what Amazon signs: a message must not be read as
// another one, with another id.
func TestAmazonsMessageIsReadInOneWay(t *testing.T) {
	t.Parallel()
	p, _ := provenByCertificate(t)
	_, signer, err := readPublicKey(privateKeys()["rsa"], "")
	require.NoError(t, err)
	private, ok := signer.(*rsa.PrivateKey)
	require.True(t, ok)
	var m map[string]string
	require.NoError(t, json.Unmarshal(snsBody(t, private, map[string]string{"Message": "a\nMessageId\nb"}), &m))
	verify := func() error {
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return p.v.Verify(clock, Request{Header: http.Header{}, Body: b})
	}
	require.NoError(t, verify())
	m["Message"], m["MessageId"] = "a", "b\nMessageId\nm1"
	requireRefused(t, verify())
}

// A name and its value are signed run together: what stands between them must be there.
func TestTwiliosFormIsReadInOneWay(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret)
	r := Request{URI: "/webhooks/a/b", Header: header("Content-Type", "application/x-www-form-urlencoded"), Body: []byte("To=1&a=")}
	require.NoError(t, SignRequest(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, caseConfig(catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret), clock, "", &r))
	require.NoError(t, v.Verify(clock, r))
	for _, form := range []string{"To1=&a", "To1&a=", "To=1&a"} {
		r.Body = []byte(form)
		requireRefused(t, v.Verify(clock, r))
	}
}

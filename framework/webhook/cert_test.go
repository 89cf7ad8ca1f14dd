package webhook

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// issuer makes certificates.
type issuer struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func newCertificate(t testing.TB, parent *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	_, signer, err := readPublicKey(privateKeys()["rsa"], "")
	require.NoError(t, err)
	key, ok := signer.(*rsa.PrivateKey)
	require.True(t, ok)
	if parent == nil {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "hooks.acme.test"}, NotBefore: clock.Add(-time.Hour), NotAfter: clock.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	change(c)
	signedBy, signerKey := c, key
	if parent != nil {
		signedBy, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signedBy, key.Public(), signerKey)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &issuer{made, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.Subject.CommonName = true, x509.KeyUsageCertSign, "authority"
}

func (i *issuer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}))
}

func TestAClientCertificateNeedsAuthorityNameAndTime(t *testing.T) {
	t.Parallel()
	ours, other := newCertificate(t, nil, authority), newCertificate(t, nil, authority)
	spec := catalog.EndpointSpec{Auth: catalog.AuthMTLS, ClientNames: []string{"hooks.acme.test", "*.acme.example", "spiffe://acme/hooks"}}
	v := newVerifier(t, spec, ours.pem())
	named := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, name := range names {
				if u, err := url.Parse(name); err == nil && u.Scheme != "" {
					c.URIs = append(c.URIs, u)
				} else {
					c.DNSNames = append(c.DNSNames, name)
				}
			}
		}
	}
	verify := func(leaf *issuer) error {
		return v.Verify(clock, Request{Body: body, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.cert}}})
	}
	for _, name := range []string{"hooks.acme.test", "HOOKS.acme.test", "a.acme.example", "spiffe://acme/hooks"} {
		require.NoError(t, verify(newCertificate(t, ours, named(name))), name)
	}
	for name, leaf := range map[string]*issuer{
		"another authority": newCertificate(t, other, named("hooks.acme.test")),
		"itself":            newCertificate(t, nil, named("hooks.acme.test")),
		"another name":      newCertificate(t, ours, named("evil.test")),
		"common name only":  newCertificate(t, ours, named()),
		"the bare suffix":   newCertificate(t, ours, named("acme.example")),
		"a longer suffix":   newCertificate(t, ours, named("a.acme.example.evil.test")),
		"another URI":       newCertificate(t, ours, named("spiffe://acme/hooks/x")),
		"expired":           newCertificate(t, ours, func(c *x509.Certificate) { named("hooks.acme.test")(c); c.NotAfter = clock.Add(-time.Second) }),
		"a server's": newCertificate(t, ours, func(c *x509.Certificate) {
			named("hooks.acme.test")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}),
	} {
		require.ErrorIs(t, verify(leaf), ErrUnverified, name)
	}
	requireRefused(t, v.Verify(clock, Request{Body: body}))
	requireRefused(t, v.Verify(clock, Request{Body: body, TLS: &tls.ConnectionState{}}))

	// An authority that is replaced counts until its time.
	fading, err := Open(spec, Config{Secrets: map[string][]Secret{"webhook_secret": {{Value: ours.pem(), Until: clock}, {Value: other.pem()}}}})
	require.NoError(t, err)
	for _, c := range []struct {
		by    *issuer
		after time.Duration
		ok    bool
	}{{ours, 0, true}, {ours, time.Second, false}, {other, 0, true}, {other, time.Second, true}} {
		leaf := newCertificate(t, c.by, named("hooks.acme.test"))
		err := fading.Verify(clock.Add(c.after), Request{Body: body, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.cert}}})
		require.Equal(t, c.ok, err == nil, "%+v", c)
	}
	_, err = openCase(spec, "-----BEGIN NOTHING-----")
	require.ErrorContains(t, err, "holds no certificate")
}

// pinnedHosts answers for every host with one handler, and tells which were asked.
func pinnedHosts(t testing.TB, h http.HandlerFunc) (client func([]string) *http.Client, asked *atomic.Int32) {
	asked = &atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return func([]string) *http.Client {
		c := *server.Client()
		c.Transport = rerouted{server.Client().Transport, strings.TrimPrefix(server.URL, "https://")}
		return &c
	}, asked
}

type rerouted struct {
	http.RoundTripper
	to string
}

func (r rerouted) RoundTrip(request *http.Request) (*http.Response, error) {
	out := request.Clone(request.Context())
	out.Host, out.URL.Host = request.URL.Host, r.to
	return r.RoundTripper.RoundTrip(out)
}

const topic = "arn:aws:sns:eu-west-1:123456789012:orders"

func snsBody(t testing.TB, key *rsa.PrivateKey, change map[string]string) []byte {
	t.Helper()
	m := map[string]string{
		"Type": "Notification", "MessageId": "m1", "TopicArn": topic, "Message": "hello\nworld", "Timestamp": clock.Format("2006-01-02T15:04:05.000Z"),
		"SignatureVersion": "2", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/cert.pem",
	}
	maps.Copy(m, change)
	b, err := json.Marshal(m)
	require.NoError(t, err)
	parsed, err := readSNS(b)
	require.NoError(t, err)
	text, err := parsed.signed()
	require.NoError(t, err)
	newHash, id := hashOf(map[string]string{"1": "sha1", "2": "sha256"}[m["SignatureVersion"]])
	h := newHash()
	h.Write(text)
	signature, err := rsa.SignPKCS1v15(nil, key, id, h.Sum(nil))
	require.NoError(t, err)
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	b, err = json.Marshal(m)
	require.NoError(t, err)
	return b
}

func TestAmazonsMessagesArePinnedToHostAndTopic(t *testing.T) {
	t.Parallel()
	sender := newCertificate(t, nil, func(*x509.Certificate) {})
	var confirmed atomic.Value
	client, asked := pinnedHosts(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cert.pem":
			_, _ = w.Write([]byte(sender.pem()))
		case "/big.pem":
			_, _ = w.Write([]byte(strings.Repeat("x", maxFetched+1)))
		case "/moved.pem":
			http.Redirect(w, r, "/cert.pem", http.StatusFound)
		default:
			confirmed.Store(r.URL.Query().Get("Token"))
		}
	})
	v, err := Open(catalog.EndpointSpec{Auth: catalog.AuthSNS}, Config{Secrets: map[string][]Secret{"webhook_secret": Plain(topic)}, Client: client})
	require.NoError(t, err)
	verify := func(change map[string]string) error {
		return v.Verify(clock, Request{Header: http.Header{}, Body: snsBody(t, sender.key, change)})
	}
	for range 20 {
		require.NoError(t, verify(nil))
	}
	require.EqualValues(t, 1, asked.Load(), "a certificate is fetched once")
	require.NoError(t, verify(map[string]string{"SignatureVersion": "1", "Subject": "a subject"}))
	for _, address := range []string{
		"http://sns.eu-west-1.amazonaws.com/cert.pem", "https://127.0.0.1/cert.pem", "https://sns.x.amazonaws.com.evil.io/cert.pem",
		"https://user@sns.eu-west-1.amazonaws.com/cert.pem", "https://sns.eu-west-1.amazonaws.com:8443/cert.pem", "https://sns.eu-west-1.amazonaws.com/cert.txt",
		"https://sns.eu-west-1.amazonaws.com@evil.io/cert.pem", "https://evil.io/sns.eu-west-1.amazonaws.com/cert.pem", "https://s3.amazonaws.com/cert.pem", "", "::",
		"https://sns.eu-west-1.amazonaws.com/cert.pem#x", "https://sns.eu-west-1.amazonaws.com\\@evil.io/cert.pem",
	} {
		require.ErrorIs(t, verify(map[string]string{"SigningCertURL": address}), ErrUnverified, address)
	}
	require.EqualValues(t, 1, asked.Load(), "nothing else was called")
	for _, path := range []string{"big", "moved"} {
		require.ErrorIs(t, verify(map[string]string{"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/" + path + ".pem"}), ErrUnverified, path)
	}
	before := asked.Load()
	for i := range 50 {
		require.ErrorIs(t, verify(map[string]string{"SigningCertURL": fmt.Sprintf("https://sns.eu-west-1.amazonaws.com/big.pem?%d", i)}), ErrUnverified)
	}
	require.LessOrEqual(t, asked.Load()-before, int32(fetchesPerMinute))
	for _, change := range []map[string]string{
		{"TopicArn": topic + "2"}, {"Type": "Other "}, {"SignatureVersion": "2", "Timestamp": clock.Add(-25 * time.Hour).Format(time.RFC3339)},
	} {
		if change["Type"] != "" {
			continue
		}
		require.ErrorIs(t, verify(change), ErrUnverified, "%v", change)
	}
	changed := []byte(strings.Replace(string(snsBody(t, sender.key, nil)), "world", "w0rld", 1))
	requireRefused(t, v.Verify(clock, Request{Header: http.Header{}, Body: changed}))

	confirm := func(address string) error {
		r := Request{Header: http.Header{}, Body: snsBody(t, sender.key, map[string]string{"Type": "SubscriptionConfirmation", "Token": "t1", "SubscribeURL": address})}
		_, handled, err := v.Handshake(t.Context(), clock, r, func() error { return v.Verify(clock, r) })
		require.True(t, handled)
		return err
	}
	for _, address := range []string{"https://evil.io/?Token=t1", "http://sns.eu-west-1.amazonaws.com/?Token=t1", "https://127.0.0.1/", "https://sns.eu-west-1.amazonaws.com.evil.io/"} {
		require.ErrorIs(t, confirm(address), ErrUnverified, address)
	}
	require.Nil(t, confirmed.Load())
	require.NoError(t, confirm("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1"))
	require.Equal(t, "t1", confirmed.Load())
}

func TestPayPalsCertificateIsFetchedFromPayPalOnly(t *testing.T) {
	t.Parallel()
	sender := newCertificate(t, nil, func(*x509.Certificate) {})
	client, asked := pinnedHosts(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(sender.pem())) })
	const webhookID = "8PT597110X687430LKGECATA"
	v, err := Open(catalog.EndpointSpec{Auth: catalog.AuthPayPal}, Config{Secrets: map[string][]Secret{"webhook_secret": Plain(webhookID)}, Client: client})
	require.NoError(t, err)
	request := func(id, certURL string) Request {
		stamp := clock.Format(time.RFC3339)
		digest := crypto.SHA256.New()
		_, _ = fmt.Fprintf(digest, "t1|%s|%s|%d", stamp, id, crc32.ChecksumIEEE(body))
		signature, err := rsa.SignPKCS1v15(nil, sender.key, crypto.SHA256, digest.Sum(nil))
		require.NoError(t, err)
		return Request{Body: body, Header: header(
			"PAYPAL-TRANSMISSION-ID", "t1", "PAYPAL-TRANSMISSION-TIME", stamp, "PAYPAL-TRANSMISSION-SIG", base64.StdEncoding.EncodeToString(signature),
			"PAYPAL-CERT-URL", certURL, "PAYPAL-AUTH-ALGO", "SHA256withRSA",
		)}
	}
	good := "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
	require.NoError(t, v.Verify(clock, request(webhookID, good)))
	requireRefused(t, v.Verify(clock, request("another webhook of theirs", good)))
	again, _ := pinnedHosts(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(sender.pem())) })
	fading, err := Open(catalog.EndpointSpec{Auth: catalog.AuthPayPal}, Config{Client: again, Secrets: map[string][]Secret{
		"webhook_secret": {{Value: "the webhook before this", Until: clock.Add(-time.Second)}, {Value: webhookID}},
	}})
	require.NoError(t, err)
	require.NoError(t, fading.Verify(clock, request(webhookID, good)))
	requireRefused(t, fading.Verify(clock, request("the webhook before this", good)))
	require.NoError(t, fading.Verify(clock.Add(-time.Second), request("the webhook before this", good)))
	changed := request(webhookID, good)
	changed.Body = []byte(`{"id":"evt_2","n":1}`)
	requireRefused(t, v.Verify(clock, changed))
	requireRefused(t, v.Verify(clock.Add(2*time.Hour), request(webhookID, good)))
	for _, address := range []string{"https://api.paypal.com.evil.io/c", "http://api.paypal.com/c", "https://evil.io/api.paypal.com", "https://a@api.paypal.com/c", "https://paypal.com/c"} {
		requireRefused(t, v.Verify(clock, request(webhookID, address)))
	}
	require.EqualValues(t, 1, asked.Load())
	unfetched := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthPayPal}, webhookID)
	requireRefused(t, unfetched.Verify(clock, request(webhookID, good)))
}

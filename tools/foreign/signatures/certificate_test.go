package signatures

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/webhook"
)

// pair is an RSA key and its certificate, made by OpenSSL.
type pair struct{ key, certificate string }

func newPair(t *testing.T) pair {
	t.Helper()
	dir := t.TempDir()
	p := pair{filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")}
	openssl(t, "", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", p.key, "-out", p.certificate, "-days", "2", "-subj", "/CN=sender")
	return p
}

func (p pair) sign(t *testing.T, hash, text string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(openssl(t, text, "dgst", "-"+hash, "-sign", p.key))
}

func (p pair) pem(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.certificate)
	require.NoError(t, err)
	return string(b)
}

// published answers every request with the certificate, as the sender's host would.
type published struct{ certificate string }

func (p published) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(p.certificate)), TLS: &tls.ConnectionState{},
	}, nil
}

func (p pair) settings(t *testing.T, auth catalog.Auth, secret string) webhook.Config {
	t.Helper()
	c := settings(auth, secret)
	client := &http.Client{Transport: published{p.pem(t)}}
	c.Client = func([]string) *http.Client { return client }
	return c
}

const snsTopic = "arn:aws:sns:eu-west-1:123456789012:orders"

// snsMessage makes a message as Amazon documents its signature: the named fields that are there, in
// the order of their names, each as its name, a line break, its value and a line break.
func (p pair) snsMessage(t *testing.T, fields map[string]string) map[string]string {
	t.Helper()
	m := map[string]string{
		"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": snsTopic, "Message": "{\"n\":1}\nsecond line é",
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "2",
		"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem",
	}
	maps.Copy(m, fields)
	var text strings.Builder
	for _, name := range []string{"Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"} {
		if value, there := m[name]; there {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	hash := map[string]string{"1": "sha1", "2": "sha256"}[m["SignatureVersion"]]
	if hash == "" {
		hash = "sha256"
	}
	m["Signature"] = p.sign(t, hash, text.String())
	return m
}

// Amazon publishes a validator and no signer: OpenSSL signs, and the validator and ours must agree
// on what is good and on every change.
func TestAmazonsValidatorAndOursAgree(t *testing.T) {
	t.Parallel()
	sender, stranger := newPair(t), newPair(t)
	v, err := webhook.Open(catalog.EndpointSpec{Auth: catalog.AuthSNS}, sender.settings(t, catalog.AuthSNS, snsTopic))
	require.NoError(t, err)
	agree := func(t *testing.T, want bool, messages ...map[string]string) {
		t.Helper()
		for _, m := range messages {
			body, err := json.Marshal(m)
			require.NoError(t, err)
			err = v.Verify(time.Now(), webhook.Request{Header: http.Header{}, Body: body})
			require.Equal(t, want, err == nil, "ours: %s of %s", webhook.ReasonOf(err), body)
		}
		list, err := json.Marshal(messages)
		require.NoError(t, err)
		require.Equal(t, want, npmVerifies(t, "sns-validator", list, map[string]string{"certificate": sender.pem(t)}), "Amazon's")
	}
	var good, bad []map[string]string
	for _, fields := range []map[string]string{
		{},
		{"Subject": "My subject"},
		{"SignatureVersion": "1"},
		{"UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe"},
		{"SigningCertURL": "https://sns.cn-north-1.amazonaws.com.cn/a.pem"},
		{
			"Type": "SubscriptionConfirmation", "Token": "2336412f37fb687f", "Message": "You have chosen to subscribe",
			"SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37fb687f",
		},
	} {
		m := sender.snsMessage(t, fields)
		good, bad = append(good, m), append(bad, stranger.snsMessage(t, fields))
		for field, value := range m {
			if field == "UnsubscribeURL" || field == "SigningCertURL" {
				continue // not signed; the second has its own table below
			}
			changed := maps.Clone(m)
			changed[field] = string(value[0]^2) + value[1:]
			bad = append(bad, changed)
		}
	}
	for _, address := range []string{
		"http://sns.eu-west-1.amazonaws.com/a.pem", "https://sns.eu-west-1.amazonaws.com.evil.io/a.pem", "https://evil.io/a.pem",
		"https://sns.eu-west-1.amazonaws.com/a.txt", "https://sns.amazonaws.com/a.pem", "https://xsns.eu-west-1.amazonaws.com/a.pem",
		"https://sns.eu-west-1.amazonaws.com@evil.io/a.pem", "https://sns.eu-west-1.amazonaws.com:444/a.pem", "https://snsxeu-west-1.amazonaws.com/a.pem",
	} {
		bad = append(bad, sender.snsMessage(t, map[string]string{"SigningCertURL": address}))
	}
	agree(t, true, good...)
	agree(t, false, bad...)
}

// PayPal's own libraries ask its API; its documentation says what is signed, which OpenSSL signs
// and Node verifies here.
func TestPayPalsFormula(t *testing.T) {
	t.Parallel()
	const webhookID = "8PT597110X687430LKGECATA"
	sender := newPair(t)
	v, err := webhook.Open(catalog.EndpointSpec{Auth: catalog.AuthPayPal}, sender.settings(t, catalog.AuthPayPal, webhookID))
	require.NoError(t, err)
	stamp := time.Now().UTC().Format(time.RFC3339)
	// The checksums are the published check value of CRC-32 and what gzip wrote for the others.
	for text, crc := range map[string]string{"123456789": "3421780262", "": "0", `{"id":"WH-1"}`: "838965618"} {
		signature := sender.sign(t, "sha256", "t1|"+stamp+"|"+webhookID+"|"+crc)
		fields := func() map[string]string {
			return map[string]string{"id": "t1", "time": stamp, "webhook": webhookID, "signature": signature, "certificate": sender.pem(t)}
		}
		require.True(t, nodeVerifies(t, "paypal", []byte(text), fields()))
		require.False(t, nodeVerifies(t, "paypal", []byte(text+"x"), fields()))
		r := webhook.Request{Body: []byte(text), Header: http.Header{
			"Paypal-Transmission-Id": {"t1"}, "Paypal-Transmission-Time": {stamp}, "Paypal-Transmission-Sig": {signature},
			"Paypal-Cert-Url": {"https://api.paypal.com/v1/notifications/certs/CERT-360caa42"},
		}}
		require.NoError(t, v.Verify(time.Now(), r))
		r.Body = []byte(text + "x")
		require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified)
	}
}

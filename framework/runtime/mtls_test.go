package runtime_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

var (
	letters     = catalog.Webhook[json.RawMessage]("letters")
	letterbox   = catalog.Receive("box", catalog.EndpointSpec{Auth: catalog.AuthMTLS, ClientNames: []string{"hooks.acme.test"}})
	postman     = catalog.Connector{Key: "postman", Streams: []catalog.Stream{letters}, Endpoints: []catalog.Endpoint{letterbox}}
	postmanFrom = framework.Define(postman, func(context.Context, framework.Instance[postmanSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Webhook(letterbox, func(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			return ingest.Canonical(out, letters, "letter", json.RawMessage(d.Body), ingest.Options{IdempotencyKey: ingest.EventKey(d.Key)})
		})}, nil
	})
)

type postmanSettings struct {
	Secret framework.Secrets `json:"webhook_secret" required:"true"`
}

// authority signs certificates of clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{made, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A server asks for certificates of every authority in tls_client_ca; an endpoint
// takes those of its own, with the names that it lists.
func TestAWebhookProvesItselfByItsClientCertificate(t *testing.T) {
	t.Parallel()
	files, trusting := serving(t)
	sender, neighbour, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	files.ClientCA = filepath.Join(t.TempDir(), "clients.pem")
	require.NoError(t, os.WriteFile(files.ClientCA, append(sender.pem(), neighbour.pem()...), 0o600))
	dir := t.TempDir()
	var events store.Store
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Listen: "127.0.0.1:0", TLS: files, Connections: []config.Connection{{
			Project: "default", Name: "post", Connector: postman.Key, Type: "source", Enabled: true,
			Settings: map[string]any{"webhook_secret": string(sender.pem())},
		}}},
		Plugins: []framework.Plugin{postmanFrom}, Log: slog.New(slog.DiscardHandler),
		OpenStore: func(ctx context.Context) (store.Store, error) {
			s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
			events = s
			return s, err
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })

	recorded := func() int64 {
		connections, err := events.Connections(t.Context())
		require.NoError(t, err)
		list, err := events.Events(t.Context(), connections[0].ID, letters.Key(), 0, 10)
		require.NoError(t, err)
		return int64(len(list))
	}
	post := func(body string, present ...tls.Certificate) (int, error) {
		own := trusting.Transport.(*http.Transport).Clone() //nolint:errcheck // serving made it
		defer own.CloseIdleConnections()
		own.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(present) == 0 {
				return &tls.Certificate{}, nil
			}
			return &present[0], nil
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/webhooks/post/box", bytes.NewReader([]byte(body)))
		require.NoError(t, err)
		response, err := (&http.Client{Transport: own, Timeout: 20 * time.Second}).Do(request)
		if err != nil {
			return 0, err
		}
		_ = response.Body.Close()
		return response.StatusCode, nil
	}
	later := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name    string
		present []tls.Certificate
		want    int
	}{
		{"none", nil, http.StatusUnauthorized},
		{"the sender's", []tls.Certificate{sender.issue(t, "hooks.acme.test", later)}, http.StatusOK},
		{"another name", []tls.Certificate{sender.issue(t, "evil.acme.test", later)}, http.StatusUnauthorized},
		{"the name from another sender's authority", []tls.Certificate{neighbour.issue(t, "hooks.acme.test", later)}, http.StatusUnauthorized},
		{"expired", []tls.Certificate{sender.issue(t, "hooks.acme.test", time.Now().Add(-time.Minute))}, 0},
		{"an authority that the server does not know", []tls.Certificate{stranger.issue(t, "hooks.acme.test", later)}, 0},
	} {
		before := recorded()
		code, err := post(`{"from":"`+c.name+`"}`, c.present...)
		require.Equal(t, c.want, code, c.name)
		require.Equal(t, c.want == 0, err != nil, c.name)
		want := before
		if c.want == http.StatusOK {
			want++
		}
		require.Equal(t, want, recorded(), c.name)
	}
}

package runtime_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/servertls"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
)

// configured runs a Weir of a whole configuration.
func configured(t *testing.T, c *config.File, b behaviour) *runtime.Runtime {
	t.Helper()
	dir := t.TempDir()
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: c, Plugins: []framework.Plugin{b.plugin()}, Log: slog.New(slog.DiscardHandler),
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return r
}

// serving returns the files of a certificate for 127.0.0.1, and who trusts it.
func serving(t *testing.T) (servertls.Files, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	files := servertls.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return files, &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func TestThePublicListenerServesWebhooksAndNothingElse(t *testing.T) {
	t.Parallel()
	files, client := serving(t)
	r := configured(t, &config.File{
		Listen: "127.0.0.1:0", ListenPublic: "127.0.0.1:0", TLS: files, Connections: []config.Connection{connection("one")},
	}, behaviour{})
	ask := func(method, host, path string, header http.Header, body io.Reader) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://"+host+path, body)
		require.NoError(t, err)
		request.Header = header
		response, err := client.Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Proto
	}
	public, private := r.PublicAddr().String(), r.Addr().String()
	require.Equal(t, "https://"+private, r.URL())
	for _, path := range []string{
		"/", "/login", "/healthz", "/readyz", "/metrics", "/api/v1/streams", "/api/v1/changes", "/assets/weir.css", "/debug/pprof/",
		"/streams/default/one/things", "//webhooks/one/in", "/webhooks", "/webhooks/", "/webhooks/one", "/webhooks/one/in/", "/webhooks/one/%69n",
	} {
		code, _ := ask(http.MethodGet, public, path, nil, http.NoBody)
		require.Equal(t, http.StatusNotFound, code, path)
	}
	code, _ := ask(http.MethodGet, private, "/api/v1/streams", nil, http.NoBody)
	require.Equal(t, http.StatusOK, code)
	for i, host := range []string{public, private} {
		body := []byte(`{"id":"o"}`)
		header, err := webhook.Sign(inbox.Spec(), secret, time.Now(), string(rune('a'+i)), body)
		require.NoError(t, err)
		code, proto := ask(http.MethodPost, host, "/webhooks/one/in", header, bytes.NewReader(body))
		require.Equal(t, http.StatusOK, code, host)
		require.Equal(t, "HTTP/2.0", proto)
	}
}

func TestAnAddressThatIsTakenIsNamedWithItsFlag(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	files, _ := serving(t)
	files.Key = ""
	dir := t.TempDir()
	start := func(c *config.File) error {
		_, err := runtime.New(t.Context(), runtime.Options{
			Config: c, Plugins: []framework.Plugin{behaviour{}.plugin()},
			OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
		})
		return err
	}
	require.ErrorContains(t, start(&config.File{Listen: "127.0.0.1:0", ListenPublic: taken.Addr().String()}), "--listen-public")
	err = start(&config.File{Listen: "0.0.0.0:0", TLS: files})
	require.ErrorContains(t, err, "tls_cert is set without tls_key")
	require.ErrorContains(t, err, "no admin token", "every error is listed at once")
}

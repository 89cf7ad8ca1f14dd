package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/connectors/github"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
)

func TestSendsWhatVerifyAccepts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	config := file("weir.yaml", `data_dir: data
connections:
  - name: shop
    connector: github
    config: {token: t, org: o, webhook_secret: a secret MfKQ9r8 of the hook}
`)
	body := file("body.json", `{"a":1}`)
	var got http.Header
	status := http.StatusOK
	server := answering(t, func(_ int, r *http.Request) (int, string) {
		got = r.Header
		sent, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, `{"a":1}`, string(sent))
		require.Equal(t, "/webhooks/shop/github", r.URL.Path)
		return status, "{}"
	})
	send := []string{"webhook", "send", "shop", "github", "--config", config, "--file", body, "--server", server, "--header", "X-Extra: yes"}
	code, stdout, stderr := weir(t, nil, []framework.Plugin{github.Plugin}, send...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "200 OK")
	require.Equal(t, "yes", got.Get("X-Extra"))
	verify := []string{"webhook", "verify", "shop", "github", "--config", config}
	for _, name := range []string{"X-Github-Delivery", "X-Hub-Signature-256"} {
		verify = append(verify, "--header", name+": "+got.Get(name))
	}
	code, stdout, stderr = weir(t, nil, []framework.Plugin{github.Plugin}, append(verify, "--file", body)...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "verified")
	code, stdout, _ = weir(t, nil, []framework.Plugin{github.Plugin}, append(verify, "--file", file("other.json", "{\"a\":1}\n"))...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "a line break at its end")
	require.NotContains(t, stdout, "MfKQ9r8")

	status = http.StatusUnauthorized
	code, _, _ = weir(t, nil, []framework.Plugin{github.Plugin}, send...)
	require.Equal(t, 1, code)
	code, _, stderr = weir(t, nil, []framework.Plugin{github.Plugin}, "webhook", "send", "shop", "none", "--config", config, "--file", body)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "it has github")
}

func TestSendsWithAClientCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"hooks.acme.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	certFile, keyFile := file("cert.pem", certificate), file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	config := file("weir.yaml", []byte("data_dir: data\nconnections:\n  - name: shop\n    connector: http\n    type: source\n    config:\n      mode: push\n      path: in\n"+
		"      auth: {type: mtls, client_names: [hooks.acme.test]}\n      webhook_secret: |\n        "+strings.ReplaceAll(strings.TrimSpace(string(certificate)), "\n", "\n        ")+"\n"))
	var names []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names = r.TLS.PeerCertificates[0].DNSNames }))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	send := func(args ...string) (int, string) {
		all := append([]string{"webhook", "send", "shop", "in", "--config", config, "--file", file("body.json", []byte("{}")), "--server", server.URL}, args...)
		code, stdout, stderr := weir(t, nil, []framework.Plugin{connector.Plugin}, all...)
		return code, stdout + stderr
	}
	code, out := send("--cert", certFile, "--key", keyFile, "--ca", certFile)
	require.Zero(t, code, out)
	require.Equal(t, []string{"hooks.acme.test"}, names)
	code, out = send("--cert", certFile, "--key", keyFile)
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "do not suit")
	for want, args := range map[string][]string{
		"give it with --cert": nil, "--cert needs --key": {"--cert", certFile}, "read --ca": {"--cert", certFile, "--key", keyFile, "--ca", "none.pem"},
		"need a server with TLS": {"--cert", certFile, "--key", keyFile, "--server", "http://127.0.0.1:1"},
	} {
		code, out := send(args...)
		require.Equal(t, 2, code, out)
		require.Contains(t, out, want)
	}
}

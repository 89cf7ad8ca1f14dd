package servertls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/framework/servertls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority signs certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
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
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{c, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, serial int64) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &private.PublicKey, a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

// setup serves with a certificate of the given authority and serial 1.
func setup(t *testing.T, a *authority, clients *authority) (*servertls.Source, servertls.Files, *lines, string) {
	t.Helper()
	dir, log := t.TempDir(), &lines{}
	files := servertls.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	replace(t, files, a, 1)
	if clients != nil {
		files.ClientCA = filepath.Join(dir, "clients.pem")
		require.NoError(t, os.WriteFile(files.ClientCA, clients.pem, 0o600))
	}
	s, err := servertls.New(files, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		TLSConfig: s.Config(), ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := "nobody"
			if len(r.TLS.VerifiedChains) > 0 {
				name = r.TLS.PeerCertificates[0].SerialNumber.String()
			}
			_, _ = io.WriteString(w, r.Proto+" "+name)
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return s, files, log, listener.Addr().String()
}

func replace(t *testing.T, files servertls.Files, a *authority, serial int64) {
	t.Helper()
	certificate, key := a.issue(t, serial)
	require.NoError(t, os.WriteFile(files.Cert, certificate, 0o600))
	require.NoError(t, os.WriteFile(files.Key, key, 0o600))
}

func get(t *testing.T, address string, config *tls.Config) (serial int64, answer string, err error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, http.NoBody)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.TLS.PeerCertificates[0].SerialNumber.Int64(), string(body), err
}

func trusting(a *authority) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func TestAChangedCertificateIsServedAndABadOneKeepsTheOld(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s, files, log, address := setup(t, a, nil)
	serves := func(want int64) {
		t.Helper()
		serial, answer, err := get(t, address, trusting(a))
		require.NoError(t, err)
		require.Equal(t, want, serial)
		require.Equal(t, "HTTP/2.0 nobody", answer)
	}
	serves(1)
	require.False(t, s.Reload())
	replace(t, files, a, 2)
	require.True(t, s.Reload())
	serves(2)

	// Between the two writes of a renewal the key belongs to no certificate.
	certificate, key := a.issue(t, 3)
	require.NoError(t, os.WriteFile(files.Cert, certificate, 0o600))
	for range 3 {
		require.False(t, s.Reload())
	}
	serves(2)
	require.Equal(t, 1, log.count("is no good"), "it is told of once")
	require.NoError(t, os.WriteFile(files.Key, key, 0o600))
	require.True(t, s.Reload())
	serves(3)

	require.NoError(t, os.Remove(files.Key))
	require.False(t, s.Reload())
	require.False(t, s.Reload())
	serves(3)
	require.Equal(t, 2, log.count("is no good"))
	require.NoError(t, os.WriteFile(files.Cert, bytes.Repeat([]byte("x"), 2<<20), 0o600))
	require.False(t, s.Reload())
	serves(3)
}

func TestOnlyCertificatesOfTheAuthorityAreTaken(t *testing.T) {
	t.Parallel()
	a, clients, others := newAuthority(t), newAuthority(t), newAuthority(t)
	s, files, _, address := setup(t, a, clients)
	with := func(from *authority) (string, error) {
		config := trusting(a)
		if from != nil {
			certificate, key := from.issue(t, 42)
			pair, err := tls.X509KeyPair(certificate, key)
			require.NoError(t, err)
			config.Certificates = []tls.Certificate{pair}
			// Presented whatever the server asks for.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		_, answer, err := get(t, address, config)
		return answer, err
	}
	answer, err := with(clients)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0 42", answer)
	answer, err = with(nil)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0 nobody", answer)
	_, err = with(others)
	require.Error(t, err)
	// The authority is replaced as the certificate is.
	require.NoError(t, os.WriteFile(files.ClientCA, others.pem, 0o600))
	require.True(t, s.Reload())
	_, err = with(others)
	require.NoError(t, err)
	_, err = with(clients)
	require.Error(t, err)
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, _, _, address := setup(t, a, nil)
	config := trusting(a)
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, _, err := get(t, address, config)
	require.Error(t, err)
}

func TestFilesThatAreNoGoodRefuseTheStart(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	files := servertls.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		change func(*servertls.Files)
		want   string
	}{
		{func(f *servertls.Files) { f.Key = "" }, "tls_cert is set without tls_key"},
		{func(f *servertls.Files) { f.Cert = "" }, "tls_key is set without tls_cert"},
		{func(f *servertls.Files) { *f = servertls.Files{ClientCA: "x"} }, "tls_client_ca is set without"},
		{func(f *servertls.Files) { f.Cert = filepath.Join(dir, "nothing") }, "no such file"},
		{func(f *servertls.Files) { f.Key = f.Cert }, "cert.pem"},
		{func(f *servertls.Files) { f.ClientCA = f.Key }, "holds no certificate in PEM"},
	} {
		replace(t, files, a, 1)
		changed := files
		c.change(&changed)
		_, err := servertls.New(changed, log)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "PRIVATE")
	}
}

func TestConnectionsOverTheBoundWait(t *testing.T) {
	t.Parallel()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := servertls.LimitListener(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", inner.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("a third connection was taken")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, first.Close())
	_ = first.Close() // a place is given back once
	third := <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("closing twice gave two places")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
	_, _ = second.Close(), third.Close()
}

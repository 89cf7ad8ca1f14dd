package httpguard_test

import (
	"context"
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
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/httpguard"
)

// authority signs certificates of tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

func (a *authority) issue(t *testing.T, name string, ends time.Time) (certificate, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: ends, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &own.PublicKey, a.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			_, _ = io.WriteString(w, "hello "+r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}))
	server.TLS = config
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestTLSIsVerifiedUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	pair := func(a *authority, name string, ends time.Time) tls.Certificate {
		certificate, key := a.issue(t, name, ends)
		p, err := tls.X509KeyPair([]byte(certificate), []byte(key))
		require.NoError(t, err)
		return p
	}
	later := time.Now().Add(time.Hour)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	clientCertificate, clientKey := ca.issue(t, "client.test", later)
	good := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair(ca, "api.test", later)}})
	mutual := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair(ca, "api.test", later)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	expired := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair(ca, "api.test", time.Now().Add(-time.Hour))}})
	old := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair(ca, "api.test", later)}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	twelve := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair(ca, "api.test", later)}, MaxVersion: tls.VersionTLS12})

	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	try := func(address string, o httpguard.TLS) error {
		client, err := guard.NewClient(httpguard.Options{Hosts: []string{"127.0.0.1"}, TLS: o})
		require.NoError(t, err)
		_, err = get(t, client, address)
		return err
	}
	trusting := httpguard.TLS{CA: ca.pem, ServerName: "api.test"}
	require.NoError(t, try(good, trusting))
	require.Error(t, try(good, httpguard.TLS{ServerName: "api.test"}), "an authority that nobody trusts")
	require.Error(t, try(good, httpguard.TLS{CA: other.pem, ServerName: "api.test"}), "another authority")
	require.Error(t, try(good, httpguard.TLS{CA: ca.pem, ServerName: "evil.test"}), "the wrong name")
	require.Error(t, try(good, httpguard.TLS{CA: ca.pem}), "the address is no name of the certificate")
	require.Error(t, try(expired, trusting))
	require.Error(t, try(old, trusting), "TLS 1.1")
	require.NoError(t, try(twelve, trusting))
	require.Error(t, try(twelve, httpguard.TLS{CA: ca.pem, ServerName: "api.test", MinVersion: "1.3"}))
	require.NoError(t, try(expired, httpguard.TLS{Insecure: true}))
	require.Error(t, try(old, httpguard.TLS{Insecure: true}), "the version stays, also then")
	require.Error(t, try(mutual, trusting), "no certificate")
	require.NoError(t, try(mutual, httpguard.TLS{CA: ca.pem, ServerName: "api.test", Certificate: clientCertificate, Key: clientKey}))

	for _, wrong := range []httpguard.TLS{{CA: "x"}, {Certificate: clientCertificate}, {Certificate: clientCertificate, Key: "canary"}, {MinVersion: "1.1"}} {
		_, err := guard.NewClient(httpguard.Options{TLS: wrong})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestHTTP2IsSpokenWithServersThatDo(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certificate, key := ca.issue(t, "api.test", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	var most, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { most.Store(int32(r.ProtoMajor)) }))
	server.TLS, server.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{pair}}, true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	client, err := guard.NewClient(httpguard.Options{Hosts: []string{"127.0.0.1"}, TLS: httpguard.TLS{CA: ca.pem, ServerName: "api.test"}})
	require.NoError(t, err)
	for range 5 {
		_, err = get(t, client, server.URL)
		require.NoError(t, err)
	}
	require.Equal(t, int32(2), most.Load())
	require.Equal(t, int32(1), connections.Load(), "one connection serves all")
}

func TestAProxyIsNotAskedForAPrivateTarget(t *testing.T) {
	t.Parallel()
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Host)
		_, _ = io.WriteString(w, "proxied")
	}))
	t.Cleanup(proxy.Close)
	guard := httpguard.New(httpguard.Config{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	t.Cleanup(guard.Close)
	hosts := []string{"http://169.254.169.254", "http://10.0.0.1", "http://127.0.0.2", "http://8.8.8.8", "169.254.169.254"}
	client, err := guard.NewClient(httpguard.Options{Hosts: hosts, Proxy: proxy.URL})
	require.NoError(t, err)
	for _, target := range []string{"http://169.254.169.254/", "http://10.0.0.1/", "http://127.0.0.2/", "https://169.254.169.254/"} {
		_, err = get(t, client, target)
		require.ErrorIs(t, err, httpguard.ErrAddressRefused, target)
	}
	require.Empty(t, asked)
	_, err = get(t, client, "http://8.8.8.8/")
	require.NoError(t, err)
	require.Equal(t, []string{"8.8.8.8"}, asked)
	// The proxy's own address is guarded too.
	strict := httpguard.New(httpguard.Config{})
	t.Cleanup(strict.Close)
	client, err = strict.NewClient(httpguard.Options{Hosts: hosts, Proxy: proxy.URL})
	require.NoError(t, err)
	_, err = get(t, client, "http://8.8.8.8/")
	require.ErrorIs(t, err, httpguard.ErrAddressRefused)
}

func TestAPoolBoundsTheRequestsAtWork(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	host, _, err := net.SplitHostPort(address.Host)
	require.NoError(t, err)
	client, err := guard.NewClient(httpguard.Options{Hosts: []string{host}, MaxTotal: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
		response, err := client.Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		first <- err
	}()
	waiting, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	require.Eventually(t, func() bool {
		r, err := http.NewRequestWithContext(waiting, http.MethodGet, server.URL, http.NoBody)
		require.NoError(t, err)
		response, err := client.Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		return err != nil
	}, time.Minute, time.Millisecond)
	cancel()
	require.Error(t, <-first)
}

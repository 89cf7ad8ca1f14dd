package webhook

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
)

const (
	// fetchTimeout bounds one request for a certificate or for published keys.
	// It is shorter than what senders wait.
	fetchTimeout = 2 * time.Second
	// maxFetched is the largest certificate chain or key set, in bytes.
	maxFetched = 256 << 10
	// certLife is how long a fetched certificate is used without asking again.
	certLife = 24 * time.Hour
	// maxCerts bounds the certificates that are kept.
	maxCerts = 16
	// fetchesPerMinute bounds the requests that deliveries can cause, since
	// nobody has proven anything when they are made.
	fetchesPerMinute = 6
)

// fetcher gets documents from pinned hosts, not too often.
type fetcher struct {
	client func(hosts []string) *http.Client
	mu     sync.Mutex
	minute time.Time
	used   int
}

// allow reports that one more request may be made at now.
func (f *fetcher) allow(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.minute) || now.Sub(f.minute) >= time.Minute {
		f.minute, f.used = now, 0
	}
	f.used++
	return f.used <= fetchesPerMinute
}

// get fetches a document. Redirects are not followed: they would leave the pin.
func (f *fetcher) get(ctx context.Context, address string, hosts []string) ([]byte, error) {
	if f.client == nil {
		return nil, errors.New("no client to fetch with")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("address is malformed")
	}
	client := *f.client(hosts)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		// The text of a url.Error holds the address, and that its query.
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxFetched {
		return nil, fmt.Errorf("answered more than %d bytes", maxFetched)
	}
	return body, nil
}

// certKeys are the keys of certificates that deliveries name by address.
type certKeys struct {
	fetcher
	// allowed tells whether a certificate may be fetched from an address.
	allowed func(u *url.URL) bool
	certsMu sync.Mutex
	certs   map[string]fetchedCert
}

type fetchedCert struct {
	public             *rsa.PublicKey
	fetched            time.Time
	notBefore, expires time.Time
}

func newCertKeys(client func([]string) *http.Client, hosts []string) *certKeys {
	return &certKeys{
		fetcher: fetcher{client: client}, certs: map[string]fetchedCert{},
		allowed: func(u *url.URL) bool { return slices.Contains(hosts, u.Host) },
	}
}

// pinned parses an address and holds it to the pin: https in this spelling, no
// port, no credentials, no fragment, and a host that was named.
func (c *certKeys) pinned(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	if err != nil || len(address) > 1024 || !strings.HasPrefix(address, "https://") || u.User != nil || u.Fragment != "" || u.Opaque != "" || !c.allowed(u) {
		return nil, false
	}
	return u, true
}

// key returns the key of the certificate that a delivery names.
func (c *certKeys) key(now time.Time, r Request, spec catalog.SignatureSpec) (key, error) {
	source, err := catalog.ParseSource(spec.CertURL, "header", "body")
	if err != nil {
		return key{}, refuse("endpoint has no address of a certificate")
	}
	address, err := required(r, source)
	if err != nil {
		return key{}, err
	}
	public, err := c.public(now, address)
	if err != nil {
		return key{}, err
	}
	k, err := publicKey(public, nil, spec.Algorithm, encodingOf(cmp.Or(spec.Encoding, "base64")))
	if err != nil {
		return key{}, refuse("sender's certificate has a key that cannot be used")
	}
	return k, nil
}

func (c *certKeys) public(now time.Time, address string) (*rsa.PublicKey, error) {
	u, ok := c.pinned(address)
	if !ok {
		return nil, refuse("address of the certificate is not at the sender's host")
	}
	c.certsMu.Lock()
	known, ok := c.certs[address]
	c.certsMu.Unlock()
	if !ok || now.Sub(known.fetched) > certLife || now.Before(known.fetched) {
		if !c.allow(now) {
			return nil, refuse("too many certificates were asked for")
		}
		// Many deliveries may wait for the same certificate; it belongs to no
		// single request, and has a deadline of its own.
		body, err := c.get(context.Background(), address, []string{u.Host})
		if err != nil {
			return nil, refuse("certificate could not be fetched")
		}
		known, err = readCert(body)
		if err != nil {
			return nil, refuse("certificate is malformed")
		}
		known.fetched = now
		c.keep(address, known)
	}
	if now.Before(known.notBefore) || now.After(known.expires) {
		return nil, refuse("certificate is not valid now")
	}
	return known.public, nil
}

func (c *certKeys) keep(address string, cert fetchedCert) {
	c.certsMu.Lock()
	defer c.certsMu.Unlock()
	if len(c.certs) >= maxCerts {
		oldest := ""
		for other, kept := range c.certs {
			if oldest == "" || kept.fetched.Before(c.certs[oldest].fetched) {
				oldest = other
			}
		}
		delete(c.certs, oldest)
	}
	c.certs[address] = cert
}

func readCert(body []byte) (fetchedCert, error) {
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "CERTIFICATE" {
		return fetchedCert{}, errors.New("no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fetchedCert{}, err
	}
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fetchedCert{}, errors.New("no RSA key")
	}
	return fetchedCert{public: public, notBefore: certificate.NotBefore, expires: certificate.NotAfter}, nil
}

// hostOf returns the host of an address without its port, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.Scheme == "http" {
		return "http://" + u.Hostname()
	}
	return strings.ToLower(u.Hostname())
}

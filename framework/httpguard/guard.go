// Package httpguard makes the one kind of HTTP client that may call an address
// somebody configured. It refuses private and special networks when it dials,
// after the name was resolved, so that a name cannot be rebound in between; it
// follows no redirect to another host, ignores proxies from the environment,
// and bounds time, headers and body.
package httpguard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Limits of a guarded client.
const (
	// MaxResponseBytes bounds the body of one response.
	MaxResponseBytes = 64 << 20
	// RequestTimeout bounds one request from dialling to the end of its body.
	RequestTimeout = 60 * time.Second

	dialTimeout     = 10 * time.Second
	headerTimeout   = 30 * time.Second
	maxHeaderBytes  = 1 << 20
	idleTimeout     = 90 * time.Second
	maxConnsPerHost = 24
)

// ErrHostNotAllowed says that a request named a host that neither the
// connector's catalog nor the connection's settings name.
var ErrHostNotAllowed = errors.New("host is not allowed")

// ErrPlaintext says that a request would go to a host without TLS that was not
// named with http.
var ErrPlaintext = errors.New("plain http is not allowed")

// ErrAddressRefused says that a host resolved to a private or special address.
var ErrAddressRefused = errors.New("address is refused")

// ErrResponseTooLarge says that a response body passed [MaxResponseBytes].
var ErrResponseTooLarge = errors.New("response is too large")

// Config says which otherwise refused networks may be reached. Its zero value
// refuses all of them.
type Config struct {
	// AllowLoopback admits 127.0.0.0/8 and ::1.
	AllowLoopback bool
	// AllowPrefixes admits further networks.
	AllowPrefixes []netip.Prefix
	// Resolver looks names up. The default is the system's.
	Resolver *net.Resolver
}

// Guard makes clients that share one pool of connections.
type Guard struct {
	transport *http.Transport
	// refuse says why an address may not be dialled.
	refuse func(network, address string) error

	mu sync.Mutex
	// others are the transports of clients with options of their own.
	others []*http.Transport
}

// New returns a guard.
func New(c Config) *Guard {
	allowed := c.AllowPrefixes
	if c.AllowLoopback {
		allowed = append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, allowed...)
	}
	var v4, v6 []netip.Prefix
	for _, p := range allowed {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guardian := ssrf.New(
		ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(v4...),
		ssrf.WithAllowedV6Prefixes(v6...),
		// Azure's wire server lies in a public range:
		// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
		ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")),
	)
	refuse := func(network, address string) error {
		if err := guardian.Safe(network, address, nil); err != nil {
			host, _, _ := net.SplitHostPort(address)
			return fmt.Errorf("dial %s: %w: it lies in a private or special network; allow it with allow_private", host, ErrAddressRefused)
		}
		return nil
	}
	dialer := &net.Dialer{
		Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: c.Resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return refuse(network, address)
		},
	}
	return &Guard{refuse: refuse, transport: &http.Transport{
		Proxy:                  nil, // a proxy from the environment would hide the target from the guard
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxConnsPerHost,
		ForceAttemptHTTP2:      true,
	}}
}

// Client returns a client that may call the given hosts only. A host may begin
// with "*." for every name below it. With no hosts every request is refused.
//
// A host is called with TLS, so that no link in a provider's answer can make a
// connector send its credentials in the clear; one that is written "http://host",
// and this machine itself, may be called without.
func (g *Guard) Client(hosts []string) *http.Client {
	return &http.Client{
		Timeout:   RequestTimeout,
		Transport: &guarded{base: g.transport, hosts: hosts},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			// A redirect to another host could carry the credentials there.
			if len(via) >= 5 || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

// Close drops idle connections.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, transport := range append(g.others, g.transport) {
		transport.CloseIdleConnections()
	}
}

type guarded struct {
	base  http.RoundTripper
	hosts []string
	// check, if it is set, looks at the target before a proxy is asked for it.
	check func(ctx context.Context, target *url.URL) error
	// slots bounds the requests at work, if it is set.
	slots chan struct{}
	// step bounds the wait for a slot, if it is set.
	step time.Duration
}

// RoundTrip refuses hosts that are not allowed, and bounds the response body.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return nil, fmt.Errorf("request to %s: only http and https are allowed", r.URL.Host)
	}
	allowed, plain := hostAllowed(r.URL.Hostname(), g.hosts)
	switch {
	case !allowed:
		return nil, fmt.Errorf("request to %s: %w: add it to the connector's Hosts, or to a setting of type framework.URL", r.URL.Hostname(), ErrHostNotAllowed)
	case r.URL.Scheme == "http" && !plain:
		return nil, fmt.Errorf("request to %s: %w: use https, or name the host in a setting of type framework.URL that begins with http://", r.URL.Hostname(), ErrPlaintext)
	}
	if g.check != nil {
		if err := g.check(r.Context(), r.URL); err != nil {
			return nil, err
		}
	}
	if g.slots != nil {
		var late <-chan time.Time
		if g.step > 0 {
			timer := time.NewTimer(g.step)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-late:
			return nil, fmt.Errorf("wait for a free connection to %s: %w within %s", r.URL.Host, ErrStalled, g.step)
		case g.slots <- struct{}{}:
		case <-r.Context().Done():
			return nil, fmt.Errorf("wait for a free connection to %s: %w", r.URL.Host, context.Cause(r.Context()))
		}
	}
	response, err := g.base.RoundTrip(r)
	if err != nil {
		if g.slots != nil {
			<-g.slots
		}
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: MaxResponseBytes, host: r.URL.Host, slots: g.slots}
	if response.ContentLength > MaxResponseBytes {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s announced %d bytes: %w; the limit is %d", r.URL.Host, response.ContentLength, ErrResponseTooLarge, int64(MaxResponseBytes))
	}
	return response, nil
}

// hostAllowed reports that host may be called, and whether without TLS.
func hostAllowed(host string, hosts []string) (allowed, plain bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, h := range hosts {
		h, named := strings.CutPrefix(strings.TrimSuffix(strings.ToLower(h), "."), "http://")
		parent, wild := strings.CutPrefix(h, "*.")
		if host == h || wild && strings.HasSuffix(host, "."+parent) {
			allowed, plain = true, plain || named || isThisMachine(host)
		}
	}
	return allowed, plain
}

// isThisMachine reports that host cannot be anywhere else.
func isThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// boundedBody ends a body that is too large, and gives the request's slot back
// when it is closed.
type boundedBody struct {
	io.ReadCloser
	left   int64
	host   string
	slots  chan struct{}
	closed atomic.Bool
}

// Close closes the body.
func (b *boundedBody) Close() error {
	if b.slots != nil && !b.closed.Swap(true) {
		defer func() { <-b.slots }()
	}
	return b.ReadCloser.Close()
}

// Read fails once more than the limit was read, so that nobody takes a cut
// body for a whole one.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLarge()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, b.tooLarge()
	}
	return n, err
}

func (b *boundedBody) tooLarge() error {
	return fmt.Errorf("%s sent more than %d bytes: %w", b.host, int64(MaxResponseBytes), ErrResponseTooLarge)
}

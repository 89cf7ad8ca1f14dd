package httpguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Options describe a client of one connection. Their zero value is a client
// that may call nobody.
type Options struct {
	// Hosts are the hosts it may call, as for [Guard.Client].
	Hosts []string
	// Timeout bounds one request from dialling to the end of its body. The
	// default is [RequestTimeout].
	Timeout time.Duration
	// Step bounds each of connecting, the TLS handshake, the wait for a free
	// connection, and the wait for the next bytes of an answer. 0 is no bound
	// beside the ones that every client has.
	Step time.Duration
	// TLS says how servers prove themselves, and the client itself.
	TLS TLS
	// MaxPerHost and MaxTotal bound the requests at work at a time. 0 is no
	// bound of the client's own.
	MaxPerHost, MaxTotal int
	// Proxy is the http or https URL of a proxy. The guard looks at the proxy's
	// address when it dials, and at the target's before it asks the proxy; what
	// the proxy itself resolves the name to is the proxy's to guard.
	Proxy string
}

// TLS are the settings of encrypted connections. Its zero value verifies
// servers by the system's authorities, with TLS 1.2 or later.
type TLS struct {
	// CA are the PEM certificates of the authorities that are trusted instead
	// of the system's.
	CA string
	// Certificate and Key are the client's own, in PEM.
	Certificate, Key string
	// ServerName is verified instead of the host's name.
	ServerName string
	// MinVersion is "1.2" (the default) or "1.3".
	MinVersion string
	// Insecure verifies nothing: whoever is in between can read and change all.
	Insecure bool
}

// NewClient returns a guarded client. Its error lists what is wrong with the
// options; it holds no key.
func (g *Guard) NewClient(o Options) (*http.Client, error) {
	transport := g.transport
	if o.own() {
		var err error
		if transport, err = g.own(o); err != nil {
			return nil, fmt.Errorf("make http client: %w", err)
		}
	}
	guarded := &guarded{base: transport, hosts: o.Hosts}
	if o.Proxy != "" {
		guarded.check = g.checkTarget
	}
	if o.MaxTotal > 0 {
		guarded.slots = make(chan struct{}, o.MaxTotal)
	}
	client := g.Client(nil)
	client.Transport = guarded
	if o.Step > 0 {
		// A request that has its slot never waits for a connection.
		if most := min(o.MaxTotal, o.MaxPerHost); most > 0 {
			guarded.slots = make(chan struct{}, most)
		}
		guarded.step = o.Step
		client.Transport = steps{o.Step, guarded}
	}
	if o.Timeout > 0 {
		client.Timeout = o.Timeout
	}
	return client, nil
}

// Check reports what is wrong with the options, without making anything.
func (o Options) Check() error {
	_, err := o.TLS.config()
	_, proxyErr := o.proxy()
	return errors.Join(err, proxyErr)
}

// own reports whether the client needs connections of its own.
func (o Options) own() bool {
	return o.TLS != (TLS{}) || o.MaxPerHost > 0 || o.Proxy != "" || o.Step > 0
}

func (g *Guard) own(o Options) (*http.Transport, error) {
	config, err := o.TLS.config()
	proxy, proxyErr := o.proxy()
	if err := errors.Join(err, proxyErr); err != nil {
		return nil, err
	}
	transport := g.transport.Clone()
	transport.TLSClientConfig = config
	transport.MaxConnsPerHost = o.MaxPerHost
	// What may be open may stay open: else each further connection is dialled anew.
	transport.MaxIdleConnsPerHost = max(o.MaxPerHost, maxConnsPerHost)
	if o.Step > 0 {
		stepwise(transport, o.Step)
	}
	if proxy != nil {
		transport.Proxy = http.ProxyURL(proxy)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.others = append(g.others, transport)
	return transport, nil
}

func (o Options) proxy() (*url.URL, error) {
	if o.Proxy == "" {
		return nil, nil //nolint:nilnil // no proxy is what most clients have
	}
	proxy, err := url.Parse(o.Proxy)
	if err != nil || proxy.Host == "" || proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, errors.New("proxy is no http or https URL")
	}
	return proxy, nil
}

func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // the operator's explicit word, shown as a warning
	}
	var errs []error
	switch t.MinVersion {
	case "", "1.2":
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	default:
		errs = append(errs, errors.New("the least TLS version must be 1.2 or 1.3"))
	}
	if t.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			errs = append(errs, errors.New("the authorities hold no PEM certificate"))
		}
	}
	switch {
	case t.Certificate == "" && t.Key == "":
	case t.Certificate == "" || t.Key == "":
		errs = append(errs, errors.New("a client certificate needs its key, and a key its certificate"))
	default:
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
		if err != nil {
			errs = append(errs, errors.New("client certificate and key are no PEM pair that belongs together"))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, errors.Join(errs...)
}

// checkTarget refuses a target that a proxy would be asked for.
func (g *Guard) checkTarget(ctx context.Context, target *url.URL) error {
	port := target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[target.Scheme]
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", target.Hostname())
	if err != nil {
		return fmt.Errorf("resolve %s: %w", target.Hostname(), err)
	}
	for _, address := range addresses {
		address = address.Unmap()
		network := "tcp6"
		if address.Is4() {
			network = "tcp4"
		}
		if err := g.refuse(network, net.JoinHostPort(address.String(), port)); err != nil {
			return err
		}
	}
	return nil
}

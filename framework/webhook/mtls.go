package webhook

import (
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// mtls makes the check of client certificates. The secret holds the authorities
// of the sender as PEM; the chain is built again here, whatever the server's
// own list of authorities says, as that list serves all endpoints.
func (b *builder) mtls(spec catalog.EndpointSpec, setting string, secrets []Secret) check {
	type authorities struct {
		pool *x509.CertPool
		key  key
	}
	var all []authorities
	b.errs = append(b.errs, eachSecret(setting, secrets, func(_ string, s Secret) error {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(s.Value)) {
			return errors.New("holds no certificate; give the sender's certificate authority as PEM (-----BEGIN CERTIFICATE-----)")
		}
		all = append(all, authorities{pool, key{until: s.Until}})
		return nil
	}))
	return func(now time.Time, r Request) error {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return refuse("connection has no client certificate")
		}
		leaf := r.TLS.PeerCertificates[0]
		between := x509.NewCertPool()
		for _, c := range r.TLS.PeerCertificates[1:] {
			between.AddCert(c)
		}
		trusted := false
		for _, a := range all {
			_, err := leaf.Verify(x509.VerifyOptions{
				Roots: a.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			})
			trusted = trusted || err == nil && a.key.live(now)
		}
		if !trusted {
			return refuse("client certificate is not of the sender's authority, or not valid now")
		}
		if !certificateNamed(leaf, spec.ClientNames) {
			return refuse("client certificate carries another name")
		}
		return nil
	}
}

// certificateNamed reports that a certificate carries one of the names. The
// common name does not count: authorities do not vouch for it.
func certificateNamed(c *x509.Certificate, names []string) bool {
	carried := append(append([]string(nil), c.DNSNames...), c.EmailAddresses...)
	for _, u := range c.URIs {
		carried = append(carried, u.String())
	}
	for _, have := range carried {
		for _, want := range names {
			if strings.EqualFold(have, want) && !strings.Contains(want, "://") || have == want {
				return true
			}
			if suffix, wild := strings.CutPrefix(want, "*"); wild {
				host, below := strings.CutSuffix(strings.ToLower(have), strings.ToLower(suffix))
				if below && host != "" && host != "*" && !strings.ContainsAny(host, "@/") {
					return true
				}
			}
		}
	}
	return false
}

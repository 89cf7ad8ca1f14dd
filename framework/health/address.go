package health

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/weirhq/weir/framework/store"
)

// Address is how senders reach the webhooks of this process.
type Address struct {
	// PublicURL is the address by which the outside reaches this process, ListenPublic
	// that of the listener which takes webhooks only; "" for none.
	PublicURL, ListenPublic string
}

// Base returns the address without a path: the public one, else that of the
// listener for webhooks, else the one that the request r came in by. Where that
// listener has every address of the machine, the host is that of r.
func (a Address) Base(r *http.Request) string {
	if a.PublicURL != "" {
		return strings.TrimSuffix(a.PublicURL, "/")
	}
	scheme, host := "http://", r.Host
	if r.TLS != nil {
		scheme = "https://"
	}
	listenHost, port, err := net.SplitHostPort(a.ListenPublic)
	if err != nil || port == "0" {
		return scheme + host
	}
	if ip, err := netip.ParseAddr(listenHost); listenHost == "" || (err == nil && ip.IsUnspecified()) {
		listenHost = (&url.URL{Host: host}).Hostname()
	}
	return scheme + net.JoinHostPort(listenHost, port)
}

// WebhookURL returns the address that a provider sends the deliveries of an
// endpoint to. It names the connection by its id, so that it outlives a rename.
func WebhookURL(base string, c store.Connection, endpoint string) string {
	prefix := ""
	if c.Project != DefaultProject {
		prefix = "/p/" + url.PathEscape(c.Project)
	}
	return base + prefix + "/webhooks/" + url.PathEscape(c.ID) + "/" + url.PathEscape(endpoint)
}

package health

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/weirhq/weir/framework/store"
)

// BaseURL returns the address of this process without a path: the configured
// one, or the one that the request r came in by.
func BaseURL(publicURL string, r *http.Request) string {
	if publicURL != "" {
		return strings.TrimSuffix(publicURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
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

package webhook

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// Request is the part of a webhook request that is verified.
type Request struct {
	// Method is the request's method; "" means POST.
	Method string
	// URI is the request's target as it came, path and query: "/webhooks/a/b?c=d".
	URI string
	// Header is the request's header as it came.
	Header http.Header
	// Body is the raw body, byte for byte as it was sent.
	Body []byte
	// Remote is the sender's address; see [ClientIP].
	Remote netip.Addr
	// TLS is the state of the connection, or nil without TLS.
	TLS *tls.ConnectionState
}

func (r Request) method() string {
	if r.Method == "" {
		return http.MethodPost
	}
	return r.Method
}

// path returns the target's path as it was sent.
func (r Request) path() string {
	path, _, _ := strings.Cut(r.URI, "?")
	return path
}

// query returns a query parameter that is there exactly once.
func (r Request) query(name string) (string, bool) {
	_, raw, _ := strings.Cut(r.URI, "?")
	values, err := url.ParseQuery(raw)
	if err != nil || len(values[name]) != 1 {
		return "", false
	}
	return values.Get(name), true
}

// at returns the text at a place of the request.
func (r Request) at(s catalog.Source) (string, bool) {
	switch s.Kind {
	case "header":
		values := r.Header.Values(s.Name)
		if len(values) != 1 {
			return "", false
		}
		return values[0], true
	case "query":
		return r.query(s.Name)
	case "body":
		text, quoted, ok := bodyField(r.Body, strings.Split(s.Name, "."))
		return text, ok && (quoted || text != "")
	}
	return "", false
}

// bodyField returns the text or number at a path of object keys of a JSON body.
// Digits of a number stay as they came, so that large ones do not collide.
func bodyField(body []byte, path []string) (text string, quoted, ok bool) {
	raw := json.RawMessage(body)
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return "", false, false
		}
		raw = object[key]
	}
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return "", false, false
	case raw[0] == '"':
		if json.Unmarshal(raw, &text) != nil {
			return "", false, false
		}
		return text, true, true
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw), false, true
	}
	return "", false, false
}

// ClientIP returns the address that a request came from. remote is that of the
// connection; forwarded are the values of X-Forwarded-For, which count only as
// far as they were written by trusted proxies: from the right, the first
// address that is not one of them. It is the zero Addr when nothing can be told.
func ClientIP(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	client := at.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			if len(forwarded) == 0 {
				return client
			}
			// A trusted proxy names nobody: who sent it cannot be told.
			return netip.Addr{}
		}
		client = hop.Unmap().WithZone("")
	}
	return client
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

package webhook

import (
	"net/http"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// privateWords are parts of header names that hold credentials or signatures
// by custom. They are kept out also of endpoints whose mode does not use them.
var privateWords = []string{"authorization", "cookie", "signature", "secret", "token", "password", "api-key", "apikey", "hmac", "credential"}

// proxyHeaders are claims of whoever stands before us. Nothing decides by them,
// so that nothing can be forged with them.
var proxyHeaders = []string{"Forwarded", "X-Forwarded", "X-Real-Ip", "X-Client-Ip", "X-Original", "Via", "True-Client-Ip", "Cf-Connecting-Ip"}

// PublicHeader returns a copy of h without credentials, signatures and what
// proxies claim, for handlers and for the store. A header that carries the
// delivery's id is kept.
func (v *Verifier) PublicHeader(h http.Header) http.Header {
	kept := make(http.Header, len(h))
	copies := make([]string, 0, len(h))
	for name, values := range h {
		if !v.hides(name) {
			at := len(copies)
			copies = append(copies, values...)
			kept[name] = copies[at:len(copies):len(copies)]
		}
	}
	return kept
}

func (v *Verifier) hides(name string) bool {
	if slices.ContainsFunc(proxyHeaders, func(p string) bool { return strings.HasPrefix(name, p) }) || slices.Contains(v.private, name) {
		return true
	}
	if slices.ContainsFunc(v.keys, func(k catalog.Source) bool { return k.Kind == "header" && k.Name == name }) {
		return false
	}
	lower := strings.ToLower(name)
	return slices.ContainsFunc(privateWords, func(word string) bool { return strings.Contains(lower, word) })
}

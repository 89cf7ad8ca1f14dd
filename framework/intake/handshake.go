package intake

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/weirhq/weir/framework/webhook"
)

// requestOf is what is verified of a request.
func (h *Handler) requestOf(r *http.Request, body []byte) webhook.Request {
	return webhook.Request{
		Method: r.Method, URI: r.URL.RequestURI(), Header: r.Header, Body: body, TLS: r.TLS,
		Remote: webhook.ClientIP(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), h.config.TrustedProxies),
	}
}

// handshake answers a request by which a sender learns that the endpoint is
// ours; handled is false for a delivery. Nothing of it is recorded.
func (h *Handler) handshake(ctx context.Context, t Target, r webhook.Request, check func() error) (a answer, handled bool) {
	if r.Method == http.MethodPost && !t.Verifier.Handshakes() {
		return answer{}, false
	}
	if t.Verifier.Deadline() > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.Verifier.Deadline())
		defer cancel()
	}
	reply, handled, err := t.Verifier.Handshake(ctx, h.config.Now(), r, check)
	switch {
	case !handled:
		return answer{}, false
	case errors.Is(err, webhook.ErrHandshake):
		// The reason names a host at most; the address with its token is not in it.
		a = unavailable()
		a.why = err.Error()
		return a, true
	case err != nil:
		return unverified(t.Verifier.Challenge(), webhook.ReasonOf(err)), true
	}
	return answer{status: reply.Status, verdict: Handshake, reply: &reply}, true
}

// writeReply writes the answer to a handshake. The browser of somebody who was
// sent here must take nothing of it for a page.
func writeReply(w http.ResponseWriter, reply *webhook.Reply) {
	h := w.Header()
	for name, values := range reply.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Del("Content-Type")
	if reply.ContentType != "" {
		h.Set("Content-Type", reply.ContentType)
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	w.WriteHeader(reply.Status)
	// The sender may be gone; it will ask again.
	_, _ = w.Write(reply.Body)
}

// allowed is the Allow header of an endpoint.
func allowed(t Target) string { return strings.Join(t.Verifier.Methods(), ", ") }

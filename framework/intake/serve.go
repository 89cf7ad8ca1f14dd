package intake

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// ServeHTTP receives one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := h.config.Now().UTC()
	project, connection, endpoint, ok := splitPath(r.URL.EscapedPath())
	var target Target
	if ok {
		target, ok = h.config.Targets.Lookup(project, connection, endpoint)
	}
	if !ok {
		notFound().write(w, r)
		return
	}
	a := h.receive(w, r, target, started)
	o := observationOf(target, a.verdict)
	o.Events, o.Bytes, o.Took = a.events, a.bytes, h.config.Now().Sub(started)
	h.config.Observe(o)
	if a.why != "" {
		h.logRefusal(r.Context(), target, a)
	}
	a.write(w, r)
}

// receive takes one delivery from the wire to its verdict.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, t Target, started time.Time) answer {
	if !h.gate.enter() {
		a := busy("stopping")
		a.close = true
		return a
	}
	defer h.gate.leave()
	switch {
	case !slices.Contains(t.Verifier.Methods(), r.Method):
		return methodNotAllowed(allowed(t))
	case len(r.Header.Values("Content-Encoding")) > 0:
		// The bytes that were signed are those on the wire, and nothing is
		// inflated for somebody who has not proven who they are.
		return encodingRefused()
	case t.Verifier == nil || t.Binding == nil:
		a := unverified("", "endpoint has no verifier: its secret is missing")
		a.close = true
		return a
	}
	hold := h.budget.hold(t.ConnectionID)
	defer hold.release()
	body, refusal, ok := h.readBody(w, r, t.Verifier.MaxBody(), hold)
	if !ok {
		return refusal
	}
	// Once the whole delivery is here it is carried through, whether its sender
	// waits for the answer or not: some never send again.
	a := h.handle(context.WithoutCancel(r.Context()), t, h.requestOf(r, body), started, hold)
	a.bytes = len(body)
	return a
}

// handle verifies a delivery, calls its handler and records the outcome.
func (h *Handler) handle(ctx context.Context, t Target, request webhook.Request, receivedAt time.Time, hold *hold) answer {
	header, body := request.Header, request.Body
	check := sync.OnceValue(func() error { return t.Verifier.Verify(h.config.Now(), request) })
	unproven := func(err error) answer { return unverified(t.Verifier.Challenge(), webhook.ReasonOf(err)) }
	if a, handled := h.handshake(ctx, t, request, check); handled {
		return a
	}
	if t.Verifier.Auth() != catalog.AuthCustom {
		if err := check(); err != nil {
			return unproven(err)
		}
	}
	key := t.Verifier.DeliveryKey(header, body)
	d := delivery{
		id: store.NewID("dlv_", receivedAt), key: key, header: t.Verifier.PublicHeader(header), body: body, receivedAt: receivedAt,
	}
	state := h.endpoints.of(t)
	called := state.acquire(h.config.HandlerWait)
	var result outcome
	if called {
		d.attempts = 1
		call := (&framework.Delivery{
			ID: d.id, Key: webhook.DeliveryID(key), Header: d.header, Body: body, ReceivedAt: receivedAt, Attempt: 1,
		}).WithVerify(check)
		hold.share()
		h.gate.stay()
		result = h.call(ctx, t, call, func() {
			state.release()
			hold.release()
			h.gate.leave()
		})
	}
	// The handler of a custom endpoint verifies when it has seen what it needs.
	// Nothing is recorded unless that succeeds, whether it asked or not.
	if err := check(); err != nil {
		return unproven(err)
	}
	if !called {
		return h.postpone(ctx, t, d)
	}
	return h.record(ctx, t, d, result)
}

func (h *Handler) logRefusal(ctx context.Context, t Target, a answer) {
	suppressed, ok := h.endpoints.of(t).sample(h.config.Now(), h.config.LogEvery)
	if !ok {
		return
	}
	h.config.Log.WarnContext(ctx, "webhook refused", "project", t.Project, "connection", t.Connection, "endpoint", t.Endpoint,
		"verdict", string(a.verdict), "status", a.status, "err", a.why, "suppressed", suppressed)
}

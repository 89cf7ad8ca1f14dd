package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

const noVerifier = "endpoint has no verifier: its secret is missing"

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
	if target.Shut {
		a := unavailable()
		a.close = true
		a.write(w, r)
		return
	}
	state := h.endpoints.of(target)
	find := func() (Target, bool) { return h.config.Targets.Lookup(project, connection, endpoint) }
	a := h.receive(w, r, target, state, find, started)
	h.observe(target, state, Recent{
		ID: a.body.Delivery, First: a.body.First, At: started, Verdict: a.verdict, Status: a.status, Bytes: a.bytes, Events: a.events,
		Took: h.config.Now().Sub(started), Attempt: a.attempt, Why: a.why,
	})
	if a.why != "" && !a.verdict.taken() {
		h.logRefusal(r.Context(), target, state, a)
	}
	a.write(w, r)
}

// observe remembers a delivery, or a later call of its handler, and tells who
// counts them.
func (h *Handler) observe(t Target, state *endpointState, e Recent) {
	state.history.add(e)
	o := observationOf(t, e.Verdict)
	o.Events, o.Bytes, o.Took, o.Retry = e.Events, e.Bytes, e.Took, e.Status == 0
	h.config.Observe(o)
}

// receive takes one delivery from the wire to its verdict. find finds its target
// as it is at that moment.
func (h *Handler) receive(
	w http.ResponseWriter, r *http.Request, t Target, state *endpointState, find func() (Target, bool), started time.Time,
) answer {
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
	case r.Method == http.MethodPost && !t.Policy.takes(r.Header):
		return typeRefused(t.Policy.ContentTypes)
	case t.Verifier == nil || t.Binding == nil:
		a := unverified("", noVerifier)
		a.close = true
		return a
	}
	hold := h.budget.hold(t.ConnectionID)
	defer hold.release()
	body, refusal, ok := h.readBody(w, r, t.Verifier.MaxBody(), hold)
	if !ok {
		return refusal
	}
	// A body may take its time. What has become of the endpoint meanwhile counts:
	// nobody is let in by a secret that was taken away before they were asked.
	now, ok := find()
	if refusal, ok = changed(t, now, ok, len(body)); !ok {
		refusal.bytes = len(body)
		return refusal
	}
	t = now
	// Once the whole delivery is here it is carried through, whether its sender
	// waits for the answer or not: some never send again.
	a := h.handle(context.WithoutCancel(r.Context()), t, state, h.requestOf(r, body), started, hold)
	a.bytes = len(body)
	return a
}

// changed refuses a delivery whose endpoint is not there any more, or is another
// one, since its header was read; ok reports that it goes on.
func changed(before, now Target, there bool, size int) (refusal answer, ok bool) {
	switch {
	case now.Shut:
		return unavailable(), false
	case !there:
		a := notFound()
		a.verdict, a.why = Refused, "the endpoint was taken away while the body came"
		return a, false
	case now.ConnectionID != before.ConnectionID:
		return busy("another connection took the name while the body came"), false
	case now.Verifier == nil || now.Binding == nil:
		return unverified("", noVerifier), false
	case int64(size) > now.Verifier.MaxBody():
		return tooLarge(size), false
	}
	return answer{}, true
}

// verifier is that of the endpoint as it is now; nil, which refuses everything,
// when the endpoint is gone.
func (h *Handler) verifier(t Target) *webhook.Verifier {
	now, ok := h.config.Targets.ByID(t.ConnectionID, t.Endpoint)
	if !ok || now.Binding == nil {
		return nil
	}
	return now.Verifier
}

// ownBody is the size above which a body is counted twice while its handler is
// at work: what the handler emits may be as large again.
const ownBody = 1 << 20

// handle verifies a delivery, calls its handler and records the outcome.
func (h *Handler) handle(ctx context.Context, t Target, state *endpointState, request webhook.Request, receivedAt time.Time, hold *hold) answer {
	header, body := request.Header, request.Body
	// A handler that verifies for itself may ask late.
	check := sync.OnceValue(func() error { return h.verifier(t).Verify(h.config.Now(), request) })
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
	if wait, ok := state.allow(h.config.Now()); !ok {
		return limited(wait)
	}
	mark := deliveryMark(t, key)
	release, hindrance := h.admit(d, state, mark, hold)
	var result outcome
	if hindrance == nil {
		d.attempts = 1
		end := h.journal.begin(state.mark, mark)
		call := (&framework.Delivery{
			ID: d.id, Key: webhook.DeliveryID(key), Header: d.header, Body: body, ReceivedAt: receivedAt, Attempt: 1,
		}).WithVerify(check)
		hold.share()
		h.gate.stay()
		result = h.call(ctx, t, call, func() {
			end()
			release()
			hold.release()
			h.gate.leave()
		})
	}
	// The handler of a custom endpoint verifies when it has seen what it needs.
	// Nothing is recorded unless that succeeds, whether it asked or not.
	if err := check(); err != nil {
		return unproven(err)
	}
	if hindrance != nil {
		return h.postpone(ctx, t, d, hindrance)
	}
	a := h.record(ctx, t, d, result)
	a.attempt = d.attempts
	return a
}

// Why a handler is not called for a delivery that has just come.
var (
	errNoHandler   = errors.New("no handler was free")
	errNoMemory    = errors.New("too many bytes were in flight for the handler of a large body")
	errQuarantined = framework.Permanent(errors.New(
		"the endpoint is in quarantine: three processes in a row ended while its handler was called; mend the handler, resume the endpoint, then redeliver"))
)

// admit takes what the handler needs, or says why it is not called now.
func (h *Handler) admit(d delivery, state *endpointState, m mark, hold *hold) (release func(), hindrance error) {
	if h.journal.quarantined(state.mark) {
		return nil, errQuarantined
	}
	if h.journal.suspect(m) {
		// Its row counts how often this happens.
		return nil, fmt.Errorf(endingText, 1)
	}
	release, ok := state.acquire(h.config.HandlerWait)
	if !ok {
		return nil, errNoHandler
	}
	if len(d.body) > ownBody && !hold.grow(int64(len(d.body))) {
		release()
		return nil, errNoMemory
	}
	return release, nil
}

func (h *Handler) logRefusal(ctx context.Context, t Target, state *endpointState, a answer) {
	suppressed, ok := state.sample(h.config.Now(), h.config.LogEvery)
	if !ok {
		return
	}
	h.config.Log.WarnContext(ctx, "webhook refused", "project", t.Project, "connection", t.Connection, "endpoint", t.Endpoint,
		"verdict", string(a.verdict), "status", a.status, "err", a.why, "suppressed", suppressed)
}

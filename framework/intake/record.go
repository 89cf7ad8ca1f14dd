package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// delivery is a verified delivery on its way into the store.
type delivery struct {
	id, key    string
	header     http.Header
	body       []byte
	receivedAt time.Time
	attempts   int
	// expires is when the delivery may be forgotten after it was handled; zero
	// is at once.
	expires time.Time
}

// outcome is what a handler returned.
type outcome struct {
	emissions []ingest.Emission
	err       error
}

// call runs the endpoint's handler. With done it waits until the deadline, no
// longer, since the sender waits too: done is called when the handler has
// returned or was abandoned, which may be later.
func (h *Handler) call(ctx context.Context, t Target, d *framework.Delivery, done func()) (result outcome) {
	deadline := webhook.DefaultDeadline
	if t.Verifier != nil {
		deadline = t.Verifier.Deadline()
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	left := func() {
		h.config.Log.ErrorContext(ctx, "webhook handler hangs and was left behind", "project", t.Project, "connection", t.Connection,
			"endpoint", t.Endpoint, "delivery", d.ID)
	}
	var ended func(hangs bool)
	if done == nil {
		defer cancel()
	} else {
		ended = func(hangs bool) {
			if hangs {
				left()
			}
			cancel()
			done()
		}
	}
	// What is called contains the handler's panics; this is for its own.
	defer func() {
		if r := recover(); r != nil {
			result = outcome{err: &framework.PanicError{Value: fmt.Sprint(r), Stack: string(debug.Stack())}}
		}
	}()
	result.emissions, result.err = t.Binding.Receive(ctx, t.Endpoint, d, ended)
	switch {
	case errors.Is(result.err, framework.ErrLate):
		result.err = fmt.Errorf("handler did not return within %s", deadline)
	case errors.Is(result.err, framework.ErrAbandoned):
		left()
	}
	return result
}

// record commits what the handler made of a delivery, or the delivery itself
// when it made nothing of it.
func (h *Handler) record(ctx context.Context, t Target, d delivery, result outcome) answer {
	if result.err != nil {
		return h.keep(ctx, t, d, result.err)
	}
	u := h.unit(t, d)
	u.Emissions = result.emissions
	u.Reserve = &store.DeliveryKey{Endpoint: t.Endpoint, Key: d.key, DeliveryID: d.id}
	u.Streams = succeeded(t, result.emissions)
	u.Keep = h.keptRow(t, d)
	receipt, err := h.offer(ctx, u)
	switch {
	case err == nil && receipt.DuplicateDelivery:
		return duplicate(receipt.First)
	case err == nil:
		return accepted(d.id, receipt.Appended)
	case transient(err):
		return h.notStored(ctx, t, d, err)
	default:
		// The store refuses what the handler emitted. The delivery is not lost
		// for that: it waits for a connector that emits something better.
		return h.keep(ctx, t, d, err)
	}
}

// keep stores a delivery whose handler failed, to be handled later, or as a
// dead letter when the failure is permanent.
func (h *Handler) keep(ctx context.Context, t Target, d delivery, cause error) answer {
	row, failure := h.failed(t, d, cause, h.config.Now())
	h.logFailure(ctx, t, row, cause)
	return h.keepRow(ctx, t, d, row, failure)
}

// postpone stores a delivery whose handler cannot be called now. It is due at
// once, or a dead letter when the hindrance is permanent.
func (h *Handler) postpone(ctx context.Context, t Target, d delivery, hindrance error) answer {
	row := h.row(t, d)
	row.LastError = hindrance.Error()
	if row.Dead = framework.ClassOf(hindrance) == framework.ClassPermanent; !row.Dead {
		row.NextAttemptAt = row.WrittenAt
		defer h.Wake()
	}
	return h.keepRow(ctx, t, d, row, nil)
}

func (h *Handler) keepRow(ctx context.Context, t Target, d delivery, row store.StoredDelivery, failure []store.StreamWrite) answer {
	size := int64(len(row.Header) + len(row.Body))
	if !h.shelf.put(t.ConnectionID, size) {
		return full()
	}
	u := h.unit(t, d)
	u.Keep, u.Streams = &row, failure
	u.Reserve = &store.DeliveryKey{Endpoint: t.Endpoint, Key: d.key, DeliveryID: d.id}
	receipt, err := h.offer(ctx, u)
	if err != nil || receipt.DuplicateDelivery {
		h.shelf.drop(t.ConnectionID, size)
	}
	switch {
	case err != nil:
		return h.notStored(ctx, t, d, err)
	case receipt.DuplicateDelivery:
		return duplicate(receipt.First)
	}
	a := stored(d.id, Stored)
	if row.Dead {
		a.verdict = Dead
	}
	a.why = row.LastError
	return a
}

// keptRow is the row of a delivery that was handled, or nil when it is not kept.
func (h *Handler) keptRow(t Target, d delivery) *store.StoredDelivery {
	expires := d.expires
	if expires.IsZero() && t.Policy.Keep > 0 {
		expires = d.receivedAt.Add(t.Policy.Keep)
	}
	if !expires.After(h.config.Now()) {
		return nil
	}
	row := h.row(t, d)
	row.Kept, row.ExpiresAt = true, expires
	return &row
}

// notStored answers for a delivery that the store did not take: its sender must
// send it again.
func (h *Handler) notStored(ctx context.Context, t Target, d delivery, err error) answer {
	switch {
	case errors.Is(err, store.ErrBusy):
		return busy("the store is busy")
	case errors.Is(err, store.ErrDiskLow):
		// The store has said so once; a line for each delivery would fill the disk.
		return busy("the disk is nearly full")
	case errors.Is(err, store.ErrNotFound):
		// The connection was deleted while the delivery was on its way.
		a := notFound()
		a.verdict = Refused
		return a
	}
	h.config.Log.ErrorContext(ctx, "webhook could not be stored", "project", t.Project, "connection", t.Connection,
		"endpoint", t.Endpoint, "delivery", d.id, "err", err)
	return unavailable()
}

// transient reports whether the store may take the same unit later.
func transient(err error) bool {
	for _, target := range []error{
		store.ErrBusy, store.ErrUnavailable, store.ErrClosed, store.ErrFenced, store.ErrNotFound, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (h *Handler) offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.CommitTimeout)
	defer cancel()
	return h.config.Store.Offer(ctx, u)
}

// unit is that of a delivery as it was received. It needs no lease: any process
// takes deliveries.
func (h *Handler) unit(t Target, d delivery) store.Unit {
	return store.Unit{ID: store.NewCommitID(), ConnectionID: t.ConnectionID, At: h.config.Now(), ObservedAt: d.receivedAt}
}

// leased is the unit of a stored delivery, which only the process with the
// connection's lease handles.
func (h *Handler) leased(t Target, d delivery) store.Unit {
	u := h.unit(t, d)
	u.Epoch, _ = h.config.Store.Epoch(t.ConnectionID)
	return u
}

// row is the stored form of a delivery.
func (h *Handler) row(t Target, d delivery) store.StoredDelivery {
	header, err := json.Marshal(d.header)
	if err != nil {
		header = []byte("{}") // a map of strings always encodes
	}
	return store.StoredDelivery{
		ID: d.id, ConnectionID: t.ConnectionID, Endpoint: t.Endpoint, Key: d.key, ReceivedAt: d.receivedAt,
		Header: header, Body: d.body, Attempts: d.attempts, WrittenAt: h.config.Now(), ExpiresAt: d.expires,
	}
}

// maxErrorText bounds the stored text of a handler's error.
const maxErrorText = 2 << 10

// failed returns the row of a delivery after a failed call, and what the
// failure means for the health of streams.
func (h *Handler) failed(t Target, d delivery, cause error, now time.Time) (store.StoredDelivery, []store.StreamWrite) {
	row := h.row(t, d)
	row.LastError, row.WrittenAt = shorten(cause.Error()), now
	class := framework.ClassOf(cause)
	old := now.Sub(d.receivedAt) >= h.config.RetryFor && d.attempts >= h.config.RetryAttempts
	if class == framework.ClassPermanent || old {
		row.Dead = true
	} else {
		row.NextAttemptAt = now.Add(h.wait(d.attempts, framework.RetryDelay(cause)))
	}
	if len(t.WebhookStreams) != 1 {
		// Which stream the delivery was for, only its handler could have said.
		return row, nil
	}
	return row, []store.StreamWrite{{
		Stream: t.WebhookStreams[0], Failure: &store.Failure{Error: row.LastError, Class: string(class)},
	}}
}

// wait returns how long to wait after the given number of calls: uniform
// between RetryBase and a bound that doubles up to RetryCap, so that deliveries
// that failed together do not come back together. A handler that asks for more
// gets it, up to RetryCap.
func (h *Handler) wait(attempts int, asked time.Duration) time.Duration {
	bound := h.config.RetryBase
	for i := 0; i < attempts && bound < h.config.RetryCap; i++ {
		bound *= 2
	}
	bound = min(bound, h.config.RetryCap)
	wait := h.config.RetryBase + time.Duration(h.random()*float64(bound-h.config.RetryBase))
	return min(max(wait, asked), h.config.RetryCap)
}

// shorten bounds a text and makes it one that every database takes.
func shorten(text string) string {
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// succeeded lists the webhook streams that were emitted to.
func succeeded(t Target, emissions []ingest.Emission) []store.StreamWrite {
	var writes []store.StreamWrite
	for _, stream := range t.WebhookStreams {
		if slices.ContainsFunc(emissions, func(e ingest.Emission) bool { return e.Stream == stream }) {
			writes = append(writes, store.StreamWrite{Stream: stream, Succeeded: true})
		}
	}
	return writes
}

func (h *Handler) logFailure(ctx context.Context, t Target, row store.StoredDelivery, cause error) {
	attrs := []any{
		"project", t.Project, "connection", t.Connection, "endpoint", t.Endpoint, "delivery", row.ID,
		"attempt", row.Attempts, "dead", row.Dead, "err", cause,
	}
	if panicked, ok := errors.AsType[*framework.PanicError](cause); ok {
		attrs = append(attrs, "stack", panicked.Stack)
	}
	h.config.Log.WarnContext(ctx, "webhook handler failed; the delivery is stored", attrs...)
}

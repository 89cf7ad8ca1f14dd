package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

const (
	// retryWorkers bounds the connections whose stored deliveries are handled
	// at the same time. Within a connection they are handled one by one, so at
	// most so many bodies are in memory.
	retryWorkers = 8
	// retryTurn is how long a connection is served before the others have
	// their turn: one that has much to do must not keep them waiting.
	retryTurn = 10 * time.Second
)

// Run handles stored deliveries when they are due, until ctx ends.
func (h *Handler) Run(ctx context.Context) {
	for {
		now := h.config.Now()
		next, err := h.RetryDue(ctx, now)
		if err != nil && ctx.Err() == nil {
			h.config.Log.ErrorContext(ctx, "stored webhooks could not be handled", "err", err)
		}
		timer := time.NewTimer(min(max(next.Sub(now), 0), h.config.RetryPoll))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-h.wake:
			timer.Stop()
		}
	}
}

// RetryDue calls the handlers of the stored deliveries that are due at now, for
// each connection one by one in the order of their receipt. It returns when to
// look again, and what failed in the store; a handler's failure is recorded,
// not returned.
func (h *Handler) RetryDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	if !h.retrying.TryLock() {
		return now.Add(h.config.RetryPoll), nil
	}
	defer h.retrying.Unlock()
	next = now.Add(h.config.RetryPoll)
	var (
		mu      sync.Mutex
		errs    = []error{h.tidy(ctx, now)}
		workers sync.WaitGroup
		slots   = make(chan struct{}, retryWorkers)
	)
	for _, id := range h.config.Targets.ConnectionIDs() {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			workers.Wait()
			return next, errors.Join(append(errs, context.Cause(ctx))...)
		}
		workers.Go(func() {
			defer func() { <-slots }()
			more, err := h.retryConnection(ctx, id, now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			if more {
				next = now
			}
		})
	}
	workers.Wait()
	return next, errors.Join(errs...)
}

// retryConnection handles what is due of one connection, and reports whether
// something is left because its turn was over.
func (h *Handler) retryConnection(ctx context.Context, id string, now time.Time) (more bool, err error) {
	for turn := time.Now(); ; {
		if _, mine := h.config.Store.Epoch(id); !mine {
			return false, nil // another process handles them
		}
		// One at a time: a body may have many megabytes.
		due, err := h.config.Store.StoredDeliveries(ctx, id, false, now, 1)
		if err != nil {
			return false, fmt.Errorf("list stored deliveries of connection %s: %w", id, err)
		}
		if len(due) == 0 {
			return false, nil
		}
		if time.Since(turn) > retryTurn {
			return true, nil
		}
		if err := h.retry(ctx, due[0], now); err != nil {
			return false, fmt.Errorf("handle stored delivery %s: %w", due[0].ID, err)
		}
	}
}

// retry calls the handler of one stored delivery and records the outcome. An
// error means that nothing was recorded; the delivery is still due.
func (h *Handler) retry(ctx context.Context, row store.StoredDelivery, now time.Time) error {
	started := h.config.Now()
	if started.After(now) {
		now = started
	}
	t, ok := h.config.Targets.ByID(row.ConnectionID, row.Endpoint)
	d := delivery{id: row.ID, key: row.Key, body: row.Body, receivedAt: row.ReceivedAt, attempts: row.Attempts + 1, expires: row.ExpiresAt}
	result := outcome{err: json.Unmarshal(row.Header, &d.header)}
	switch {
	case result.err != nil:
		result.err = fmt.Errorf("decode stored header: %w", result.err)
		d.header = http.Header{}
	case !ok || t.Binding == nil:
		t.ConnectionID, t.Endpoint = row.ConnectionID, row.Endpoint
		result.err = fmt.Errorf("endpoint %q is not declared any more: %w", row.Endpoint, framework.ErrNoRoute)
	case h.journal.quarantined(endpointMark(t)):
		d.attempts, result.err = row.Attempts, errQuarantined
	default:
		release, err := h.claim(ctx, t, d, row, now)
		if err != nil && framework.ClassOf(err) != framework.ClassPermanent {
			return err
		}
		if err != nil {
			d.attempts, result.err = row.Attempts, err
			break
		}
		result = h.callAgain(ctx, t, d)
		if ctx.Err() != nil {
			release()
			return context.Cause(ctx) // stopping: this call does not count
		}
		h.survived.Store(row.ConnectionID, true)
		// Until what became of it is recorded: the row may say that the process ended.
		h.returned.Store(row.ID, true)
	}
	o := Recent{ID: d.id, At: started, Verdict: Accepted, Bytes: len(d.body), Attempt: d.attempts}
	if result.err == nil {
		receipt, err := h.settle(ctx, t, d, result)
		if err != nil && transient(err) {
			return err
		}
		result.err, o.Events = err, receipt.Appended
	}
	if result.err != nil {
		kept, failure := h.failed(t, d, result.err, now)
		h.logFailure(ctx, t, kept, result.err)
		u := h.leased(t, d)
		u.Keep, u.Streams = &kept, failure
		if _, err := h.commit(ctx, u); err != nil {
			return err
		}
		o.Verdict, o.Why = Stored, kept.LastError
		if kept.Dead {
			o.Verdict = Dead
		}
	} else {
		h.shelf.drop(row.ConnectionID, int64(len(row.Header)+len(row.Body)))
	}
	h.returned.Delete(row.ID)
	o.Took = h.config.Now().Sub(started)
	h.observe(t, h.endpoints.of(t), o)
	return nil
}

// callAgain runs the handler of a delivery that was verified when it came.
func (h *Handler) callAgain(ctx context.Context, t Target, d delivery) outcome {
	return h.call(ctx, t, &framework.Delivery{
		ID: d.id, Key: webhook.DeliveryID(d.key), Header: d.header, Body: d.body, ReceivedAt: d.receivedAt, Attempt: d.attempts,
	}, nil)
}

// settle commits the events of a stored delivery and removes it, or keeps it as
// handled, in one unit.
func (h *Handler) settle(ctx context.Context, t Target, d delivery, result outcome) (store.Receipt, error) {
	u := h.leased(t, d)
	u.Emissions = result.emissions
	if u.Keep = h.keptRow(t, d); u.Keep == nil {
		u.Settle = d.id
	}
	u.Streams = succeeded(t, result.emissions)
	if len(t.WebhookStreams) == 1 && len(u.Streams) == 0 {
		// The failure of this delivery was written to the stream; so is its end.
		u.Streams = []store.StreamWrite{{Stream: t.WebhookStreams[0], Succeeded: true}}
	}
	return h.commit(ctx, u)
}

func (h *Handler) commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.CommitTimeout)
	defer cancel()
	return h.config.Store.Commit(ctx, u)
}

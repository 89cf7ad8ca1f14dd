package budget

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/weirhq/weir/framework"
)

// callTime is what must be left of a request's deadline after its wait, and
// patience the longest wait of a request without a deadline.
const (
	callTime = 10 * time.Second
	patience = 30 * time.Second
)

// Transport returns a transport that takes from b before each request to base,
// and lets b learn from the answers.
func Transport(base http.RoundTripper, b *Budget) http.RoundTripper { return &transport{base, b} }

type transport struct {
	base   http.RoundTripper
	budget *Budget
}

// RoundTrip waits for the budget, or fails with framework.ErrRateLimited.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.wait(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	response, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // a transport returns its base's error
	}
	t.budget.heed(r.Context(), r.URL.Host, response.StatusCode, response.Header)
	return response, nil
}

// enter is Take, at all nodes that share the budget, or entered in the store.
func (b *Budget) enter(ctx context.Context, host string, yielding bool) (wait time.Duration, err error) {
	if b.ledger != nil {
		return b.ledger.take(ctx, b.Rate(), host, yielding)
	}
	if wait = b.Take(host, yielding); wait == 0 {
		b.covered(ctx)
	}
	return wait, nil
}

// heed is Learn, for all nodes that share the budget.
func (b *Budget) heed(ctx context.Context, host string, status int, header http.Header) {
	if b.ledger != nil {
		b.ledger.learn(ctx, b.Rate(), host, status, header)
		return
	}
	b.Learn(host, status, header)
}

func (t *transport) wait(r *http.Request) error {
	ctx, begun := r.Context(), time.Now()
	for {
		wait, err := t.budget.enter(ctx, r.URL.Host, yields(ctx))
		if err != nil {
			return fmt.Errorf("wait for the rate budget: %w", err)
		}
		if wait == 0 {
			return nil
		}
		most := patience - time.Since(begun)
		if deadline, ok := ctx.Deadline(); ok {
			most = min(most, time.Until(deadline)-callTime)
		}
		later := func() error {
			return framework.RetryAfter(fmt.Errorf("%w until %s: the budget of this connection for %s is used up",
				framework.ErrRateLimited, t.budget.now().Add(wait).UTC().Format(time.RFC3339), r.URL.Host), wait)
		}
		if wait > most {
			return later()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the rate budget: %w", ctx.Err())
		case <-framework.Ending(ctx):
			timer.Stop()
			return later()
		case <-timer.C:
		}
	}
}

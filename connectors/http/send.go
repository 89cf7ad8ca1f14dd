package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
	"github.com/weirhq/weir/framework/httpguard"
)

const (
	// firstWait and longestWait bound the waits between tries of one request.
	firstWait, longestWait = 500 * time.Millisecond, 10 * time.Second
)

// sender sends the requests of one connection.
type sender struct {
	client     *http.Client
	authorizer *httpauth.Authorizer
	// attempts is how often a request is tried, the first time included.
	attempts int
}

// fetch sends a request, and again while it fails in passing and there is time.
// What must wait longer is left to the scheduler, which runs others meanwhile.
func (s *sender) fetch(ctx context.Context, build func() (*http.Request, []byte, error)) (*framework.Fetched, error) {
	refused := false
	for attempt := 1; ; attempt++ {
		request, body, err := build()
		if err != nil {
			return nil, err
		}
		if err := s.authorizer.Authorize(ctx, request, body); err != nil {
			return nil, err
		}
		fetched, err := framework.Fetch(s.client, request)
		err = classify(fetched, err)
		switch {
		case err == nil:
			return fetched, nil
		case fetched != nil && fetched.Status == http.StatusUnauthorized && !refused && s.authorizer.Refused(request):
			refused = true // a token can end before its time; the next try has a new one
			continue
		case framework.ClassOf(err) != framework.ClassTransient || attempt >= s.attempts:
			return fetched, err
		}
		wait := max(min(firstWait<<min(attempt-1, 10), longestWait), framework.RetryDelay(err))
		wait += rand.N(wait / 4) //nolint:gosec // spreads retries; nobody gains by guessing it
		if deadline, ok := ctx.Deadline(); wait > 2*longestWait || ok && time.Until(deadline) < 2*wait {
			return fetched, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fetched, err
		case <-framework.Ending(ctx):
			timer.Stop()
			return fetched, err
		}
	}
}

// classify adds what the class of a failure depends on beyond its status.
func classify(f *framework.Fetched, err error) error {
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, httpguard.ErrAddressRefused), errors.Is(err, httpguard.ErrHostNotAllowed), errors.Is(err, httpguard.ErrPlaintext),
		errors.As(err, &invalid), errors.As(err, &unknown):
		return framework.Permanent(err)
	case f == nil:
		return err
	case f.Status >= 300 && f.Status < 400:
		return framework.Permanent(fmt.Errorf("%w: redirects to another host are not followed; write the new address into endpoint", err))
	}
	return rateLimited(f, err)
}

// rateLimited recognizes a used-up rate limit by the headers that providers put
// beside 403 and 429 in place of Retry-After.
func rateLimited(f *framework.Fetched, err error) error {
	if f.Status != http.StatusForbidden && f.Status != http.StatusTooManyRequests || f.Header.Get("Retry-After") != "" {
		return err
	}
	remaining, reset := "", ""
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-", "X-Rate-Limit-"} {
		if v := f.Header.Get(prefix + "Remaining"); v != "" {
			remaining, reset = v, f.Header.Get(prefix+"Reset")
			break
		}
	}
	if remaining != "0" && f.Status != http.StatusTooManyRequests {
		return err
	}
	wait := time.Minute
	if seconds, parseErr := strconv.ParseInt(reset, 10, 64); parseErr == nil {
		wait = time.Duration(min(max(seconds, 1), int64(framework.MaxRetryAfter/time.Second))) * time.Second
		if seconds > 1e9 { // a moment, not a wait
			now := time.Now()
			if !f.ReadAt.IsZero() {
				now = f.ReadAt
			}
			wait = min(max(time.Unix(seconds, 0).Sub(now), time.Second), framework.MaxRetryAfter)
		}
	}
	return framework.RetryAfter(fmt.Errorf("rate limit is used up: %w", err), wait)
}

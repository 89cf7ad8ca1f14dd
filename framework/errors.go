package framework

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weirhq/weir/framework/httpguard"
)

// Class says what kind of failure an error is, and so whether trying again helps.
type Class string

const (
	// ClassTransient failures are tried again with growing waits. It is the
	// class of every error that says nothing else.
	ClassTransient Class = "transient"
	// ClassAuth failures mean that the provider refused the credentials.
	ClassAuth Class = "auth"
	// ClassPermanent failures will not go away by trying again.
	ClassPermanent Class = "permanent"
	// ClassBug failures are panics and broken promises of the connector.
	ClassBug Class = "bug"
)

type classified struct {
	err        error
	class      Class
	retryAfter time.Duration
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

// Permanent marks err as one that trying again will not mend: a webhook
// delivery becomes a dead letter at once, and a sync waits for its next tick.
func Permanent(err error) error { return mark(err, ClassPermanent, 0) }

// Auth marks err as a refusal of the connection's credentials.
func Auth(err error) error { return mark(err, ClassAuth, 0) }

// RetryAfter marks err as transient and asks that the next try wait at least d.
func RetryAfter(err error, d time.Duration) error { return mark(err, ClassTransient, d) }

func mark(err error, class Class, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &classified{err, class, wait}
}

// ClassOf returns the class of err.
func ClassOf(err error) Class {
	var c *classified
	var p *PanicError
	switch {
	case errors.As(err, &p), errors.Is(err, ErrCursorUnreadable), errors.Is(err, ErrNewerConnector), errors.Is(err, ErrNoRoute), errors.Is(err, ErrAbandoned), errors.Is(err, ErrHandlersHang):
		return ClassBug
	case errors.As(err, &c):
		return c.class
	}
	return ClassTransient
}

// RetryDelay returns how long err asks to wait before the next try, or 0.
func RetryDelay(err error) time.Duration {
	if c, ok := errors.AsType[*classified](err); ok {
		return c.retryAfter
	}
	return 0
}

// ErrAbandoned says that a handler went on past its deadline and was left behind.
var ErrAbandoned = errors.New("handler did not return by its deadline and was abandoned")

// ErrLate says that a webhook's handler had not returned when its sender had to be
// answered. It may still return, and what it then says is not asked for.
var ErrLate = errors.New("handler did not return by its deadline")

// ErrHandlersHang says that so many handlers of a connection were left behind
// and still go on that no other is called. It heals when they return.
var ErrHandlersHang = errors.New("handlers of this connection hang; they must return, or the process be restarted, before another is called")

// ErrRateLimited says that a call was not made because the provider allows no
// more of them now. A run that it ends has not failed: it goes on when the wait
// that comes with it ([RetryDelay]) is over.
var ErrRateLimited = errors.New("rate limited")

// PanicError is a panic of a handler, contained.
type PanicError struct {
	// Value is what the handler panicked with, as text.
	Value string
	// Stack is the stack of the panicking goroutine.
	Stack string
}

// Error returns the panic's value. The stack is shown beside it, not in it.
func (p *PanicError) Error() string { return "handler panicked: " + p.Value }

// ResponseError turns an unsuccessful provider response into an error of the
// right class: 401 and 403 are [ClassAuth], 429 and 5xx transient with the
// response's Retry-After, other 4xx permanent. It returns nil for 2xx. The URL's
// query is left out, because it may hold a secret.
func ResponseError(r *http.Response) error {
	if r.StatusCode >= 200 && r.StatusCode < 300 {
		return nil
	}
	where := ""
	if r.Request != nil && r.Request.URL != nil {
		where = r.Request.Method + " " + r.Request.URL.Host + httpguard.ShownPath(r.Request.URL.EscapedPath()) + ": "
	}
	err := fmt.Errorf("%sprovider answered %d %s", where, r.StatusCode, http.StatusText(r.StatusCode))
	switch {
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden && r.Header.Get("Retry-After") == "":
		return Auth(err)
	case r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusRequestTimeout, r.StatusCode >= 500:
		return RetryAfter(err, ParseRetryAfter(r.Header.Get("Retry-After"), time.Now()))
	default:
		return Permanent(err)
	}
}

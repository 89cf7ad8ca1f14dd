package framework

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// abandonGrace is how long a handler may still take to return after its
// context has ended.
const abandonGrace = 2 * time.Second

// MaxAbandoned is how many handlers of one connection may be left behind at the
// same time. They keep their goroutine and what they hold, so with so many of
// them no other is called: it fails with [ErrHandlersHang].
const MaxAbandoned = 16

type outcome[T any] struct {
	value T
	err   error
}

// What is known of a contained handler by whoever asks first: its goroutine,
// which has returned, or its caller, who leaves it behind.
const (
	handlerGoing int32 = iota
	handlerReturned
	handlerLeft
)

// contain runs fn so that neither a panic nor a hang of it reaches the caller.
// left counts those that hang.
func contain[T any](ctx context.Context, left *atomic.Int64, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if n := left.Load(); n >= MaxAbandoned {
		return zero, fmt.Errorf("%w: %d of them were left behind", ErrHandlersHang, n)
	}
	done := make(chan outcome[T], 1)
	var state atomic.Int32
	go func() {
		o := outcome[T]{err: errGoexit()}
		defer func() {
			done <- o
			if !state.CompareAndSwap(handlerGoing, handlerReturned) {
				left.Add(-1)
			}
		}()
		defer catch(&o.err)
		o.value, o.err = fn(ctx)
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-grace.C:
	}
	if !state.CompareAndSwap(handlerGoing, handlerLeft) {
		o := <-done // it returned at the last moment
		return o.value, o.err
	}
	left.Add(1)
	return zero, fmt.Errorf("%w: %w", ErrAbandoned, context.Cause(ctx))
}

// catch is deferred around a handler, and gives err to one that panicked.
func catch(err *error) {
	if r := recover(); r != nil { //nolint:revive // catch is what is deferred
		*err = newPanicError(r)
	}
}

// errGoexit is the error of a handler that did not return: runtime.Goexit, as
// testing.T's FailNow calls it, ends its goroutine without a result.
func errGoexit() error {
	return &PanicError{Value: "runtime.Goexit was called; return an error instead"}
}

func newPanicError(value any) *PanicError {
	const limit = 16 << 10
	stack := debug.Stack()
	return &PanicError{Value: fmt.Sprint(value), Stack: string(stack[:min(len(stack), limit)])}
}

// Go runs fn in a goroutine of a handler and contains its panics. The returned
// function waits for fn and returns its error; a handler must call it before it
// returns, since emissions after that are refused.
func Go(ctx context.Context, fn func(ctx context.Context) error) (wait func() error) {
	done := make(chan struct{})
	err := errGoexit()
	go func() {
		defer close(done)
		defer catch(&err)
		err = fn(ctx)
	}()
	return func() error {
		<-done
		return err
	}
}

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

// contained is a handler at work in a goroutine of its own, so that neither a
// panic nor a hang of it reaches the caller.
type contained[T any] struct {
	done  chan outcome[T]
	state atomic.Int32
	// left counts those that hang.
	left *atomic.Int64
	// ended is called once, when the handler has returned or was left behind.
	ended func(hangs bool)
}

// begin calls fn, unless too many hang.
func begin[T any](ctx context.Context, left *atomic.Int64, ended func(hangs bool), fn func(context.Context) (T, error)) (*contained[T], error) {
	if n := left.Load(); n >= MaxAbandoned {
		return nil, fmt.Errorf("%w: %d of them were left behind", ErrHandlersHang, n)
	}
	c := &contained[T]{done: make(chan outcome[T], 1), left: left, ended: ended}
	go c.run(ctx, fn)
	return c, nil
}

func (c *contained[T]) run(ctx context.Context, fn func(context.Context) (T, error)) {
	o := outcome[T]{err: errGoexit()}
	defer func() {
		c.done <- o
		if c.state.CompareAndSwap(handlerGoing, handlerReturned) {
			c.ended(false)
		} else {
			c.left.Add(-1)
		}
	}()
	defer catch(&o.err)
	o.value, o.err = fn(ctx)
}

// wait returns what the handler has returned; ok is false when ctx ended before.
func (c *contained[T]) wait(ctx context.Context) (o outcome[T], ok bool) {
	select {
	case o = <-c.done:
		return o, true
	case <-ctx.Done():
	}
	select {
	case o = <-c.done: // both were ready
		return o, true
	default:
		return o, false
	}
}

// linger waits for a handler whose context has ended, and leaves it behind when
// it does not return soon.
func (c *contained[T]) linger(ctx context.Context) outcome[T] {
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case o := <-c.done:
		return o
	case <-grace.C:
	}
	// Counted first: the handler takes itself off the count when it was left.
	c.left.Add(1)
	if !c.state.CompareAndSwap(handlerGoing, handlerLeft) {
		c.left.Add(-1)
		return <-c.done // it returned at the last moment
	}
	c.ended(true)
	return outcome[T]{err: fmt.Errorf("%w: %w", ErrAbandoned, context.Cause(ctx))}
}

// contain runs fn and waits for it, also for a while after the end of ctx.
func contain[T any](ctx context.Context, left *atomic.Int64, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	c, err := begin(ctx, left, func(bool) {}, fn)
	if err != nil {
		return zero, err
	}
	o, ok := c.wait(ctx)
	if !ok {
		o = c.linger(ctx)
	}
	return o.value, o.err
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

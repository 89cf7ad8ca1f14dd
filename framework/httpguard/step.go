package httpguard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// ErrStalled says that a step of a request took longer than [Options.Step].
var ErrStalled = errors.New("nothing came in time")

// stepwise bounds the steps of the requests of a transport: connecting, the TLS
// handshake, and the wait for the head of an answer.
func stepwise(t *http.Transport, step time.Duration) {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, step)
		defer cancel()
		return dial(ctx, network, address)
	}
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = step, step
}

// steps is what a request of a client with steps needs of it.
type steps struct {
	step time.Duration
	next http.RoundTripper
}

// RoundTrip makes a request whose body may pause for a step at most.
func (s steps) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	response, err := s.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	b := &steppedBody{ReadCloser: response.Body, step: s.step, cancel: cancel}
	b.timer = time.AfterFunc(s.step, b.stall)
	b.timer.Stop()
	response.Body = b
	return response, nil
}

// steppedBody ends when the next bytes take too long.
type steppedBody struct {
	io.ReadCloser
	step    time.Duration
	timer   *time.Timer
	cancel  context.CancelFunc
	stalled atomic.Bool
}

func (b *steppedBody) stall() {
	b.stalled.Store(true)
	b.cancel()
}

// Read reads what comes within a step.
func (b *steppedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.step)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && b.stalled.Load() {
		err = fmt.Errorf("%w: no bytes for %s", ErrStalled, b.step)
	}
	return n, err
}

// Close closes the body.
func (b *steppedBody) Close() error {
	b.timer.Stop()
	defer b.cancel()
	return b.ReadCloser.Close()
}

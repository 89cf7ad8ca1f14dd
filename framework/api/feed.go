package api

import (
	"sync"
)

// Feed tells its listeners that something changed. It says no more than that:
// who listens reads again. The zero value is ready.
type Feed struct {
	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
}

// Notify tells every listener. It never blocks, so it may be called in the
// middle of a commit; a listener that has not taken the last signal yet gets one
// for both.
func (f *Feed) Notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.listeners {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Listen returns a channel of signals, and the function that ends it.
func (f *Feed) Listen() (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[chan struct{}]struct{}{}
	}
	f.listeners[c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, c)
	}
}

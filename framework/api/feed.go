package api

import (
	"sync"
)

// Feed tells its listeners that something changed. It says no more than that:
// who listens reads again. The zero value is ready.
type Feed struct {
	mu sync.Mutex
	// listeners have the only project that they may know of, "" for all.
	listeners map[chan struct{}]string
}

// Notify tells every listener. Where the project of a change is known, call
// [Feed.NotifyProject]: who may not know of it is not told that it does something.
func (f *Feed) Notify() { f.notify(func(string) bool { return true }) }

// NotifyProject tells every listener who may know of a project. It never blocks,
// so it may be called in the middle of a commit; a listener that has not taken the
// last signal yet gets one for both.
func (f *Feed) NotifyProject(project string) {
	f.notify(func(only string) bool { return Caller{Project: only}.Sees(project) })
}

func (f *Feed) notify(concerns func(only string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c, only := range f.listeners {
		if !concerns(only) {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Listen returns a channel of signals about a project, or about all for "", and
// the function that ends it.
func (f *Feed) Listen(project string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[chan struct{}]string{}
	}
	f.listeners[c] = project
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, c)
	}
}

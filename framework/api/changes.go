package api

import (
	"fmt"
	"net/http"
	"time"
)

const (
	// changesPause is the least time between two messages to one listener: a
	// stream that commits a thousand pages a minute is not news a thousand times.
	changesPause = time.Second
	// heartbeat keeps proxies from ending a silent connection.
	heartbeat = 15 * time.Second
	// changesWrite bounds one write to a listener that does not read.
	changesWrite = 10 * time.Second
	// maxListeners bounds the open feeds of the process.
	maxListeners = 256
	// retryMillis is when a browser connects again.
	retryMillis = 2000
)

// serveChanges sends "ready" at once and "change" whenever something about any
// stream has changed, as server-sent events. The messages carry nothing: who
// listens reads again what they show.
func (a *API) serveChanges(w http.ResponseWriter, r *http.Request) {
	if q := newQuery(r); q.err() != nil {
		fail(w, r, a.cfg.Log, q.err())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return // there is nobody to send messages to
	}
	if a.open.Add(1) > maxListeners {
		a.open.Add(-1)
		p := newProblem(http.StatusServiceUnavailable, "too_many_listeners", fmt.Sprintf("%d feeds of changes are open already; close some", maxListeners))
		p.retryAfter = int(heartbeat.Seconds())
		p.write(w)
		return
	}
	defer a.open.Add(-1)
	changed, stop := a.cfg.Feed.Listen(CallerOf(r.Context()).Project)
	defer stop()

	h.Set("X-Accel-Buffering", "no") // nginx would keep the messages back
	control := http.NewResponseController(w)
	n := 0
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(changesWrite)) // a recorder in a test has no connection
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	message := func(event string) bool {
		n++
		return send(fmt.Sprintf("id: %d\nevent: %s\ndata: {}\n\n", n, event))
	}
	if !send(fmt.Sprintf("retry: %d\n\n", retryMillis)) || !message("ready") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-a.closed:
			return
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
			continue
		case <-changed:
		}
		if !message("change") {
			return
		}
		pause := time.NewTimer(changesPause)
		select {
		case <-r.Context().Done():
		case <-a.closed:
		case <-pause.C:
		}
		pause.Stop()
	}
}

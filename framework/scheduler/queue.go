package scheduler

import (
	"container/heap"
	"time"
)

// waiting is a heap of streams by the time on the monotonic clock at which they
// are due.
type waiting []*stream

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].at < w[j].at }

func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is called by package heap only.
func (w *waiting) Push(x any) {
	e := x.(*stream) //nolint:errcheck,forcetypeassert // the heap holds nothing else
	e.index = len(*w)
	*w = append(*w, e)
}

// Pop is called by package heap only.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	e := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	e.index = -1
	return e
}

func (w *waiting) add(e *stream) { heap.Push(w, e) }

func (w *waiting) remove(e *stream) {
	if e.index >= 0 {
		heap.Remove(w, e.index)
	}
}

// due takes one stream off whose time has come, or returns nil.
func (w *waiting) due(now time.Duration) *stream {
	if len(*w) == 0 || (*w)[0].at > now {
		return nil
	}
	return heap.Pop(w).(*stream) //nolint:errcheck,forcetypeassert // the heap holds nothing else
}

// turns is the line of connections that have a due stream and may start it. Each
// starts one stream and goes to the back, so that one with many streams does not
// hold up one with a single stream.
type turns struct {
	limit int // runs of one connection
	line  []*connection
}

// enqueue puts e behind the other due streams of its connection.
func (t *turns) enqueue(e *stream) {
	e.place = placeReady
	e.conn.ready = append(e.conn.ready, e)
	t.offer(e.conn)
}

// offer puts c in the line if it belongs there and is not in it.
func (t *turns) offer(c *connection) {
	if !c.inLine && len(c.ready) > 0 && c.running < t.limit {
		c.inLine = true
		t.line = append(t.line, c)
	}
}

// next takes the stream whose turn it is, or returns nil. The caller counts it
// as running if it is, and then offers the connection again.
func (t *turns) next() *stream {
	for len(t.line) > 0 {
		c := t.line[0]
		t.line[0] = nil
		t.line = t.line[1:]
		c.inLine = false
		if len(c.ready) == 0 {
			continue // emptied while it stood in the line
		}
		e := c.ready[0]
		c.ready[0] = nil
		c.ready = c.ready[1:]
		return e
	}
	return nil
}

package scheduler

import (
	"container/heap"
	"iter"
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

// rank tells live polls from backfills, which give way to them.
type rank int

const (
	rankLive rank = iota
	rankBackfill
	ranks
)

// ready is what of one rank is due in one connection.
type ready struct {
	streams []*stream
	running int
	inLine  bool
}

// turns is the line of connections that have a due stream of a rank and may
// start it. Each starts one stream and goes to the back, so that one with many
// streams does not hold up one with a single stream.
type turns struct {
	rank rank
	// most bounds the runs of the rank, and limit those of one connection; all
	// bounds the runs of one connection of any rank.
	most, limit, all int
	running          int
	line             []*connection
}

// newTurns leaves room for live polls: backfills never take more than half of
// the runs, so that a poll does not wait for a page of a backfill to end.
func newTurns(l Limits) [ranks]turns {
	return [ranks]turns{
		{rank: rankLive, most: l.Runs, limit: l.RunsPerConnection, all: l.RunsPerConnection},
		{rank: rankBackfill, most: max(1, l.Runs/2), limit: max(1, l.RunsPerConnection/2), all: l.RunsPerConnection},
	}
}

// enqueue puts e behind the other due streams of its connection.
func (t *turns) enqueue(e *stream) {
	e.place = placeReady
	q := &e.conn.ready[t.rank]
	q.streams = append(q.streams, e)
	t.offer(e.conn)
}

// offer puts c in the line if it belongs there and is not in it.
func (t *turns) offer(c *connection) {
	q := &c.ready[t.rank]
	if !q.inLine && len(q.streams) > 0 && q.running < t.limit && c.running() < t.all {
		q.inLine = true
		t.line = append(t.line, c)
	}
}

// next takes the stream whose turn it is, or returns nil. The caller counts it
// as running if it is, and then offers the connection again.
func (t *turns) next() *stream {
	if t.running >= t.most {
		return nil
	}
	for len(t.line) > 0 {
		c := t.line[0]
		t.line[0] = nil
		t.line = t.line[1:]
		q := &c.ready[t.rank]
		q.inLine = false
		if len(q.streams) == 0 || c.running() >= t.all {
			continue // emptied, or taken by the other rank, while it stood in the line
		}
		e := q.streams[0]
		q.streams[0] = nil
		q.streams = q.streams[1:]
		return e
	}
	return nil
}

// count adds n to what runs of the rank.
func (t *turns) count(c *connection, n int) {
	t.running += n
	c.ready[t.rank].running += n
}

func (c *connection) running() int {
	n := 0
	for i := range c.ready {
		n += c.ready[i].running
	}
	return n
}

// all yields the connection's streams and backfills.
func (c *connection) all() iter.Seq[*stream] {
	return func(yield func(*stream) bool) {
		for _, e := range c.streams {
			if !yield(e) {
				return
			}
			for _, b := range e.backfills {
				if !yield(b) {
					return
				}
			}
		}
	}
}

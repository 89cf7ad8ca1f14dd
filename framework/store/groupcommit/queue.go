package groupcommit

import (
	"context"
	"sync"

	"github.com/weirhq/weir/framework/store"
)

// op is a unit on its way, or a function to run between transactions.
type op struct {
	unit      store.Unit
	emissions []emission
	delivery  DeliveryKey
	bytes     int
	do        func(context.Context) error

	// done has room for the one answer, so that the writer never waits for a
	// caller that has gone.
	done chan answer
	// state is guarded by the queue.
	state opState

	// What the current attempt says, owned by the writer.
	receipt  store.Receipt
	err      error
	same     *reservation
	repeated bool
}

type answer struct {
	receipt store.Receipt
	err     error
}

type opState uint8

const (
	opQueued opState = iota
	opTaken
	opCancelled
)

// streams appends the streams that the unit touches.
func (o *op) streams(list []StreamKey) []StreamKey {
	id := o.unit.ConnectionID
	for i := range o.emissions {
		if s := o.emissions[i].stream; len(list) == 0 || list[len(list)-1] != s {
			list = append(list, s)
		}
	}
	if o.unit.Run != nil {
		list = append(list, StreamKey{id, o.unit.Run.Run.Stream})
	}
	for i := range o.unit.Streams {
		list = append(list, StreamKey{id, o.unit.Streams[i].Stream})
	}
	return list
}

// fed appends the streams that get events or a checkpoint.
func (o *op) fed(list []StreamKey) []StreamKey {
	for i := range o.emissions {
		if s := o.emissions[i].stream; len(list) == 0 || list[len(list)-1] != s {
			list = append(list, s)
		}
	}
	if o.unit.Checkpoint != nil {
		list = append(list, StreamKey{o.unit.ConnectionID, o.unit.Checkpoint.Stream})
	}
	return list
}

// queue holds what waits for the writer, bounded by number and bytes.
type queue struct {
	mu     sync.Mutex
	ops    []*op
	count  int
	bytes  int
	config Config
	closed bool
	// wake has room for one signal to the writer; room is closed when something
	// left the queue, and made when somebody waits for that.
	wake chan struct{}
	room chan struct{}
}

func (q *queue) init(c Config) {
	q.config = c
	q.wake = make(chan struct{}, 1)
}

// put queues o. When the queue is full it waits for room, or fails with ErrBusy.
func (q *queue) put(ctx context.Context, o *op, wait bool) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return store.ErrClosed
		}
		// One unit larger than the whole queue passes when it is alone.
		if q.count == 0 || q.count < q.config.QueueUnits && q.bytes+o.bytes <= q.config.QueueBytes {
			q.ops = append(q.ops, o)
			q.count++
			q.bytes += o.bytes
			first := q.count == 1
			q.mu.Unlock()
			if first {
				q.signal()
			}
			return nil
		}
		if !wait {
			q.mu.Unlock()
			return store.ErrBusy
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// cancel removes o if the writer has not taken it.
func (q *queue) cancel(o *op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o.state == opQueued {
		o.state = opCancelled
		q.left(o)
	}
}

// left accounts for an op that left the queue.
func (q *queue) left(o *op) {
	q.count--
	q.bytes -= o.bytes
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// take returns the next batch in order, at most one transaction's worth, or a
// single function. It waits until there is something; ok is false when the queue
// was closed and is empty.
func (q *queue) take(batch []*op) (_ []*op, ok bool) {
	for {
		q.mu.Lock()
		batch = q.next(batch[:0])
		closed, more := q.closed, len(q.ops) > 0
		q.mu.Unlock()
		if len(batch) > 0 {
			if more {
				q.signal()
			}
			return batch, true
		}
		if closed {
			return nil, false
		}
		<-q.wake
	}
}

func (q *queue) next(batch []*op) []*op {
	events, bytes, n := 0, 0, 0
	for _, o := range q.ops {
		if o.state == opCancelled {
			n++
			continue
		}
		full := len(batch) >= q.config.BatchUnits || events+len(o.emissions) > q.config.BatchEvents || bytes+o.bytes > q.config.BatchBytes
		if len(batch) > 0 && (full || o.do != nil) {
			break
		}
		n++
		o.state = opTaken
		q.left(o)
		batch = append(batch, o)
		events += len(o.emissions)
		bytes += o.bytes
		if o.do != nil {
			break
		}
	}
	rest := copy(q.ops, q.ops[n:])
	clear(q.ops[rest:])
	q.ops = q.ops[:rest]
	return batch
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	q.signal()
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// refuse answers everything that waits with err.
func (q *queue) refuse(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, o := range q.ops {
		if o.state == opQueued {
			o.state = opTaken
			q.left(o)
			o.done <- answer{err: err}
		}
		q.ops[i] = nil
	}
	q.ops = q.ops[:0]
}

package delivery

import (
	"errors"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Bounds of what a sink holds in memory.
const (
	// maxWindow is how many events of a stream may be read and not yet passed.
	maxWindow = 4000
	// windowBytes bounds their payloads together, by one read.
	windowBytes = 8 << 20
	// chunkBytes is how much one read of the log should bring, chunkEvents the
	// most events of it.
	chunkBytes  = 2 << 20
	chunkEvents = 1000
	// leastAhead and mostAhead bound how many events are read ahead of what is
	// sent. A stream that waits for reads gets more, one that is held the least: a
	// thousand sinks with dead endpoints keep little in memory.
	leastAhead = 16
	mostAhead  = 2 * chunkEvents
	// maxHeld bounds the payloads that all sinks hold together. Beyond it a stream
	// reads only when it holds nothing.
	maxHeld = 256 << 20
	// maxParked is how many events of a sink may be parked; then reading stops.
	maxParked = 10_000
	// maxCopied is how many bytes of dead letters a sink takes back at a time: their
	// events are held in memory until they are delivered.
	maxCopied = 64 << 20
)

// fate is what became of an event.
type fate int

const (
	waiting fate = iota
	sending
	delivered
	skipped
	parked
	dead
)

// entry is an event between the log and its fate.
type entry struct {
	lane     *lane
	position store.Position
	message  *sink.Message
	fate     fate
	// notBefore delays the first attempt.
	notBefore time.Time
	readAt    time.Time
	bytes     int
	// park and bury are the rows that the offset takes with it when it passes.
	park *store.ParkedEvent
	bury *store.DeadEvent
}

// work is a batch that is sent, or waits to be sent again.
type work struct {
	lane    *lane
	entries []*entry
	// attempts were made; first is when the first began.
	attempts  int
	first     time.Time
	notBefore time.Time
	// then is what follows when this has its fate: the other half of a batch whose
	// entities must stay in order. whole are the entries of the batch as it was.
	then  *work
	whole []*entry
	// held says that the first entry has a row, though the offset has not passed it.
	held bool
}

// lane is one stream of a sink, or a replay of a range of it. The sink's goroutine
// owns it.
type lane struct {
	source store.Source
	// replay is set of a replay.
	replay *Replay
	// window holds what was read and not passed; its first entry has sequence next.
	window []*entry
	next   int64
	// undispatched is the index of the first entry that was never sent.
	undispatched int
	// read is the last sequence that was read, head the last that is known of.
	read, head int64
	reading    bool
	// fresh says that the stream's end has not been seen yet, begun that the sink
	// has been at a place of the stream, which it may miss events from.
	fresh, begun bool
	// inFlight counts its batches; redo are batches to send before new ones.
	inFlight int
	redo     []*work
	// bytes are the payloads of the window.
	bytes int
	// limit is how many events the next read asks for by their size, ahead how many
	// may be read that were not sent yet.
	limit, ahead int

	// What the next commit says of it.
	dirty           bool
	delivered, dead int64
	deliveredAt     time.Time
	failure         *store.Failure
}

// chunk is what a read has brought.
type chunk struct {
	lane *lane
	// head is what was known of the stream's end when the read began.
	head    int64
	entries []*entry
	events  int
	bytes   int
	err     error
}

// room reports whether a lane may read on.
func (s *runner) room(l *lane) bool {
	if l.reading || !l.fresh && l.read >= l.head {
		return false
	}
	unsent := len(l.window) - l.undispatched
	return unsent <= l.ahead/2 && len(l.window) < max(maxWindow, 2*s.Batch.MaxEvents) && l.bytes < max(windowBytes, s.Batch.MaxBytes+chunkBytes) &&
		(l.bytes == 0 || s.engine.held.Load() < maxHeld)
}

// least is how far a lane reads ahead when it has no reason for more: two batches.
func (s *runner) least() int { return max(leastAhead, 2*s.Batch.MaxEvents) }

// holds counts what the lane's window has in memory.
func (s *runner) holds(l *lane, bytes int) {
	l.bytes += bytes
	s.engine.held.Add(int64(bytes))
}

// read reads the next events of a lane and prepares them.
func (s *runner) read(l *lane) {
	l.reading = true
	after, limit, head := l.read, min(l.limit, l.ahead), l.head
	s.aside(func() {
		c := chunk{lane: l, head: head}
		events, err := s.store.Events(s.reading, l.source.ConnectionID, l.source.Stream, after, limit)
		c.err, c.events = err, len(events)
		now := time.Now()
		for i := range events {
			if l.replay != nil && events[i].Sequence > l.replay.To {
				c.events = i
				break
			}
			c.bytes += len(events[i].Payload)
			c.entries = append(c.entries, s.prepare(&events[i], now))
		}
		s.post(func() { s.arrived(c) })
	})
}

// prepare makes an entry of an event.
func (s *runner) prepare(event *ingest.Event, now time.Time) *entry {
	e := &entry{position: positionOf(event), readAt: now, bytes: len(event.Payload)}
	if s.Delay > 0 {
		// A time that has not come yet, by a provider's clock, is no reason to wait longer.
		e.notBefore = now.Add(s.Delay)
		if !event.Time.IsZero() && event.Time.Before(now) {
			e.notBefore = event.Time.Add(s.Delay)
		}
	}
	message, err := s.message(event)
	switch {
	case err != nil:
		e.fate = dead
		e.message = &sink.Message{Event: event}
		letter := s.letter(e, sink.Answer{}, "prepare: "+err.Error(), 0, now, 1)
		e.bury = &letter
	case message == nil:
		e.fate = skipped
	default:
		e.message = message
	}
	return e
}

// arrived takes what a read has brought.
func (s *runner) arrived(c chunk) {
	l := c.lane
	l.reading = false
	if c.err != nil {
		s.unread(l, c.err)
		return
	}
	l.fresh, l.begun = false, l.begun || c.events > 0
	if l.replay != nil {
		l.dirty = true
		if c.events == 0 || l.replay.Canceled {
			l.head = l.read
		}
	}
	if c.events > 0 {
		l.read = c.entries[len(c.entries)-1].position.Sequence
		// A read may bring less than there is. Up to the head that is known the lane
		// reads on; beyond it only a read that brings nothing has seen the end.
		l.fresh = l.read > l.head
		l.head = max(l.head, l.read)
		l.limit = min(max(chunkBytes/max(c.bytes/c.events, 1), 16), chunkEvents)
	} else if l.head == c.head {
		// There is nothing where the head was said to be; the next word of it counts.
		l.head = l.read
	}
	if len(l.window) > 0 && l.undispatched == len(l.window) && l.inFlight > 0 {
		l.ahead = max(min(2*l.ahead, mostAhead), l.ahead) // everything had been sent before this came
	}
	s.holds(l, c.bytes)
	for _, e := range c.entries {
		e.lane = l
		if l.replay != nil && (l.replay.Canceled || s.parked.at[e.position] != nil) && e.fate == waiting {
			e.fate = skipped // what is parked is sent by its own retry
		}
		if l.replay == nil && s.keepBehind(l, e) {
			continue
		}
		l.window = append(l.window, e)
	}
	s.advance(l)
}

// keepBehind parks an event at once whose entity has parked events, so that the
// order is kept, and leaves those alone that are parked already.
func (s *runner) keepBehind(l *lane, e *entry) bool {
	known := s.parked.at[e.position]
	if known == nil {
		return false
	}
	if s.Order == sink.Ordered && len(l.window) == 0 {
		// The event that holds the stream: it goes on where it was.
		l.redo = append(l.redo, &work{
			lane: l, entries: []*entry{e}, attempts: known.Attempts, first: known.ParkedAt, notBefore: s.resumed(known.NextAttemptAt), held: true,
		})
		s.parked.forget(known)
		l.window = append(l.window, e)
		l.undispatched = len(l.window)
		e.fate = sending
		return true
	}
	// It has its own row, which the offset may pass.
	e.fate = parked
	return false
}

// unread says why a lane cannot be read.
func (s *runner) unread(l *lane, err error) {
	trimmed, gone := errors.AsType[*ingest.TrimmedError](err)
	switch {
	case s.reading.Err() != nil:
	case gone && l.replay != nil:
		s.log.Warn("a replay begins with what is kept", "stream", l.source.Stream, "first", trimmed.First)
		l.next, l.read, l.dirty = trimmed.First, trimmed.First-1, true
	case gone && !l.begun:
		// A sink that is new to the stream begins with what is kept.
		l.next, l.read = trimmed.First, trimmed.First-1
		l.begun, l.fresh, l.dirty = true, true, true
	case gone:
		s.notify(DataLost, "events of stream "+l.source.Stream+" were removed by retention before they were delivered: "+trimmed.Error())
		s.stopped(StateFailed, "data lost: events of stream "+l.source.Stream+" were removed by retention before they were delivered: "+trimmed.Error())
	case errors.Is(err, store.ErrNotFound):
		// The source was deleted: there is nothing more to come.
		l.head, l.fresh, l.dirty = l.read, false, l.dirty || l.replay != nil
	default:
		s.log.Error("read stream", "stream", l.source.Stream, "err", err)
		l.fresh = true
		s.pauseReading(l)
	}
}

// pauseReading tries again later.
func (s *runner) pauseReading(l *lane) {
	l.reading = true
	time.AfterFunc(readAgain, func() { s.post(func() { l.reading = false }) })
}

// readAgain is how long a failed read waits.
const readAgain = time.Second

// advance passes what has its fate, from the front.
func (s *runner) advance(l *lane) {
	n := 0
	for _, e := range l.window {
		if e.fate == waiting || e.fate == sending {
			break
		}
		n++
		s.holds(l, -e.bytes)
		l.next = e.position.Sequence + 1
		l.dirty = true
		s.passed++
		switch e.fate {
		case delivered:
			l.delivered++
		case dead:
			l.dead++
			s.pending.Bury = append(s.pending.Bury, *e.bury)
		case parked:
			if e.park != nil {
				s.parkRow(*e.park)
			}
			if p := s.parked.at[e.position]; p != nil {
				p.entry = nil // its row stands for it now, and its payload need not stay
			}
		case skipped, waiting, sending:
		}
	}
	if n == 0 {
		return
	}
	clear(l.window[:n])
	l.window = l.window[n:]
	l.undispatched = max(l.undispatched-n, 0)
	if len(l.window) == 0 {
		l.window = nil
	}
}

func positionOf(e *ingest.Event) store.Position {
	return store.Position{Source: store.Source{ConnectionID: e.ConnectionID, Stream: e.Stream}, Sequence: e.Sequence}
}

package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/sink"
)

// dispatch sends what may be sent now: retries of parked events first, then a
// batch of each stream in turn.
func (s *runner) dispatch() {
	now := s.stepped
	for s.free(now) {
		if p := s.parked.next(now); p != nil {
			s.retry(p, now)
			continue
		}
		if !s.anyBatch(now) {
			return
		}
	}
}

// free reports whether another request may leave.
func (s *runner) free(now time.Time) bool {
	limit := s.InFlight
	if s.Order == sink.Ordered {
		// One a stream, and the retries of what was parked before beside them.
		limit = len(s.lanes) + 1
	}
	return s.inFlight < limit && s.breaker.admits(now, s.inFlight)
}

func (s *runner) anyBatch(now time.Time) bool {
	for range s.lanes {
		l := s.lanes[s.turn%len(s.lanes)]
		s.turn++
		if w := s.batch(l, now); w != nil {
			s.send(w, now)
			return true
		}
	}
	return false
}

// batch takes the next batch of a lane, or nil when none is due.
func (s *runner) batch(l *lane, now time.Time) *work {
	if s.Order == sink.Ordered && l.inFlight > 0 {
		return nil
	}
	if len(l.redo) > 0 {
		if w := l.redo[0]; !w.notBefore.After(now) {
			l.redo = l.redo[1:]
			return w
		}
		if s.Order == sink.Ordered {
			return nil
		}
	}
	if s.parked.len() >= maxParked {
		return nil
	}
	entries := s.gather(l, now)
	if len(entries) == 0 {
		return nil
	}
	return &work{lane: l, entries: entries, first: now}
}

// gather takes entries for one batch, unless it is better to wait for more.
func (s *runner) gather(l *lane, now time.Time) []*entry {
	count, bytes := 0, 0
	var list []*entry
	i := l.undispatched
	for ; i < len(l.window) && count < s.Batch.MaxEvents; i++ {
		e := l.window[i]
		if e.fate != waiting {
			continue // skipped or given up before it was sent
		}
		if e.notBefore.After(now) {
			break
		}
		if s.Order == sink.PerKey && s.behind(l, e) {
			continue
		}
		if count > 0 && (list[0].message.Group != e.message.Group || bytes+len(e.message.Body) > s.Batch.MaxBytes) {
			break
		}
		list = append(list, e)
		count++
		bytes += len(e.message.Body)
	}
	full := count == s.Batch.MaxEvents || i < len(l.window)
	if count > 0 && !full && now.Before(list[0].readAt.Add(s.Batch.Wait)) {
		return nil
	}
	l.undispatched = i
	// Some may have been parked behind others.
	defer s.advance(l)
	for _, e := range list {
		e.fate = sending
		if s.Order == sink.PerKey {
			s.busyKeys[laneKey{l, e.message.Event.Subject}] = true
		}
	}
	return list
}

// laneDue is when the lane has something to send that it has not now.
func (s *runner) laneDue(l *lane, now time.Time) time.Time {
	if len(l.redo) > 0 && l.redo[0].notBefore.After(now) {
		return l.redo[0].notBefore
	}
	for _, e := range l.window[min(l.undispatched, len(l.window)):] {
		if e.fate == waiting {
			due := e.readAt.Add(s.Batch.Wait)
			if e.notBefore.After(due) {
				due = e.notBefore
			}
			if due.After(now) {
				return due
			}
			return time.Time{}
		}
	}
	return time.Time{}
}

// send makes an attempt beside the sink's goroutine.
func (s *runner) send(w *work, now time.Time) {
	s.inFlight++
	w.lane.inFlight++
	batch := make([]*sink.Message, len(w.entries))
	for i, e := range w.entries {
		batch[i] = e.message
	}
	s.breaker.begins(now)
	s.aside(func() {
		begun := time.Now()
		answer := s.attempt(batch)
		took := time.Since(begun)
		s.post(func() { s.returned(w, answer, took) })
	})
}

// attempt calls the sender with its deadline; a panic of it is no answer.
func (s *runner) attempt(batch []*sink.Message) (a sink.Answer) {
	ctx, cancel := context.WithTimeout(s.sending, s.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			a = sink.Answer{Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return s.Sender.Send(ctx, batch)
}

// retry sends a parked event again, alone.
func (s *runner) retry(p *parkedEntry, now time.Time) {
	l := s.laneOf(p.Source)
	if l == nil {
		// The sink does not read that stream any more: the event waits until it does.
		s.parked.shelve(p)
		return
	}
	s.inFlight++
	l.inFlight++
	s.breaker.begins(now)
	s.aside(func() {
		begun := time.Now()
		e, err := s.reread(p)
		answer := sink.Answer{}
		if err == nil && e != nil && e.fate == waiting {
			answer = s.attempt([]*sink.Message{e.message})
		}
		took := time.Since(begun)
		s.post(func() { s.retried(l, p, e, err, answer, took) })
	})
}

package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// returned takes the answer to a batch.
func (s *runner) returned(w *work, a sink.Answer, took time.Duration) {
	now := time.Now()
	l := w.lane
	s.inFlight--
	l.inFlight--
	if s.cutOff(a) {
		// The sink is ending: the attempt was ended by us and says nothing.
		w.notBefore = time.Time{}
		l.redo = append(l.redo, w)
		s.breaker.forget()
		return
	}
	d := s.Policy.Decide(sink.Attempt{Answer: a, Number: w.attempts + 1, First: w.first, Now: now, Events: len(w.entries)})
	if d.Verdict == sink.Split && len(w.entries) == 1 {
		d.Verdict = sink.GiveUp
	}
	s.judge(l, d, a, len(w.entries), took, now)
	switch d.Verdict {
	case sink.Delivered:
		for _, e := range w.entries {
			e.fate = delivered
		}
		s.unhold(w)
		s.finish(w)
	case sink.Retry:
		s.again(w, d, a, now)
	case sink.Split:
		half := len(w.entries) / 2
		s.split(w, half)
	case sink.GiveUp:
		for _, e := range w.entries {
			letter := s.letter(e, a, d.Reason, w.attempts+1, w.first, len(w.entries))
			e.fate, e.bury = dead, &letter
		}
		s.unhold(w)
		s.finish(w)
	case sink.Stop, sink.Disable:
		w.attempts, w.notBefore = 0, time.Time{}
		s.redo(l, w)
		s.stopped(stateAfter(d.Verdict), d.Reason)
	}
	s.advance(l)
}

// cutOff reports whether an attempt failed because the sink ended it.
func (s *runner) cutOff(a sink.Answer) bool { return a.Err != nil && s.sending.Err() != nil }

func stateAfter(v sink.Verdict) Condition {
	if v == sink.Disable {
		return StateDisabled
	}
	return StateFailed
}

// redo puts batches before everything else that the lane has.
func (s *runner) redo(l *lane, list ...*work) { l.redo = append(list, l.redo...) }

// split makes two batches of one. The second follows the first where they may
// have an entity in common.
func (s *runner) split(w *work, half int) {
	first := &work{lane: w.lane, entries: w.entries[:half], first: w.first, held: w.held, whole: w.whole}
	second := &work{lane: w.lane, entries: w.entries[half:], first: w.first, whole: w.whole}
	if s.Order != sink.PerKey {
		s.redo(w.lane, first, second)
		return
	}
	if w.whole == nil {
		first.whole, second.whole = w.entries, w.entries
	}
	first.then, second.then = second, w.then
	s.redo(w.lane, first)
}

// finish goes on after a batch whose events all have their fate.
func (s *runner) finish(w *work) {
	if s.Order != sink.PerKey {
		return
	}
	if w.then == nil {
		if w.whole != nil {
			s.release(w.whole)
		} else {
			s.release(w.entries)
		}
		return
	}
	// What has an earlier event of its entity parked waits behind that.
	next := w.then
	next.entries = slices.DeleteFunc(slices.Clone(next.entries), func(e *entry) bool { return s.parkBehind(w.lane, e) })
	if len(next.entries) == 0 {
		s.finish(next)
		return
	}
	s.redo(w.lane, next)
}

// again lets a batch wait: in an ordered sink it holds its stream, else each of
// its events is parked.
func (s *runner) again(w *work, d sink.Decision, a sink.Answer, now time.Time) {
	due := now.Add(min(d.After, maxWait))
	w.lane.ahead = s.least()
	if s.Order == sink.Ordered {
		w.attempts++
		w.notBefore = due
		s.redo(w.lane, w)
		if w.held = w.lane.replay == nil; !w.held {
			return
		}
		// The wait goes on where it was after a restart.
		s.parkRow(store.ParkedEvent{
			Position: w.entries[0].position, Attempts: w.attempts, ParkedAt: w.first, NextAttemptAt: due, LastError: d.Reason, Status: a.Status,
		})
		return
	}
	for _, e := range w.entries {
		s.park(e, store.ParkedEvent{
			Position: e.position, Attempts: w.attempts + 1, ParkedAt: w.first, NextAttemptAt: due, LastError: d.Reason, Status: a.Status,
		})
	}
	s.finish(w)
}

// parkRow writes the row of a parked event with the next commit.
func (s *runner) parkRow(row store.ParkedEvent) {
	// It may have been removed and come back since the last commit.
	s.pending.Unpark = slices.DeleteFunc(s.pending.Unpark, func(at store.Position) bool { return at == row.Position })
	s.pending.Park = append(s.pending.Park, row)
}

// unhold removes the row of a batch that held its stream.
func (s *runner) unhold(w *work) {
	if w.held {
		w.held = false
		s.pending.Unpark = append(s.pending.Unpark, w.entries[0].position)
	}
}

// park gives an entry a row of its own, which the offset takes along.
func (s *runner) park(e *entry, row store.ParkedEvent) {
	if s.parked.at[e.position] != nil {
		e.fate = parked // it has a row already
		return
	}
	e.fate, e.park = parked, &row
	s.parked.add(&parkedEntry{ParkedEvent: row, key: e.message.Event.Subject, entry: e})
}

// behind keeps the order of an entity: an entry whose entity has a parked event
// is parked behind it, one whose entity is on its way waits for that.
func (s *runner) behind(l *lane, e *entry) bool {
	if s.parkBehind(l, e) {
		return true
	}
	at := laneKey{l, e.message.Event.Subject}
	if at.key == "" || !s.busyKeys[at] {
		return false
	}
	e.fate = sending
	s.queued[at] = append(s.queued[at], e)
	return true
}

// parkBehind parks an entry whose entity has a parked event.
func (s *runner) parkBehind(l *lane, e *entry) bool {
	key := e.message.Event.Subject
	if !s.parked.blocks(l.source, key) {
		return false
	}
	now := time.Now()
	s.park(e, store.ParkedEvent{Position: e.position, ParkedAt: now, NextAttemptAt: now, LastError: "waits for an earlier event of " + key})
	return true
}

// release lets the entries go on that waited for these.
func (s *runner) release(entries []*entry) {
	done := map[laneKey]bool{}
	for _, e := range entries {
		at := laneKey{e.lane, e.message.Event.Subject}
		if done[at] {
			continue
		}
		done[at] = true
		waits := s.queued[at]
		for len(waits) > 0 && s.parkBehind(at.lane, waits[0]) {
			waits = waits[1:]
		}
		if len(waits) == 0 {
			delete(s.queued, at)
			delete(s.busyKeys, at)
			continue
		}
		s.queued[at] = waits[1:]
		at.lane.redo = append(at.lane.redo, &work{lane: at.lane, entries: waits[:1:1], first: time.Now()})
	}
}

// retried takes the answer to a parked event.
func (s *runner) retried(l *lane, p *parkedEntry, e *entry, err error, a sink.Answer, took time.Duration) {
	now := time.Now()
	s.inFlight--
	l.inFlight--
	l.dirty = true
	switch {
	case errors.Is(err, errGone):
		s.parked.forget(p)
		s.pending.Unpark = append(s.pending.Unpark, p.Position)
		s.breaker.forget()
		s.log.Error("a parked event is lost: it was removed from the log", "stream", p.Stream, "sequence", p.Sequence)
		return
	case err != nil || s.cutOff(a):
		p.NextAttemptAt = now.Add(readAgain)
		s.breaker.forget()
		s.parked.again(p)
		return
	case e.fate == skipped:
		s.parked.forget(p)
		s.breaker.forget()
		s.pending.Unpark = append(s.pending.Unpark, p.Position)
		return
	case e.fate == dead:
		s.breaker.forget()
		s.buryParked(l, p, *e.bury)
		return
	}
	d := s.Policy.Decide(sink.Attempt{Answer: a, Number: p.Attempts + 1, First: p.ParkedAt, Now: now, Events: 1})
	if d.Verdict == sink.Split {
		d.Verdict = sink.GiveUp
	}
	s.judge(l, d, a, 1, took, now)
	switch d.Verdict {
	case sink.Delivered:
		l.delivered++
		s.parked.forget(p)
		s.pending.Unpark = append(s.pending.Unpark, p.Position)
	case sink.Retry:
		p.Attempts++
		p.NextAttemptAt, p.LastError, p.Status = now.Add(min(d.After, maxWait)), d.Reason, a.Status
		p.moved()
		s.parkRow(p.ParkedEvent)
		s.parked.again(p)
	case sink.GiveUp, sink.Split:
		s.buryParked(l, p, s.letter(e, a, d.Reason, p.Attempts+1, p.ParkedAt, 1))
	case sink.Stop, sink.Disable:
		s.parked.again(p)
		s.stopped(stateAfter(d.Verdict), d.Reason)
	}
}

func (s *runner) buryParked(l *lane, p *parkedEntry, letter store.DeadEvent) {
	l.dead++
	s.parked.forget(p)
	s.pending.Unpark = append(s.pending.Unpark, p.Position)
	s.pending.Bury = append(s.pending.Bury, letter)
}

// judge counts an answer for the breaker, the health of the stream and the list
// of recent attempts.
func (s *runner) judge(l *lane, d sink.Decision, a sink.Answer, events int, took time.Duration, now time.Time) {
	made := Recent{At: now, Stream: l.source.Stream, Events: events, Status: a.Status, Took: took, Verdict: d.Verdict, Reason: d.Reason, Source: l.source}
	s.recent.add(made)
	s.engine.config.Attempted(s.Identity, made)
	l.dirty = true
	if d.Verdict == sink.Delivered {
		l.deliveredAt, l.failure = now, nil
		s.shut()
		if !s.failingFrom.IsZero() {
			s.failingFrom = time.Time{}
			s.keep(stateFailing, nil)
		}
		return
	}
	if d.Verdict != sink.Split {
		l.failure = &store.Failure{Error: d.Reason, Class: "delivery"}
	}
	if !d.Endpoint {
		s.shut()
		return
	}
	s.open(now, d.Reason)
	if s.failingFrom.IsZero() {
		s.failingFrom = now
		s.keep(stateFailing, now)
	} else if now.Sub(s.failingFrom) >= s.DisableAfter {
		s.stopped(StateDisabled, "nothing was delivered since "+s.failingFrom.UTC().Format(time.RFC3339)+": "+d.Reason)
	}
}

// letter makes a dead letter of an entry, which was sent in a batch of so many.
func (s *runner) letter(e *entry, a sink.Answer, reason string, attempts int, first time.Time, of int) store.DeadEvent {
	now := time.Now()
	encoded, err := EncodeEvent(e.message.Event)
	if err != nil {
		s.log.Error("encode a dead letter", "err", err)
	}
	return store.DeadEvent{
		ID: store.NewID("dlt_", s.letterTime(now)), Position: e.position, Event: encoded, Reason: reason, Attempts: attempts, Status: a.Status,
		Request: sent(a.Request, e.message.Body, of), Response: upTo(a.Body, store.MaxResponseBytes), FirstAt: first, DeadAt: now,
	}
}

// sent is what was sent of one event: the head of the request, and of its body the
// event's own part, however many others it carried.
func sent(head, part []byte, of int) []byte {
	if len(head) == 0 {
		return nil
	}
	out := upTo(head, store.MaxRequestBytes)
	if of > 1 {
		out = fmt.Appendf(out, "\n(one of %d events in the body; its part of it:)\n", of)
	} else if len(part) > 0 {
		out = append(out, '\n')
	}
	room := max(store.MaxRequestBytes-len(out), 0)
	if out = append(out, part[:min(len(part), room)]...); len(part) > room {
		out = fmt.Appendf(out, "\n(%d more bytes)", len(part)-room)
	}
	return out
}

// upTo is a copy of the beginning of b, which keeps no more of it in memory.
func upTo(b []byte, most int) []byte { return slices.Clip(bytes.Clone(b[:min(len(b), most)])) }

// letterTime is the time of the next dead letter's id: letters of one millisecond
// sort in the order in which they were made.
func (s *runner) letterTime(now time.Time) time.Time {
	for {
		last := s.lettered.Load()
		next := max(now.UnixMilli(), last+1)
		if s.lettered.CompareAndSwap(last, next) {
			return time.UnixMilli(next)
		}
	}
}

func (s *runner) laneOf(source store.Source) *lane { return s.bySource[source] }

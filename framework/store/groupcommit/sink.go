package groupcommit

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// SinkChanges are what sinks have done, each row once.
type SinkChanges struct {
	// Offsets to insert, or to move while Delivered and Dead are added. A source
	// that is not there is left out.
	Offsets []OffsetChange
	// Park are parked events to insert or replace, Unpark those to remove.
	Park   []ParkChange
	Unpark []SinkPosition
	// Bury are dead letters to insert; one with a known id is left alone.
	Bury []store.DeadEvent
	// Raise are dead letters to remove, Discard those to mark.
	Raise   []DeadKey
	Discard []DiscardChange
}

// OffsetKey names an offset.
type OffsetKey struct {
	ConnectionID string
	store.Source
}

// OffsetChange moves an offset. Failures is what to add to the row of failures,
// after it was ended if DeliveredAt is set.
type OffsetChange struct {
	OffsetKey
	Next, Delivered, Dead int64
	DeliveredAt           time.Time
	LastError             string
	LastErrorAt           time.Time
	Failures              int64
	At                    time.Time
}

// SinkPosition names an event of the log as one sink sees it.
type SinkPosition struct {
	ConnectionID string
	store.Position
}

// ParkChange writes a parked event.
type ParkChange struct {
	ConnectionID string
	store.ParkedEvent
}

// DeadKey names a dead letter of a sink.
type DeadKey struct{ ConnectionID, ID string }

// DiscardChange marks a dead letter.
type DiscardChange struct {
	DeadKey
	Note string
}

// sinkPlan gathers [SinkChanges].
type sinkPlan struct {
	offsets map[OffsetKey]*OffsetChange
	park    map[SinkPosition]*ParkChange
	unpark  map[SinkPosition]bool
	bury    map[DeadKey]store.DeadEvent
	raise   map[DeadKey]bool
	discard map[DeadKey]string
}

func (p *plan) sink(u *store.Unit) {
	w := u.Sink
	if w == nil {
		return
	}
	s := &p.sinks
	if s.offsets == nil {
		*s = sinkPlan{
			map[OffsetKey]*OffsetChange{},
			map[SinkPosition]*ParkChange{},
			map[SinkPosition]bool{},
			map[DeadKey]store.DeadEvent{},
			map[DeadKey]bool{},
			map[DeadKey]string{},
		}
	}
	for i := range w.Offsets {
		s.offset(u, &w.Offsets[i])
	}
	for i := range w.Park {
		parked := ParkChange{u.ConnectionID, w.Park[i]}
		parked.ParkedAt, parked.NextAttemptAt = micro(parked.ParkedAt), micro(parked.NextAttemptAt)
		parked.LastError = cut(parked.LastError, MaxErrorBytes)
		at := SinkPosition{u.ConnectionID, parked.Position}
		s.park[at] = &parked
		delete(s.unpark, at)
	}
	for _, position := range w.Unpark {
		at := SinkPosition{u.ConnectionID, position}
		// What was parked in this batch may also be there from before.
		delete(s.park, at)
		s.unpark[at] = true
	}
	for i := range w.Bury {
		dead := w.Bury[i]
		dead.ConnectionID = u.ConnectionID
		dead.FirstAt, dead.DeadAt = micro(dead.FirstAt), micro(dead.DeadAt)
		dead.Reason = cut(dead.Reason, MaxErrorBytes)
		s.bury[DeadKey{u.ConnectionID, dead.ID}] = dead
	}
	for _, id := range w.Raise {
		delete(s.bury, DeadKey{u.ConnectionID, id})
		s.raise[DeadKey{u.ConnectionID, id}] = true
	}
	for _, d := range w.Discard {
		s.discard[DeadKey{u.ConnectionID, d.ID}] = cut(d.Note, MaxErrorBytes)
	}
}

func (s *sinkPlan) offset(u *store.Unit, w *store.OffsetWrite) {
	key := OffsetKey{u.ConnectionID, w.Source}
	c := s.offsets[key]
	if c == nil {
		c = &OffsetChange{OffsetKey: key}
		s.offsets[key] = c
	}
	c.Next, c.At = w.Next, u.At
	c.Delivered += w.Delivered
	c.Dead += w.Dead
	if !w.DeliveredAt.IsZero() {
		c.DeliveredAt = micro(w.DeliveredAt)
		c.LastError, c.LastErrorAt, c.Failures = "", time.Time{}, 0
	}
	if w.Failure != nil {
		c.LastError, c.LastErrorAt = cut(w.Failure.Error, MaxErrorBytes), u.At
		c.Failures++
	}
}

func (p *plan) finishSinks() {
	s, c := &p.sinks, &p.changes.Sinks
	for _, key := range slices.SortedFunc(maps.Keys(s.offsets), func(a, b OffsetKey) int {
		return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), compareSources(a.Source, b.Source))
	}) {
		c.Offsets = append(c.Offsets, *s.offsets[key])
	}
	for _, at := range slices.SortedFunc(maps.Keys(s.park), comparePositions) {
		c.Park = append(c.Park, *s.park[at])
	}
	c.Unpark = slices.SortedFunc(maps.Keys(s.unpark), comparePositions)
	for _, key := range slices.SortedFunc(maps.Keys(s.bury), compareDead) {
		c.Bury = append(c.Bury, s.bury[key])
	}
	c.Raise = slices.SortedFunc(maps.Keys(s.raise), compareDead)
	for _, key := range slices.SortedFunc(maps.Keys(s.discard), compareDead) {
		c.Discard = append(c.Discard, DiscardChange{key, s.discard[key]})
	}
}

func compareSources(a, b store.Source) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.Stream, b.Stream))
}

func comparePositions(a, b SinkPosition) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), compareSources(a.Source, b.Source), cmp.Compare(a.Sequence, b.Sequence))
}

func compareDead(a, b DeadKey) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.ID, b.ID))
}

// maxEventBytes bounds an encoded event beside its payload: ids, subject, type, times.
const maxEventBytes = MaxBodyBytes + 16<<10

func checkSink(f *faults, w *store.SinkWrite) {
	if w == nil {
		return
	}
	source := func(what string, s store.Source) {
		f.name("source of "+what, s.ConnectionID)
		f.name("stream of "+what, s.Stream)
	}
	for i := range w.Offsets {
		o := &w.Offsets[i]
		source("an offset", o.Source)
		if o.Next < 1 {
			f.addf("offset of stream %q is %d; the first sequence is 1", o.Stream, o.Next)
		}
		f.time("time of a delivery", o.DeliveredAt)
	}
	for i := range w.Park {
		e := &w.Park[i]
		source("a parked event", e.Source)
		f.size("parked event", len(e.Event), maxEventBytes)
		f.time("time of parking", e.ParkedAt)
		f.time("next attempt of a parked event", e.NextAttemptAt)
	}
	for i := range w.Bury {
		e := &w.Bury[i]
		f.name("id of a dead letter", e.ID)
		source("a dead letter", e.Source)
		f.size("event of a dead letter", len(e.Event), maxEventBytes)
		f.size("request of a dead letter", len(e.Request), maxEventBytes)
		f.size("response of a dead letter", len(e.Response), store.MaxResponseBytes)
		f.time("first attempt of a dead letter", e.FirstAt)
		f.time("end of a dead letter", e.DeadAt)
	}
}

func sinkBytes(w *store.SinkWrite) (n int) {
	if w == nil {
		return 0
	}
	for i := range w.Park {
		n += len(w.Park[i].Event) + 256
	}
	for i := range w.Bury {
		n += len(w.Bury[i].Event) + len(w.Bury[i].Request) + len(w.Bury[i].Response) + 256
	}
	return n + 128*len(w.Offsets)
}

package groupcommit

import (
	"cmp"
	"time"

	"github.com/weirhq/weir/framework/store"
)

type entityKey struct {
	stream StreamKey
	hash   Hash
}

type keyKey = entityKey

// plan is what a list of units will do. It is made inside the transaction and
// thrown away when the transaction fails.
type plan struct {
	hash *hasher

	heads    map[StreamKey]*Head
	entities map[entityKey]*Entity
	keys     map[keyKey]*Key

	changes       Changes
	dirtyHeads    map[*Head]bool
	dirtyEntities map[*Entity]bool
	questions     []question
	checkpoints   map[CheckpointKey]*CheckpointChange
	reservations  map[DeliveryKey]*reservation
	runs          map[string]*runPlan
	hourly        map[hourKey]*store.HourlyCount
	keep          map[string]*store.StoredDelivery
	settle        map[string]SettledDelivery
	state         map[StateKey]*StateChange
	sinks         sinkPlan
}

type hourKey struct {
	stream StreamKey
	hour   int64
}

type runPlan struct {
	state  store.RunState
	change *RunChange
}

// question asks for the id of an event whose key text cannot be computed.
type question struct {
	ref    EventRef
	answer *store.EventReceipt
}

// reservation is a delivery key that is recorded, or will be.
type reservation struct {
	first string
}

func newPlan(h *hasher) *plan {
	return &plan{
		hash:          h,
		heads:         map[StreamKey]*Head{},
		entities:      map[entityKey]*Entity{},
		keys:          map[keyKey]*Key{},
		dirtyHeads:    map[*Head]bool{},
		dirtyEntities: map[*Entity]bool{},
		checkpoints:   map[CheckpointKey]*CheckpointChange{},
		reservations:  map[DeliveryKey]*reservation{},
		runs:          map[string]*runPlan{},
		hourly:        map[hourKey]*store.HourlyCount{},
		keep:          map[string]*store.StoredDelivery{},
		settle:        map[string]SettledDelivery{},
		state:         map[StateKey]*StateChange{},
	}
}

// unit plans one admitted unit and makes its receipt.
func (p *plan) unit(o *op) {
	u := &o.unit
	o.receipt = store.Receipt{Events: make([]store.EventReceipt, len(o.emissions))}
	for i := range o.emissions {
		p.emission(o, &o.emissions[i], &o.receipt.Events[i])
	}
	if u.Reserve != nil {
		r := p.reservations[o.delivery]
		if len(o.receipt.Events) > 0 {
			r.first = o.receipt.Events[0].ID
		}
		p.changes.Deliveries = append(p.changes.Deliveries, DeliveryChange{
			DeliveryKey: o.delivery, DeliveryID: u.Reserve.DeliveryID, First: r.first, At: u.At,
		})
	}
	if u.Run != nil {
		p.run(o)
	}
	for i := range u.Streams {
		p.status(u, &u.Streams[i])
	}
	p.states(u)
	p.sink(u)
	if u.Keep != nil {
		p.keep[u.Keep.ID] = u.Keep
		delete(p.settle, u.Keep.ID)
	}
	if u.Settle != "" {
		// What was kept in this batch may also be there from before.
		delete(p.keep, u.Settle)
		p.settle[u.Settle] = SettledDelivery{u.ConnectionID, u.Settle}
	}
}

// repeat makes the receipt of a unit that was committed before: its checkpoint
// is saved under its id. Nothing is written or counted again.
func (p *plan) repeat(o *op) {
	o.receipt = store.Receipt{AlreadyCommitted: true, Duplicates: len(o.emissions), Events: make([]store.EventReceipt, len(o.emissions))}
	for i := range o.emissions {
		e, r := &o.emissions[i], &o.receipt.Events[i]
		r.Duplicate = true
		if k := p.keys[keyKey{e.stream, e.keyHash}]; k != nil && k.Sequence > 0 && !e.Key.Latest() {
			r.Sequence = k.Sequence
			r.ID = p.heads[e.stream].eventID(e.key)
		}
	}
}

func (p *plan) emission(o *op, e *emission, r *store.EventReceipt) {
	head := p.heads[e.stream]
	var entity *Entity
	if e.Key.Entity() != "" {
		entity = p.entities[entityKey{e.stream, e.entity}]
	}
	late := entity != nil && entity.Found && e.time.Before(entity.Time)
	text, hash, revision := e.key, e.keyHash, int64(1)
	if entity != nil {
		revision = entity.Revision + 1
	}
	if e.Key.Latest() && entity.Found && entity.Payload == e.payload {
		p.duplicateOfNewest(o, e, entity, r)
		return
	}
	if e.Key.Latest() && !late {
		text = e.Key.Text(revision, e.payload)
		hash = p.hash.key(e, text)
	}
	at := keyKey{e.stream, hash}
	key := p.keys[at]
	r.ID = head.eventID(text)
	if key != nil && key.Sequence > 0 {
		p.duplicate(o, head, key.Sequence, r)
		return
	}
	if key == nil {
		// A latest key in order: no row can hold it, because revisions only grow.
		key = &Key{Head: head, Hash: hash}
		p.keys[at] = key
	}
	head.Head++
	p.dirtyHeads[head] = true
	r.Sequence = head.Head
	key.Sequence = head.Head
	o.receipt.Appended++
	p.count(e.stream, o.unit.At).Events++
	p.changes.Keys = append(p.changes.Keys, key)
	p.changes.Events = append(p.changes.Events, Event{
		Head: head, Sequence: head.Head, Type: e.Type, Subject: e.Key.Subject(), Operation: e.Operation, Key: text,
		Time: e.time, RecordedAt: o.unit.At, Late: late, Payload: e.Payload,
	})
	if entity == nil || late {
		return
	}
	entity.Time, entity.Payload, entity.Sequence = e.time, e.payload, head.Head
	entity.Revision, entity.Latest = revision, e.Key.Latest()
	entity.Found = true
	p.dirtyEntities[entity] = true
}

func (p *plan) duplicate(o *op, head *Head, sequence int64, r *store.EventReceipt) {
	r.Sequence, r.Duplicate = sequence, true
	o.receipt.Duplicates++
	head.Duplicates++
	p.dirtyHeads[head] = true
	p.count(StreamKey{head.ConnectionID, head.Stream}, o.unit.At).Duplicates++
}

// duplicateOfNewest answers for a latest key with the entity's newest payload.
// When the newest version has a key of another kind, its id is asked for later.
func (p *plan) duplicateOfNewest(o *op, e *emission, entity *Entity, r *store.EventReceipt) {
	if !entity.Latest {
		p.questions = append(p.questions, question{EventRef{entity.Head, entity.Sequence}, r})
	} else {
		r.ID = entity.Head.eventID(e.Key.Text(entity.Revision, entity.Payload))
	}
	p.duplicate(o, p.heads[e.stream], entity.Sequence, r)
}

func (p *plan) run(o *op) {
	w := o.unit.Run
	run := p.runs[w.Run.ID]
	if run == nil {
		run = &runPlan{}
		p.runs[w.Run.ID] = run
	}
	before := run.state
	run.state = w.Run.State
	if ended(w.Run.State) && !ended(before) {
		c := p.count(StreamKey{o.unit.ConnectionID, w.Run.Stream}, o.unit.At)
		c.Runs++
		if w.Run.State == store.RunFailed {
			c.Failures++
		}
	}
	add := store.Run{}
	if run.change != nil {
		add = run.change.Run
	}
	next := w.Run
	next.Pages = add.Pages + w.Pages
	next.Events = add.Events + int64(o.receipt.Appended)
	next.Duplicates = add.Duplicates + int64(o.receipt.Duplicates)
	run.change = &RunChange{Run: next, Epoch: o.unit.Epoch}
}

func ended(s store.RunState) bool { return s != "" && s != store.RunRunning }

func (p *plan) status(u *store.Unit, w *store.StreamWrite) {
	head := p.heads[StreamKey{u.ConnectionID, w.Stream}]
	p.dirtyHeads[head] = true
	if w.Runs > 0 {
		p.count(StreamKey{u.ConnectionID, w.Stream}, u.At).Runs += w.Runs
	}
	at := micro(cmp.Or(w.At, u.At))
	if !w.At.IsZero() && (!at.After(head.LastSuccessAt) || !at.After(head.LastErrorAt)) {
		return // what is recorded is newer
	}
	if w.Succeeded {
		head.LastSuccessAt = at
		head.LastError, head.LastErrorClass, head.LastErrorAt = "", "", time.Time{}
		head.ConsecutiveFailures = 0
	}
	if w.Failure != nil {
		head.LastError = cut(w.Failure.Error, MaxErrorBytes)
		head.LastErrorClass = cut(w.Failure.Class, MaxNameBytes)
		head.LastErrorAt = u.At
		head.ConsecutiveFailures++
	}
	if w.NextRunAt != nil {
		head.NextRunAt = micro(*w.NextRunAt)
	}
}

func (p *plan) count(s StreamKey, at time.Time) *store.HourlyCount {
	hour := at.UTC().Truncate(time.Hour)
	k := hourKey{s, hour.Unix()}
	c := p.hourly[k]
	if c == nil {
		c = &store.HourlyCount{ConnectionID: s.ConnectionID, Stream: s.Stream, Hour: hour}
		p.hourly[k] = c
	}
	return c
}

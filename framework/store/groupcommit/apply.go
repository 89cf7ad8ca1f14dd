package groupcommit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/weirhq/weir/framework/store"
)

// contentError is a failure that the engine lays on a unit's content.
type contentError struct{ err error }

func (e contentError) Error() string { return e.err.Error() }
func (e contentError) Unwrap() error { return e.err }

// openError is one that leaves open whether a transaction is committed.
type openError struct{ err error }

func (e openError) Error() string { return e.err.Error() }
func (e openError) Unwrap() error { return e.err }

// apply does in tx what the units ask for and fills in their receipts. Refused
// units get their error. An error of apply itself says that tx failed. With last,
// nothing is to be done in tx after it: it is committed where that saves a round trip.
func (e *Engine) apply(ctx context.Context, tx Tx, ops []*op, marker string, last bool) (committed bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.config.Logger.Error("store writer panicked", "panic", p, "stack", string(debug.Stack()))
			err = contentError{fmt.Errorf("panic while committing: %v", p)}
		}
	}()
	p := newPlan(e.hash)
	admitted, err := p.admit(ctx, tx, ops)
	if err != nil {
		return false, err
	}
	if err := p.load(ctx, tx, admitted); err != nil {
		return false, err
	}
	for _, o := range admitted {
		if o.repeated {
			p.repeat(o)
		} else {
			p.unit(o)
		}
	}
	for _, o := range ops {
		if o.same != nil {
			o.receipt.First = o.same.first
		}
	}
	p.finish()
	p.changes.Marker = marker
	if final, ok := tx.(FinalTx); ok && last && len(p.questions) == 0 {
		err := writeAndCommit(ctx, final, &p.changes)
		return err == nil, err
	}
	if err := tx.Write(ctx, &p.changes); err != nil {
		return false, err
	}
	return false, p.ask(ctx, tx)
}

// writeAndCommit returns an [openError] when nobody knows whether tx is committed.
func writeAndCommit(ctx context.Context, tx FinalTx, c *Changes) error {
	undone := false
	err := guardPanic(func() (err error) {
		undone, err = tx.WriteAndCommit(ctx, c)
		return err
	})
	if err != nil && !undone {
		return openError{err}
	}
	return err
}

// admit refuses the units that must leave no trace and returns the others.
func (p *plan) admit(ctx context.Context, tx Tx, ops []*op) ([]*op, error) {
	if a, ok := tx.(AheadTx); ok {
		a.Ahead(ahead(ops))
	}
	guarded, err := tx.Guard(ctx, wanted(ops))
	if err != nil {
		return nil, err
	}
	for key, first := range guarded.Deliveries {
		p.reservations[key] = &reservation{first: first}
	}
	for id, state := range guarded.Runs {
		p.runs[id] = &runPlan{state: state}
	}
	admitted := make([]*op, 0, len(ops))
	for _, o := range ops {
		o.receipt, o.err, o.same, o.repeated = store.Receipt{}, nil, nil, false
		u := &o.unit
		epoch, known := guarded.Epochs[u.ConnectionID]
		switch {
		case !known:
			o.err = fmt.Errorf("connection %q: %w", u.ConnectionID, store.ErrNotFound)
			continue
		case epoch != u.Epoch && (u.Epoch != 0 || u.NeedsLease()):
			o.err = fmt.Errorf("unit was made under epoch %d, the lease has %d: %w", u.Epoch, epoch, store.ErrFenced)
			continue
		}
		if o.err = renamed(o, guarded); o.err != nil {
			continue
		}
		if u.Checkpoint != nil {
			saved := p.saved(u, guarded)
			switch saved {
			case u.ID:
				o.repeated = true
				admitted = append(admitted, o)
				continue
			case u.Checkpoint.Previous:
			default:
				o.err = fmt.Errorf("checkpoint of stream %q, lane %q: saved by commit %q, not %q: %w",
					u.Checkpoint.Stream, u.Checkpoint.Lane, saved, u.Checkpoint.Previous, store.ErrConflict)
				continue
			}
		}
		if u.Reserve != nil {
			if r := p.reservations[o.delivery]; r != nil {
				o.same = r
				o.receipt = store.Receipt{DuplicateDelivery: true}
				continue
			}
			p.reservations[o.delivery] = &reservation{}
		}
		if u.Checkpoint != nil {
			p.move(o, guarded)
		}
		admitted = append(admitted, o)
	}
	return admitted, nil
}

// renamed refuses a unit that would begin a stream under the former key of another.
func renamed(o *op, g Guarded) error {
	if len(g.Renamed) == 0 {
		return nil
	}
	for _, s := range o.fed(nil) {
		if now, ok := g.Renamed[s]; ok {
			return &store.RenamedError{Rename: store.Rename{From: s.Stream, To: now}}
		}
	}
	return nil
}

func checkpointKey(u *store.Unit) CheckpointKey {
	return CheckpointKey{u.ConnectionID, u.Checkpoint.Stream, u.Checkpoint.Lane}
}

// saved is the commit id of the unit's checkpoint as earlier units leave it.
func (p *plan) saved(u *store.Unit, g Guarded) string {
	if c := p.checkpoints[checkpointKey(u)]; c != nil {
		return c.CommitID
	}
	return g.Checkpoints[checkpointKey(u)]
}

func (p *plan) move(o *op, g Guarded) {
	u, key := &o.unit, checkpointKey(&o.unit)
	c := &CheckpointChange{ConnectionID: u.ConnectionID, Was: g.Checkpoints[key]}
	c.CheckpointWrite, c.CommitID, c.UpdatedAt = *u.Checkpoint, u.ID, u.At
	c.From, c.To, c.WindowDone = micro(c.From), micro(c.To), micro(c.WindowDone)
	p.checkpoints[key] = c
}

func wanted(ops []*op) Wanted {
	var w Wanted
	for _, o := range ops {
		w.Connections = append(w.Connections, o.unit.ConnectionID)
		if o.unit.Epoch != 0 || o.unit.NeedsLease() {
			w.Leased = append(w.Leased, o.unit.ConnectionID)
		}
		if o.unit.Checkpoint != nil {
			w.Checkpoints = append(w.Checkpoints, checkpointKey(&o.unit))
		}
		if o.unit.Reserve != nil {
			w.Deliveries = append(w.Deliveries, o.delivery)
		}
		w.Fed = o.fed(w.Fed)
		if o.unit.Run != nil {
			w.Runs = append(w.Runs, o.unit.Run.Run.ID)
		}
	}
	w.Connections = unique(w.Connections, cmp.Compare[string])
	w.Leased = unique(w.Leased, cmp.Compare[string])
	w.Checkpoints = unique(w.Checkpoints, compareCheckpoints)
	w.Deliveries = unique(w.Deliveries, compareDeliveries)
	w.Runs = unique(w.Runs, cmp.Compare[string])
	w.Fed = unique(w.Fed, compareStreams)
	return w
}

// ahead lists what load will ask for if no unit is refused.
func ahead(ops []*op) (streams []StreamKey, entities, keys []Place) {
	for _, o := range ops {
		streams = o.streams(streams)
		for i := range o.emissions {
			m := &o.emissions[i]
			if m.Key.Entity() != "" {
				entities = append(entities, Place{m.stream, m.entity})
			}
			if !m.Key.Latest() {
				keys = append(keys, Place{m.stream, m.keyHash})
			}
		}
	}
	return unique(streams, compareStreams), unique(entities, comparePlaces), unique(keys, comparePlaces)
}

// load locks the heads of the units' streams and reads their entities and keys.
func (p *plan) load(ctx context.Context, tx Tx, ops []*op) error {
	var streams []StreamKey
	for _, o := range ops {
		streams = o.streams(streams)
	}
	streams = unique(streams, compareStreams)
	heads, err := tx.LockHeads(ctx, streams)
	if err != nil {
		return err
	}
	for i, h := range heads {
		p.heads[streams[i]] = h
		p.hash.learn(streams[i], h.origin())
	}
	for _, o := range ops {
		for i := range o.emissions {
			m := &o.emissions[i]
			p.hash.rehash(m, p.heads[m.stream].origin())
		}
	}
	var entities []*Entity
	var keys []*Key
	for _, o := range ops {
		for i := range o.emissions {
			m := &o.emissions[i]
			if m.Key.Entity() != "" {
				at := entityKey{m.stream, m.entity}
				if p.entities[at] == nil {
					p.entities[at] = &Entity{Head: p.heads[m.stream], Hash: m.entity}
					entities = append(entities, p.entities[at])
				}
			}
			if !m.Key.Latest() {
				keys = p.wantKey(keys, m)
			}
		}
	}
	if err := lookup(ctx, tx, entities, keys); err != nil {
		return err
	}
	return p.loadLate(ctx, tx, ops)
}

// loadLate looks up the keys that latest keys have if their events are late.
// Few are. An event that is late only because of another in this batch was not
// recorded before: the times of an entity never go back.
func (p *plan) loadLate(ctx context.Context, tx Tx, ops []*op) error {
	var keys []*Key
	for _, o := range ops {
		for i := range o.emissions {
			m := &o.emissions[i]
			if !m.Key.Latest() {
				continue
			}
			if known := p.entities[entityKey{m.stream, m.entity}]; known.Found && m.time.Before(known.Time) {
				keys = p.wantKey(keys, m)
			}
		}
	}
	return lookup(ctx, tx, nil, keys)
}

func (p *plan) wantKey(keys []*Key, m *emission) []*Key {
	at := keyKey{m.stream, m.keyHash}
	if p.keys[at] != nil {
		return keys
	}
	p.keys[at] = &Key{Head: p.heads[m.stream], Hash: m.keyHash}
	return append(keys, p.keys[at])
}

func lookup(ctx context.Context, tx Tx, entities []*Entity, keys []*Key) error {
	if len(entities) == 0 && len(keys) == 0 {
		return nil
	}
	slices.SortFunc(entities, compareEntities)
	slices.SortFunc(keys, compareKeys)
	return tx.Lookup(ctx, entities, keys)
}

// finish sorts what the plan gathered into its changes.
func (p *plan) finish() {
	c := &p.changes
	c.Entities = slices.SortedFunc(maps.Keys(p.dirtyEntities), compareEntities)
	c.Heads = slices.SortedFunc(maps.Keys(p.dirtyHeads), func(a, b *Head) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Keys, compareKeys)
	slices.SortStableFunc(c.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Head.ID, b.Head.ID), compareStreams(streamOf(a.Head), streamOf(b.Head)), cmp.Compare(a.Sequence, b.Sequence))
	})
	slices.SortFunc(c.Deliveries, func(a, b DeliveryChange) int { return compareDeliveries(a.DeliveryKey, b.DeliveryKey) })
	p.finishStates()
	p.finishSinks()
	for _, key := range slices.SortedFunc(maps.Keys(p.checkpoints), compareCheckpoints) {
		c.Checkpoints = append(c.Checkpoints, *p.checkpoints[key])
	}
	for _, id := range slices.Sorted(maps.Keys(p.runs)) {
		if change := p.runs[id].change; change != nil {
			c.Runs = append(c.Runs, *change)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.hourly), func(a, b hourKey) int {
		return cmp.Or(compareStreams(a.stream, b.stream), cmp.Compare(a.hour, b.hour))
	}) {
		c.Hourly = append(c.Hourly, *p.hourly[key])
	}
	for _, id := range slices.Sorted(maps.Keys(p.keep)) {
		c.Keep = append(c.Keep, *p.keep[id])
	}
	for _, id := range slices.Sorted(maps.Keys(p.settle)) {
		c.Settle = append(c.Settle, p.settle[id])
	}
}

// ask fills in the event ids that could not be computed, after the events of
// this batch are written too.
func (p *plan) ask(ctx context.Context, tx Tx) error {
	if len(p.questions) == 0 {
		return nil
	}
	refs := make([]EventRef, len(p.questions))
	for i, q := range p.questions {
		refs[i] = q.ref
	}
	texts, err := tx.EventKeys(ctx, refs)
	if err != nil {
		return err
	}
	for i, q := range p.questions {
		if texts[i] != "" {
			q.answer.ID = q.ref.Head.eventID(texts[i])
		}
	}
	return nil
}

func streamOf(h *Head) StreamKey { return StreamKey{h.ConnectionID, h.Stream} }

func compareStreams(a, b StreamKey) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.Stream, b.Stream))
}

func compareCheckpoints(a, b CheckpointKey) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Lane, b.Lane))
}

func compareDeliveries(a, b DeliveryKey) int {
	return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.Endpoint, b.Endpoint), bytes.Compare(a.Hash[:], b.Hash[:]))
}

func compareEntities(a, b *Entity) int {
	return cmp.Or(cmp.Compare(a.Head.ID, b.Head.ID), compareStreams(streamOf(a.Head), streamOf(b.Head)), bytes.Compare(a.Hash[:], b.Hash[:]))
}

func compareKeys(a, b *Key) int {
	return cmp.Or(cmp.Compare(a.Head.ID, b.Head.ID), compareStreams(streamOf(a.Head), streamOf(b.Head)), bytes.Compare(a.Hash[:], b.Hash[:]))
}

func comparePlaces(a, b Place) int {
	return cmp.Or(compareStreams(a.StreamKey, b.StreamKey), bytes.Compare(a.Hash[:], b.Hash[:]))
}

func unique[T comparable](s []T, compare func(a, b T) int) []T {
	slices.SortFunc(s, compare)
	return slices.Compact(s)
}

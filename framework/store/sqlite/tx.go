package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// tx is a write transaction. Contexts are not looked at: the one writer is
// never interrupted, and waits for a lock are bounded by busy_timeout.
type tx struct {
	*writer
	conn  *conn
	pages int
	args  []driver.Value
}

var _ groupcommit.Tx = (*tx)(nil)

// sequenceBits are the lower bits of an event's rowid.
const sequenceBits = 40

func rowid(streamNum, sequence int64) int64 { return streamNum<<sequenceBits | sequence }

// Guard reads what may refuse units. There are no other writers, so the
// transaction itself is the lock.
func (t *tx) Guard(_ context.Context, w groupcommit.Wanted) (groupcommit.Guarded, error) {
	g := groupcommit.Guarded{
		Epochs:      make(map[string]int64, len(w.Connections)),
		Checkpoints: make(map[groupcommit.CheckpointKey]string, len(w.Checkpoints)),
		Deliveries:  map[groupcommit.DeliveryKey]string{},
		Runs:        map[string]store.RunState{},
		Renamed:     map[groupcommit.StreamKey]string{},
	}
	var epoch int64
	if err := t.conn.query(func(v []driver.Value) { epoch, _ = v[0].(int64) }, "SELECT epoch FROM writer WHERE id = 1"); err != nil {
		return g, fmt.Errorf("read epoch: %w", err)
	}
	for _, id := range w.Connections {
		known, err := t.connection(id)
		if err != nil {
			return g, err
		}
		if known {
			g.Epochs[id] = epoch
		}
	}
	for _, k := range w.Fed {
		err := t.conn.query(func(v []driver.Value) { g.Renamed[k] = text(v[0]) },
			"SELECT s.stream FROM former_keys f JOIN streams s ON s.num = f.stream WHERE f.connection = ? AND f.key = ?", t.nums[k.ConnectionID], k.Stream)
		if err != nil {
			return g, fmt.Errorf("read former keys: %w", err)
		}
	}
	for _, k := range w.Checkpoints {
		err := t.conn.query(func(v []driver.Value) { g.Checkpoints[k] = text(v[0]) },
			"SELECT commit_id FROM checkpoints WHERE connection = ? AND stream = ? AND lane = ?", t.nums[k.ConnectionID], k.Stream, k.Lane)
		if err != nil {
			return g, fmt.Errorf("read checkpoint: %w", err)
		}
	}
	if err := t.deliveries(w.Deliveries, g.Deliveries); err != nil {
		return g, fmt.Errorf("read delivery keys: %w", err)
	}
	for _, id := range w.Runs {
		err := t.conn.query(func(v []driver.Value) { g.Runs[id] = store.RunState(text(v[0])) }, "SELECT state FROM runs WHERE id = ?", id)
		if err != nil {
			return g, fmt.Errorf("read run: %w", err)
		}
	}
	return g, nil
}

var selectDeliveries = repeat("SELECT hash, first_event FROM delivery_keys WHERE connection = ? AND endpoint = ? AND hash IN (", "?", ")")

// deliveries reads the recorded ones into found, an endpoint at a time.
func (t *tx) deliveries(keys []groupcommit.DeliveryKey, found map[groupcommit.DeliveryKey]string) error {
	same := func(a, b groupcommit.DeliveryKey) bool {
		return a.ConnectionID == b.ConnectionID && a.Endpoint == b.Endpoint
	}
	for part := range parts(keys, same) {
		err := inChunks(len(part), func(from, size int) error {
			t.args = append(t.args[:0], t.nums[part[0].ConnectionID], part[0].Endpoint)
			for i := range part[from : from+size] {
				t.args = append(t.args, part[from+i].Hash[:])
			}
			return t.conn.query(func(v []driver.Value) {
				key := part[0]
				hash, _ := v[0].([]byte)
				copy(key.Hash[:], hash)
				found[key] = text(v[1])
			}, selectDeliveries[size], t.args...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// connection makes the number of a connection known, if there is one.
func (t *tx) connection(id string) (bool, error) {
	if _, ok := t.nums[id]; ok {
		return true, nil
	}
	found := false
	err := t.conn.query(func(v []driver.Value) {
		found = true
		t.nums[id], _ = v[0].(int64)
	}, "SELECT num FROM connections WHERE id = ? AND deleted_at IS NULL", id)
	if err != nil {
		return false, fmt.Errorf("read connection: %w", err)
	}
	return found, nil
}

const headColumns = `s.num, s.head, s.duplicates, s.last_success_at, s.next_run_at, s.last_error, s.last_error_class, s.last_error_at, s.failures, s.paused, s.origin`

var insertStream = "INSERT INTO streams (connection, stream, origin) SELECT ?1, ?2, " + newOrigin("?1", "?2") + " RETURNING num, origin"

// LockHeads reads the heads and makes those that are missing.
func (t *tx) LockHeads(_ context.Context, keys []groupcommit.StreamKey) ([]*groupcommit.Head, error) {
	heads := make([]*groupcommit.Head, len(keys))
	for i, k := range keys {
		h := &groupcommit.Head{}
		h.ConnectionID, h.Stream = k.ConnectionID, k.Stream
		heads[i] = h
		num := t.nums[k.ConnectionID]
		err := t.conn.query(func(v []driver.Value) { scanHead(v, h) },
			"SELECT "+headColumns+" FROM streams s WHERE s.connection = ? AND s.stream = ?", num, k.Stream)
		if err == nil && h.ID == 0 {
			err = t.conn.query(func(v []driver.Value) {
				h.ID, _ = v[0].(int64)
				h.Origin = text(v[1])
			}, insertStream, num, k.Stream)
		}
		if err != nil {
			return nil, fmt.Errorf("read stream %q: %w", k.Stream, err)
		}
	}
	return heads, nil
}

func scanHead(v []driver.Value, h *groupcommit.Head) {
	h.ID, _ = v[0].(int64)
	h.Head, _ = v[1].(int64)
	h.Duplicates, _ = v[2].(int64)
	h.LastSuccessAt, h.NextRunAt = moment(v[3]), moment(v[4])
	h.LastError, h.LastErrorClass, h.LastErrorAt = text(v[5]), text(v[6]), moment(v[7])
	failures, _ := v[8].(int64)
	paused, _ := v[9].(int64)
	h.ConsecutiveFailures, h.Paused = int(failures), paused != 0
	h.Origin = text(v[10])
}

var (
	selectKeys     = repeat("SELECT hash, sequence FROM keys WHERE stream = ? AND hash IN (", "?", ")")
	selectEntities = repeat("SELECT hash, time, payload, sequence, revision, latest FROM keys WHERE stream = ? AND hash IN (", "?", ")")
)

// Lookup reads entities and keys, a stream at a time.
func (t *tx) Lookup(_ context.Context, entities []*groupcommit.Entity, keys []*groupcommit.Key) error {
	for part := range parts(entities, func(a, b *groupcommit.Entity) bool { return a.Head.ID == b.Head.ID }) {
		err := inChunks(len(part), func(from, size int) error { return t.entities(part[from : from+size]) })
		if err != nil {
			return fmt.Errorf("read entities: %w", err)
		}
	}
	for part := range parts(keys, func(a, b *groupcommit.Key) bool { return a.Head.ID == b.Head.ID }) {
		err := inChunks(len(part), func(from, size int) error { return t.keys(part[from : from+size]) })
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
	}
	return nil
}

func (t *tx) entities(list []*groupcommit.Entity) error {
	t.args = append(t.args[:0], list[0].Head.ID)
	for _, e := range list {
		t.args = append(t.args, e.Hash[:])
	}
	return t.conn.query(func(v []driver.Value) {
		i, ok := slices.BinarySearchFunc(list, v[0], func(e *groupcommit.Entity, hash driver.Value) int { return compareHash(e.Hash, hash) })
		if !ok {
			return
		}
		e := list[i]
		e.Found = true
		e.Time = moment(v[1])
		payload, _ := v[2].([]byte)
		copy(e.Payload[:], payload)
		e.Sequence, _ = v[3].(int64)
		e.Revision, _ = v[4].(int64)
		latest, _ := v[5].(int64)
		e.Latest = latest != 0
	}, selectEntities[len(list)], t.args...)
}

func (t *tx) keys(list []*groupcommit.Key) error {
	t.args = append(t.args[:0], list[0].Head.ID)
	for _, k := range list {
		t.args = append(t.args, k.Hash[:])
	}
	return t.conn.query(func(v []driver.Value) {
		i, ok := slices.BinarySearchFunc(list, v[0], func(k *groupcommit.Key, hash driver.Value) int { return compareHash(k.Hash, hash) })
		if ok {
			list[i].Sequence, _ = v[1].(int64)
		}
	}, selectKeys[len(list)], t.args...)
}

func compareHash(h groupcommit.Hash, v driver.Value) int {
	b, _ := v.([]byte)
	return bytes.Compare(h[:], b)
}

// parts yields the runs of the sorted list whose members belong together.
func parts[T any](list []T, same func(a, b T) bool) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := 1
			for n < len(list) && same(list[n], list[0]) {
				n++
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// EventKeys reads key texts of events.
func (t *tx) EventKeys(_ context.Context, refs []groupcommit.EventRef) ([]string, error) {
	out := make([]string, len(refs))
	for i, r := range refs {
		err := t.conn.query(func(v []driver.Value) { out[i] = text(v[0]) }, "SELECT key FROM events WHERE id = ?", rowid(r.Head.ID, r.Sequence))
		if err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
	}
	return out, nil
}

// Savepoint sets the savepoint.
func (t *tx) Savepoint(context.Context) error {
	_, err := t.conn.exec("SAVEPOINT unit")
	return err
}

// RollbackTo undoes everything since the savepoint.
func (t *tx) RollbackTo(context.Context) error {
	_, err := t.conn.exec("ROLLBACK TO unit")
	return err
}

// Commit commits, with a sync to disk.
func (t *tx) Commit(context.Context) error {
	if _, err := t.conn.exec("COMMIT"); err != nil {
		return err
	}
	t.wrote(t.pages)
	return nil
}

// Rollback rolls back. Some errors have rolled back by themselves.
func (t *tx) Rollback(context.Context) error { return t.conn.endTransaction() }

func text(v driver.Value) string {
	switch s := v.(type) {
	case string:
		return s
	case []byte:
		return string(s)
	}
	return ""
}

func moment(v driver.Value) time.Time {
	if us, ok := v.(int64); ok {
		return time.UnixMicro(us).UTC()
	}
	return time.Time{}
}

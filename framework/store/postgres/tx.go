package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// tx is a write transaction. Each of its methods takes one round trip or none.
type tx struct {
	*backend
	conn *session
	// waiting are statements that are sent with the next call.
	waiting []call
	// sent says that the server has seen the transaction.
	sent      bool
	savepoint bool
	// committing says that the server may have been told to commit.
	committing bool
	// nums are the numbers of the connections that Guard found, streams those
	// of the streams that LockHeads locked.
	nums    map[string]int32
	streams map[groupcommit.StreamKey]int32
	// ahead is what Guard has locked and read beyond what it was asked for.
	ahead ahead
	// segment is the one that events are appended to; 0 leaves it to the server.
	segment int32
	// guessing says that nothing was asked before it was written, see guesses.
	guessing bool
	// written are the heads that were written, version marks their rows.
	written []groupcommit.Head
	version int64
}

var (
	_ groupcommit.AheadTx = (*tx)(nil)
	_ groupcommit.FinalTx = (*tx)(nil)
)

// do sends the calls after those that wait.
func (t *tx) do(ctx context.Context, calls ...call) error {
	calls = append(t.waiting, calls...)
	t.waiting = nil
	if len(calls) == 0 {
		return nil
	}
	if t.failpoint == nil {
		t.sent, t.committing = true, calls[len(calls)-1].what == commit.what
		return t.conn.send(ctx, calls)
	}
	for i := range calls {
		t.committing = calls[i].what == commit.what
		if err := t.failpoint(calls[i].what); err != nil {
			return err
		}
		t.sent = true
		if err := t.conn.send(ctx, calls[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Guard locks the leases and the connections against changes by others and reads
// what may refuse units. In the same round trip it does what Ahead announced.
func (t *tx) Guard(ctx context.Context, w groupcommit.Wanted) (groupcommit.Guarded, error) {
	g := groupcommit.Guarded{
		Epochs:      make(map[string]int64, len(w.Connections)),
		Checkpoints: make(map[groupcommit.CheckpointKey]string, len(w.Checkpoints)),
		Deliveries:  map[groupcommit.DeliveryKey]string{},
		Runs:        map[string]store.RunState{},
		Renamed:     map[groupcommit.StreamKey]string{},
	}
	t.nums = make(map[string]int32, len(w.Connections))
	t.streams = map[groupcommit.StreamKey]int32{}
	if t.guess(w) {
		for id := range t.nums {
			g.Epochs[id] = 0
		}
		return g, nil
	}
	ids := texts()
	for _, id := range w.Connections {
		ids.text(id)
	}
	var epochs store.ShardEpochs
	calls := []call{
		{
			what: "lock connections", args: columns(ids),
			sql: "SELECT id, num FROM connections WHERE id = ANY ($1) AND deleted_at IS NULL ORDER BY num FOR KEY SHARE",
			row: func(rows pgx.Rows) error {
				var id string
				var num int32
				err := rows.Scan(&id, &num)
				t.nums[id] = num
				return err
			},
		},
	}
	calls = append(calls, t.lockWriter())
	calls = append(calls, t.lockLeases(w.Leased, &epochs)...)
	calls = append(calls, guardCheckpoints(w.Checkpoints, g)...)
	calls = append(calls, guardDeliveries(w.Deliveries, g)...)
	calls = append(calls, guardRuns(w.Runs, g)...)
	calls = append(calls, guardRenames(w.Fed, g)...)
	calls = append(calls, t.aheadCalls()...)
	if err := t.do(ctx, calls...); err != nil {
		return g, err
	}
	for id := range t.nums {
		g.Epochs[id] = epochs.Of(id)
	}
	return g, nil
}

// lockLeases locks those leases of the connections' shards that this process has.
func (t *tx) lockLeases(connections []string, epochs *store.ShardEpochs) []call {
	if len(connections) == 0 {
		return nil
	}
	var wanted [store.ShardCount]bool
	for _, id := range connections {
		wanted[store.Shard(id)] = true
	}
	list := int4s()
	for shard, is := range wanted {
		if is {
			list.int4(int32(shard))
		}
	}
	return []call{{
		what: "lock leases", args: append(columns(list), int8Argument(t.node.Load())),
		sql: "SELECT shard::int4, epoch FROM shards WHERE shard = ANY ($1) AND node = $2 ORDER BY shard FOR KEY SHARE",
		row: func(rows pgx.Rows) error {
			var shard int32
			var epoch int64
			err := rows.Scan(&shard, &epoch)
			if err == nil {
				epochs[shard] = epoch
			}
			return err
		},
	}}
}

func guardCheckpoints(keys []groupcommit.CheckpointKey, g groupcommit.Guarded) []call {
	if len(keys) == 0 {
		return nil
	}
	ids, streams, lanes := texts(), texts(), texts()
	for _, k := range keys {
		ids.text(k.ConnectionID)
		streams.text(k.Stream)
		lanes.text(k.Lane)
	}
	return []call{{
		what: "read checkpoints", args: columns(ids, streams, lanes),
		sql: `SELECT u.n - 1, p.commit_id FROM unnest($1, $2, $3) WITH ORDINALITY u (id, stream, lane, n)
			JOIN connections c ON c.id = u.id AND c.deleted_at IS NULL
			JOIN checkpoints p ON p.connection = c.num AND p.stream = u.stream AND p.lane = u.lane`,
		row: func(rows pgx.Rows) error {
			var n int
			var commit string
			err := rows.Scan(&n, &commit)
			if err == nil {
				g.Checkpoints[keys[n]] = commit
			}
			return err
		},
	}}
}

func guardDeliveries(keys []groupcommit.DeliveryKey, g groupcommit.Guarded) []call {
	if len(keys) == 0 {
		return nil
	}
	ids, endpoints, hashes := texts(), texts(), uuids()
	for _, k := range keys {
		ids.text(k.ConnectionID)
		endpoints.text(k.Endpoint)
		hashes.hash(k.Hash)
	}
	return []call{{
		what: "read delivery keys", args: columns(ids, endpoints, hashes),
		sql: `SELECT u.n - 1, d.first_event FROM unnest($1, $2, $3) WITH ORDINALITY u (id, endpoint, hash, n)
			JOIN connections c ON c.id = u.id AND c.deleted_at IS NULL
			CROSS JOIN LATERAL (SELECT first_event FROM delivery_keys d
				WHERE d.connection = c.num AND d.endpoint = u.endpoint AND d.hash = u.hash LIMIT 1) d`,
		row: func(rows pgx.Rows) error {
			var n int
			var first string
			err := rows.Scan(&n, &first)
			if err == nil {
				g.Deliveries[keys[n]] = first
			}
			return err
		},
	}}
}

// guardRenames reads after the connections are locked: a rename waits, or was made.
func guardRenames(keys []groupcommit.StreamKey, g groupcommit.Guarded) []call {
	if len(keys) == 0 {
		return nil
	}
	ids, streams := texts(), texts()
	for _, k := range keys {
		ids.text(k.ConnectionID)
		streams.text(k.Stream)
	}
	return []call{{
		what: "read former keys", args: columns(ids, streams),
		sql: `SELECT u.n - 1, s.stream FROM unnest($1, $2) WITH ORDINALITY u (id, stream, n)
			JOIN connections c ON c.id = u.id AND c.deleted_at IS NULL
			JOIN former_keys f ON f.connection = c.num AND f.key = u.stream
			JOIN streams s ON s.connection = c.num AND s.num = f.stream`,
		row: func(rows pgx.Rows) error {
			var n int
			var now string
			err := rows.Scan(&n, &now)
			if err == nil {
				g.Renamed[keys[n]] = now
			}
			return err
		},
	}}
}

func guardRuns(ids []string, g groupcommit.Guarded) []call {
	if len(ids) == 0 {
		return nil
	}
	list := texts()
	for _, id := range ids {
		list.text(id)
	}
	return []call{{
		what: "read runs", sql: "SELECT id, state FROM runs WHERE id = ANY ($1)", args: columns(list),
		row: func(rows pgx.Rows) error {
			var id, state string
			err := rows.Scan(&id, &state)
			g.Runs[id] = store.RunState(state)
			return err
		},
	}}
}

// LockHeads returns the heads that Guard has locked in the order of their
// numbers, and makes those that are missing. New streams get higher numbers than
// all others, so making them last keeps to the order.
func (t *tx) LockHeads(ctx context.Context, keys []groupcommit.StreamKey) ([]*groupcommit.Head, error) {
	heads := make([]*groupcommit.Head, len(keys))
	for i, k := range keys {
		heads[i] = t.ahead.heads[k]
	}
	err := t.makeHeads(ctx, keys, heads, func(n int) *groupcommit.Head {
		h := &groupcommit.Head{}
		h.ConnectionID, h.Stream = keys[n].ConnectionID, keys[n].Stream
		heads[n] = h
		return h
	})
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		t.streams[k] = int32(heads[i].ID)
	}
	return heads, nil
}

// makeHeads inserts the heads that are missing.
func (t *tx) makeHeads(ctx context.Context, keys []groupcommit.StreamKey, heads []*groupcommit.Head, found func(int) *groupcommit.Head) error {
	connections, streams, at := int4s(), texts(), map[string]int{}
	missing := 0
	for i, h := range heads {
		if h == nil {
			num := t.nums[keys[i].ConnectionID]
			connections.int4(num)
			streams.text(keys[i].Stream)
			at[fmt.Sprint(num, "/", keys[i].Stream)] = i
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	return t.do(ctx, call{
		what: "make heads", args: columns(connections, streams), rows: &missing,
		sql: `INSERT INTO streams (connection, stream, origin) SELECT u.connection, u.stream, ` + newOrigin + `
			FROM unnest($1, $2) u (connection, stream) ON CONFLICT DO NOTHING RETURNING connection, stream, num, origin`,
		row: func(rows pgx.Rows) error {
			var connection int32
			var stream, origin string
			var num int64
			if err := rows.Scan(&connection, &stream, &num, &origin); err != nil {
				return err
			}
			h := found(at[fmt.Sprint(connection, "/", stream)])
			h.ID, h.Origin = num, origin
			return nil
		},
	})
}

// Lookup fills in what Guard has read ahead and reads the rest, which is little:
// the keys of late events, and what the first units after a rename ask for.
func (t *tx) Lookup(ctx context.Context, entities []*groupcommit.Entity, keys []*groupcommit.Key) error {
	if t.guessing {
		return nil
	}
	var rest, restEntities []groupcommit.Place
	for _, k := range keys {
		if p := placeOf(k.Head, k.Hash); !t.ahead.asked[p] {
			rest = append(rest, p)
		}
	}
	for _, e := range entities {
		if p := placeOf(e.Head, e.Hash); !t.ahead.asked[p] {
			restEntities = append(restEntities, p)
		}
	}
	if len(rest) > 0 {
		if err := t.do(ctx, t.readKeys(rest)); err != nil {
			return err
		}
	}
	if len(restEntities) > 0 {
		if err := t.do(ctx, t.readEntities(restEntities)); err != nil {
			return err
		}
	}
	for _, e := range entities {
		if found := t.ahead.entities[placeOf(e.Head, e.Hash)]; found != nil {
			e.Found, e.Time, e.Payload = true, found.Time, found.Payload
			e.Sequence, e.Revision, e.Latest = found.Sequence, found.Revision, found.Latest
		}
	}
	for _, k := range keys {
		k.Sequence = t.ahead.keys[placeOf(k.Head, k.Hash)]
	}
	return nil
}

// stream adds the two numbers of a stream.
func (t *tx) stream(connections, streams *column, h *groupcommit.Head) {
	connections.int4(t.nums[h.ConnectionID])
	streams.int4(int32(h.ID))
}

// EventKeys reads key texts of events.
func (t *tx) EventKeys(ctx context.Context, refs []groupcommit.EventRef) ([]string, error) {
	out := make([]string, len(refs))
	connections, streams, sequences := int4s(), int4s(), int8s()
	for _, r := range refs {
		t.stream(connections, streams, r.Head)
		sequences.int8(r.Sequence)
	}
	err := t.do(ctx, call{
		what: "read event keys", args: columns(connections, streams, sequences),
		sql: `SELECT u.n - 1, e.key FROM unnest($1, $2, $3) WITH ORDINALITY u (connection, stream, sequence, n)
			CROSS JOIN LATERAL (SELECT key FROM events e
				WHERE e.connection = u.connection AND e.stream = u.stream AND e.sequence = u.sequence LIMIT 1) e`,
		row: func(rows pgx.Rows) error {
			var n int
			var key []byte
			err := rows.Scan(&n, &key)
			if err == nil {
				out[n] = string(key)
			}
			return err
		},
	})
	return out, err
}

// Savepoint sets the savepoint, with the next call.
func (t *tx) Savepoint(context.Context) error {
	if t.savepoint {
		t.waiting = append(t.waiting, call{what: "release savepoint", sql: "RELEASE SAVEPOINT unit"})
	}
	t.savepoint = true
	t.waiting = append(t.waiting, call{what: "set savepoint", sql: "SAVEPOINT unit"})
	return nil
}

// RollbackTo undoes everything since the savepoint.
func (t *tx) RollbackTo(ctx context.Context) error {
	calls := append(t.waiting, call{what: "roll back to savepoint", sql: "ROLLBACK TO SAVEPOINT unit"})
	t.waiting, t.sent = nil, true
	return t.conn.send(ctx, calls)
}

// Commit commits and returns when the transaction is on disk.
func (t *tx) Commit(ctx context.Context) error {
	err := t.do(ctx, commit)
	if err == nil {
		t.committed()
	}
	return err
}

// WriteAndCommit writes and commits in one round trip.
func (t *tx) WriteAndCommit(ctx context.Context, c *groupcommit.Changes) (undone bool, err error) {
	err = t.do(ctx, append(t.changes(c), commit)...)
	if err == nil {
		t.committed()
	}
	return err != nil && (!t.committing || refused(err)), err
}

// Rollback rolls back.
func (t *tx) Rollback(ctx context.Context) error {
	t.mistaken()
	t.waiting = nil
	if !t.sent {
		return nil
	}
	if t.conn.IsClosed() {
		return errors.New("the connection was lost")
	}
	if t.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	if err := t.conn.send(ctx, []call{{what: "roll back", sql: "ROLLBACK"}}); err != nil {
		return err
	}
	if status := t.conn.PgConn().TxStatus(); status != 'I' {
		return fmt.Errorf("the transaction did not end: status %q", status)
	}
	return nil
}

package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// ahead is what a transaction locks and reads together with its guard, because
// a statement costs little and a round trip much: a batch takes two of them,
// one to lock and read, one to write and commit.
type ahead struct {
	streams               []groupcommit.StreamKey
	entityPlaces, keyList []groupcommit.Place

	heads map[groupcommit.StreamKey]*groupcommit.Head
	// asked are the entities and keys that were looked for, found or not. The
	// hash of an entity is never that of a key.
	asked    map[groupcommit.Place]bool
	entities map[groupcommit.Place]*groupcommit.Entity
	keys     map[groupcommit.Place]int64
}

// Ahead announces what LockHeads and Lookup will be asked for.
func (t *tx) Ahead(streams []groupcommit.StreamKey, entities, keys []groupcommit.Place) {
	t.ahead = ahead{
		streams: streams, entityPlaces: entities, keyList: keys,
		heads:    make(map[groupcommit.StreamKey]*groupcommit.Head, len(streams)),
		asked:    make(map[groupcommit.Place]bool, len(entities)+len(keys)),
		entities: map[groupcommit.Place]*groupcommit.Entity{},
		keys:     map[groupcommit.Place]int64{},
	}
}

func placeOf(h *groupcommit.Head, hash groupcommit.Hash) groupcommit.Place {
	return groupcommit.Place{StreamKey: groupcommit.StreamKey{ConnectionID: h.ConnectionID, Stream: h.Stream}, Hash: hash}
}

// aheadCalls lock the heads first: what is read after that stays as it is.
func (t *tx) aheadCalls() []call {
	if len(t.ahead.streams) == 0 {
		return nil
	}
	calls := []call{t.lockHeads(), {
		what: "read segment", sql: "SELECT max(num) FROM segments",
		row: func(rows pgx.Rows) error { return rows.Scan(&t.segment) },
	}}
	if len(t.ahead.entityPlaces) > 0 {
		calls = append(calls, t.readEntities(t.ahead.entityPlaces))
	}
	if len(t.ahead.keyList) > 0 {
		calls = append(calls, t.readKeys(t.ahead.keyList))
	}
	return calls
}

func (t *tx) lockHeads() call {
	ids, streams := t.streamColumns()
	return call{
		what: "lock heads", args: columns(ids, streams),
		sql: `SELECT u.n - 1, s.num, s.head, s.duplicates, s.last_success_at, s.next_run_at, s.last_error, s.last_error_class,
				s.last_error_at, s.failures, s.paused, s.origin
			FROM unnest($1, $2) WITH ORDINALITY u (id, stream, n)
			JOIN connections c ON c.id = u.id AND c.deleted_at IS NULL
			JOIN streams s ON s.connection = c.num AND s.stream = u.stream ORDER BY s.num FOR UPDATE OF s`,
		row: func(rows pgx.Rows) error {
			var n int
			var success, next, failed *time.Time
			h := &groupcommit.Head{}
			err := rows.Scan(&n, &h.ID, &h.Head, &h.Duplicates, &success, &next, &h.LastError, &h.LastErrorClass, &failed,
				&h.ConsecutiveFailures, &h.Paused, &h.Origin)
			if err != nil {
				return err
			}
			key := t.ahead.streams[n]
			h.LastSuccessAt, h.NextRunAt, h.LastErrorAt = utc(success), utc(next), utc(failed)
			h.ConnectionID, h.Stream = key.ConnectionID, key.Stream
			t.ahead.heads[key] = h
			return nil
		},
	}
}

func (t *tx) streamColumns() (ids, streams *column) {
	ids, streams = texts(), texts()
	for _, k := range t.ahead.streams {
		ids.text(k.ConnectionID)
		streams.text(k.Stream)
	}
	return ids, streams
}

// placesSQL are the rows that places name, as u (connection, stream, hash, n).
// The names of the streams are sent once, not with each place. What follows it is
// a lateral query with a limit: always a probe of the index for each row,
// however large or unknown the tables are.
const placesSQL = ` FROM (SELECT s.connection, s.num AS stream, p.hash, p.n
		FROM unnest($1, $2) WITH ORDINALITY v (id, stream, n)
		JOIN connections c ON c.id = v.id AND c.deleted_at IS NULL
		JOIN streams s ON s.connection = c.num AND s.stream = v.stream
		JOIN unnest($3, $4) WITH ORDINALITY p (v, hash, n) ON p.v = v.n) u
	CROSS JOIN LATERAL `

// places are the arguments of placesSQL.
func (t *tx) places(list []groupcommit.Place) []argument {
	ids, streams := t.streamColumns()
	number := make(map[groupcommit.StreamKey]int64, len(t.ahead.streams))
	for i, k := range t.ahead.streams {
		number[k] = int64(i) + 1
	}
	at, hashes := int8s(), uuids()
	for _, p := range list {
		t.ahead.asked[p] = true
		at.int8(number[p.StreamKey])
		hashes.hash(p.Hash)
	}
	return columns(ids, streams, at, hashes)
}

func (t *tx) readEntities(list []groupcommit.Place) call {
	return call{
		what: "read entities", args: t.places(list),
		sql: "SELECT u.n - 1, e.time, e.payload, e.sequence, e.revision, e.latest" + placesSQL + `(SELECT * FROM entities e
			WHERE e.connection = u.connection AND e.stream = u.stream AND e.hash = u.hash LIMIT 1) e`,
		row: func(rows pgx.Rows) error {
			var n int
			var payload [16]byte
			e := &groupcommit.Entity{}
			if err := rows.Scan(&n, &e.Time, &payload, &e.Sequence, &e.Revision, &e.Latest); err != nil {
				return err
			}
			e.Time, e.Payload = e.Time.UTC(), payload
			t.ahead.entities[list[n]] = e
			return nil
		},
	}
}

func (t *tx) readKeys(list []groupcommit.Place) call {
	return call{
		what: "read keys", args: t.places(list),
		sql: "SELECT u.n - 1, k.sequence" + placesSQL + `(SELECT sequence FROM keys k
			WHERE k.connection = u.connection AND k.stream = u.stream AND k.hash = u.hash LIMIT 1) k`,
		row: func(rows pgx.Rows) error {
			var n int
			var sequence int64
			if err := rows.Scan(&n, &sequence); err != nil {
				return err
			}
			t.ahead.keys[list[n]] = sequence
			return nil
		},
	}
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/ingest"
)

// Write writes the changes of a batch: one statement a table, all of them in
// one round trip.
func (t *tx) Write(ctx context.Context, c *groupcommit.Changes) error {
	return t.do(ctx, t.changes(c)...)
}

// changes are the statements that write c. A row that is not as Guard and Lookup
// found it makes a statement change fewer rows than it was given, which is an
// [errRace], or a key be there twice.
func (t *tx) changes(c *groupcommit.Changes) []call {
	var calls []call
	t.written = t.written[:0]
	for _, h := range c.Heads {
		t.written = append(t.written, *h)
	}
	calls = append(calls, t.writeEvents(c.Events)...)
	calls = append(calls, t.writeKeys(c.Keys)...)
	calls = append(calls, t.writeEntities(c.Entities)...)
	calls = append(calls, t.writeHeads(c.Heads)...)
	calls = append(calls, t.writeCheckpoints(c.Checkpoints)...)
	calls = append(calls, t.writeRuns(c.Runs)...)
	calls = append(calls, t.writeHourly(c.Hourly)...)
	calls = append(calls, t.writeDeliveries(c.Deliveries)...)
	calls = append(calls, t.writeKeep(c.Keep)...)
	calls = append(calls, t.writeSettle(c.Settle)...)
	calls = append(calls, t.writeStates(c.States)...)
	calls = append(calls, t.writeSinks(&c.Sinks)...)
	return append(calls, t.writeMarker(c.Marker)...)
}

// writeMarker also looks whether COMMIT will wait for the disk. A pooler or an
// operator's trigger that changes the setting must not go unseen.
func (t *tx) writeMarker(marker string) []call {
	mark := call{what: "write marker", args: []argument{textArgument(marker), int8Argument(t.writer)}, sql: "UPDATE writers SET marker = $1 WHERE num = $2"}
	return []call{mark.exactly(1), {
		what: "look whether COMMIT waits for the disk", zero: errCareless,
		sql: "SELECT 1 / (current_setting('synchronous_commit') IN ($1, 'remote_apply'))::int, txid_current()", args: []argument{textArgument("on")},
		row: func(rows pgx.Rows) error {
			var works int
			err := rows.Scan(&works, &t.version)
			t.version &= 1<<32 - 1 // rows are marked without the epoch of the number
			return err
		},
	}}
}

func (t *tx) writeEvents(list []groupcommit.Event) []call {
	if len(list) == 0 {
		return nil
	}
	connections, streams, sequences := int4s(), int4s(), int8s()
	kinds, subjects, deletions, keys := texts(), byteas(), bools(), byteas()
	at, recorded, late, payloads := times(), times(), bools(), byteas()
	size := headerBytes
	for i := range list {
		size += len(list[i].Payload) + 4
	}
	payloads.grow(size)
	for i := range list {
		e := &list[i]
		t.stream(connections, streams, e.Head)
		sequences.int8(e.Sequence)
		kinds.text(e.Type)
		subjects.text(e.Subject)
		deletions.bool(e.Operation == ingest.Deletion)
		keys.text(e.Key)
		at.time(e.Time)
		recorded.time(e.RecordedAt)
		late.bool(e.Late)
		payloads.bytes(e.Payload)
	}
	n := len(list)
	return []call{call{
		what: "write events",
		args: append(columns(connections, streams, sequences, kinds, subjects, deletions, keys, at, recorded, late, payloads),
			int4Argument(t.segment)),
		sql: `INSERT INTO events (connection, stream, sequence, type, subject, deletion, key, time, recorded_at, late, payload, segment)
			SELECT *, CASE $12 WHEN 0 THEN (SELECT max(num) FROM segments) ELSE $12 END FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
	}.exactly(n)}
}

func (t *tx) writeKeys(list []*groupcommit.Key) []call {
	if len(list) == 0 {
		return nil
	}
	connections, streams, hashes, sequences := int4s(), int4s(), uuids(), int8s()
	for _, k := range list {
		t.stream(connections, streams, k.Head)
		hashes.hash(k.Hash)
		sequences.int8(k.Sequence)
	}
	n := len(list)
	return []call{call{
		what: "write keys", args: columns(connections, streams, hashes, sequences),
		sql: "INSERT INTO keys (connection, stream, hash, sequence) SELECT * FROM unnest($1, $2, $3, $4)",
	}.exactly(n)}
}

func (t *tx) writeEntities(list []*groupcommit.Entity) []call {
	if len(list) == 0 {
		return nil
	}
	connections, streams, hashes, at := int4s(), int4s(), uuids(), times()
	payloads, sequences, revisions, latest := uuids(), int8s(), int8s(), bools()
	for _, e := range list {
		t.stream(connections, streams, e.Head)
		hashes.hash(e.Hash)
		at.time(e.Time)
		payloads.hash(e.Payload)
		sequences.int8(e.Sequence)
		revisions.int8(e.Revision)
		latest.bool(e.Latest)
	}
	n := len(list)
	replace := `
			ON CONFLICT (connection, stream, hash) DO UPDATE SET time = excluded.time, payload = excluded.payload,
				sequence = excluded.sequence, revision = excluded.revision, latest = excluded.latest`
	if t.guessing {
		replace = "" // one that is there was not seen, and must not be written over
	}
	return []call{call{
		what: "write entities", args: columns(connections, streams, hashes, at, payloads, sequences, revisions, latest),
		sql: `INSERT INTO entities (connection, stream, hash, time, payload, sequence, revision, latest)
			SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)` + replace,
	}.exactly(n)}
}

func (t *tx) writeHeads(list []*groupcommit.Head) []call {
	if len(list) == 0 {
		return nil
	}
	connections, streams, heads, duplicates := int4s(), int4s(), int8s(), int8s()
	success, next, failed := times(), times(), times()
	messages, classes, failures := texts(), texts(), int8s()
	for _, h := range list {
		t.stream(connections, streams, h)
		heads.int8(h.Head)
		duplicates.int8(h.Duplicates)
		success.optional(h.LastSuccessAt)
		next.optional(h.NextRunAt)
		messages.text(h.LastError)
		classes.text(h.LastErrorClass)
		failed.optional(h.LastErrorAt)
		failures.int8(int64(h.ConsecutiveFailures))
	}
	n := len(list)
	return []call{call{
		what: "write heads",
		args: columns(connections, streams, heads, duplicates, success, next, messages, classes, failed, failures),
		sql: `UPDATE streams s SET head = u.head, duplicates = u.duplicates, last_success_at = u.success, next_run_at = u.next,
				last_error = u.error, last_error_class = u.class, last_error_at = u.failed, failures = u.failures
			FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
				u (connection, num, head, duplicates, success, next, error, class, failed, failures)
			WHERE s.connection = u.connection AND s.num = u.num`,
	}.exactly(n)}
}

// writeCheckpoints inserts those that were not there and moves those that are
// as they were: the row count of the compare-and-set is its answer.
func (t *tx) writeCheckpoints(list []groupcommit.CheckpointChange) []call {
	var fresh, moved []*groupcommit.CheckpointChange
	for i := range list {
		if list[i].Was == "" {
			fresh = append(fresh, &list[i])
		} else {
			moved = append(moved, &list[i])
		}
	}
	var calls []call
	const values = `SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		u (connection, stream, lane, commit_id, previous, cursor, version, digest, since, until, done, run_id, updated_at, was)`
	if n := len(fresh); n > 0 {
		calls = append(calls, call{
			what: "insert checkpoints", args: t.checkpoints(fresh),
			sql: `INSERT INTO checkpoints (connection, stream, lane, commit_id, previous, cursor, cursor_version, cursor_digest,
					window_from, window_to, window_done, run_id, updated_at)
				SELECT connection, stream, lane, commit_id, previous, cursor, version, digest, since, until, done, run_id, updated_at
				FROM (` + values + `) u`,
		}.exactly(n))
	}
	if n := len(moved); n > 0 {
		calls = append(calls, call{
			what: "move checkpoints", args: t.checkpoints(moved),
			sql: `UPDATE checkpoints p SET commit_id = u.commit_id, previous = u.previous, cursor = u.cursor,
					cursor_version = u.version, cursor_digest = u.digest, window_from = u.since, window_to = u.until,
					window_done = u.done, run_id = u.run_id, updated_at = u.updated_at
				FROM (` + values + `) u
				WHERE p.connection = u.connection AND p.stream = u.stream AND p.lane = u.lane AND p.commit_id = u.was`,
		}.exactly(n))
	}
	return calls
}

func (t *tx) checkpoints(list []*groupcommit.CheckpointChange) []argument {
	connections, streams, lanes, commits, previous := int4s(), texts(), texts(), texts(), texts()
	cursors, versions, digests := byteas(), int8s(), texts()
	since, until, done, runs, updated, was := times(), times(), times(), texts(), times(), texts()
	for _, p := range list {
		connections.int4(t.nums[p.ConnectionID])
		streams.text(p.Stream)
		lanes.text(p.Lane)
		commits.text(p.CommitID)
		previous.text(p.Previous)
		cursors.bytes(p.Cursor)
		versions.int8(int64(p.CursorVersion))
		digests.text(p.CursorDigest)
		since.optional(p.From)
		until.optional(p.To)
		done.optional(p.WindowDone)
		runs.text(p.RunID)
		updated.time(p.UpdatedAt)
		was.text(p.Was)
	}
	return columns(connections, streams, lanes, commits, previous, cursors, versions, digests, since, until, done, runs, updated, was)
}

func (t *tx) writeRuns(list []groupcommit.RunChange) []call {
	if len(list) == 0 {
		return nil
	}
	connections, ids, streams, triggers, states, epochs := int4s(), texts(), texts(), texts(), texts(), int8s()
	started, finished, pages, events, duplicates := times(), times(), int8s(), int8s(), int8s()
	messages, classes, stacks := texts(), texts(), texts()
	for i := range list {
		r := &list[i]
		connections.int4(t.nums[r.ConnectionID])
		ids.text(r.ID)
		streams.text(r.Stream)
		triggers.text(r.Trigger)
		states.text(string(r.State))
		epochs.int8(r.Epoch)
		started.optional(r.StartedAt)
		finished.optional(r.FinishedAt)
		pages.int8(r.Pages)
		events.int8(r.Events)
		duplicates.int8(r.Duplicates)
		messages.text(r.Error)
		classes.text(r.ErrorClass)
		stacks.text(r.Stack)
	}
	n := len(list)
	return []call{call{
		what: "write runs",
		args: columns(connections, ids, streams, triggers, states, epochs, started, finished, pages, events, duplicates, messages, classes, stacks),
		sql: `INSERT INTO runs AS r (connection, id, stream, trigger, state, epoch, started_at, finished_at, pages, events, duplicates,
				error, error_class, stack)
			SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT (connection, id) DO UPDATE SET trigger = excluded.trigger, state = excluded.state, epoch = excluded.epoch,
				started_at = excluded.started_at, finished_at = excluded.finished_at, pages = r.pages + excluded.pages,
				events = r.events + excluded.events, duplicates = r.duplicates + excluded.duplicates,
				error = excluded.error, error_class = excluded.error_class, stack = excluded.stack`,
	}.exactly(n)}
}

func (t *tx) writeHourly(list []store.HourlyCount) []call {
	if len(list) == 0 {
		return nil
	}
	connections, streams, hours := int4s(), int4s(), times()
	events, duplicates, runs, failures := int8s(), int8s(), int8s(), int8s()
	for i := range list {
		h := &list[i]
		connections.int4(t.nums[h.ConnectionID])
		streams.int4(t.streams[groupcommit.StreamKey{ConnectionID: h.ConnectionID, Stream: h.Stream}])
		hours.time(h.Hour)
		events.int8(h.Events)
		duplicates.int8(h.Duplicates)
		runs.int8(h.Runs)
		failures.int8(h.Failures)
	}
	n := len(list)
	return []call{call{
		what: "write hourly counts", args: columns(connections, streams, hours, events, duplicates, runs, failures),
		sql: `INSERT INTO hourly AS h (connection, stream, hour, events, duplicates, runs, failures)
			SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (connection, stream, hour) DO UPDATE SET events = h.events + excluded.events,
				duplicates = h.duplicates + excluded.duplicates, runs = h.runs + excluded.runs, failures = h.failures + excluded.failures`,
	}.exactly(n)}
}

func (t *tx) writeDeliveries(list []groupcommit.DeliveryChange) []call {
	if len(list) == 0 {
		return nil
	}
	connections, endpoints, hashes, ids, first, at := int4s(), texts(), uuids(), texts(), texts(), times()
	for i := range list {
		d := &list[i]
		connections.int4(t.nums[d.ConnectionID])
		endpoints.text(d.Endpoint)
		hashes.hash(d.Hash)
		ids.text(d.DeliveryID)
		first.text(d.First)
		at.time(d.At)
	}
	n := len(list)
	return []call{call{
		what: "write delivery keys", args: columns(connections, endpoints, hashes, ids, first, at),
		sql: `INSERT INTO delivery_keys (connection, endpoint, hash, delivery_id, first_event, at)
			SELECT * FROM unnest($1, $2, $3, $4, $5, $6)`,
	}.exactly(n)}
}

func (t *tx) writeKeep(list []store.StoredDelivery) []call {
	if len(list) == 0 {
		return nil
	}
	connections, ids, endpoints, keys, received := int4s(), texts(), texts(), texts(), times()
	headers, bodies, attempts, next, dead, messages := byteas(), byteas(), int8s(), times(), bools(), texts()
	endings, sizes, written, expires := int8s(), int8s(), times(), times()
	for i := range list {
		d := &list[i]
		connections.int4(t.nums[d.ConnectionID])
		ids.text(d.ID)
		endpoints.text(d.Endpoint)
		keys.text(d.Key)
		received.optional(d.ReceivedAt)
		headers.bytes(d.Header)
		bodies.bytes(d.Body)
		attempts.int8(int64(d.Attempts))
		next.optional(d.NextAttemptAt)
		dead.bool(d.Dead || d.Kept)
		messages.text(d.LastError)
		endings.int8(store.EndingOf(*d))
		sizes.int8(int64(len(d.Header) + len(d.Body)))
		written.optional(d.WrittenAt)
		expires.optional(d.ExpiresAt)
	}
	n := len(list)
	return []call{call{
		what: "keep deliveries",
		args: columns(connections, ids, endpoints, keys, received, headers, bodies, attempts, next, dead, messages,
			endings, sizes, written, expires),
		sql: `INSERT INTO stored_deliveries (connection, id, endpoint, key, received_at, header, body, attempts,
				next_attempt_at, dead, last_error, ending, bytes, written_at, expires_at)
			SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT (connection, id) DO UPDATE SET endpoint = excluded.endpoint, key = excluded.key, received_at = excluded.received_at,
				header = excluded.header, body = excluded.body, attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at,
				dead = excluded.dead, last_error = excluded.last_error, ending = excluded.ending, bytes = excluded.bytes,
				written_at = excluded.written_at, expires_at = excluded.expires_at`,
	}.exactly(n)}
}

func (t *tx) writeSettle(list []groupcommit.SettledDelivery) []call {
	if len(list) == 0 {
		return nil
	}
	connections, ids := int4s(), texts()
	for _, d := range list {
		connections.int4(t.nums[d.ConnectionID])
		ids.text(d.ID)
	}
	return []call{{
		what: "settle deliveries", args: columns(connections, ids),
		sql: "DELETE FROM stored_deliveries d USING unnest($1, $2) u (connection, id) WHERE d.connection = u.connection AND d.id = u.id",
	}}
}

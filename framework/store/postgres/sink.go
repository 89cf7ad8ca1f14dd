package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Offsets lists the offsets of a sink, or of all for "", by sink and source.
func (s *Store) Offsets(ctx context.Context, connectionID string) ([]store.Offset, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "read offsets", `SELECT k.id, c.id, t.stream, o.next, least(p.low, o.next), p.parked,
			o.delivered, o.dead, o.delivered_at, o.last_error, o.last_error_at, o.failures, o.updated_at
		FROM offsets o JOIN connections k ON k.num = o.connection AND k.deleted_at IS NULL
		JOIN connections c ON c.num = o.source AND c.deleted_at IS NULL JOIN streams t ON t.connection = o.source AND t.num = o.stream
		CROSS JOIN LATERAL (SELECT min(p.sequence) AS low, count(*) AS parked FROM parked p
			WHERE p.connection = o.connection AND p.source = o.source AND p.stream = o.stream) p
		WHERE $1 = '' OR k.id = $1 ORDER BY k.id COLLATE "C", c.id COLLATE "C", t.stream COLLATE "C"`,
		func(r pgx.CollectableRow) (v store.Offset, err error) {
			return v, r.Scan(&v.ConnectionID, &v.Source.ConnectionID, &v.Stream, &v.Next, &v.LowWater, &v.Parked, &v.Delivered, &v.Dead,
				moment{&v.DeliveredAt}, &v.LastError, moment{&v.LastErrorAt}, &v.ConsecutiveFailures, moment{&v.UpdatedAt})
		}, connectionID)
}

// ParkedEvents lists the parked events of a sink after a position.
func (s *Store) ParkedEvents(ctx context.Context, connectionID string, after store.Position, limit int) ([]store.ParkedEvent, error) {
	if !validText(connectionID, after.ConnectionID, after.Stream) {
		return nil, nil
	}
	return list(ctx, s, "read parked events", `SELECT c.id, t.stream, p.sequence, p.attempts, p.parked_at, p.next_attempt_at, p.last_error, p.status, p.event
		FROM parked p JOIN connections k ON k.num = p.connection AND k.deleted_at IS NULL
		JOIN connections c ON c.num = p.source AND c.deleted_at IS NULL JOIN streams t ON t.connection = p.source AND t.num = p.stream
		WHERE k.id = $1 AND (c.id COLLATE "C", t.stream COLLATE "C", p.sequence) > ($2, $3, $4)
		ORDER BY c.id COLLATE "C", t.stream COLLATE "C", p.sequence LIMIT $5`,
		func(r pgx.CollectableRow) (v store.ParkedEvent, err error) {
			return v, r.Scan(&v.ConnectionID, &v.Stream, &v.Sequence, &v.Attempts, moment{&v.ParkedAt}, moment{&v.NextAttemptAt}, &v.LastError, &v.Status, &v.Event)
		}, connectionID, after.ConnectionID, after.Stream, after.Sequence, bounded(limit))
}

func bounded(limit int) int { return min(max(limit, 0), maxRows) }

// deadEvents are the dead letters that a selection means, after what is read of them.
func deadEvents(which store.DeadEvents) (from string, args []any) {
	optional := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	from = `FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL
		WHERE ($1 = '' OR k.id = $1) AND d.discarded = $2 AND ($3 = '' OR d.source_id = $3) AND ($4 = '' OR d.stream_key = $4)
			AND ($5::timestamptz IS NULL OR d.dead_at >= $5) AND ($6::timestamptz IS NULL OR d.dead_at < $6)
			AND ($7 = '' OR d.id COLLATE "C" < $7) AND ($8 = '' OR d.id COLLATE "C" > $8)`
	return from, []any{
		which.ConnectionID, which.Discarded, which.Source.ConnectionID, which.Source.Stream,
		optional(which.From), optional(which.To), which.Before, which.After,
	}
}

// DeadEvents lists dead letters of sinks, newest first where which does not say otherwise.
func (s *Store) DeadEvents(ctx context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error) {
	if !validText(which.ConnectionID, which.Source.ConnectionID, which.Source.Stream, which.Before, which.After) {
		return nil, nil
	}
	from, args := deadEvents(which)
	order := "DESC"
	if which.OldestFirst {
		order = "ASC"
	}
	return list(ctx, s, "list dead letters", `SELECT k.id, d.id, d.source_id, d.stream_key, d.sequence, d.reason, d.attempts, d.status, d.first_at, d.dead_at,
			d.discarded, d.note `+from+` ORDER BY d.id COLLATE "C" `+order+` LIMIT $9`,
		func(r pgx.CollectableRow) (v store.DeadEvent, err error) {
			return v, r.Scan(&v.ConnectionID, &v.ID, &v.Source.ConnectionID, &v.Stream, &v.Sequence, &v.Reason, &v.Attempts, &v.Status,
				moment{&v.FirstAt}, moment{&v.DeadAt}, &v.Discarded, &v.Note)
		}, append(args, bounded(limit))...)
}

// CountDeadEvents counts the dead letters that which selects.
func (s *Store) CountDeadEvents(ctx context.Context, which store.DeadEvents) (int, error) {
	if !validText(which.ConnectionID, which.Source.ConnectionID, which.Source.Stream, which.Before, which.After) {
		return 0, nil
	}
	from, args := deadEvents(which)
	n, err := list(ctx, s, "count dead letters", "SELECT count(*) "+from, func(r pgx.CollectableRow) (n int, err error) { return n, r.Scan(&n) }, args...)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// DeadCounts counts the dead letters of sinks that nobody has settled.
func (s *Store) DeadCounts(ctx context.Context, connectionID string) (map[string]int64, error) {
	counts := map[string]int64{}
	if !validText(connectionID) {
		return counts, nil
	}
	type count struct {
		id string
		n  int64
	}
	list, err := list(ctx, s, "count dead letters", `SELECT k.id, count(*) FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL
		WHERE NOT d.discarded AND ($1 = '' OR k.id = $1) GROUP BY k.id`,
		func(r pgx.CollectableRow) (v count, err error) { return v, r.Scan(&v.id, &v.n) }, connectionID)
	for _, one := range list {
		counts[one.id] = one.n
	}
	return counts, err
}

// Heads says how far streams are.
func (s *Store) Heads(ctx context.Context, sources []store.Source) ([]store.Hint, error) {
	var ids, streams []string
	for _, source := range sources {
		if validText(source.ConnectionID) && validText(source.Stream) {
			ids, streams = append(ids, source.ConnectionID), append(streams, source.Stream)
		}
	}
	return list(ctx, s, "read heads", `SELECT c.id, s.stream, s.head FROM unnest($1::text[], $2::text[]) w (id, stream)
		JOIN connections c ON c.id = w.id AND c.deleted_at IS NULL
		JOIN streams s ON s.connection = c.num AND s.stream = w.stream AND s.head > 0`,
		func(r pgx.CollectableRow) (v store.Hint, err error) {
			return v, r.Scan(&v.Source.ConnectionID, &v.Source.Stream, &v.Head)
		}, ids, streams)
}

// DeadEvent returns one dead letter of a sink.
func (s *Store) DeadEvent(ctx context.Context, connectionID, id string) (store.DeadEvent, error) {
	what := fmt.Sprintf("read dead letter %q", id)
	if !validText(connectionID, id) {
		return store.DeadEvent{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	found, err := list(ctx, s, what, `SELECT k.id, d.id, d.source_id, d.stream_key, d.sequence, d.event, d.reason, d.attempts, d.status, d.request,
			d.response, d.first_at, d.dead_at, d.discarded, d.note
		FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL WHERE k.id = $1 AND d.id = $2`,
		func(r pgx.CollectableRow) (v store.DeadEvent, err error) {
			return v, r.Scan(&v.ConnectionID, &v.ID, &v.Source.ConnectionID, &v.Stream, &v.Sequence, &v.Event, &v.Reason, &v.Attempts, &v.Status,
				&v.Request, &v.Response, moment{&v.FirstAt}, moment{&v.DeadAt}, &v.Discarded, &v.Note)
		}, connectionID, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.DeadEvent{}, err
	}
	return found[0], nil
}

// atSource joins rows u (…, source text, stream text, …) to the numbers of their
// streams, also by a key that a stream had: what was delivered of it stays
// delivered while it is renamed.
const atSource = ` JOIN connections c ON c.id = u.source_id AND c.deleted_at IS NULL
	JOIN streams t ON t.connection = c.num AND t.stream = ` + todaysKey

// todaysKey is the key that stream u.stream_key of connection u.source_id has now.
const todaysKey = `coalesce((SELECT n.stream FROM connections k JOIN former_keys f ON f.connection = k.num
	JOIN streams n ON n.connection = k.num AND n.num = f.stream WHERE k.id = u.source_id AND f.key = u.stream_key), u.stream_key)`

func (t *tx) writeSinks(s *groupcommit.SinkChanges) []call {
	calls := append(t.writeOffsets(s.Offsets), t.writeParked(s.Park)...)
	if len(s.Unpark) > 0 {
		connections, sources, streams, sequences := int4s(), texts(), texts(), int8s()
		for _, at := range s.Unpark {
			connections.int4(t.nums[at.ConnectionID])
			sources.text(at.Source.ConnectionID)
			streams.text(at.Stream)
			sequences.int8(at.Sequence)
		}
		calls = append(calls, call{
			what: "remove parked events", args: columns(connections, sources, streams, sequences),
			sql: `DELETE FROM parked p USING unnest($1, $2, $3, $4) u (connection, source_id, stream_key, sequence)` + atSource + `
				WHERE p.connection = u.connection AND p.source = t.connection AND p.stream = t.num AND p.sequence = u.sequence`,
		})
	}
	return append(calls, t.writeDead(s)...)
}

func (t *tx) writeOffsets(list []groupcommit.OffsetChange) []call {
	if len(list) == 0 {
		return nil
	}
	connections, sources, streams, next := int4s(), texts(), texts(), int8s()
	delivered, dead, at, messages, failed, failures, updated := int8s(), int8s(), times(), texts(), times(), int8s(), times()
	for i := range list {
		o := &list[i]
		connections.int4(t.nums[o.ConnectionID])
		sources.text(o.Source.ConnectionID)
		streams.text(o.Stream)
		next.int8(o.Next)
		delivered.int8(o.Delivered)
		dead.int8(o.Dead)
		at.optional(o.DeliveredAt)
		messages.text(o.LastError)
		failed.optional(o.LastErrorAt)
		failures.int8(o.Failures)
		updated.time(o.At)
	}
	return []call{{
		what: "move offsets", args: columns(connections, sources, streams, next, delivered, dead, at, messages, failed, failures, updated),
		sql: `INSERT INTO offsets AS o (connection, source, stream, next, delivered, dead, delivered_at, last_error, last_error_at, failures, updated_at)
			SELECT u.connection, t.connection, t.num, u.next, u.delivered, u.dead, u.at, u.error, u.failed, u.failures, u.updated
			FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
				u (connection, source_id, stream_key, next, delivered, dead, at, error, failed, failures, updated)` + atSource + `
			ON CONFLICT (connection, source, stream) DO UPDATE SET next = excluded.next, delivered = o.delivered + excluded.delivered,
				dead = o.dead + excluded.dead, delivered_at = coalesce(excluded.delivered_at, o.delivered_at),
				last_error = CASE WHEN excluded.last_error <> '' OR excluded.delivered_at IS NOT NULL THEN excluded.last_error ELSE o.last_error END,
				last_error_at = CASE WHEN excluded.last_error <> '' OR excluded.delivered_at IS NOT NULL THEN excluded.last_error_at ELSE o.last_error_at END,
				failures = CASE WHEN excluded.delivered_at IS NOT NULL THEN 0 ELSE o.failures END + excluded.failures, updated_at = excluded.updated_at`,
	}}
}

func (t *tx) writeParked(list []groupcommit.ParkChange) []call {
	if len(list) == 0 {
		return nil
	}
	connections, sources, streams, sequences := int4s(), texts(), texts(), int8s()
	attempts, parked, next, messages, statuses, events := int8s(), times(), times(), texts(), int8s(), byteas()
	for i := range list {
		p := &list[i]
		connections.int4(t.nums[p.ConnectionID])
		sources.text(p.Source.ConnectionID)
		streams.text(p.Stream)
		sequences.int8(p.Sequence)
		attempts.int8(int64(p.Attempts))
		parked.time(p.ParkedAt)
		next.time(p.NextAttemptAt)
		messages.text(p.LastError)
		statuses.int8(int64(p.Status))
		events.bytes(p.Event)
	}
	return []call{{
		what: "park events", args: columns(connections, sources, streams, sequences, attempts, parked, next, messages, statuses, events),
		sql: `INSERT INTO parked (connection, source, stream, sequence, attempts, parked_at, next_attempt_at, last_error, status, event)
			SELECT u.connection, t.connection, t.num, u.sequence, u.attempts, u.parked, u.next, u.error, u.status, u.event
			FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
				u (connection, source_id, stream_key, sequence, attempts, parked, next, error, status, event)` + atSource + `
			ON CONFLICT (connection, source, stream, sequence) DO UPDATE SET attempts = excluded.attempts, parked_at = excluded.parked_at,
				next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error, status = excluded.status, event = excluded.event`,
	}}
}

func (t *tx) writeDead(s *groupcommit.SinkChanges) []call {
	var calls []call
	if len(s.Bury) > 0 {
		connections, ids, sources, streams, sequences, events := int4s(), texts(), texts(), texts(), int8s(), byteas()
		reasons, attempts, statuses, requests, responses := texts(), int8s(), int8s(), byteas(), byteas()
		first, dead, discarded, notes := times(), times(), bools(), texts()
		for i := range s.Bury {
			d := &s.Bury[i]
			connections.int4(t.nums[d.ConnectionID])
			ids.text(d.ID)
			sources.text(d.Source.ConnectionID)
			streams.text(d.Stream)
			sequences.int8(d.Sequence)
			events.bytes(d.Event)
			reasons.text(d.Reason)
			attempts.int8(int64(d.Attempts))
			statuses.int8(int64(d.Status))
			requests.bytes(d.Request)
			responses.bytes(d.Response)
			first.optional(d.FirstAt)
			dead.time(d.DeadAt)
			discarded.bool(d.Discarded)
			notes.text(d.Note)
		}
		calls = append(calls, call{
			what: "bury events",
			args: columns(connections, ids, sources, streams, sequences, events, reasons, attempts, statuses, requests, responses, first, dead, discarded, notes),
			sql: `INSERT INTO dead_events (connection, id, source_id, stream_key, sequence, event, reason, attempts, status, request, response,
					first_at, dead_at, discarded, note)
				SELECT connection, id, source_id, ` + todaysKey + `, sequence, event, reason, attempts, status, request, response, first_at, dead_at, discarded, note
				FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) u (connection, id, source_id, stream_key, sequence,
					event, reason, attempts, status, request, response, first_at, dead_at, discarded, note) ON CONFLICT DO NOTHING`,
		})
	}
	if len(s.Raise) > 0 {
		connections, ids := int4s(), texts()
		for _, d := range s.Raise {
			connections.int4(t.nums[d.ConnectionID])
			ids.text(d.ID)
		}
		calls = append(calls, call{
			what: "raise dead letters", args: columns(connections, ids),
			sql: "DELETE FROM dead_events d USING unnest($1, $2) u (connection, id) WHERE d.connection = u.connection AND d.id = u.id",
		})
	}
	if len(s.Discard) > 0 {
		connections, ids, notes := int4s(), texts(), texts()
		for _, d := range s.Discard {
			connections.int4(t.nums[d.ConnectionID])
			ids.text(d.ID)
			notes.text(d.Note)
		}
		calls = append(calls, call{
			what: "discard dead letters", args: columns(connections, ids, notes),
			sql: `UPDATE dead_events d SET discarded = true, note = u.note FROM unnest($1, $2, $3) u (connection, id, note)
				WHERE d.connection = u.connection AND d.id = u.id`,
		})
	}
	return calls
}

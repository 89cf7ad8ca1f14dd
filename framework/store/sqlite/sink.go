package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Offsets lists the offsets of a sink, or of all for "", by sink and source.
func (s *Store) Offsets(ctx context.Context, connectionID string) ([]store.Offset, error) {
	return list(ctx, s, "read offsets", `SELECT k.id, c.id, t.stream, o.next,
			coalesce((SELECT min(p.sequence) FROM parked p WHERE p.connection = o.connection AND p.source = o.source AND p.stream = o.stream), o.next),
			(SELECT count(*) FROM parked p WHERE p.connection = o.connection AND p.source = o.source AND p.stream = o.stream),
			o.delivered, o.dead, o.delivered_at, o.last_error, o.last_error_at, o.failures, o.updated_at
		FROM offsets o JOIN connections k ON k.num = o.connection AND k.deleted_at IS NULL
		JOIN connections c ON c.num = o.source AND c.deleted_at IS NULL JOIN streams t ON t.num = o.stream
		WHERE `+only(connectionID, "k.id")+` ORDER BY k.id, c.id, t.stream`,
		func(r *sql.Rows, v *store.Offset) error {
			err := r.Scan(&v.ConnectionID, &v.Source.ConnectionID, &v.Stream, &v.Next, &v.LowWater, &v.Parked, &v.Delivered, &v.Dead,
				micros{&v.DeliveredAt}, &v.LastError, micros{&v.LastErrorAt}, &v.ConsecutiveFailures, micros{&v.UpdatedAt})
			v.LowWater = min(v.LowWater, v.Next)
			return err
		}, connectionID)
}

// ParkedEvents lists the parked events of a sink after a position.
func (s *Store) ParkedEvents(ctx context.Context, connectionID string, after store.Position, limit int) ([]store.ParkedEvent, error) {
	return list(ctx, s, "read parked events", `SELECT c.id, t.stream, p.sequence, p.attempts, p.parked_at, p.next_attempt_at, p.last_error, p.status, p.event
		FROM parked p JOIN connections k ON k.num = p.connection AND k.deleted_at IS NULL
		JOIN connections c ON c.num = p.source AND c.deleted_at IS NULL JOIN streams t ON t.num = p.stream
		WHERE k.id = ? AND (c.id, t.stream, p.sequence) > (?, ?, ?) ORDER BY c.id, t.stream, p.sequence LIMIT ?`,
		func(r *sql.Rows, v *store.ParkedEvent) error {
			return r.Scan(&v.ConnectionID, &v.Stream, &v.Sequence, &v.Attempts, micros{&v.ParkedAt}, micros{&v.NextAttemptAt}, &v.LastError, &v.Status, &v.Event)
		}, connectionID, after.ConnectionID, after.Stream, after.Sequence, bounded(limit))
}

func bounded(limit int) int { return min(max(limit, 0), maxRows) }

// deadEvents are the dead letters that a selection means, after what is read of them.
func deadEvents(which store.DeadEvents) (from string, args []any) {
	from = `FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL
		WHERE ` + only(which.ConnectionID, "k.id") + ` AND d.discarded = ?2 AND (?3 = '' OR d.source_id = ?3) AND (?4 = '' OR d.stream_key = ?4)
			AND (?5 IS NULL OR d.dead_at >= ?5) AND (?6 IS NULL OR d.dead_at < ?6) AND (?7 = '' OR d.id < ?7) AND (?8 = '' OR d.id > ?8)`
	return from, []any{
		which.ConnectionID, number(which.Discarded), which.Source.ConnectionID, which.Source.Stream,
		optional(which.From), optional(which.To), which.Before, which.After,
	}
}

// DeadEvents lists dead letters of sinks, newest first where which does not say otherwise.
func (s *Store) DeadEvents(ctx context.Context, which store.DeadEvents, limit int) ([]store.DeadEvent, error) {
	from, args := deadEvents(which)
	order := "DESC"
	if which.OldestFirst {
		order = "ASC"
	}
	return list(ctx, s, "list dead letters", `SELECT k.id, d.id, d.source_id, d.stream_key, d.sequence, d.reason, d.attempts, d.status, d.first_at, d.dead_at,
			d.discarded, d.note `+from+` ORDER BY d.id `+order+` LIMIT ?9`,
		func(r *sql.Rows, v *store.DeadEvent) error {
			return r.Scan(&v.ConnectionID, &v.ID, &v.Source.ConnectionID, &v.Stream, &v.Sequence, &v.Reason, &v.Attempts, &v.Status,
				micros{&v.FirstAt}, micros{&v.DeadAt}, &v.Discarded, &v.Note)
		}, append(args, bounded(limit))...)
}

// CountDeadEvents counts the dead letters that which selects.
func (s *Store) CountDeadEvents(ctx context.Context, which store.DeadEvents) (int, error) {
	from, args := deadEvents(which)
	n, err := list(ctx, s, "count dead letters", "SELECT count(*) "+from, func(r *sql.Rows, v *int) error { return r.Scan(v) }, args...)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// DeadCounts counts the dead letters of sinks that nobody has settled.
func (s *Store) DeadCounts(ctx context.Context, connectionID string) (map[string]int64, error) {
	type count struct {
		id string
		n  int64
	}
	list, err := list(ctx, s, "count dead letters", `SELECT k.id, count(*) FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL
		WHERE d.discarded = 0 AND `+only(connectionID, "k.id")+` GROUP BY k.id`,
		func(r *sql.Rows, v *count) error { return r.Scan(&v.id, &v.n) }, connectionID)
	counts := map[string]int64{}
	for _, one := range list {
		counts[one.id] = one.n
	}
	return counts, err
}

// DeadEvent returns one dead letter of a sink.
func (s *Store) DeadEvent(ctx context.Context, connectionID, id string) (store.DeadEvent, error) {
	what := fmt.Sprintf("read dead letter %q", id)
	found, err := list(ctx, s, what, `SELECT k.id, d.id, d.source_id, d.stream_key, d.sequence, d.event, d.reason, d.attempts, d.status, d.request,
			d.response, d.first_at, d.dead_at, d.discarded, d.note
		FROM dead_events d JOIN connections k ON k.num = d.connection AND k.deleted_at IS NULL WHERE k.id = ? AND d.id = ?`,
		func(r *sql.Rows, v *store.DeadEvent) error {
			return r.Scan(&v.ConnectionID, &v.ID, &v.Source.ConnectionID, &v.Stream, &v.Sequence, &v.Event, &v.Reason, &v.Attempts, &v.Status,
				&v.Request, &v.Response, micros{&v.FirstAt}, micros{&v.DeadAt}, &v.Discarded, &v.Note)
		}, connectionID, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.DeadEvent{}, err
	}
	return found[0], nil
}

// Heads says how far streams are.
func (s *Store) Heads(ctx context.Context, sources []store.Source) ([]store.Hint, error) {
	wanted := make([][2]string, 0, len(sources))
	for _, source := range sources {
		wanted = append(wanted, [2]string{source.ConnectionID, source.Stream})
	}
	encoded, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	return list(ctx, s, "read heads", `SELECT c.id, s.stream, s.head FROM json_each(?) w
		JOIN connections c ON c.id = json_extract(w.value, '$[0]') AND c.deleted_at IS NULL
		JOIN streams s ON s.connection = c.num AND s.stream = json_extract(w.value, '$[1]') AND s.head > 0`,
		func(r *sql.Rows, v *store.Hint) error {
			return r.Scan(&v.Source.ConnectionID, &v.Source.Stream, &v.Head)
		}, string(encoded))
}

// sourceStream finds a source's numbers, also by a key that the stream had: what
// was delivered of it stays delivered while it is renamed.
const sourceStream = `FROM (SELECT ? AS id, ? AS key) w JOIN connections c ON c.id = w.id AND c.deleted_at IS NULL
	JOIN streams t ON t.connection = c.num AND t.stream = coalesce(
		(SELECT n.stream FROM former_keys f JOIN streams n ON n.num = f.stream WHERE f.connection = c.num AND f.key = w.key), w.key) WHERE true`

func (t *tx) writeSinks(c *groupcommit.Changes) error {
	s := &c.Sinks
	t.pages += len(s.Offsets) + len(s.Park) + len(s.Unpark) + len(s.Bury) + len(s.Raise) + len(s.Discard)
	for i := range s.Offsets {
		o := &s.Offsets[i]
		_, err := t.conn.exec(`INSERT INTO offsets (connection, source, stream, next, delivered, dead, delivered_at, last_error, last_error_at, failures, updated_at)
			SELECT ?, t.connection, t.num, ?, ?, ?, ?, ?, ?, ?, ? `+sourceStream+`
			ON CONFLICT DO UPDATE SET next = excluded.next, delivered = delivered + excluded.delivered, dead = dead + excluded.dead,
				delivered_at = coalesce(excluded.delivered_at, delivered_at),
				last_error = CASE WHEN excluded.last_error <> '' OR excluded.delivered_at IS NOT NULL THEN excluded.last_error ELSE last_error END,
				last_error_at = CASE WHEN excluded.last_error <> '' OR excluded.delivered_at IS NOT NULL THEN excluded.last_error_at ELSE last_error_at END,
				failures = CASE WHEN excluded.delivered_at IS NOT NULL THEN 0 ELSE failures END + excluded.failures, updated_at = excluded.updated_at`,
			t.nums[o.ConnectionID], o.Next, o.Delivered, o.Dead, optional(o.DeliveredAt), o.LastError, optional(o.LastErrorAt), o.Failures,
			o.At.UnixMicro(), o.Source.ConnectionID, o.Stream)
		if err != nil {
			return err
		}
	}
	for i := range s.Park {
		p := &s.Park[i]
		_, err := t.conn.exec(`INSERT INTO parked (connection, source, stream, sequence, attempts, parked_at, next_attempt_at, last_error, status, event)
			SELECT ?, t.connection, t.num, ?, ?, ?, ?, ?, ?, ? `+sourceStream+`
			ON CONFLICT DO UPDATE SET attempts = excluded.attempts, parked_at = excluded.parked_at, next_attempt_at = excluded.next_attempt_at,
				last_error = excluded.last_error, status = excluded.status, event = excluded.event`,
			t.nums[p.ConnectionID], p.Sequence, int64(p.Attempts), p.ParkedAt.UnixMicro(), p.NextAttemptAt.UnixMicro(), p.LastError,
			int64(p.Status), blob(p.Event), p.Source.ConnectionID, p.Stream)
		if err != nil {
			return err
		}
	}
	for _, at := range s.Unpark {
		_, err := t.conn.exec("DELETE FROM parked WHERE connection = ? AND sequence = ? AND (source, stream) = (SELECT t.connection, t.num "+sourceStream+")",
			t.nums[at.ConnectionID], at.Sequence, at.Source.ConnectionID, at.Stream)
		if err != nil {
			return err
		}
	}
	return t.writeDead(s)
}

func (t *tx) writeDead(s *groupcommit.SinkChanges) error {
	for i := range s.Bury {
		d := &s.Bury[i]
		t.pages += (len(d.Event) + len(d.Request) + len(d.Response)) >> 12
		_, err := t.conn.exec(`INSERT INTO dead_events (connection, id, source_id, stream_key, sequence, event, reason, attempts, status, request, response,
				first_at, dead_at, discarded, note) VALUES (?1, ?2, ?3,
				coalesce((SELECT n.stream FROM connections c JOIN former_keys f ON f.connection = c.num AND f.key = ?4
					JOIN streams n ON n.num = f.stream WHERE c.id = ?3), ?4),
				?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT DO NOTHING`,
			t.nums[d.ConnectionID], d.ID, d.Source.ConnectionID, d.Stream, d.Sequence, blob(d.Event), d.Reason, int64(d.Attempts), int64(d.Status),
			blob(d.Request), blob(d.Response), optional(d.FirstAt), d.DeadAt.UnixMicro(), number(d.Discarded), d.Note)
		if err != nil {
			return err
		}
	}
	exec := func(query string, args ...driver.Value) error {
		_, err := t.conn.exec(query, args...)
		return err
	}
	for _, d := range s.Raise {
		if err := exec("DELETE FROM dead_events WHERE connection = ? AND id = ?", t.nums[d.ConnectionID], d.ID); err != nil {
			return err
		}
	}
	for _, d := range s.Discard {
		if err := exec("UPDATE dead_events SET discarded = 1, note = ? WHERE connection = ? AND id = ?", d.Note, t.nums[d.ConnectionID], d.ID); err != nil {
			return err
		}
	}
	return nil
}

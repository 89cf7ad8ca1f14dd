package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// maxRows bounds what one read returns, whatever limit it was given.
const maxRows = 10_000

// inBinary asks for results in binary: payloads are not turned into hexadecimal
// and back.
var inBinary = pgx.QueryResultFormats{pgx.BinaryFormatCode}

// list runs a query with a deadline and scans every row of it. Where the pooled
// connection turns out to be dead, as after a failover, it asks again on a fresh one.
func list[T any](ctx context.Context, s *Store, what, query string, scan func(pgx.CollectableRow) (T, error), args ...any) ([]T, error) {
	if s.closed.Load() {
		return nil, fmt.Errorf("%s: %w", what, store.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.QueryTimeout)
	defer cancel()
	args = append([]any{inBinary}, args...)
	var out []T
	err := s.alive(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err == nil {
			out, err = pgx.CollectRows(rows, scan)
		}
		return err
	})
	switch {
	case err == nil && len(out) == 0:
		return nil, nil
	case err == nil:
		return out, nil
	case s.closed.Load():
		return nil, fmt.Errorf("%s: %w", what, store.ErrClosed)
	}
	return nil, fmt.Errorf("%s: %w", what, failure(err))
}

// alive runs f on a pooled connection, and once more on a fresh one when that
// connection turns out to be dead. f must do no harm when it is run twice.
func (s *Store) alive(ctx context.Context, f func(*pgx.Conn) error) error {
	for again := false; ; again = true {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		err = f(conn.Conn())
		dead := conn.Conn().IsClosed()
		conn.Release()
		if err == nil || !dead || again || ctx.Err() != nil {
			return err
		}
		// What killed this connection has killed those beside it.
		s.pool.Reset()
	}
}

// moment scans a time that may be missing.
type moment struct{ *time.Time }

// Scan implements sql.Scanner.
func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.Time = time.Time{}
	case time.Time:
		*m.Time = v.UTC()
	default:
		return fmt.Errorf("scan time: unexpected %T", v)
	}
	return nil
}

// Events reads a stream. It fails with [store.ErrNotFound] for an unknown
// connection and with [ingest.TrimmedError] where retention has removed what
// comes next.
func (s *Store) Events(ctx context.Context, connectionID, stream string, after int64, limit int) ([]ingest.Event, error) {
	what := fmt.Sprintf("read events of stream %q", stream)
	if !validText(connectionID) {
		return nil, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if !validText(stream) {
		return nil, nil
	}
	type place struct {
		project, name, origin string
		connection            int32
		stream                *int32
		head                  *int64
	}
	// The head is read before the events: those up to it are there, or were removed.
	places, err := list(ctx, s, what, `SELECT c.project, c.name, c.num, s.num, coalesce(nullif(s.origin, ''), $2), s.head FROM connections c
		LEFT JOIN streams s ON s.connection = c.num AND s.stream = $2 WHERE c.id = $1 AND c.deleted_at IS NULL`,
		func(r pgx.CollectableRow) (p place, err error) {
			return p, r.Scan(&p.project, &p.name, &p.connection, &p.stream, &p.origin, &p.head)
		}, connectionID, stream)
	if err == nil && len(places) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil || places[0].stream == nil || limit <= 0 {
		return nil, err
	}
	p := places[0]
	events, err := list(ctx, s, what, `SELECT sequence, type, subject, deletion, key, time, recorded_at, late, payload FROM (
			SELECT *, row_number() OVER read AS place, sum(octet_length(payload)) OVER read AS size FROM (
				SELECT * FROM events WHERE connection = $1 AND stream = $2 AND sequence > $3 ORDER BY sequence LIMIT $4
			) e WINDOW read AS (ORDER BY sequence ROWS UNBOUNDED PRECEDING)
		) e WHERE place = 1 OR coalesce(size, 0) <= $5 ORDER BY sequence`,
		func(r pgx.CollectableRow) (ingest.Event, error) {
			e := ingest.Event{
				Project: p.project, Connection: p.name, ConnectionID: connectionID, Stream: stream, Operation: ingest.Upsert,
			}
			var subject, key, payload []byte
			var deletion bool
			err := r.Scan(&e.Sequence, &e.Type, &subject, &deletion, &key, moment{&e.Time}, moment{&e.RecordedAt}, &e.Late, &payload)
			e.Subject, e.Key, e.Payload = string(subject), string(key), payload
			if deletion {
				e.Operation = ingest.Deletion
			}
			e.ID = ingest.EventID(connectionID, p.origin, e.Key)
			return e, err
		}, p.connection, *p.stream, after, rowLimit(limit), int64(ingest.MaxReadBytes))
	if err == nil {
		err = ingest.CheckTrimmed(events, stream, after, *p.head)
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}

// rowLimit keeps a limit within what the server takes.
func rowLimit(limit int) int { return min(max(limit, 0), maxRows) }

// Connections lists the connections by project and name.
func (s *Store) Connections(ctx context.Context) ([]store.Connection, error) {
	return list(ctx, s, "list connections",
		"SELECT "+connectionColumns+` FROM connections WHERE deleted_at IS NULL ORDER BY project COLLATE "C", name COLLATE "C"`, scanConnection)
}

// Checkpoint returns a lane's checkpoint.
func (s *Store) Checkpoint(ctx context.Context, connectionID, stream, lane string) (c store.Checkpoint, ok bool, err error) {
	if !validText(connectionID, stream, lane) {
		return store.Checkpoint{}, false, nil
	}
	found, err := list(ctx, s, fmt.Sprintf("read checkpoint of stream %q", stream),
		`SELECT p.stream, p.lane, p.commit_id, p.previous, p.cursor, p.cursor_version, p.cursor_digest, p.window_from, p.window_to,
			p.window_done, p.run_id, p.updated_at
		FROM checkpoints p JOIN connections c ON c.num = p.connection AND c.deleted_at IS NULL
		WHERE c.id = $1 AND p.stream = $2 AND p.lane = $3`,
		func(r pgx.CollectableRow) (c store.Checkpoint, err error) {
			return c, r.Scan(&c.Stream, &c.Lane, &c.CommitID, &c.Previous, &c.Cursor, &c.CursorVersion, &c.CursorDigest,
				moment{&c.From}, moment{&c.To}, moment{&c.WindowDone}, &c.RunID, moment{&c.UpdatedAt})
		}, connectionID, stream, lane)
	if err != nil || len(found) == 0 {
		return store.Checkpoint{}, false, err
	}
	return found[0], true, nil
}

// Statuses lists the status of every stream.
func (s *Store) Statuses(ctx context.Context, connectionID string) ([]store.StreamStatus, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "list stream statuses",
		`SELECT c.id, s.stream, s.head, s.duplicates, s.last_success_at, s.next_run_at, s.last_error, s.last_error_class, s.last_error_at,
			s.failures, s.paused,
			EXISTS (SELECT FROM runs r WHERE r.state = 'running' AND r.connection = s.connection AND r.stream = s.stream)
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL
		WHERE $1 = '' OR c.id = $1 ORDER BY c.id COLLATE "C", s.stream COLLATE "C"`,
		func(r pgx.CollectableRow) (v store.StreamStatus, err error) {
			return v, r.Scan(&v.ConnectionID, &v.Stream, &v.Head, &v.Duplicates, moment{&v.LastSuccessAt}, moment{&v.NextRunAt},
				&v.LastError, &v.LastErrorClass, moment{&v.LastErrorAt}, &v.ConsecutiveFailures, &v.Paused, &v.Running)
		}, connectionID)
}

const runColumns = `r.id, c.id, r.stream, r.trigger, r.state, r.started_at, r.finished_at, r.pages, r.events, r.duplicates,
	r.error, r.error_class, r.stack FROM runs r JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL`

func scanRun(r pgx.CollectableRow) (v store.Run, err error) {
	return v, r.Scan(&v.ID, &v.ConnectionID, &v.Stream, &v.Trigger, &v.State, moment{&v.StartedAt}, moment{&v.FinishedAt},
		&v.Pages, &v.Events, &v.Duplicates, &v.Error, &v.ErrorClass, &v.Stack)
}

// Runs lists a stream's runs, newest first.
func (s *Store) Runs(ctx context.Context, connectionID, stream, before string, limit int) ([]store.Run, error) {
	if !validText(connectionID, stream, before) {
		return nil, nil
	}
	return list(ctx, s, fmt.Sprintf("list runs of stream %q", stream),
		"SELECT "+runColumns+` WHERE c.id = $1 AND r.stream = $2 AND ($3 = '' OR r.id COLLATE "C" < $3)
		ORDER BY r.id COLLATE "C" DESC LIMIT $4`,
		scanRun, connectionID, stream, before, rowLimit(limit))
}

// Run returns one run.
func (s *Store) Run(ctx context.Context, id string) (store.Run, error) {
	what := fmt.Sprintf("read run %q", id)
	if !validText(id) {
		return store.Run{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	found, err := list(ctx, s, what, "SELECT "+runColumns+" WHERE r.id = $1", scanRun, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.Run{}, err
	}
	return found[0], nil
}

// Hourly lists the hourly counts.
func (s *Store) Hourly(ctx context.Context, connectionID string, since time.Time) ([]store.HourlyCount, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "list hourly counts",
		`SELECT c.id, s.stream, h.hour, h.events, h.duplicates, h.runs, h.failures
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL
		JOIN hourly h ON h.connection = s.connection AND h.stream = s.num
		WHERE ($1 = '' OR c.id = $1) AND h.hour >= $2 ORDER BY c.id COLLATE "C", s.stream COLLATE "C", h.hour`,
		func(r pgx.CollectableRow) (v store.HourlyCount, err error) {
			return v, r.Scan(&v.ConnectionID, &v.Stream, moment{&v.Hour}, &v.Events, &v.Duplicates, &v.Runs, &v.Failures)
		}, connectionID, since.UTC().Truncate(time.Hour))
}

// StoredDeliveries lists stored deliveries by receipt.
func (s *Store) StoredDeliveries(ctx context.Context, connectionID string, dead bool, due time.Time, limit int) ([]store.StoredDelivery, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "list stored deliveries",
		`SELECT d.id, c.id, d.endpoint, d.key, d.received_at, d.header, d.body, d.attempts, d.next_attempt_at, d.dead, d.last_error, d.written_at, d.expires_at
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE ($1 = '' OR c.id = $1) AND d.dead = $2 AND d.ending = 0 AND ($2 OR d.next_attempt_at <= $3)
		ORDER BY d.received_at, d.id COLLATE "C" LIMIT $4`,
		func(r pgx.CollectableRow) (v store.StoredDelivery, err error) {
			return v, r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, moment{&v.ReceivedAt}, &v.Header, &v.Body, &v.Attempts,
				moment{&v.NextAttemptAt}, &v.Dead, &v.LastError, moment{&v.WrittenAt}, moment{&v.ExpiresAt})
		}, connectionID, dead, due.UTC(), rowLimit(limit))
}

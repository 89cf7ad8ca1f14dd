package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// maxRows bounds what one read returns, whatever limit it was given.
const maxRows = 10_000

// deadline bounds one read.
func (s *Store) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.options.QueryTimeout)
}

func (s *Store) readErr(what string, err error) error {
	switch {
	case s.closed.Load():
		return fmt.Errorf("%s: %w", what, store.ErrClosed)
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// list runs a query and scans every row of it.
func list[T any](
	ctx context.Context, s *Store, what, query string, scan func(*sql.Rows, *T) error, args ...any,
) (out []T, err error) {
	ctx, cancel := s.deadline(ctx)
	defer cancel()
	rows, err := s.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.readErr(what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, s.readErr(what, err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, s.readErr(what, err)
	}
	return out, nil
}

// only narrows a query to the connection whose id is the first parameter, or to none
// for "". One condition for both would have SQLite look at every row each time.
func only(id, column string) string {
	if id == "" {
		return "?1 = ''"
	}
	return column + " = ?1"
}

// micros scans a time in microseconds; NULL is the zero time.
type micros struct{ *time.Time }

// Scan implements [sql.Scanner].
func (m micros) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.Time = time.Time{}
	case int64:
		*m.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("scan time: unexpected %T", v)
	}
	return nil
}

// octets scans bytes: NULL is nil, no bytes are not. One driver hands out nil
// for both, of different types.
type octets struct{ into *[]byte }

// Scan implements [sql.Scanner].
func (o octets) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*o.into = nil
	case []byte:
		*o.into = append([]byte{}, v...)
	default:
		return fmt.Errorf("scan bytes: unexpected %T", v)
	}
	return nil
}

// Connections lists the connections by project and name.
func (s *Store) Connections(ctx context.Context) ([]store.Connection, error) {
	return list(ctx, s, "list connections",
		`SELECT id, project, name, connector, type, enabled, created_at FROM connections WHERE deleted_at IS NULL ORDER BY project, name`,
		func(r *sql.Rows, c *store.Connection) error {
			return r.Scan(&c.ID, &c.Project, &c.Name, &c.Connector, &c.Type, &c.Enabled, micros{&c.CreatedAt})
		})
}

// Checkpoint returns a lane's checkpoint.
func (s *Store) Checkpoint(ctx context.Context, connectionID, stream, lane string) (c store.Checkpoint, ok bool, err error) {
	found, err := list(ctx, s, fmt.Sprintf("read checkpoint of stream %q", stream),
		`SELECT p.stream, p.lane, p.commit_id, p.previous, p.cursor, p.cursor_version, p.cursor_digest, p.window_from, p.window_to,
			p.window_done, p.run_id, p.updated_at
		FROM checkpoints p JOIN connections c ON c.num = p.connection AND c.deleted_at IS NULL
		WHERE c.id = ? AND p.stream = ? AND p.lane = ?`,
		func(r *sql.Rows, c *store.Checkpoint) error {
			return r.Scan(&c.Stream, &c.Lane, &c.CommitID, &c.Previous, octets{&c.Cursor}, &c.CursorVersion, &c.CursorDigest,
				micros{&c.From}, micros{&c.To}, micros{&c.WindowDone}, &c.RunID, micros{&c.UpdatedAt})
		}, connectionID, stream, lane)
	if err != nil || len(found) == 0 {
		return store.Checkpoint{}, false, err
	}
	return found[0], true, nil
}

// Statuses lists the status of every stream.
func (s *Store) Statuses(ctx context.Context, connectionID string) ([]store.StreamStatus, error) {
	return list(ctx, s, "list stream statuses",
		`SELECT c.id, s.stream, s.head, s.duplicates, s.last_success_at, s.next_run_at, s.last_error, s.last_error_class, s.last_error_at,
			s.failures, s.paused,
			EXISTS (SELECT 1 FROM runs r WHERE r.state = 'running' AND r.connection = s.connection AND r.stream = s.stream)
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL
		WHERE `+only(connectionID, "c.id")+` ORDER BY c.id, s.stream`,
		func(r *sql.Rows, v *store.StreamStatus) error {
			return r.Scan(&v.ConnectionID, &v.Stream, &v.Head, &v.Duplicates, micros{&v.LastSuccessAt}, micros{&v.NextRunAt},
				&v.LastError, &v.LastErrorClass, micros{&v.LastErrorAt}, &v.ConsecutiveFailures, &v.Paused, &v.Running)
		}, connectionID)
}

const runColumns = `r.id, c.id, r.stream, r.trigger, r.state, r.started_at, r.finished_at, r.pages, r.events, r.duplicates,
	r.error, r.error_class, r.stack FROM runs r JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL`

func scanRun(r *sql.Rows, v *store.Run) error {
	return r.Scan(&v.ID, &v.ConnectionID, &v.Stream, &v.Trigger, &v.State, micros{&v.StartedAt}, micros{&v.FinishedAt},
		&v.Pages, &v.Events, &v.Duplicates, &v.Error, &v.ErrorClass, &v.Stack)
}

// Runs lists a stream's runs, newest first.
func (s *Store) Runs(ctx context.Context, connectionID, stream, before string, limit int) ([]store.Run, error) {
	return list(ctx, s, fmt.Sprintf("list runs of stream %q", stream),
		"SELECT "+runColumns+" WHERE c.id = ?1 AND r.stream = ?2 AND (?3 = '' OR r.id < ?3) ORDER BY r.id DESC LIMIT ?4",
		scanRun, connectionID, stream, before, min(limit, maxRows))
}

// Run returns one run.
func (s *Store) Run(ctx context.Context, id string) (store.Run, error) {
	what := fmt.Sprintf("read run %q", id)
	found, err := list(ctx, s, what, "SELECT "+runColumns+" WHERE r.id = ?", scanRun, id)
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
	return list(ctx, s, "list hourly counts",
		`SELECT c.id, s.stream, h.hour, h.events, h.duplicates, h.runs, h.failures
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL JOIN hourly h ON h.stream = s.num
		WHERE `+only(connectionID, "c.id")+` AND h.hour >= ?2 ORDER BY c.id, s.stream, h.hour`,
		func(r *sql.Rows, v *store.HourlyCount) error {
			var hour int64
			err := r.Scan(&v.ConnectionID, &v.Stream, &hour, &v.Events, &v.Duplicates, &v.Runs, &v.Failures)
			v.Hour = time.Unix(hour, 0).UTC()
			return err
		}, connectionID, since.UTC().Truncate(time.Hour).Unix())
}

// StoredDeliveries lists stored deliveries by receipt.
func (s *Store) StoredDeliveries(ctx context.Context, connectionID string, dead bool, due time.Time, limit int) ([]store.StoredDelivery, error) {
	return list(ctx, s, "list stored deliveries",
		`SELECT d.id, c.id, d.endpoint, d.key, d.received_at, d.header, d.body, d.attempts, d.next_attempt_at, d.dead, d.last_error, d.written_at, d.expires_at
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE `+only(connectionID, "c.id")+` AND d.dead = ?2 AND d.ending = 0 AND (?2 OR d.next_attempt_at <= ?3) ORDER BY d.received_at, d.id LIMIT ?4`,
		func(r *sql.Rows, v *store.StoredDelivery) error {
			return r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, micros{&v.ReceivedAt}, octets{&v.Header}, octets{&v.Body}, &v.Attempts,
				micros{&v.NextAttemptAt}, &v.Dead, &v.LastError, micros{&v.WrittenAt}, micros{&v.ExpiresAt})
		}, connectionID, number(dead), due.UnixMicro(), min(limit, maxRows))
}

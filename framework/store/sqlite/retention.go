package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/retention"
)

// SetRetention says what is kept from now on, and removes the rest in the
// background.
func (s *Store) SetRetention(p store.RetentionPolicy) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("set retention: %w", err)
	}
	s.retention.Store(&p)
	wake(s.trimNow)
	return nil
}

// retain removes what the policy does not keep.
func (s *Store) retain(ctx context.Context) error {
	p := s.retention.Load()
	if p == nil {
		return nil
	}
	return retention.Apply(ctx, retained{s}, p, s.options.Clock())
}

// retained finds with the readers, beside the writer, and removes with it.
type retained struct{ *Store }

var _ retention.Backend = retained{}

// remove runs one statement in a transaction and gives back the pages it freed.
func (r retained) remove(ctx context.Context, what, query string, args ...driver.Value) (int64, error) {
	return changeFor(ctx, r.Store, what, func(db *conn) (int64, error) {
		n, err := db.exec(query, args...)
		if err != nil {
			return 0, err
		}
		return n, release(db)
	})
}

// some asks a reader whether there is anything to remove: the writer is not
// troubled for each of thousands of streams.
func (r retained) some(ctx context.Context, what, query string, args ...any) (bool, error) {
	found, err := list(ctx, r.Store, what, query, func(rows *sql.Rows, v *int64) error { return rows.Scan(v) }, args...)
	return len(found) > 0, err
}

// removeFew is remove of what some finds.
func (r retained) removeFew(ctx context.Context, what, find, removal string, args ...any) (int, error) {
	found, err := r.some(ctx, what, find, args...)
	if err != nil || !found {
		return 0, err
	}
	values := make([]driver.Value, len(args))
	for i, a := range args {
		values[i] = a
	}
	n, err := r.remove(ctx, what, removal, values...)
	return int(n), err
}

// Streams lists the streams.
func (r retained) Streams(ctx context.Context) ([]retention.Stream, error) {
	return list(ctx, r.Store, "list streams", `SELECT c.id, s.stream, c.num, s.num, s.head
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL ORDER BY s.num`,
		func(rows *sql.Rows, v *retention.Stream) error {
			return rows.Scan(&v.ConnectionID, &v.Stream, &v.Connection, &v.Num, &v.Head)
		})
}

// OldestEvents reads the first events of a stream.
func (r retained) OldestEvents(ctx context.Context, s retention.Stream, limit int) ([]retention.Event, error) {
	return list(ctx, r.Store, "read oldest events", "SELECT id, recorded_at FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
		func(rows *sql.Rows, v *retention.Event) error {
			err := rows.Scan(&v.Sequence, micros{&v.RecordedAt})
			v.Sequence &= 1<<sequenceBits - 1
			return err
		}, rowid(s.Num, 0), rowid(s.Num+1, 0), limit)
}

// RemoveEvents removes the first events of a stream.
func (r retained) RemoveEvents(ctx context.Context, s retention.Stream, through int64) error {
	_, err := r.remove(ctx, "remove events", "DELETE FROM events WHERE id > ? AND id <= ?", rowid(s.Num, 0), rowid(s.Num, through))
	return err
}

// RemoveRuns removes the first runs of a stream.
func (r retained) RemoveRuns(ctx context.Context, s retention.Stream, before time.Time) (int, error) {
	const old = "SELECT num FROM runs WHERE connection = ?1 AND stream = ?2 AND state <> 'running' AND coalesce(finished_at, started_at, 0) < ?3 ORDER BY id LIMIT "
	return r.removeFew(ctx, "remove runs", old+"1", fmt.Sprintf("DELETE FROM runs WHERE num IN (%s%d)", old, retention.MaxRows),
		s.Connection, s.Stream, before.UnixMicro())
}

// RemoveHourly removes the first hourly counts of a stream.
func (r retained) RemoveHourly(ctx context.Context, s retention.Stream, before time.Time) (int, error) {
	const old = "SELECT hour FROM hourly WHERE stream = ?1 AND hour < ?2 ORDER BY hour LIMIT "
	return r.removeFew(ctx, "remove hourly counts", old+"1",
		fmt.Sprintf("DELETE FROM hourly WHERE stream = ?1 AND hour IN (%s%d)", old, retention.MaxRows), s.Num, before.UTC().Truncate(time.Hour).Unix())
}

// RemoveDeadLetters removes the deliveries of a connection that were given up.
func (r retained) RemoveDeadLetters(ctx context.Context, connection int64, before time.Time) (int, error) {
	const old = "SELECT num FROM stored_deliveries WHERE dead = 1 AND connection = ?1 AND received_at < ?2 LIMIT "
	return r.removeFew(ctx, "remove dead letters", old+"1",
		fmt.Sprintf("DELETE FROM stored_deliveries WHERE num IN (%s%d)", old, retention.MaxRows), connection, before.UnixMicro())
}

// RecordedSince sums up hourly counts.
func (r retained) RecordedSince(ctx context.Context, s retention.Stream, since time.Time) (int64, error) {
	sums, err := list(ctx, r.Store, "sum up hourly counts", "SELECT coalesce(sum(events), 0) FROM hourly WHERE stream = ? AND hour >= ?",
		func(rows *sql.Rows, v *int64) error { return rows.Scan(v) }, s.Num, since.UTC().Truncate(time.Hour).Unix())
	if err != nil {
		return 0, err
	}
	return sums[0], nil
}

// Keys reads keys and entities, which are in one table.
func (r retained) Keys(ctx context.Context, s retention.Stream, after retention.Hash, limit int) ([]retention.Key, error) {
	return list(ctx, r.Store, "read keys", "SELECT hash, sequence, revision IS NOT NULL FROM keys WHERE stream = ? AND hash > ? ORDER BY hash LIMIT ?",
		func(rows *sql.Rows, v *retention.Key) error {
			var hash []byte
			err := rows.Scan(&hash, &v.Sequence, &v.Entity)
			copy(v.Hash[:], hash)
			return err
		}, s.Num, after[:], limit)
}

var deleteKeys = repeat("DELETE FROM keys WHERE stream = ? AND hash IN (", "?", ")")

// RemoveKeys removes keys.
func (r retained) RemoveKeys(ctx context.Context, s retention.Stream, hashes []retention.Hash) error {
	return r.change(ctx, "forget keys", func(db *conn) error {
		err := inChunks(len(hashes), func(from, size int) error {
			args := append(make([]driver.Value, 0, size+1), s.Num)
			for i := range hashes[from : from+size] {
				args = append(args, hashes[from+i][:])
			}
			_, err := db.exec(deleteKeys[size], args...)
			return err
		})
		if err != nil {
			return err
		}
		return release(db)
	})
}

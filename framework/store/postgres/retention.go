package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/framework/store/retention"
)

// SetRetention says what is kept from now on, and removes the rest in the
// background.
func (s *Store) SetRetention(p store.RetentionPolicy) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("set retention: %w", err)
	}
	s.retention.Store(&p)
	wake(s.upkeepNow)
	return nil
}

// retain removes what the policy does not keep.
func (s *Store) retain(ctx context.Context) error {
	p := s.retention.Load()
	if p == nil {
		return nil
	}
	var now time.Time
	if s.options.clock != nil {
		now = s.options.clock()
	} else {
		clock, err := list(ctx, s, "read clock", "SELECT clock_timestamp()", pgx.RowTo[time.Time])
		if err != nil {
			return err
		}
		now = clock[0]
	}
	return retention.Apply(ctx, retained{s}, p, now)
}

// retained finds and removes rows, beside the writer. Several nodes may remove
// at once: each removal names what it removes.
type retained struct{ *Store }

var (
	_ retention.Backend  = retained{}
	_ retention.Segments = retained{}
)

// remove runs one statement in a transaction.
func (r retained) remove(ctx context.Context, what, query string, args ...any) (n int, err error) {
	err = r.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, args...)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// Streams lists the streams.
func (r retained) Streams(ctx context.Context) ([]retention.Stream, error) {
	return list(ctx, r.Store, "list streams", `SELECT c.id, s.stream, c.num, s.num, s.head
		FROM streams s JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL ORDER BY c.num, s.num`,
		func(row pgx.CollectableRow) (v retention.Stream, err error) {
			return v, row.Scan(&v.ConnectionID, &v.Stream, &v.Connection, &v.Num, &v.Head)
		})
}

// OldestEvents reads the first events of a stream.
func (r retained) OldestEvents(ctx context.Context, s retention.Stream, limit int) ([]retention.Event, error) {
	return list(ctx, r.Store, "read oldest events", "SELECT sequence, recorded_at FROM events WHERE connection = $1 AND stream = $2 ORDER BY sequence LIMIT $3",
		func(row pgx.CollectableRow) (v retention.Event, err error) {
			return v, row.Scan(&v.Sequence, moment{&v.RecordedAt})
		}, s.Connection, s.Num, limit)
}

// RemoveEvents removes the first events of a stream.
func (r retained) RemoveEvents(ctx context.Context, s retention.Stream, through int64) error {
	_, err := r.remove(ctx, "remove events", "DELETE FROM events WHERE connection = $1 AND stream = $2 AND sequence <= $3", s.Connection, s.Num, through)
	return err
}

// some asks the pool whether there is anything to remove.
func (r retained) some(ctx context.Context, what, query string, args ...any) (bool, error) {
	found, err := list(ctx, r.Store, what, query, pgx.RowTo[int32], args...)
	return len(found) > 0, err
}

// removeFew removes at most [retention.MaxRows] rows of a table, if there is any.
func (r retained) removeFew(ctx context.Context, what, table, where string, args ...any) (int, error) {
	from := " FROM " + table + " WHERE " + where + " LIMIT "
	found, err := r.some(ctx, what, "SELECT 1"+from+"1", args...)
	if err != nil || !found {
		return 0, err
	}
	return r.remove(ctx, what, "DELETE FROM "+table+" WHERE ctid = ANY (ARRAY (SELECT ctid"+from+strconv.Itoa(retention.MaxRows)+"))", args...)
}

// RemoveRuns removes runs of a stream that have ended.
func (r retained) RemoveRuns(ctx context.Context, s retention.Stream, before time.Time) (int, error) {
	return r.removeFew(ctx, "remove runs", "runs",
		"connection = $1 AND stream = $2 AND state <> 'running' AND coalesce(finished_at, started_at, '-infinity') < $3", s.Connection, s.Stream, before.UTC())
}

// RemoveHourly removes hourly counts of a stream.
func (r retained) RemoveHourly(ctx context.Context, s retention.Stream, before time.Time) (int, error) {
	return r.removeFew(ctx, "remove hourly counts", "hourly", "connection = $1 AND stream = $2 AND hour < $3",
		s.Connection, s.Num, before.UTC().Truncate(time.Hour))
}

// RemoveDeadLetters removes the deliveries of a connection that were given up.
func (r retained) RemoveDeadLetters(ctx context.Context, connection int64, before time.Time) (int, error) {
	return r.removeFew(ctx, "remove dead letters", "stored_deliveries", "connection = $1 AND dead AND received_at < $2", connection, before.UTC())
}

// RecordedSince sums up hourly counts.
func (r retained) RecordedSince(ctx context.Context, s retention.Stream, since time.Time) (int64, error) {
	sums, err := list(ctx, r.Store, "sum up hourly counts",
		"SELECT coalesce(sum(events), 0)::bigint FROM hourly WHERE connection = $1 AND stream = $2 AND hour >= $3",
		pgx.RowTo[int64], s.Connection, s.Num, since.UTC().Truncate(time.Hour))
	if err != nil {
		return 0, err
	}
	return sums[0], nil
}

// Keys reads keys and entities.
func (r retained) Keys(ctx context.Context, s retention.Stream, after retention.Hash, limit int) ([]retention.Key, error) {
	return list(ctx, r.Store, "read keys", `(SELECT uuid_send(hash), sequence, false FROM keys
			WHERE connection = $1 AND stream = $2 AND hash > encode($3, 'hex')::uuid ORDER BY hash LIMIT $4)
		UNION ALL (SELECT uuid_send(hash), sequence, true FROM entities
			WHERE connection = $1 AND stream = $2 AND hash > encode($3, 'hex')::uuid ORDER BY hash LIMIT $4)
		ORDER BY 1 LIMIT $4`,
		func(row pgx.CollectableRow) (v retention.Key, err error) {
			var hash []byte
			err = row.Scan(&hash, &v.Sequence, &v.Entity)
			copy(v.Hash[:], hash)
			return v, err
		}, s.Connection, s.Num, after[:], limit)
}

// RemoveKeys removes keys.
func (r retained) RemoveKeys(ctx context.Context, s retention.Stream, hashes []retention.Hash) error {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	_, err := r.remove(ctx, "forget keys", `DELETE FROM keys WHERE connection = $1 AND stream = $2
		AND hash = ANY (ARRAY (SELECT encode(h, 'hex')::uuid FROM unnest($3::bytea[]) h))`, s.Connection, s.Num, list)
	return err
}

// dropPatience bounds the wait for the lock that dropping a segment needs: those
// who come after it wait as long. In an hour there is another try.
const dropPatience = "100ms"

// DropSegments drops the oldest segments of the log that nothing is kept of.
func (r retained) DropSegments(ctx context.Context, streams []retention.Stream, removable func(retention.Stream, retention.Event) bool) error {
	// A transaction that read the number of the last segment may still write to it
	// for a while after the next one was opened.
	nums, err := list(ctx, r.Store, "list segments", `SELECT num FROM segments s WHERE
		(SELECT min(opened_at) FROM segments n WHERE n.num > s.num) <= clock_timestamp() - $1 * interval '1 microsecond' ORDER BY num`,
		pgx.RowTo[int32], r.options.settled.Microseconds())
	if err != nil {
		return err
	}
	connections, numbers := make([]int64, len(streams)), make([]int64, len(streams))
	for i, s := range streams {
		connections[i], numbers[i] = s.Connection, s.Num
	}
	type last struct {
		retention.Event
		stream int64
	}
	for _, num := range nums {
		table := "events_" + strconv.Itoa(int(num))
		ends, err := list(ctx, r.Store, "read the end of a segment", `SELECT u.i, e.sequence, e.recorded_at
			FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY u (connection, stream, i)
			CROSS JOIN LATERAL (SELECT sequence, recorded_at FROM `+table+` e
				WHERE e.connection = u.connection AND e.stream = u.stream ORDER BY sequence DESC LIMIT 1) e`,
			func(row pgx.CollectableRow) (v last, err error) {
				return v, row.Scan(&v.stream, &v.Sequence, moment{&v.RecordedAt})
			}, connections, numbers)
		if err != nil {
			return err
		}
		for _, e := range ends {
			if !removable(streams[e.stream-1], e.Event) {
				return nil
			}
		}
		if err := r.drop(ctx, num, table); err != nil {
			return err
		}
	}
	return nil
}

func (r retained) drop(ctx context.Context, num int32, table string) error {
	err := r.changeOnce(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, statement := range []string{
			"SET LOCAL lock_timeout = '" + dropPatience + "'",
			"DROP TABLE IF EXISTS " + table,
			fmt.Sprintf("DELETE FROM segments WHERE num = %d", num),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && classify(err) == groupcommit.Retry {
		// Someone reads the log for longer. The segment stays until the next pass.
		r.options.Logger.Info("a segment of the log is in use and is dropped later", "segment", num)
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop segment %d of the log: %w", num, failure(err))
	}
	return nil
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// upkeep removes what has expired and opens new segments, at the start, every
// hour and when told.
func (s *Store) upkeep() {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	for {
		err := errors.Join(s.openSegment(s.background), s.Trim(s.background))
		if err != nil && s.background.Err() == nil && !errors.Is(err, store.ErrClosed) {
			s.options.Logger.Warn("keep up store", "err", err)
		}
		select {
		case <-s.background.Done():
			return
		case <-ticker.C:
		case <-s.upkeepNow:
		}
	}
}

// openSegment begins a new segment of the log when the newest one is old. The
// new table is made by itself and then attached: that does not wait for those
// who read and write the log, nor they for it.
func (s *Store) openSegment(ctx context.Context) error {
	return s.change(ctx, "open segment of the log", func(ctx context.Context, tx pgx.Tx) error {
		// One process at a time; the writer only reads this table.
		if _, err := tx.Exec(ctx, "LOCK TABLE segments IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var newest int
		var old bool
		err := tx.QueryRow(ctx, `SELECT num, opened_at <= clock_timestamp() - $1 * interval '1 microsecond' FROM segments
			ORDER BY num DESC LIMIT 1`, s.options.segment.Microseconds()).Scan(&newest, &old)
		if err != nil || !old {
			return err
		}
		next := newest + 1
		table := "events_" + strconv.Itoa(next)
		for _, statement := range []string{
			"CREATE TABLE " + table + " (LIKE events INCLUDING ALL)",
			// With the check the attachment need not read the table.
			fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT segment_is_%d CHECK (segment >= %d AND segment < %d)", table, next, next, next+1),
			fmt.Sprintf("ALTER TABLE events ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", table, next, next+1),
			fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT segment_is_%d", table, next),
			fmt.Sprintf("INSERT INTO segments (num) VALUES (%d)", next),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		return nil
	})
}

// Trim removes expired delivery keys, forgotten commands, the rows of deleted
// connections and what the retention does not keep, in transactions of at most
// 1,000 rows, or as whole segments of the log. The store does it by itself every
// hour, after a deletion and when the retention changes.
func (s *Store) Trim(ctx context.Context) error {
	if err := s.trimExpired(ctx); err != nil {
		return err
	}
	return s.retain(ctx)
}

func (s *Store) trimExpired(ctx context.Context) error {
	for {
		more := false
		err := s.change(ctx, "trim store", func(ctx context.Context, tx pgx.Tx) error {
			now, err := s.now(ctx, tx)
			if err == nil {
				more, err = trimSome(ctx, tx, now)
			}
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// trimSome removes at most trimRows rows and says whether there may be more.
func trimSome(ctx context.Context, tx pgx.Tx, now time.Time) (more bool, err error) {
	tag, err := tx.Exec(ctx, `DELETE FROM delivery_keys WHERE ctid = ANY (ARRAY (
		SELECT ctid FROM delivery_keys WHERE at < $1 ORDER BY at LIMIT $2))`,
		now.Add(-groupcommit.DeliveryKeyAge), trimRows)
	if err != nil || tag.RowsAffected() > 0 {
		return true, err
	}
	// Nobody waits for the answer any more: whoever asked ended before taking it back.
	// What another process removes at this moment is waited for: it is gone afterwards.
	tag, err = tx.Exec(ctx, `DELETE FROM commands WHERE id = ANY (ARRAY (
		SELECT id FROM commands WHERE asked_at < $1 ORDER BY id LIMIT $2 FOR UPDATE))`, now.Add(-commandAge), trimRows)
	if err != nil || tag.RowsAffected() > 0 {
		return true, err
	}
	var connection int32
	err = tx.QueryRow(ctx, "SELECT num FROM connections WHERE deleted_at IS NOT NULL ORDER BY num LIMIT 1").Scan(&connection)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, trimConnection(ctx, tx, connection)
}

// trimConnection removes some rows of a deleted connection, and the connection
// itself when there are none.
func trimConnection(ctx context.Context, tx pgx.Tx, connection int32) error {
	// A partitioned table has no ctid that names one row; its rows go by their keys.
	for _, t := range []struct{ table, key, by string }{
		{"events", "connection, stream, sequence, segment", "connection"},
		{"keys", "connection, stream, hash", "connection"},
		{"entities", "connection, stream, hash", "connection"},
		{"hourly", "connection, stream, hour", "connection"},
		{"former_keys", "connection, key", "connection"},
		{"checkpoints", "connection, stream, lane", "connection"},
		{"runs", "connection, id", "connection"},
		{"delivery_keys", "connection, endpoint, hash", "connection"},
		{"stored_deliveries", "connection, id", "connection"},
		{"states", "connection, name", "connection"},
		{"offsets", "connection, source, stream", "connection"},
		{"parked", "connection, source, stream, sequence", "connection"},
		{"dead_events", "connection, id", "connection"},
		{"revisions", "connection, number", "connection"},
		{"action_events", "connection, run, sequence", "connection"},
		{"action_runs", "connection, id", "connection"},
		{"offsets", "connection, source, stream", "source"},
		{"parked", "connection, source, stream, sequence", "source"},
		{"streams", "connection, num", "connection"},
	} {
		tag, err := tx.Exec(ctx, "DELETE FROM "+t.table+" WHERE "+t.by+" = $1 AND ("+t.key+") IN (SELECT "+t.key+
			" FROM "+t.table+" WHERE "+t.by+" = $1 LIMIT $2)", connection, trimRows)
		if err != nil {
			return fmt.Errorf("remove rows of %s: %w", t.table, err)
		}
		if tag.RowsAffected() > 0 {
			return nil
		}
	}
	_, err := tx.Exec(ctx, "DELETE FROM connections WHERE num = $1", connection)
	return err
}

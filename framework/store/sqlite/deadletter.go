package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// StoredDelivery returns one stored delivery.
func (s *Store) StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error) {
	what := fmt.Sprintf("read delivery %q", id)
	found, err := list(ctx, s, what,
		`SELECT d.id, c.id, d.endpoint, d.key, d.received_at, d.header, d.body, d.attempts, d.next_attempt_at, d.dead, d.ending,
			d.last_error, d.written_at, d.expires_at
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE c.id = ? AND d.id = ? AND d.ending <> 2`,
		func(r *sql.Rows, v *store.StoredDelivery) error {
			var ending int64
			err := r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, micros{&v.ReceivedAt}, octets{&v.Header}, octets{&v.Body}, &v.Attempts,
				micros{&v.NextAttemptAt}, &v.Dead, &ending, &v.LastError, micros{&v.WrittenAt}, micros{&v.ExpiresAt})
			v.Kept = v.Dead && ending == store.EndingKept
			v.Dead = v.Dead && !v.Kept
			return err
		}, connectionID, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.StoredDelivery{}, err
	}
	return found[0], nil
}

// selected finds the rows of a range, ?1 to ?6, at most ?7 of them, by id.
const selected = `SELECT i.num AS num, i.id AS id FROM stored_deliveries i INDEXED BY stored_deliveries_ending
	WHERE i.connection = (SELECT num FROM connections WHERE id = ?1 AND deleted_at IS NULL) AND i.dead = (?2 >= 0) AND i.ending = max(?2, 0)
		AND (?3 = '' OR i.id = ?3) AND (?4 = '' OR i.endpoint = ?4) AND i.received_at >= ?5 AND i.received_at < ?6
		AND i.bytes > 0 ORDER BY i.id LIMIT ?7`

func rangeArgs(r store.DeliveryRange, limit int) []driver.Value {
	from, to := int64(-1)<<63, int64(1<<63-1)
	if !r.From.IsZero() {
		from = r.From.UnixMicro()
	}
	if !r.To.IsZero() {
		to = r.To.UnixMicro()
	}
	return []driver.Value{r.ConnectionID, r.Selected(), r.ID, r.Endpoint, from, to, int64(min(max(limit, 0), maxRows))}
}

// Redeliver lets deliveries wait again, or no longer.
func (s *Store) Redeliver(ctx context.Context, r store.DeliveryRange, now time.Time, before int, every time.Duration, limit int) (int, error) {
	return s.changeDeliveries(ctx, "redeliver deliveries", func(db *conn) (int64, error) {
		return db.exec(`UPDATE stored_deliveries SET dead = 0, ending = 0, last_error = '', written_at = ?8, next_attempt_at = ?8 + (?10 + w.place) * ?9
			FROM (SELECT num, row_number() OVER (ORDER BY id) - 1 AS place FROM (`+selected+`)) w WHERE stored_deliveries.num = w.num`,
			append(rangeArgs(r, limit), now.UnixMicro(), every.Microseconds(), int64(before))...)
	})
}

// Discard erases header and body of deliveries.
func (s *Store) Discard(ctx context.Context, r store.DeliveryRange, note string, expires time.Time, limit int) (int, error) {
	return s.changeDeliveries(ctx, "discard deliveries", func(db *conn) (int64, error) {
		return db.exec(`UPDATE stored_deliveries SET dead = 1, next_attempt_at = NULL, ending = ?8, header = NULL, body = NULL, bytes = 0, note = ?9, expires_at = ?10
			WHERE num IN (SELECT num FROM (`+selected+`))`,
			append(rangeArgs(r, limit), int64(store.EndingDiscarded), note, expires.UnixMicro())...)
	})
}

// ClampDeliveries begins waits again that began in the future.
func (s *Store) ClampDeliveries(ctx context.Context, now time.Time) (int, error) {
	return s.changeDeliveries(ctx, "clamp the waits of deliveries", func(db *conn) (int64, error) {
		return db.exec(`UPDATE stored_deliveries INDEXED BY stored_deliveries_written
			SET next_attempt_at = ?1 + max(next_attempt_at - written_at, 0), written_at = ?1
			WHERE dead = 0 AND written_at > ?1`, now.UnixMicro())
	})
}

// TrimDeliveries removes expired deliveries, and handled ones over the bounds.
func (s *Store) TrimDeliveries(ctx context.Context, connectionID string, now time.Time, bounds store.DeliveryBounds, limit int) (int, error) {
	return s.changeDeliveries(ctx, "trim deliveries", func(db *conn) (int64, error) {
		return db.exec(`DELETE FROM stored_deliveries WHERE num IN (
			SELECT num FROM (
				SELECT num, id, sum(bytes) OVER newest AS size, row_number() OVER newest AS place FROM stored_deliveries INDEXED BY stored_deliveries_ending
				WHERE connection = (SELECT num FROM connections WHERE id = ?1) AND dead = 1 AND ending = 1
				WINDOW newest AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)
			) WHERE place > ?3 OR size > ?4
			UNION
			SELECT num FROM stored_deliveries INDEXED BY stored_deliveries_expiry
			WHERE expires_at <= ?2 AND connection = (SELECT num FROM connections WHERE id = ?1) AND dead = 1 AND ending <> 0
			LIMIT ?5)`, connectionID, now.UnixMicro(), bounds.Rows, bounds.Bytes, int64(min(max(limit, 0), maxRows)))
	})
}

func (s *Store) changeDeliveries(ctx context.Context, what string, f func(*conn) (int64, error)) (int, error) {
	n, err := changeFor(ctx, s, what, f)
	return int(n), err
}

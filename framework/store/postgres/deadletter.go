package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// StoredDelivery returns one stored delivery.
func (s *Store) StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error) {
	what := fmt.Sprintf("read delivery %q", id)
	if !validText(connectionID) || !validText(id) {
		return store.StoredDelivery{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	found, err := list(ctx, s, what,
		`SELECT d.id, c.id, d.endpoint, d.key, d.received_at, d.header, d.body, d.attempts, d.next_attempt_at, d.dead, d.ending,
			d.last_error, d.written_at, d.expires_at
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE c.id = $1 AND d.id = $2 AND d.ending <> 2`,
		func(r pgx.CollectableRow) (v store.StoredDelivery, err error) {
			var ending int64
			err = r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, moment{&v.ReceivedAt}, &v.Header, &v.Body, &v.Attempts,
				moment{&v.NextAttemptAt}, &v.Dead, &ending, &v.LastError, moment{&v.WrittenAt}, moment{&v.ExpiresAt})
			v.Kept = v.Dead && ending == store.EndingKept
			v.Dead = v.Dead && !v.Kept
			return v, err
		}, connectionID, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.StoredDelivery{}, err
	}
	return found[0], nil
}

// selected finds the rows of a range, $1 to $6, at most $7 of them, by id, and
// locks them: two callers do not take the same.
const selected = `SELECT d.connection, d.id FROM stored_deliveries d
	WHERE d.connection = (SELECT num FROM connections WHERE id = $1 AND deleted_at IS NULL) AND d.dead = ($2::bigint >= 0) AND d.ending = greatest($2, 0)
		AND ($3 = '' OR d.id = $3) AND ($4 = '' OR d.endpoint = $4)
		AND ($5::timestamptz IS NULL OR d.received_at >= $5) AND ($6::timestamptz IS NULL OR d.received_at < $6)
		AND d.bytes > 0 ORDER BY d.id COLLATE "C" LIMIT $7 FOR UPDATE`

func rangeArgs(r store.DeliveryRange, limit int) []any {
	bound := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return []any{r.ConnectionID, r.Selected(), r.ID, r.Endpoint, bound(r.From), bound(r.To), rowLimit(limit)}
}

func validRange(r store.DeliveryRange) bool {
	return validText(r.ConnectionID) && validText(r.ID) && validText(r.Endpoint)
}

// Redeliver lets deliveries wait again, or no longer.
func (s *Store) Redeliver(ctx context.Context, r store.DeliveryRange, now time.Time, before int, every time.Duration, limit int) (int, error) {
	if !validRange(r) {
		return 0, nil
	}
	return s.changeDeliveries(ctx, "redeliver deliveries", `WITH chosen AS (`+selected+`)
		UPDATE stored_deliveries s SET dead = false, ending = 0, last_error = '', written_at = $8::timestamptz,
			next_attempt_at = $8::timestamptz + ($10::bigint + w.place) * $9::bigint * interval '1 microsecond'
		FROM (SELECT connection, id, row_number() OVER (ORDER BY id COLLATE "C") - 1 AS place FROM chosen) w
		WHERE s.connection = w.connection AND s.id = w.id`,
		append(rangeArgs(r, limit), now.UTC(), every.Microseconds(), int64(before))...)
}

// Discard erases header and body of deliveries.
func (s *Store) Discard(ctx context.Context, r store.DeliveryRange, note string, expires time.Time, limit int) (int, error) {
	if !validRange(r) {
		return 0, nil
	}
	return s.changeDeliveries(ctx, "discard deliveries", `WITH chosen AS (`+selected+`)
		UPDATE stored_deliveries s SET dead = true, next_attempt_at = NULL, ending = 2, header = NULL, body = NULL, bytes = 0, note = $8, expires_at = $9
		FROM chosen w WHERE s.connection = w.connection AND s.id = w.id`,
		append(rangeArgs(r, limit), note, expires.UTC())...)
}

// ClampDeliveries begins waits again that began in the future.
func (s *Store) ClampDeliveries(ctx context.Context, now time.Time) (int, error) {
	return s.changeDeliveries(ctx, "clamp the waits of deliveries", `UPDATE stored_deliveries
		SET next_attempt_at = $1::timestamptz + greatest(next_attempt_at - written_at, interval '0'), written_at = $1::timestamptz
		WHERE NOT dead AND written_at > $1::timestamptz`, now.UTC())
}

// TrimDeliveries removes expired deliveries, and handled ones over the bounds.
func (s *Store) TrimDeliveries(ctx context.Context, connectionID string, now time.Time, bounds store.DeliveryBounds, limit int) (int, error) {
	if !validText(connectionID) {
		return 0, nil
	}
	return s.changeDeliveries(ctx, "trim deliveries", `DELETE FROM stored_deliveries d USING (
			SELECT connection, id FROM (
				SELECT connection, id, sum(bytes) OVER newest AS size, row_number() OVER newest AS place FROM stored_deliveries
				WHERE connection = (SELECT num FROM connections WHERE id = $1) AND dead AND ending = 1
				WINDOW newest AS (ORDER BY id COLLATE "C" DESC ROWS UNBOUNDED PRECEDING)
			) kept WHERE place > $3 OR size > $4
			UNION
			SELECT connection, id FROM stored_deliveries
			WHERE expires_at <= $2 AND connection = (SELECT num FROM connections WHERE id = $1) AND dead AND ending <> 0
			LIMIT $5) w
		WHERE d.connection = w.connection AND d.id = w.id`, connectionID, now.UTC(), bounds.Rows, bounds.Bytes, rowLimit(limit))
}

func (s *Store) changeDeliveries(ctx context.Context, what, query string, args ...any) (int, error) {
	var n int64
	err := s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return err
	})
	return int(n), err
}

package sqlite

import (
	"context"
	"database/sql"

	"github.com/weirhq/weir/framework/store"
)

// Deliveries lists stored deliveries without their bodies. The inner query reads
// an index only: SQLite follows a long row page by page to what comes after its body.
func (s *Store) Deliveries(ctx context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error) {
	return list(ctx, s, "list deliveries",
		`SELECT d.id, w.connection, d.endpoint, d.key, d.received_at, length(d.body), d.attempts, d.next_attempt_at, d.dead, d.ending,
			d.last_error, d.expires_at, d.note
		FROM (SELECT i.num AS num, c.id AS connection, i.id AS id
			FROM stored_deliveries i INDEXED BY stored_deliveries_ending JOIN connections c ON c.num = i.connection AND c.deleted_at IS NULL
			WHERE c.id = ?1 AND i.dead IN (?2 NOT IN ('', 'waiting'), ?2 <> 'waiting') AND i.ending = ?3 AND (?4 = '' OR i.id < ?4)
			ORDER BY i.id DESC LIMIT ?5) w
		JOIN stored_deliveries d ON d.num = w.num ORDER BY w.id DESC`,
		func(r *sql.Rows, v *store.DeliverySummary) error {
			var dead bool
			var ending int64
			var size sql.NullInt64
			err := r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, micros{&v.ReceivedAt}, &size, &v.Attempts, micros{&v.NextAttemptAt}, &dead, &ending,
				&v.LastError, micros{&v.ExpiresAt}, &v.Note)
			v.State, v.BodyBytes = store.StateOf(dead, ending), size.Int64
			return err
		}, connectionID, string(state), state.Ending(), before, min(max(limit, 0), maxRows))
}

// DeliveryCounts counts the stored deliveries that wait or were given up.
func (s *Store) DeliveryCounts(ctx context.Context, connectionID string) ([]store.DeliveryCount, error) {
	return list(ctx, s, "count deliveries",
		`SELECT c.id, sum(1 - d.dead), sum(d.dead), sum(d.bytes)
		FROM connections c JOIN stored_deliveries d INDEXED BY stored_deliveries_ending
			ON d.connection = c.num AND d.dead IN (0, 1) AND d.ending = 0
		WHERE c.deleted_at IS NULL AND `+only(connectionID, "c.id")+` GROUP BY c.id ORDER BY c.id`,
		func(r *sql.Rows, v *store.DeliveryCount) error {
			return r.Scan(&v.ConnectionID, &v.Waiting, &v.Dead, &v.Bytes)
		}, connectionID)
}

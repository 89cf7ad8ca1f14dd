package sqlite

import (
	"context"
	"database/sql"

	"github.com/weirhq/weir/framework/store"
)

// Deliveries lists stored deliveries without their bodies. The inner query reads
// the columns before the bodies only: SQLite follows a long row page by page to
// what comes after.
func (s *Store) Deliveries(ctx context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error) {
	return list(ctx, s, "list deliveries",
		`SELECT d.id, w.connection, d.endpoint, d.key, d.received_at, length(d.body), d.attempts, d.next_attempt_at, d.dead, d.last_error
		FROM (SELECT i.num AS num, c.id AS connection, i.id AS id
			FROM stored_deliveries i INDEXED BY stored_deliveries_due JOIN connections c ON c.num = i.connection AND c.deleted_at IS NULL
			WHERE i.dead IN (?2 <> 'waiting', ?2 = 'dead') AND c.id = ?1 AND (?3 = '' OR i.id < ?3) ORDER BY i.id DESC LIMIT ?4) w
		JOIN stored_deliveries d ON d.num = w.num ORDER BY w.id DESC`,
		func(r *sql.Rows, v *store.DeliverySummary) error {
			var dead bool
			var size sql.NullInt64
			err := r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, micros{&v.ReceivedAt}, &size, &v.Attempts, micros{&v.NextAttemptAt}, &dead, &v.LastError)
			v.State, v.BodyBytes = store.StateOf(dead), size.Int64
			return err
		}, connectionID, string(state), before, min(max(limit, 0), maxRows))
}

// DeliveryCounts counts stored deliveries.
func (s *Store) DeliveryCounts(ctx context.Context, connectionID string) ([]store.DeliveryCount, error) {
	return list(ctx, s, "count deliveries",
		`SELECT c.id, sum(1 - d.dead), sum(d.dead)
		FROM stored_deliveries d INDEXED BY stored_deliveries_due JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE d.dead IN (0, 1) AND (?1 = '' OR c.id = ?1) GROUP BY c.id ORDER BY c.id`,
		func(r *sql.Rows, v *store.DeliveryCount) error { return r.Scan(&v.ConnectionID, &v.Waiting, &v.Dead) }, connectionID)
}

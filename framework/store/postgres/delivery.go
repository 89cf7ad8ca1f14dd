package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// Deliveries lists stored deliveries without their bodies.
func (s *Store) Deliveries(ctx context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error) {
	if !validText(connectionID) || !validText(before) {
		return nil, nil
	}
	return list(ctx, s, "list deliveries",
		`SELECT d.id, c.id, d.endpoint, d.key, d.received_at, coalesce(octet_length(d.body), 0), d.attempts, d.next_attempt_at, d.dead, d.ending,
			d.last_error, d.expires_at, d.note
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE c.id = $1 AND ($2 = '' OR d.dead = ($2 <> 'waiting')) AND d.ending = $3 AND ($4 = '' OR d.id COLLATE "C" < $4)
		ORDER BY d.id COLLATE "C" DESC LIMIT $5`,
		func(r pgx.CollectableRow) (v store.DeliverySummary, err error) {
			var dead bool
			var ending int64
			err = r.Scan(&v.ID, &v.ConnectionID, &v.Endpoint, &v.Key, moment{&v.ReceivedAt}, &v.BodyBytes, &v.Attempts,
				moment{&v.NextAttemptAt}, &dead, &ending, &v.LastError, moment{&v.ExpiresAt}, &v.Note)
			v.State = store.StateOf(dead, ending)
			return v, err
		}, connectionID, string(state), state.Ending(), before, rowLimit(limit))
}

// DeliveryCounts counts the stored deliveries that wait or were given up.
func (s *Store) DeliveryCounts(ctx context.Context, connectionID string) ([]store.DeliveryCount, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "count deliveries",
		`SELECT c.id, count(*) FILTER (WHERE NOT d.dead), count(*) FILTER (WHERE d.dead), sum(d.bytes)::bigint
		FROM stored_deliveries d JOIN connections c ON c.num = d.connection AND c.deleted_at IS NULL
		WHERE d.ending = 0 AND ($1 = '' OR c.id = $1) GROUP BY c.id ORDER BY c.id COLLATE "C"`,
		func(r pgx.CollectableRow) (v store.DeliveryCount, err error) {
			return v, r.Scan(&v.ConnectionID, &v.Waiting, &v.Dead, &v.Bytes)
		}, connectionID)
}

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// newOrigin is the origin of a stream that is made now, from connection and
// stream of u: another one than its key when a stream that was renamed has that.
const newOrigin = `CASE WHEN EXISTS (SELECT FROM streams o WHERE o.connection = u.connection AND o.origin = u.stream)
	THEN u.stream || '~' || gen_random_uuid() ELSE '' END`

// RenameStreams gives streams the keys that are declared now. Commits of the
// connection wait for it, and it for them.
func (s *Store) RenameStreams(ctx context.Context, connectionID string, declared []store.DeclaredStream) (store.Renames, error) {
	what := fmt.Sprintf("rename streams of connection %q", connectionID)
	if !validText(connectionID) {
		return store.Renames{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	for _, d := range declared {
		if !validText(d.Key) || !validText(d.Former...) {
			return store.Renames{}, fmt.Errorf("%s: %w: a key is not valid UTF-8, or holds a NUL byte", what, store.ErrInvalid)
		}
	}
	var plan store.RenamePlan
	err := s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		var num int32
		err := tx.QueryRow(ctx, "SELECT num FROM connections WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", connectionID).Scan(&num)
		if err != nil {
			return err
		}
		rows, err := streamRows(ctx, tx, num)
		if err != nil {
			return err
		}
		plan = store.PlanRenames(rows, declared)
		return applyRenames(ctx, tx, num, plan)
	})
	return plan.Renames, err
}

func streamRows(ctx context.Context, tx pgx.Tx, num int32) ([]store.StreamRow, error) {
	rows, err := tx.Query(ctx, `SELECT s.stream,
			s.head = 0 AND NOT EXISTS (SELECT FROM checkpoints p WHERE p.connection = s.connection AND p.stream = s.stream),
			ARRAY(SELECT f.key FROM former_keys f WHERE f.connection = s.connection AND f.stream = s.num)
		FROM streams s WHERE s.connection = $1 ORDER BY s.num`, num)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (row store.StreamRow, err error) {
		return row, r.Scan(&row.Key, &row.Empty, &row.Former)
	})
}

func applyRenames(ctx context.Context, tx pgx.Tx, num int32, plan store.RenamePlan) error {
	batch := &pgx.Batch{}
	for _, key := range plan.Release {
		batch.Queue("DELETE FROM former_keys WHERE connection = $1 AND key = $2", num, key)
	}
	for _, key := range plan.Drop {
		batch.Queue(`DELETE FROM hourly WHERE connection = $1 AND stream = (SELECT num FROM streams WHERE connection = $1 AND stream = $2)`, num, key)
		batch.Queue(`DELETE FROM offsets WHERE source = $1 AND stream = (SELECT num FROM streams WHERE connection = $1 AND stream = $2)`, num, key)
		batch.Queue("DELETE FROM streams WHERE connection = $1 AND stream = $2", num, key)
		batch.Queue("DELETE FROM states WHERE connection = $1 AND name = $2", num, store.AlarmStates+key)
	}
	for _, r := range plan.Done {
		batch.Queue("DELETE FROM former_keys WHERE connection = $1 AND key = $2", num, r.To)
		batch.Queue(`INSERT INTO former_keys (connection, key, stream) SELECT connection, stream, num FROM streams WHERE connection = $1 AND stream = $2
			ON CONFLICT (connection, key) DO UPDATE SET stream = excluded.stream`, num, r.From)
		batch.Queue(`UPDATE streams SET stream = $3, origin = CASE WHEN origin = '' THEN stream ELSE origin END
			WHERE connection = $1 AND stream = $2`, num, r.From, r.To)
		batch.Queue("UPDATE checkpoints SET stream = $3 WHERE connection = $1 AND stream = $2", num, r.From, r.To)
		batch.Queue("UPDATE runs SET stream = $3 WHERE connection = $1 AND stream = $2", num, r.From, r.To)
		batch.Queue("DELETE FROM states WHERE connection = $1 AND name = $2", num, store.AlarmStates+r.To)
		batch.Queue("UPDATE states SET name = $3 WHERE connection = $1 AND name = $2", num, store.AlarmStates+r.From, store.AlarmStates+r.To)
		batch.Queue("UPDATE dead_events SET stream_key = $3 WHERE source_id = (SELECT id FROM connections WHERE num = $1) AND stream_key = $2", num, r.From, r.To)
	}
	for _, r := range plan.Former {
		batch.Queue(`INSERT INTO former_keys (connection, key, stream) SELECT connection, $2, num FROM streams WHERE connection = $1 AND stream = $3
			ON CONFLICT DO NOTHING`, num, r.From, r.To)
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

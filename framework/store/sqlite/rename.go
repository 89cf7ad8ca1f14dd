package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework/store"
)

// newOrigin is the origin of a stream that is made now: another one than its key
// when a stream that was renamed has that.
func newOrigin(connection, stream string) string {
	return strings.NewReplacer("$c", connection, "$s", stream).Replace(
		`CASE WHEN EXISTS (SELECT 1 FROM streams o WHERE o.connection = $c AND o.origin = $s) THEN $s || '~' || lower(hex(randomblob(8))) ELSE '' END`)
}

// RenameStreams gives streams the keys that are declared now.
func (s *Store) RenameStreams(ctx context.Context, connectionID string, declared []store.DeclaredStream) (store.Renames, error) {
	return changeFor(ctx, s, fmt.Sprintf("rename streams of connection %q", connectionID), func(db *conn) (none store.Renames, err error) {
		num, err := one(db, "SELECT num FROM connections WHERE id = ? AND deleted_at IS NULL", connectionID)
		if err == nil && num == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return none, err
		}
		rows, err := streamRows(db, num)
		if err != nil {
			return none, err
		}
		plan := store.PlanRenames(rows, declared)
		return plan.Renames, applyRenames(db, num, plan)
	})
}

func streamRows(db *conn, num int64) ([]store.StreamRow, error) {
	var rows []store.StreamRow
	var nums []int64
	err := db.query(func(v []driver.Value) {
		n, _ := v[0].(int64)
		empty, _ := v[2].(int64)
		nums = append(nums, n)
		rows = append(rows, store.StreamRow{Key: text(v[1]), Empty: empty != 0})
	}, `SELECT s.num, s.stream, s.head = 0 AND NOT EXISTS (SELECT 1 FROM checkpoints p WHERE p.connection = s.connection AND p.stream = s.stream)
		FROM streams s WHERE s.connection = ?`, num)
	if err != nil {
		return nil, fmt.Errorf("read streams: %w", err)
	}
	err = db.query(func(v []driver.Value) {
		n, _ := v[1].(int64)
		if i := slices.Index(nums, n); i >= 0 {
			rows[i].Former = append(rows[i].Former, text(v[0]))
		}
	}, "SELECT key, stream FROM former_keys WHERE connection = ?", num)
	if err != nil {
		return nil, fmt.Errorf("read former keys: %w", err)
	}
	return rows, nil
}

func applyRenames(db *conn, num int64, plan store.RenamePlan) error {
	var errs []error
	do := func(query string, args ...driver.Value) {
		if len(errs) == 0 {
			if _, err := db.exec(query, args...); err != nil {
				errs = append(errs, err)
			}
		}
	}
	for _, key := range plan.Release {
		do("DELETE FROM former_keys WHERE connection = ? AND key = ?", num, key)
	}
	for _, key := range plan.Drop {
		do("DELETE FROM hourly WHERE stream = (SELECT num FROM streams WHERE connection = ? AND stream = ?)", num, key)
		do("DELETE FROM offsets WHERE stream = (SELECT num FROM streams WHERE connection = ? AND stream = ?)", num, key)
		do("DELETE FROM streams WHERE connection = ? AND stream = ?", num, key)
		do("DELETE FROM states WHERE connection = ? AND name = ?", num, store.AlarmStates+key)
	}
	for _, r := range plan.Done {
		do("DELETE FROM former_keys WHERE connection = ? AND key = ?", num, r.To)
		do(`INSERT INTO former_keys (connection, key, stream) SELECT connection, stream, num FROM streams WHERE connection = ? AND stream = ?
			ON CONFLICT DO UPDATE SET stream = excluded.stream`, num, r.From)
		do(`UPDATE streams SET stream = ?1, origin = CASE WHEN origin = '' THEN stream ELSE origin END WHERE connection = ?2 AND stream = ?3`, r.To, num, r.From)
		do("UPDATE checkpoints SET stream = ? WHERE connection = ? AND stream = ?", r.To, num, r.From)
		do("UPDATE runs SET stream = ? WHERE connection = ? AND stream = ?", r.To, num, r.From)
		do("DELETE FROM states WHERE connection = ? AND name = ?", num, store.AlarmStates+r.To)
		do("UPDATE states SET name = ? WHERE connection = ? AND name = ?", store.AlarmStates+r.To, num, store.AlarmStates+r.From)
		do("UPDATE dead_events SET stream_key = ? WHERE source_id = (SELECT id FROM connections WHERE num = ?) AND stream_key = ?", r.To, num, r.From)
	}
	for _, r := range plan.Former {
		do(`INSERT INTO former_keys (connection, key, stream) SELECT connection, ?1, num FROM streams WHERE connection = ?2 AND stream = ?3
			ON CONFLICT DO NOTHING`, r.From, num, r.To)
	}
	return errors.Join(errs...)
}

package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

// SwapState replaces a piece of state if it is still old.
func (s *Store) SwapState(ctx context.Context, connectionID, name string, old, value []byte) (bool, error) {
	what := fmt.Sprintf("swap state %q of connection %q", name, connectionID)
	if err := store.CheckStateSwap(name, value); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return changeFor(ctx, s, what, func(db *conn) (bool, error) {
		var num int64
		err := db.query(func(v []driver.Value) { num, _ = v[0].(int64) }, "SELECT num FROM connections WHERE id = ? AND deleted_at IS NULL", connectionID)
		if err == nil && num == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return false, err
		}
		var now []byte
		err = db.query(func(v []driver.Value) { now = append([]byte{}, octetsOf(v[0])...) }, "SELECT value FROM states WHERE connection = ? AND name = ?", num, name)
		switch {
		case err != nil:
			return false, err
		case same(now, value):
			return true, nil
		case !same(now, old):
			return false, nil
		case value == nil:
			_, err = db.exec("DELETE FROM states WHERE connection = ? AND name = ?", num, name)
		default:
			_, err = db.exec(`INSERT INTO states (connection, name, value, updated_at) VALUES (?,?,?,?)
				ON CONFLICT (connection, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
				num, name, blob(value), s.options.Clock().UnixMicro())
		}
		return err == nil, err
	})
}

// same compares values of states; none is not the same as an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// octetsOf are the bytes of a column, nil for none.
func octetsOf(v driver.Value) []byte {
	switch b := v.(type) {
	case []byte:
		return b
	case string:
		return []byte(b)
	}
	return nil
}

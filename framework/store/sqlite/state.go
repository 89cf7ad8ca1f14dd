package sqlite

import (
	"context"
	"database/sql"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// States lists the pieces of state of a connection, or of all for "", whose
// names begin with prefix.
func (s *Store) States(ctx context.Context, connectionID, prefix string) ([]store.State, error) {
	scan := func(r *sql.Rows, v *store.State) error {
		return r.Scan(&v.ConnectionID, &v.Name, octets{&v.Value}, micros{&v.UpdatedAt})
	}
	return list(ctx, s, "read states", `SELECT c.id, s.name, s.value, s.updated_at FROM states s
		JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL
		WHERE (?1 = '' OR c.id = ?1) AND substr(s.name, 1, length(?2)) = ?2 ORDER BY c.id, s.name`, scan, connectionID, prefix)
}

func (t *tx) writeStates(c *groupcommit.Changes) error {
	for i := range c.States {
		w := &c.States[i]
		if w.Value == nil {
			if _, err := t.conn.exec("DELETE FROM states WHERE connection = ? AND name = ?", t.nums[w.ConnectionID], w.Name); err != nil {
				return err
			}
			continue
		}
		t.pages += len(w.Value)>>12 + 1
		_, err := t.conn.exec(`INSERT INTO states (connection, name, value, updated_at) VALUES (?,?,?,?)
			ON CONFLICT (connection, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
			t.nums[w.ConnectionID], w.Name, blob(w.Value), w.At.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

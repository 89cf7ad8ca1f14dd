package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// States lists the pieces of state of a connection, or of all for "", whose
// names begin with prefix.
func (s *Store) States(ctx context.Context, connectionID, prefix string) ([]store.State, error) {
	return list(ctx, s, "read states", selectStates+only(connectionID, "c.id")+" AND substr(s.name, 1, length(?2)) = ?2 ORDER BY c.id, s.name",
		scanState, connectionID, prefix)
}

// StatesOf lists the pieces of state of connections.
func (s *Store) StatesOf(ctx context.Context, connectionIDs []string, prefix string) ([]store.State, error) {
	ids, err := json.Marshal(connectionIDs)
	if err != nil {
		return nil, fmt.Errorf("read states: %w", err)
	}
	return list(ctx, s, "read states", selectStates+"c.id IN (SELECT value FROM json_each(?1)) AND substr(s.name, 1, length(?2)) = ?2 ORDER BY c.id, s.name",
		scanState, string(ids), prefix)
}

const selectStates = `SELECT c.id, s.name, s.value, s.updated_at FROM states s
	JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL WHERE `

func scanState(r *sql.Rows, v *store.State) error {
	return r.Scan(&v.ConnectionID, &v.Name, octets{&v.Value}, micros{&v.UpdatedAt})
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

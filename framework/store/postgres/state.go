package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// States lists the pieces of state of a connection, or of all for "", whose
// names begin with prefix.
func (s *Store) States(ctx context.Context, connectionID, prefix string) ([]store.State, error) {
	if !validText(connectionID) || !validText(prefix) {
		return nil, nil
	}
	return list(ctx, s, "read states", selectStates+"($1 = '' OR c.id = $1)"+namedStates, scanState, connectionID, prefix)
}

// StatesOf lists the pieces of state of connections.
func (s *Store) StatesOf(ctx context.Context, connectionIDs []string, prefix string) ([]store.State, error) {
	if !validText(prefix) {
		return nil, nil
	}
	ids := slices.DeleteFunc(slices.Clone(connectionIDs), func(id string) bool { return !validText(id) })
	return list(ctx, s, "read states", selectStates+"c.id = ANY($1::text[])"+namedStates, scanState, ids, prefix)
}

const (
	selectStates = `SELECT c.id, s.name, s.value, s.updated_at FROM states s
		JOIN connections c ON c.num = s.connection AND c.deleted_at IS NULL WHERE `
	namedStates = ` AND starts_with(s.name, $2) ORDER BY c.id COLLATE "C", s.name COLLATE "C"`
)

func scanState(r pgx.CollectableRow) (v store.State, err error) {
	return v, r.Scan(&v.ConnectionID, &v.Name, &v.Value, moment{&v.UpdatedAt})
}

func (t *tx) writeStates(list []groupcommit.StateChange) []call {
	var calls []call
	connections, names := int4s(), texts()
	removed, kept := 0, 0
	for i := range list {
		if list[i].Value == nil {
			connections.int4(t.nums[list[i].ConnectionID])
			names.text(list[i].Name)
			removed++
		}
	}
	if removed > 0 {
		calls = append(calls, call{
			what: "remove states", args: columns(connections, names),
			sql: "DELETE FROM states s USING unnest($1, $2) u (connection, name) WHERE s.connection = u.connection AND s.name = u.name",
		})
	}
	connections, names = int4s(), texts()
	values, at := byteas(), times()
	for i := range list {
		if list[i].Value != nil {
			connections.int4(t.nums[list[i].ConnectionID])
			names.text(list[i].Name)
			values.bytes(list[i].Value)
			at.time(list[i].At)
			kept++
		}
	}
	if kept > 0 {
		calls = append(calls, call{
			what: "write states", args: columns(connections, names, values, at),
			sql: `INSERT INTO states (connection, name, value, updated_at) SELECT * FROM unnest($1, $2, $3, $4)
				ON CONFLICT (connection, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
		}.exactly(kept))
	}
	return calls
}

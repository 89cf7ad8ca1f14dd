package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// SwapState replaces a piece of state if it is still old.
func (s *Store) SwapState(ctx context.Context, connectionID, name string, old, value []byte) (swapped bool, err error) {
	what := fmt.Sprintf("swap state %q of connection %q", name, connectionID)
	switch err := store.CheckStateSwap(name, value); {
	case err != nil:
		return false, fmt.Errorf("%s: %w", what, err)
	case !validText(connectionID):
		return false, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	case !validText(name):
		return false, fmt.Errorf("%s: %w: the name is no text", what, store.ErrInvalid)
	}
	err = s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		swapped = false
		var num int32
		// The lock lets one swap of the connection in at a time, also where there is
		// no row of the state yet.
		err := tx.QueryRow(ctx, "SELECT num FROM connections WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE", connectionID).Scan(&num)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		var now []byte
		err = tx.QueryRow(ctx, "SELECT value FROM states WHERE connection = $1 AND name = $2 FOR UPDATE", num, name).Scan(&now)
		if errors.Is(err, pgx.ErrNoRows) {
			now, err = nil, nil
		}
		switch {
		case err != nil:
			return err
		case same(now, value):
			swapped = true
			return nil
		case !same(now, old):
			return nil
		case value == nil:
			_, err = tx.Exec(ctx, "DELETE FROM states WHERE connection = $1 AND name = $2", num, name)
		default:
			_, err = tx.Exec(ctx, `INSERT INTO states (connection, name, value, updated_at) VALUES ($1, $2, $3, clock_timestamp())
				ON CONFLICT (connection, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, num, name, value)
		}
		swapped = err == nil
		return err
	})
	return swapped && err == nil, err
}

// same compares values of states; none is not the same as an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

var _ store.Ledger = (*Store)(nil)

// Amend changes a record of meta.
func (s *Store) Amend(ctx context.Context, name string, f func(now time.Time, kept []byte) ([]byte, error)) error {
	return s.change(ctx, fmt.Sprintf("amend record %q", name), func(ctx context.Context, tx pgx.Tx) error {
		const lock = "SELECT value FROM meta WHERE name = $1 FOR UPDATE"
		var kept []byte
		err := tx.QueryRow(ctx, lock, name).Scan(&kept)
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err = tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, '') ON CONFLICT DO NOTHING", name); err == nil {
				err = tx.QueryRow(ctx, lock, name).Scan(&kept)
			}
		}
		if err != nil {
			return err
		}
		if len(kept) == 0 {
			kept = nil
		}
		now, err := s.now(ctx, tx) // not before the lock is there
		if err != nil {
			return err
		}
		value, err := f(now, kept)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE meta SET value = $2 WHERE name = $1", name, value)
		return err
	})
}

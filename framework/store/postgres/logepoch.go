package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// LogEpoch returns the epoch of the log.
func (s *Store) LogEpoch() int64 { return s.log }

func readLogEpoch(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var kept []byte
	err := conn.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", store.LogEpochName).Scan(&kept)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("read epoch of the log: %w", err)
	}
	return store.ReadLogEpoch(kept)
}

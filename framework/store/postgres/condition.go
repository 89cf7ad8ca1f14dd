package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Condition is what can be told of a database without opening the store.
type Condition struct {
	// Schema is the version of its schema, 0 for none, and Known the newest that
	// this version of Weir knows.
	Schema, Known int
	// Skew is how far the database's clock is ahead of ours, give or take half of
	// the round trip.
	Skew, RoundTrip time.Duration
	// Fsync says that the server writes what is committed to its disk, whole.
	Fsync bool
	// ReadOnly says that it is a standby.
	ReadOnly bool
	// Synchronous counts the standbys that a commit waits for, Standbys all that
	// are connected.
	Synchronous, Standbys int
}

// Inspect looks at the database of a URL. It changes nothing.
func Inspect(ctx context.Context, url string) (c Condition, err error) {
	config, err := parse(url)
	if err != nil {
		return c, err
	}
	conn, err := connect(ctx, config)
	if err != nil {
		// A standby alone is no store, but something to tell.
		config.ValidateConnect = nil
		standby, again := connect(ctx, config)
		if again != nil {
			return c, err
		}
		conn = standby
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	list, err := readMigrations()
	if err != nil {
		return c, err
	}
	c.Known = list[len(list)-1].version
	var theirs time.Time
	sent := time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp(), pg_is_in_recovery(),
		current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'`).Scan(&theirs, &c.ReadOnly, &c.Fsync); err != nil {
		return c, fmt.Errorf("%w: read the clock: %w", store.ErrUnavailable, err)
	}
	c.RoundTrip = time.Since(sent)
	c.Skew = theirs.Sub(sent.Add(c.RoundTrip / 2))
	err = conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')), count(*) FROM pg_stat_replication`).Scan(&c.Synchronous, &c.Standbys)
	if err != nil {
		return c, fmt.Errorf("read standbys: %w", err)
	}
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('schema_migrations') IS NOT NULL").Scan(&there); err != nil || !there {
		return c, err
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_migrations").Scan(&c.Schema)
	return c, err
}

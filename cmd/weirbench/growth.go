package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// growth compares deliveries into an empty store with deliveries into one that holds many events
// and keys already. Both are Weir.
func growth(ctx context.Context, o options) error {
	if o.postgres != "" {
		return errors.New("growth is measured on SQLite; for PostgreSQL see BenchmarkCommit in framework/store/postgres")
	}
	root, remove, err := o.workspace()
	if err != nil {
		return err
	}
	defer remove()
	full, begun := o.seeded, time.Now()
	if full == "" {
		full = filepath.Join(root, "full")
		if err := seedSQLite(ctx, full, o.events, o.payload); err != nil {
			return err
		}
	}
	info, err := os.Stat(filepath.Join(full, "weir.db"))
	if err != nil {
		return err
	}
	fmt.Printf("seeded %d events of %d bytes with their keys in %s: %d MiB on disk\n", o.events, o.payload, time.Since(begun).Round(time.Second), info.Size()>>20)
	if err := readWhole(filepath.Join(full, "weir.db")); err != nil {
		return err
	}
	var grown, empty []turn
	var starts []float64
	for round := range o.rounds {
		begun := time.Now()
		c := childOptions{Role: "weir", Dir: full}
		if o.profile != "" {
			c.Profile = filepath.Join(o.profile, fmt.Sprintf("growth-%d.pprof", round))
		}
		secret, _ := newSecret()
		c.Secret = secret
		p, err := start(ctx, c)
		if err != nil {
			return err
		}
		starts = append(starts, time.Since(begun).Seconds())
		if _, err := p.stop(); err != nil {
			return err
		}
		g, err := loaded(ctx, o, c, "/webhooks/bench/orders")
		if err != nil {
			return err
		}
		g.print("full", round)
		e, err := loaded(ctx, o, childOptions{Role: "weir", Dir: filepath.Join(root, fmt.Sprintf("empty-%d", round))}, "/webhooks/bench/orders")
		if err != nil {
			return err
		}
		e.print("empty", round)
		grown, empty = append(grown, g), append(empty, e)
	}
	compare("growth (the floor is the empty store)", grown, empty)
	fmt.Printf("start-up with %d events: %.2f s (median of %d, with the start of the process)\n", o.events, median(starts), len(starts))
	return nil
}

// readWhole reads a file, so that the system has it in memory as it has the store of
// a process that has run for a while: pages that come from the disk cost half the rate.
func readWhole(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(io.Discard, f)
	return err
}

// seedSQLite writes events with a key and an entity each, straight into the file.
func seedSQLite(ctx context.Context, dir string, events, payload int) (err error) {
	if err := prepareSQLite(ctx, dir, Orders.Key()); err != nil {
		return err
	}
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + filepath.Join(dir, "weir.db") + "?mode=rw&_busy_timeout=5000")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	exec := func(query string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := conn.Prepare(query)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		defer func() { _ = s.Close() }()
		_, err = s.Exec([]driver.Value{}) //nolint:staticcheck // there is nothing to cancel in one statement
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		return nil
	}
	series := fmt.Sprintf("WITH RECURSIVE n(i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i <= %d) ", events)
	filler := strings.Repeat("x", max(payload-80, 1))
	now := time.Now().UnixMicro()
	for _, query := range []string{
		"PRAGMA cache_size = -524288", "PRAGMA temp_store = MEMORY", "PRAGMA synchronous = OFF",
		// Hashes are random as real ones are, and inserted in their order, which is fastest. The key is even and
		// shares the first half with the entity, which is odd.
		"CREATE TEMP TABLE h AS " + series + "SELECT randomblob(8) AS half, i FROM n",
		"CREATE TEMP TABLE o AS SELECT half, i FROM h ORDER BY half", "DROP TABLE h",
		`INSERT INTO keys (stream, hash, sequence, time, payload, revision, latest)
			SELECT s.num, CAST(half || CASE k WHEN 0 THEN x'0000000000000000' ELSE x'0000000000000001' END AS BLOB), i,
				CASE k WHEN 1 THEN i END, CASE k WHEN 1 THEN CAST(half || half AS BLOB) END, CASE k WHEN 1 THEN 1 END, CASE k WHEN 1 THEN 0 END
			FROM o, (SELECT 0 AS k UNION ALL SELECT 1), streams s`,
		"DROP TABLE o",
		fmt.Sprintf(`%s INSERT INTO events (id, type, subject, deletion, key, time, recorded_at, late, payload)
			SELECT s.num << 40 | i, 'order', 'ord_' || i, 0, 'v/ord_' || i || '/1', %d, %d, 0,
				CAST('{"id":"ord_' || i || '","version":"1","text":"%s"}' AS BLOB) FROM n, streams s`, series, now, now, filler),
		fmt.Sprintf("UPDATE streams SET head = %d", events+1),
		"PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if err := exec(query); err != nil {
			return err
		}
	}
	return nil
}

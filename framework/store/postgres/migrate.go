package postgres

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirhq/weir/framework/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// readMigrations returns the steps that this version knows, oldest first. A
// file's name begins with its version.
func readMigrations() ([]migration, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var list []migration
	for _, e := range entries {
		digits, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		text, err := migrations.ReadFile(path.Join("migrations", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", e.Name(), err)
		}
		list = append(list, migration{version, e.Name(), string(text)})
	}
	slices.SortFunc(list, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	return list, nil
}

// migrationLock is the advisory lock that keeps processes that start at once
// from making the schema twice. It ends with the transaction, so it works
// through a pooler; it is one number for all stores of a database, which only
// makes them wait for each other at the start.
const migrationLock = 0x77656972

// migrate brings the schema to this version's, in one transaction. A newer one
// is left alone.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	list, err := readMigrations()
	if err != nil {
		return err
	}
	target := list[len(list)-1].version
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		// The rest of this transaction reads what others committed before.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+strconv.Itoa(migrationLock)+")"); err != nil {
			return fmt.Errorf("lock schema: %w", err)
		}
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
			version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`)
		if err != nil {
			return fmt.Errorf("make table of schema versions: %w", err)
		}
		var current int
		if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_migrations").Scan(&current); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if current > target {
			return fmt.Errorf("%w: its schema has version %d, this one knows up to %d; run the newer Weir, or restore a backup made by this one",
				store.ErrNewerSchema, current, target)
		}
		rows, err := tx.Query(ctx, "SELECT version FROM schema_migrations")
		if err != nil {
			return fmt.Errorf("read schema versions: %w", err)
		}
		applied, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return fmt.Errorf("read schema versions: %w", err)
		}
		for _, m := range list {
			// Steps may be added below the newest one that was applied: they are
			// written side by side, and depend on none but the released ones.
			if slices.Contains(applied, m.version) {
				continue
			}
			if err := applyMigration(ctx, tx, m); err != nil {
				return fmt.Errorf("migrate schema to version %d: %w", m.version, err)
			}
		}
		return nil
	})
}

// sharedSince is the version since which several nodes share a store. Processes of
// before have it to themselves, by a lease on the whole of it.
const sharedSince = 6

// unshared fails while a process has the store to itself, and waits for the end of
// its last commit.
func unshared(ctx context.Context, tx pgx.Tx) error {
	var free bool
	var holder string
	err := tx.QueryRow(ctx, "SELECT expires_at <= clock_timestamp(), node || ', ' || holder FROM leases WHERE shard = 0 FOR UPDATE").Scan(&free, &holder)
	if err == nil && !free {
		err = fmt.Errorf("%w: node %s has it, an older version that shares it with nobody; stop that process first", store.ErrLocked, holder)
	}
	return err
}

func applyMigration(ctx context.Context, tx pgx.Tx, m migration) error {
	if m.version == sharedSince {
		if err := unshared(ctx, tx); err != nil {
			return err
		}
	}
	// The simple protocol takes a file of statements.
	_, err := tx.Conn().PgConn().Exec(ctx, m.sql).ReadAll()
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)", m.version, m.name)
	}
	return err
}

// connect opens one connection. Its errors never hold the password.
func connect(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: connect to PostgreSQL: %w", store.ErrUnavailable, err)
	}
	return conn, nil
}

// ErrURL says that the URL of a database cannot be read.
var ErrURL = errors.New("the URL of the database is not valid")

// parse makes the settings of a connection from the URL. Statements are neither
// prepared nor described: behind a pooler that lends a server connection for
// each transaction, a prepared statement is gone in the next one.
func parse(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The cause is not shown: with a password that is not escaped it quotes parts of it.
		return nil, fmt.Errorf("%w; write postgres://user:password@host:port/name?sslmode=verify-full and escape what is not a letter or digit in user and password as %%XX", ErrURL)
	}
	if config.Database == "" {
		return nil, fmt.Errorf("%w: it names no database; write postgres://user@host/name", ErrURL)
	}
	// Of several hosts it is the one that can be written: a standby only takes reads,
	// until it is promoted.
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "weir"
	}
	config.OnNotice = heed
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = changeTimeout
	}
	return config, nil
}

package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/weirhq/weir/framework/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// newestSchema is the version of the last migration.
func newestSchema() (int, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	newest := 0
	for _, e := range entries {
		version, err := goose.NumericComponent(e.Name())
		if err != nil {
			return 0, fmt.Errorf("read migrations: %w", err)
		}
		newest = max(newest, int(version))
	}
	return newest, nil
}

// migrate brings the schema of the file at path to this version's. A newer one
// is left alone.
func migrate(ctx context.Context, path string) (err error) {
	db, err := sql.Open(driverName, access{busy: writing.busy, immediate: true}.dsn(path))
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	// Steps may be added below the newest one that was applied: they are written side
	// by side, and depend on none but the released ones.
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithAllowOutofOrder(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: its schema has version %d, this one knows up to %d; run the newer Weir, or restore a backup made by this one",
			store.ErrNewerSchema, current, target)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema from version %d to %d: %w", current, target, err)
	}
	return nil
}

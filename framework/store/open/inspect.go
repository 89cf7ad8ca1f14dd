package open

import (
	"context"

	"github.com/weirhq/weir/framework/store/postgres"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// Place is where an address leads.
type Place struct {
	// Folder is that of a SQLite store, "" for PostgreSQL.
	Folder string
	// Database is the condition of a PostgreSQL store, nil for SQLite.
	Database *postgres.Condition
	// File is the condition of a SQLite store.
	File sqlite.Condition
}

// Inspect says where an address leads, and looks at the database there without
// opening the store.
func Inspect(ctx context.Context, address, dataDir string) (Place, error) {
	p, err := parse(address, dataDir)
	if err != nil {
		return Place{}, err
	}
	if p.postgres == "" {
		file, err := sqlite.Inspect(ctx, p.sqlite)
		return Place{Folder: p.sqlite, File: file}, err
	}
	c, err := postgres.Inspect(ctx, p.postgres)
	return Place{Database: &c}, err
}

// Folder is that of the SQLite store which an address names; "" for another
// store, and for an address that none has.
func Folder(address, dataDir string) string {
	p, err := parse(address, dataDir)
	if err != nil {
		return ""
	}
	return p.sqlite
}

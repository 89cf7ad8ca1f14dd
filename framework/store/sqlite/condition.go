package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// Condition is what can be told of a store without opening it.
type Condition struct {
	// Exists says that the folder holds a store; without one nothing else is told.
	Exists bool
	// InUse says that another process works on it. Its file is not read then.
	InUse bool
	// Schema is the version of its schema, and Known the newest that this version
	// of Weir knows.
	Schema, Known int
	// Faults are what SQLite's quick check found wrong; none in a sound file.
	Faults []string
	// Unchecked says that the check was ended by the context before it was done.
	Unchecked bool
	// Bytes is the size of the file, and Free the part of it that is not used.
	Bytes, Free int64
}

// mostFaults bounds Condition.Faults.
const mostFaults = 10

// Inspect looks at the store in dir while nobody works on it: its schema, and
// every page of its file. It changes nothing in it.
func Inspect(ctx context.Context, dir string) (c Condition, err error) {
	path := filepath.Join(dir, FileName)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("inspect store: %w", err)
	}
	c.Exists, c.Bytes = true, info.Size()
	lock, err := lockFolder(dir, time.Now())
	if errors.Is(err, store.ErrLocked) {
		c.InUse = true
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("inspect store: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if c.Known, err = newestSchema(); err != nil {
		return c, err
	}
	db, err := sql.Open(driverName, access{readOnly: true, queryOnly: true, busy: writing.busy}.dsn(path))
	if err != nil {
		return c, fmt.Errorf("inspect store: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var pages, size int64
	for _, ask := range []struct {
		query string
		into  any
	}{
		{"SELECT coalesce(max(version_id), 0) FROM goose_db_version", &c.Schema},
		{"PRAGMA freelist_count", &pages},
		{"PRAGMA page_size", &size},
	} {
		if err := db.QueryRowContext(ctx, ask.query).Scan(ask.into); err != nil {
			return c, fmt.Errorf("inspect store: %s: %w", path, err)
		}
	}
	c.Free = pages * size
	c.Faults, err = quickCheck(ctx, db)
	if ctx.Err() != nil {
		c.Unchecked = true
		return c, nil
	}
	return c, err
}

func quickCheck(ctx context.Context, db *sql.DB) (faults []string, err error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", mostFaults))
	if err != nil {
		return nil, fmt.Errorf("check integrity: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var fault string
		if err := rows.Scan(&fault); err != nil {
			return nil, fmt.Errorf("check integrity: %w", err)
		}
		if fault != "ok" {
			faults = append(faults, fault)
		}
	}
	return faults, rows.Err()
}

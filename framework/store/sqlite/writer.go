package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// writer is the writing connection as the engine sees it. Only the engine's
// goroutine uses it.
type writer struct {
	path    string
	options Options
	conn    *conn
	// nums remembers the numbers of connections that are not deleted.
	nums map[string]int64
	// wrote is told how many pages a commit may have written.
	wrote func(pages int)
}

var _ groupcommit.Backend = (*writer)(nil)

func (w *writer) open() (err error) {
	c, err := connect(w.path)
	if err != nil {
		return fmt.Errorf("open writer: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	err = c.script(
		"PRAGMA foreign_keys = OFF",
		"PRAGMA synchronous = "+w.options.synchronous,
		"PRAGMA fullfsync = ON",
		"PRAGMA checkpoint_fullfsync = ON",
		"PRAGMA wal_autocheckpoint = 0",
		"PRAGMA temp_store = MEMORY",
		fmt.Sprintf("PRAGMA cache_size = -%d", w.options.CacheBytes>>10),
		fmt.Sprintf("PRAGMA mmap_size = %d", w.options.MapBytes),
	)
	if err != nil {
		return fmt.Errorf("set up writer: %w", err)
	}
	mode, err := c.pragma("journal_mode")
	if err != nil {
		return fmt.Errorf("set up writer: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("set up writer: the file is in journal mode %q, not WAL; is it on a network file system?", mode)
	}
	w.conn = c
	return nil
}

// Begin starts a transaction that holds the write lock from the start.
func (w *writer) Begin(context.Context) (groupcommit.Tx, error) {
	if w.conn == nil {
		return nil, errors.New("the writing connection is closed")
	}
	if _, err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	return &tx{writer: w, conn: w.conn}, nil
}

// Classify tells errors of SQLite apart.
func (w *writer) Classify(err error) groupcommit.Class {
	code, ok := resultCode(err)
	if !ok {
		return groupcommit.Unavailable
	}
	switch code {
	case codeConstraint, codeTooBig, codeMismatch, codeRange:
		return groupcommit.Content
	case codeBusy, codeLocked:
		return groupcommit.Retry
	default:
		return groupcommit.Unavailable
	}
}

// Reopen replaces the connection, then copies the whole log into the file and
// empties it. The package comment says why.
func (w *writer) Reopen(context.Context) error {
	if w.conn != nil {
		c := w.conn
		w.conn = nil
		if err := c.close(); err != nil {
			w.options.Logger.Warn("close writing connection", "err", err)
		}
	}
	clear(w.nums)
	if err := w.open(); err != nil {
		return err
	}
	if err := w.empty(); err != nil {
		c := w.conn
		w.conn = nil
		return errors.Join(err, c.close())
	}
	w.conn.failpoint = w.options.failpoint
	return nil
}

// empty copies the log into the file and truncates it.
func (w *writer) empty() error {
	_, busy, err := checkpoint(w.conn, "TRUNCATE")
	if err == nil && busy {
		err = errors.New("a reader holds the log")
	}
	if err != nil {
		return fmt.Errorf("empty write-ahead log: %w", err)
	}
	return nil
}

// restart lets the log begin again, unless a reader holds it: the writer does
// not wait for one, the next call finds it gone.
func (w *writer) restart() error {
	if err := w.conn.script("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	_, _, err := checkpoint(w.conn, "RESTART")
	if code, ok := resultCode(err); ok && code == codeBusy {
		err = nil
	}
	return errors.Join(err, w.conn.script("PRAGMA busy_timeout = 5000"))
}

// checkpoint copies the log back and returns how many pages are left in it.
func checkpoint(c *conn, mode string) (left int, busy bool, err error) {
	read := func(v []driver.Value) {
		blocked, _ := v[0].(int64)
		pages, _ := v[1].(int64)
		busy, left = blocked != 0, int(pages)
	}
	err = c.query(read, "PRAGMA wal_checkpoint("+mode+")")
	return left, busy, err
}

// Committed says whether the marker is that of the last transaction.
func (w *writer) Committed(_ context.Context, marker string) (bool, error) {
	found := false
	read := func(v []driver.Value) { found = v[0] == marker }
	err := w.conn.query(read, "SELECT marker FROM writer WHERE id = 1")
	return found, err
}

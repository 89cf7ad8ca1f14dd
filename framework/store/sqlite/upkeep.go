package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// wrote counts what the writer commits and wakes copyBack when the log has grown.
func (s *Store) wrote(pages int) {
	s.pages += pages
	if s.pages >= walPages {
		s.pages = 0
		wake(s.written)
	}
}

// copyBack copies the log into the file whenever it has grown, beside the
// writer. A log that only grows because there is always a newer commit or a
// reader is emptied by the writer.
func (s *Store) copyBack() {
	for {
		select {
		case <-s.background.Done():
			return
		case <-s.written:
		}
		if err := s.copyOnce(); err != nil && s.background.Err() == nil {
			s.options.Logger.Warn("copy write-ahead log into the store", "err", err)
		}
	}
}

func (s *Store) copyOnce() (err error) {
	c, err := connect(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.script("PRAGMA checkpoint_fullfsync = ON"); err != nil {
		return err
	}
	left, _, err := checkpoint(c, "PASSIVE")
	if err != nil || left < s.options.walLimit {
		return err
	}
	err = s.engine.Do(s.background, func(context.Context) error {
		if s.writer.conn == nil {
			return nil
		}
		return s.writer.restart()
	})
	if errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

// trimLoop removes what has expired, at the start, every hour and when told.
func (s *Store) trimLoop() {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for {
		if err := s.Trim(s.background); err != nil && s.background.Err() == nil && !errors.Is(err, store.ErrClosed) {
			s.options.Logger.Warn("remove expired rows", "err", err)
		}
		select {
		case <-s.background.Done():
			return
		case <-ticker.C:
		case <-s.trimNow:
		}
	}
}

// Trim removes expired delivery keys, the rows of deleted connections and what
// the retention does not keep, in transactions of at most 1,000 rows with other
// units between them. The store does it by itself every hour, after a deletion
// and when the retention changes.
func (s *Store) Trim(ctx context.Context) error {
	if err := s.trimExpired(ctx); err != nil {
		return err
	}
	return s.retain(ctx)
}

func (s *Store) trimExpired(ctx context.Context) error {
	for {
		more := false
		err := s.change(ctx, "trim store", func(db *conn) (err error) {
			more, err = s.trimSome(db)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// trimSome removes at most trimRows rows and says whether there may be more.
func (s *Store) trimSome(db *conn) (more bool, err error) {
	before := s.options.Clock().Add(-groupcommit.DeliveryKeyAge).UnixMicro()
	// The first rows are the oldest; a later row that is older, from a clock that
	// stepped back, is removed when those before it are.
	n, err := db.exec(`DELETE FROM delivery_keys WHERE num IN (
		SELECT num FROM (SELECT num, at FROM delivery_keys ORDER BY num LIMIT ?) WHERE at < ?)`, int64(trimRows), before)
	if err != nil || n > 0 {
		return n == trimRows, errors.Join(err, release(db))
	}
	num, err := one(db, "SELECT num FROM connections WHERE deleted_at IS NOT NULL ORDER BY num LIMIT 1")
	if err != nil || num == 0 {
		return false, err
	}
	return true, errors.Join(s.trimConnection(db, num), release(db))
}

// trimConnection removes some rows of a deleted connection, and the connection
// itself when there are none.
func (s *Store) trimConnection(db *conn, num int64) error {
	stream, err := one(db, "SELECT num FROM streams WHERE connection = ? LIMIT 1", num)
	if err != nil {
		return err
	}
	if stream != 0 {
		for _, step := range []struct {
			query string
			args  []driver.Value
		}{
			{"DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id > ? AND id <= ? LIMIT ?)", []driver.Value{rowid(stream, 0), rowid(stream+1, 0) - 1, int64(trimRows)}},
			{firstOf("keys", "hash"), []driver.Value{stream, int64(trimRows)}},
			{firstOf("hourly", "hour"), []driver.Value{stream, int64(trimRows)}},
			{"DELETE FROM streams WHERE num = ?", []driver.Value{stream}},
		} {
			if n, err := db.exec(step.query, step.args...); err != nil || n > 0 {
				return err
			}
		}
	}
	for _, table := range []string{"former_keys", "checkpoints", "runs", "delivery_keys", "stored_deliveries", "states", "offsets", "parked", "dead_events", "revisions", "action_events", "action_runs"} {
		if n, err := db.exec("DELETE FROM "+table+" WHERE rowid IN (SELECT rowid FROM "+table+" WHERE connection = ? LIMIT ?)", num, int64(trimRows)); err != nil || n > 0 {
			return err
		}
	}
	for _, table := range []string{"offsets", "parked"} {
		if n, err := db.exec("DELETE FROM "+table+" WHERE rowid IN (SELECT rowid FROM "+table+" WHERE source = ? LIMIT ?)", num, int64(trimRows)); err != nil || n > 0 {
			return err
		}
	}
	_, err = db.exec("DELETE FROM connections WHERE num = ?", num)
	return err
}

// firstOf deletes the first rows of a stream in a table without rowids.
func firstOf(table, column string) string {
	return fmt.Sprintf(`DELETE FROM %[1]s WHERE stream = ?1 AND %[2]s <=
		(SELECT max(%[2]s) FROM (SELECT %[2]s FROM %[1]s WHERE stream = ?1 ORDER BY %[2]s LIMIT ?2))`, table, column)
}

// release gives freed pages back to the file system.
func release(db *conn) error {
	// Each step of the statement frees one page: all of its rows must be read.
	return db.query(func([]driver.Value) {}, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", trimRows))
}

func one(db *conn, query string, args ...driver.Value) (int64, error) {
	var out int64
	err := db.query(func(v []driver.Value) { out, _ = v[0].(int64) }, query, args...)
	return out, err
}

//go:build unix

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// inWriter runs f with the writing connection.
func inWriter(t *testing.T, s *Store, f func(c *conn) error) {
	t.Helper()
	require.NoError(t, s.engine.Do(t.Context(), func(context.Context) error { return f(s.writer.conn) }))
}

func connection(t *testing.T, s *Store) string {
	t.Helper()
	c, err := s.EnsureConnection(t.Context(), benchConnection)
	require.NoError(t, err)
	return c.ID
}

func TestFileHasTheSettingsOfDurability(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		s := open(t, Options{Dir: dir, CacheBytes: 1 << 20, MapBytes: -1})
		inWriter(t, s, func(c *conn) error {
			for name, want := range map[string]string{
				"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "checkpoint_fullfsync": "1", "auto_vacuum": "2",
				"foreign_keys": "0", "busy_timeout": "5000", "cache_size": "-1024", "mmap_size": "0", "wal_autocheckpoint": "0",
			} {
				got, err := c.pragma(name)
				if err != nil {
					return err
				}
				require.Equal(t, want, got, name)
			}
			return nil
		})
		require.NoError(t, s.Close())
	}
	info, err := os.Stat(filepath.Join(dir, FileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestNewerSchemaIsRefusedNamingBothVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, open(t, Options{Dir: dir}).Close())
	raw(t, dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, 1)")
	for range 2 {
		_, err := Open(t.Context(), Options{Dir: dir})
		require.ErrorIs(t, err, store.ErrNewerSchema)
		require.ErrorContains(t, err, "version 9001")
		require.ErrorContains(t, err, "up to ")
		require.NotErrorIs(t, err, store.ErrLocked, "the refused open kept its lock")
	}
}

func TestFileThatIsNoDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := []byte(strings.Repeat("not a database\n", 1000))
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), text, 0o600))
	_, err := Open(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "not a database")
	left, err := os.ReadFile(filepath.Join(dir, FileName))
	require.NoError(t, err)
	require.Equal(t, text, left, "the file was changed")
}

func TestOptionsNameEveryFault(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{Readers: -1, QueryTimeout: -1})
	require.ErrorContains(t, err, "folder")
	require.ErrorContains(t, err, "readers")
	require.ErrorContains(t, err, "query timeout")
}

func TestLostLeaseFencesTheProcessThatHadIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	id := connection(t, s)
	raw(t, dir, "UPDATE writer SET epoch = epoch + 1")
	_, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), "1"))
	require.ErrorIs(t, err, store.ErrFenced)
	events, err := s.Events(t.Context(), id, "s", 0, 1)
	require.NoError(t, err)
	require.Empty(t, events)
}

// A COMMIT that is done and still returns an error is found out by asking.
func TestCommitThatHappenedDespiteItsErrorIsSuccess(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	var s *Store
	s = open(t, Options{Dir: t.TempDir(), manual: true, failpoint: func(statement string) error {
		if statement == "COMMIT" && armed.CompareAndSwap(true, false) {
			return errors.Join(errors.New("disk I/O error"), s.writer.conn.script("COMMIT"))
		}
		return nil
	}})
	id := connection(t, s)
	armed.Store(true)
	r, err := s.Commit(t.Context(), deliveryUnit(id, storetest.Epoch(s, id), "1"))
	require.NoError(t, err)
	require.False(t, armed.Load())
	require.Equal(t, 1, r.Appended)
	require.False(t, r.DuplicateDelivery, "the unit was committed a second time")
	events, err := s.Events(t.Context(), id, "s", 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 1)
	log, err := os.Stat(s.path + "-wal")
	require.NoError(t, err)
	require.Zero(t, log.Size(), "the log was not emptied before the store was asked")
}

func TestFullDiskIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Dir: t.TempDir(), manual: true})
	id := connection(t, s)
	unit := func(n int) store.Unit {
		u := deliveryUnit(id, storetest.Epoch(s, id), fmt.Sprint(n))
		u.Emissions[0].Payload = []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
		return u
	}
	limit := func(pages int) {
		inWriter(t, s, func(c *conn) error { return c.script(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) })
	}
	limit(100)
	committed := 0
	var err error
	for ; err == nil; committed++ {
		require.Less(t, committed, 100)
		// Reopening forgets the limit, which is the connection's.
		_, err = s.Commit(t.Context(), unit(committed))
	}
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorContains(t, err, "full")
	_, err = s.Commit(t.Context(), unit(committed-1))
	require.NoError(t, err)
	events, err := s.Events(t.Context(), id, "s", 0, 1000)
	require.NoError(t, err)
	require.Len(t, events, committed)
}

func TestExpiredKeysAreRemovedAThousandAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, manual: true})
	raw(t, dir, `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO delivery_keys (connection, endpoint, hash, delivery_id, first_event, at)
		SELECT 1, 'e', randomblob(16), 'dlv', '', CASE WHEN i <= 2400 THEN 1 ELSE 9e15 END FROM n`)
	var left []int64
	for more := true; more; {
		require.NoError(t, s.change(t.Context(), "trim", func(c *conn) (err error) {
			more, err = s.trimSome(c)
			return err
		}))
		inWriter(t, s, func(c *conn) error {
			n, err := one(c, "SELECT count(*) FROM delivery_keys")
			left = append(left, n)
			return err
		})
	}
	require.Equal(t, []int64{1500, 500, 100}, left)
}

func TestDeletedConnectionLeavesNoRowAndGivesItsPagesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, manual: true})
	id := connection(t, s)
	for n := range 3 {
		u := deliveryUnit(id, storetest.Epoch(s, id), fmt.Sprint(n))
		first := u.Emissions[0]
		for i := range 700 {
			e := first
			e.Key = deliveryUnit(id, 0, fmt.Sprintf("%d-%d", n, i)).Emissions[0].Key
			e.Payload = []byte(`"` + strings.Repeat("x", 1000) + `"`)
			u.Emissions = append(u.Emissions, e)
		}
		u.Checkpoint = &store.CheckpointWrite{Stream: "s", Lane: fmt.Sprint(n)}
		u.Run = &store.RunWrite{Run: store.Run{ID: fmt.Sprint("run_", n), Stream: "s", State: store.RunFailed}}
		_, err := s.Commit(t.Context(), u)
		require.NoError(t, err)
	}
	pages := func() (n int64) {
		inWriter(t, s, func(c *conn) (err error) {
			n, err = one(c, "PRAGMA page_count")
			return err
		})
		return n
	}
	before := pages()
	require.NoError(t, s.DeleteConnection(t.Context(), id))
	require.NoError(t, s.Trim(t.Context()))
	require.Less(t, pages(), before/4)
	inWriter(t, s, func(c *conn) error {
		for _, table := range []string{"connections", "streams", "events", "keys", "checkpoints", "runs", "hourly", "delivery_keys", "stored_deliveries"} {
			n, err := one(c, "SELECT count(*) FROM "+table)
			if err != nil {
				return err
			}
			require.Zero(t, n, table)
		}
		return c.query(func(v []driver.Value) { require.Equal(t, "ok", v[0]) }, "PRAGMA integrity_check")
	})
}

func TestLogIsCopiedBackBesideTheWriter(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Dir: t.TempDir()})
	id := connection(t, s)
	size := func() int64 {
		info, err := os.Stat(s.path)
		require.NoError(t, err)
		return info.Size()
	}
	before := size()
	for n := 0; size() == before; n++ {
		require.Less(t, n, 2000, "the log was never copied into the file")
		u := deliveryUnit(id, storetest.Epoch(s, id), fmt.Sprint(n))
		u.Emissions[0].Payload = []byte(`"` + strings.Repeat("x", 512<<10) + `"`)
		_, err := s.Commit(t.Context(), u)
		require.NoError(t, err)
	}
}

// A log that a reader keeps from ending is begun again when the reader is gone,
// and commits never wait for that.
func TestLogPastItsLimitBeginsAgain(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Dir: t.TempDir(), manual: true, walLimit: 1})
	id := connection(t, s)
	commit := func(n int) int64 {
		u := deliveryUnit(id, storetest.Epoch(s, id), fmt.Sprint(n))
		u.Emissions[0].Payload = []byte(`"` + strings.Repeat("x", 256<<10) + `"`)
		_, err := s.Commit(t.Context(), u)
		require.NoError(t, err)
		info, err := os.Stat(s.path + "-wal")
		require.NoError(t, err)
		return info.Size()
	}
	commit(0)
	reader, err := s.reads.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var n int
	require.NoError(t, reader.QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&n))
	grown := commit(1)
	began := time.Now()
	require.NoError(t, s.copyOnce())
	require.Less(t, time.Since(began), 4*time.Second, "the writer waited for the reader")
	require.Greater(t, commit(2), grown)
	require.NoError(t, reader.Rollback())
	require.NoError(t, s.copyOnce())
	full := commit(3)
	require.NoError(t, s.copyOnce())
	require.Equal(t, full, commit(4), "the log went on growing")
}

func TestReadsHaveADeadline(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Dir: t.TempDir(), QueryTimeout: time.Millisecond})
	_, err := list(t.Context(), s, "read for ever", "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
		func(*sql.Rows, *int) error { return nil })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.reads.ExecContext(t.Context(), "DELETE FROM events")
	require.ErrorContains(t, err, "readonly")
}

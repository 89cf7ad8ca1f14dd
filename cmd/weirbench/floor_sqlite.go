package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// sqliteFloor writes the rows that Weir writes, with the fewest statements.
type sqliteFloor struct {
	conn       driver.Conn
	statements map[string]driver.Stmt
	stream     int64
	connection int64
	sequence   int64
}

// prepareSQLite makes Weir's own schema with a connection and a stream in it.
func prepareSQLite(ctx context.Context, dir, stream string) (err error) {
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return prepareStore(ctx, s, stream)
}

// prepareStore makes the connection and the stream that floors write to.
func prepareStore(ctx context.Context, s store.Store, stream string) error {
	c, err := s.EnsureConnection(ctx, store.Connection{Project: "default", Name: "bench", Connector: "bench_hooks", Type: "source", Enabled: true})
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, store.Unit{
		ID: store.NewCommitID(), ConnectionID: c.ID, At: time.Now(),
		Emissions: []ingest.Emission{{
			Stream: stream, Type: "order", Operation: ingest.Upsert, Key: ingest.VersionKey("first", "1"), Payload: []byte(`{}`),
		}},
	})
	return err
}

func openSQLiteFloor(ctx context.Context, dir, stream string) (*sqliteFloor, error) {
	if err := prepareSQLite(ctx, dir, stream); err != nil {
		return nil, err
	}
	return openSQLiteAgain(dir, stream)
}

// openSQLiteAgain opens a store that was prepared.
func openSQLiteAgain(dir, stream string) (*sqliteFloor, error) {
	// The same pragmas as the store's.
	conn, err := (&sqlite3.SQLiteDriver{}).Open("file:" + filepath.Join(dir, "weir.db") + "?mode=rwc&_busy_timeout=5000&_sync=FULL&_journal_mode=WAL")
	if err != nil {
		return nil, err
	}
	f := &sqliteFloor{conn: conn, statements: map[string]driver.Stmt{}}
	for _, pragma := range []string{"PRAGMA synchronous = FULL", "PRAGMA cache_size = -65536", "PRAGMA mmap_size = 268435456", "PRAGMA wal_autocheckpoint = 4096"} {
		if _, err := f.query(pragma); err != nil {
			return nil, err
		}
	}
	values, err := f.query("SELECT num, connection, head FROM streams WHERE stream = '" + stream + "'")
	if err != nil {
		return nil, err
	}
	if len(values) != 3 {
		return nil, fmt.Errorf("stream %q is not there", stream)
	}
	for i, into := range []*int64{&f.stream, &f.connection, &f.sequence} {
		n, ok := values[i].(int64)
		if !ok {
			return nil, fmt.Errorf("column %d of the stream is %T", i, values[i])
		}
		*into = n
	}
	return f, nil
}

func (f *sqliteFloor) statement(query string) (driver.Stmt, error) {
	if s, ok := f.statements[query]; ok {
		return s, nil
	}
	s, err := f.conn.Prepare(query)
	if err == nil {
		f.statements[query] = s
	}
	return s, err
}

// query returns the first row.
func (f *sqliteFloor) query(query string) ([]driver.Value, error) {
	s, err := f.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(nil) //nolint:staticcheck // the variant with a context starts a goroutine for every call
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	values := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(values); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return values, nil
}

// transaction collects the errors of its statements.
type transaction struct {
	floor *sqliteFloor
	errs  []error
}

func (t *transaction) exec(query string, args ...driver.Value) int64 {
	s, err := t.floor.statement(query)
	if err != nil {
		t.errs = append(t.errs, err)
		return 0
	}
	result, err := s.Exec(args) //nolint:staticcheck // the variant with a context starts a goroutine for every call
	if err != nil {
		t.errs = append(t.errs, err)
		return 0
	}
	changed, err := result.RowsAffected()
	if err != nil {
		t.errs = append(t.errs, err)
	}
	return changed
}

// record writes one event with its key and its entity, unless the key is known.
func (t *transaction) record(one *row) {
	f := t.floor
	if t.exec("INSERT OR IGNORE INTO keys (stream, hash, sequence) VALUES (?, ?, ?)", f.stream, one.key[:], f.sequence+1) == 0 {
		return
	}
	f.sequence++
	at := one.at.UnixMicro()
	t.exec(`INSERT INTO keys (stream, hash, time, payload, sequence, revision, latest) VALUES (?, ?, ?, ?, ?, 1, 0)
		ON CONFLICT DO UPDATE SET time = excluded.time, payload = excluded.payload, sequence = excluded.sequence, revision = revision + 1
		WHERE time <= excluded.time`, f.stream, one.entity[:], at, one.payloadHash[:], f.sequence)
	t.exec("INSERT INTO events (id, type, subject, deletion, key, time, recorded_at, late, payload) VALUES (?, 'order', ?, 0, ?, ?, ?, 0, ?)",
		f.stream<<40|f.sequence, one.subject, "v/"+one.subject+"/1", at, at, one.payload)
}

// count writes what is counted of a batch.
func (t *transaction) count(at int64, events int) {
	t.exec("UPDATE streams SET head = ?, last_success_at = ? WHERE num = ?", t.floor.sequence, at, t.floor.stream)
	t.exec(`INSERT INTO hourly (stream, hour, events, duplicates, runs, failures) VALUES (?, ?, ?, 0, 0, 0)
		ON CONFLICT DO UPDATE SET events = events + excluded.events`, t.floor.stream, at/3_600_000_000*3600, int64(events))
}

func (f *sqliteFloor) commit(batch []*row) error {
	t := &transaction{floor: f}
	t.exec("BEGIN IMMEDIATE")
	for _, one := range batch {
		if t.exec("INSERT OR IGNORE INTO delivery_keys (connection, endpoint, hash, delivery_id, first_event, at) VALUES (?, 'orders', ?, ?, ?, ?)",
			f.connection, one.delivery[:], one.id, one.first, one.at.UnixMicro()) > 0 {
			t.record(one)
		}
	}
	t.count(batch[0].at.UnixMicro(), len(batch))
	t.exec("COMMIT")
	return errors.Join(t.errs...)
}

func (f *sqliteFloor) close() error {
	var errs []error
	for _, s := range f.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, f.conn.Close())...)
}

func serveFloorSQLite(ctx context.Context, o childOptions, ready func(addr string)) (int64, error) {
	f, err := openSQLiteFloor(ctx, o.Dir, Orders.Key())
	if err != nil {
		return 0, err
	}
	return serveFloor(ctx, f, o.Secret, ready)
}

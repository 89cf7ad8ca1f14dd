package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/store/transfer"
)

// moved is the file of a store as an end of a move.
type moved struct {
	conn *conn
	lock *os.File
	// from and to are the file that is written and what it is named at the end;
	// "" for a source.
	from, to string
	// texts are the columns that hold text, as TABLE.COLUMN.
	texts map[string]bool
}

var (
	_ transfer.Source = (*moved)(nil)
	_ transfer.Target = (*moved)(nil)
)

// ofOneBackend are tables that hold nothing to move: which process writes, and
// which steps of the schema were made.
var ofOneBackend = []string{"writer", "goose_db_version", "sqlite_sequence"}

// mapping says how a column is read and written where its name is not the whole
// answer. A column without a name on the other side is left out.
type mapping struct{ read, write string }

// Rows of these tables have a number here only because a B-tree needs one.
var numbered = []string{"runs", "delivery_keys", "stored_deliveries"}

// OpenSource opens the store in dir to move it elsewhere. It takes the lock:
// nothing is written meanwhile. The schema is brought up to date first.
func OpenSource(ctx context.Context, dir string) (transfer.Source, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockFolder(dir, time.Now())
	if err != nil {
		return nil, err
	}
	m, err := openMoved(ctx, path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	m.lock = lock
	return m, nil
}

// openMoved brings the schema of a file up to date and opens it.
func openMoved(ctx context.Context, path string) (*moved, error) {
	if err := migrate(ctx, path); err != nil {
		return nil, err
	}
	c, err := connect(path)
	if err != nil {
		return nil, err
	}
	return &moved{conn: c}, nil
}

// CreateTarget prepares a store in dir, which must hold none. It becomes one
// when it is committed; until then it is a file of another name.
func CreateTarget(ctx context.Context, dir string) (_ transfer.Target, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFolder(dir, time.Now())
	if err != nil {
		return nil, err
	}
	m, err := createMoved(ctx, filepath.Join(dir, FileName))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	m.lock = lock
	return m, nil
}

// partialSuffix names a file that is not whole yet.
const partialSuffix = ".partial"

// createMoved makes an empty store beside to.
func createMoved(ctx context.Context, to string) (_ *moved, err error) {
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%w: there is a file %s", transfer.ErrNotEmpty, to), err)
	}
	m := &moved{from: to + partialSuffix, to: to}
	// What an earlier try left behind is nobody's.
	if err := removeFile(m.from); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(m.from, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("make file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.conn, err = connect(m.from); err != nil {
		return nil, err
	}
	if err := m.conn.script("PRAGMA auto_vacuum = INCREMENTAL"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, m.from); err != nil {
		return nil, err
	}
	// The file is synced as a whole before it gets its name.
	if err := m.conn.script("PRAGMA journal_mode = MEMORY", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -65536", "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	return m, nil
}

// Tables lists what is moved.
func (m *moved) Tables(context.Context) ([]transfer.Table, error) {
	columns, err := m.schema()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return transfer.Order(a, b) })
	var out []transfer.Table
	for _, name := range names {
		out = append(out, transfer.Table{Name: name, Columns: columns[name]})
	}
	return out, nil
}

// schema reads the columns of every table, as they are moved.
func (m *moved) schema() (map[string][]string, error) {
	columns := map[string][]string{}
	m.texts = map[string]bool{}
	err := m.conn.query(func(v []driver.Value) {
		table, column := text(v[0]), text(v[1])
		m.texts[table+"."+column] = text(v[2]) == "TEXT"
		switch {
		case slices.Contains(ofOneBackend, table) || column == "num" && slices.Contains(numbered, table):
		case table == "events" && column == "id":
			columns[table] = append(columns[table], "stream", "sequence")
		default:
			columns[table] = append(columns[table], column)
		}
	}, `SELECT m.name, c.name, c.type FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return columns, nil
}

// mapped says how a column of a table is read, and in what column with which
// expression of its place it is written.
func mapped(table, column string) mapping {
	switch {
	case table == "events" && column == "stream":
		return mapping{read: fmt.Sprintf("id >> %d", sequenceBits)}
	case table == "events" && column == "sequence":
		return mapping{read: fmt.Sprintf("id & %d", 1<<sequenceBits-1), write: "id"}
	case table == "hourly" && column == "hour":
		// The one time that is kept in seconds.
		return mapping{read: "hour * 1000000", write: "hour"}
	}
	return mapping{read: column, write: column}
}

// Count counts the rows of a table.
func (m *moved) Count(_ context.Context, t transfer.Table) (int64, error) {
	return one(m.conn, "SELECT count(*) FROM "+t.Name)
}

// Read reads a table.
func (m *moved) Read(ctx context.Context, t transfer.Table, yield func(transfer.Row) error) error {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = mapped(t.Name, c).read
	}
	var failure error
	err := m.conn.query(func(v []driver.Value) {
		if failure != nil {
			return
		}
		row := make(transfer.Row, len(v))
		for i := range v {
			row[i] = v[i]
		}
		if failure = ctx.Err(); failure == nil {
			failure = yield(row)
		}
	}, "SELECT "+strings.Join(list, ", ")+" FROM "+t.Name)
	return errors.Join(failure, err)
}

// Write inserts rows.
func (m *moved) Write(_ context.Context, t transfer.Table, rows []transfer.Row) error {
	var names, places []string
	stream := -1
	for i, c := range t.Columns {
		if to := mapped(t.Name, c).write; to != "" {
			names, places = append(names, to), append(places, "?")
		} else {
			stream = i
		}
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", t.Name, strings.Join(names, ", "), strings.Join(places, ", "))
	for _, row := range rows {
		args := make([]driver.Value, 0, len(row))
		for i, v := range row {
			if i == stream {
				continue
			}
			n, isNumber := v.(int64)
			b, isBytes := v.([]byte)
			s, isText := v.(string)
			isText = isText && !m.texts[t.Name+"."+t.Columns[i]]
			switch {
			case t.Name == "events" && t.Columns[i] == "sequence":
				num, _ := row[stream].(int64)
				if num >= 1<<(63-sequenceBits) || n >= 1<<sequenceBits {
					return fmt.Errorf("event %d of stream %d has a number that SQLite cannot keep", n, num)
				}
				args = append(args, rowid(num, n))
			case t.Name == "hourly" && t.Columns[i] == "hour" && isNumber:
				args = append(args, n/int64(time.Second/time.Microsecond))
			case isBytes && m.texts[t.Name+"."+t.Columns[i]]:
				args = append(args, string(b))
			case isText:
				args = append(args, []byte(s))
			default:
				args = append(args, v)
			}
		}
		if _, err := m.conn.exec(insert, args...); err != nil {
			return err
		}
	}
	return nil
}

// Counters reads numbers that must not be given twice.
func (m *moved) Counters(context.Context) (map[string]int64, error) {
	counters := map[string]int64{}
	err := m.conn.query(func(v []driver.Value) { counters[text(v[0])], _ = v[1].(int64) },
		"SELECT name, seq FROM sqlite_sequence WHERE name IN ('connections', 'streams')")
	if err == nil {
		counters[transfer.CounterEpoch], err = one(m.conn, "SELECT epoch FROM writer WHERE id = 1")
	}
	return counters, err
}

// SetCounters takes over the source's counters.
func (m *moved) SetCounters(_ context.Context, counters map[string]int64) error {
	for name, n := range counters {
		if name == transfer.CounterEpoch {
			if _, err := m.conn.exec("UPDATE writer SET epoch = ? WHERE id = 1", n); err != nil {
				return err
			}
			continue
		}
		if _, err := m.conn.exec("DELETE FROM sqlite_sequence WHERE name = ?", name); err != nil {
			return err
		}
		if _, err := m.conn.exec("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", name, n); err != nil {
			return err
		}
	}
	return nil
}

// Commit checks the file, syncs it and gives it its name.
func (m *moved) Commit(context.Context) error {
	if _, err := m.conn.exec("COMMIT"); err != nil {
		return err
	}
	if err := checkIntegrity(m.conn); err != nil {
		return err
	}
	err := m.conn.close()
	m.conn = nil
	if err != nil {
		return err
	}
	if err := settle(m.from, m.to); err != nil {
		return err
	}
	m.from = ""
	return nil
}

// Close closes the file, and removes it if it was not committed.
func (m *moved) Close() error {
	var errs []error
	if m.conn != nil {
		errs = append(errs, m.conn.close())
		m.conn = nil
	}
	if m.from != "" {
		errs = append(errs, removeFile(m.from))
		m.from = ""
	}
	if m.lock != nil {
		errs = append(errs, m.lock.Close())
		m.lock = nil
	}
	return errors.Join(errs...)
}

// checkIntegrity reads the whole file.
func checkIntegrity(c *conn) error {
	var faults []string
	if err := c.query(func(v []driver.Value) { faults = append(faults, text(v[0])) }, "PRAGMA integrity_check(10)"); err != nil {
		return fmt.Errorf("check integrity: %w", err)
	}
	if !slices.Equal(faults, []string{"ok"}) {
		return fmt.Errorf("the file is damaged: %s", strings.Join(faults, "; "))
	}
	return nil
}

// settle makes a whole file durable under its name.
func settle(from, to string) error {
	for _, step := range []func() error{
		func() error { return syncPath(from) },
		func() error { return os.Link(from, to) }, // unlike a rename it replaces nothing
		func() error { return os.Remove(from) },
		func() error { return syncPath(filepath.Dir(to)) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("keep %s: %w", to, err)
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeFile removes a file and its log, if they are there.
func removeFile(path string) error {
	var errs []error
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/transfer"
)

// moved is a database as an end of a move. Everything happens in one
// transaction: a source sees one moment, a target appears at once or not at all.
type moved struct {
	conn *pgx.Conn
	tx   pgx.Tx
	// tables holds the columns of every table, with their types.
	tables map[string][]typed
	// connections holds the connection of each stream that was written.
	connections map[int64]int64
	segment     int64
}

type typed struct{ name, kind string }

var (
	_ transfer.Source = (*moved)(nil)
	_ transfer.Target = (*moved)(nil)
)

// ofOneBackend are tables that hold nothing to move: who writes, which steps of
// the schema were made, how the log is cut into tables.
var ofOneBackend = []string{"schema_migrations", "leases", "writers", "segments", "nodes", "shards", "commands", "entities"}

// OpenSource opens the store in a database to copy it: what was committed
// before is seen, what is written meanwhile is not. Its schema is brought up to
// date first. Unless live, it fails with [store.ErrLocked] while a process has
// the store: what that writes would be missing in the copy.
func OpenSource(ctx context.Context, url string, live bool) (transfer.Source, error) {
	m, err := openMoved(ctx, url, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if err != nil || live {
		return m, err
	}
	return m, m.idle(ctx)
}

// CreateTarget prepares a store in a database, which must hold none.
func CreateTarget(ctx context.Context, url string) (transfer.Target, error) {
	m, err := openMoved(ctx, url, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	if err != nil {
		return nil, err
	}
	if err := m.idle(ctx); err != nil {
		return nil, err
	}
	// Nobody begins to use it while it is filled.
	_, err = m.tx.Exec(ctx, "LOCK TABLE connections, streams, meta IN EXCLUSIVE MODE")
	if err == nil {
		// A store that was opened once has a secret, which is replaced.
		_, err = m.tx.Exec(ctx, "DELETE FROM meta WHERE NOT EXISTS (SELECT FROM connections)")
	}
	if err == nil {
		err = m.tx.QueryRow(ctx, "SELECT max(num) FROM segments").Scan(&m.segment)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare database: %w", err), m.Close())
	}
	return m, nil
}

func openMoved(ctx context.Context, url, begin string) (_ *moved, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	m := &moved{connections: map[int64]int64{}}
	if m.conn, err = connect(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open PostgreSQL store %s on %s: %w", config.Database, config.Host, err), m.Close())
		}
	}()
	if err := migrate(ctx, m.conn); err != nil {
		return nil, err
	}
	if m.tx, err = m.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin}); err != nil {
		return nil, err
	}
	return m, m.schema(ctx)
}

// idle fails while a process has the store. It closes m then.
func (m *moved) idle(ctx context.Context) error {
	var held bool
	err := m.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM nodes WHERE expires_at > clock_timestamp())").Scan(&held)
	if err == nil && held {
		err = fmt.Errorf("%w: a Weir runs on this database; stop it first", store.ErrLocked)
	}
	if err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

// schema reads the columns of every table.
func (m *moved) schema(ctx context.Context) error {
	rows, err := m.tx.Query(ctx, `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
		ORDER BY c.relname, a.attnum`)
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	m.tables = map[string][]typed{}
	var table string
	var column typed
	_, err = pgx.ForEachRow(rows, []any{&table, &column.name, &column.kind}, func() error {
		m.tables[table] = append(m.tables[table], column)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	return nil
}

// derived says that a column of a table is not moved: it follows from the stream,
// or is about how this backend cuts the log.
func derived(table, column string) bool {
	switch table {
	case "events":
		return column == "connection" || column == "segment"
	case "keys", "hourly":
		return column == "connection"
	}
	return false
}

// Tables lists what is moved.
func (m *moved) Tables(context.Context) ([]transfer.Table, error) {
	var out []transfer.Table
	for name, columns := range m.tables {
		if slices.Contains(ofOneBackend, name) {
			continue
		}
		t := transfer.Table{Name: name}
		for _, c := range columns {
			if !derived(name, c.name) {
				t.Columns = append(t.Columns, c.name)
			}
		}
		if name == "keys" && m.split() {
			t.Columns = append(t.Columns, ofEntities...)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b transfer.Table) int { return transfer.Order(a.Name, b.Name) })
	return out, nil
}

// ofEntities are the columns that only the row of an entity has. Where entities
// are kept in a table of their own, it is moved as part of the keys.
var ofEntities = []string{"time", "payload", "revision", "latest"}

func (m *moved) split() bool { return len(m.tables["entities"]) > 0 }

// kind is the type of a column.
func (m *moved) kind(table, column string) string {
	columns := m.tables[table]
	if table == "keys" && m.split() && slices.Contains(ofEntities, column) {
		columns = m.tables["entities"]
	}
	i := slices.IndexFunc(columns, func(c typed) bool { return c.name == column })
	if i < 0 {
		return ""
	}
	return columns[i].kind
}

// Count counts the rows of a table.
func (m *moved) Count(ctx context.Context, t transfer.Table) (n int64, err error) {
	query := "SELECT count(*) FROM " + t.Name
	if t.Name == "keys" && m.split() {
		query = "SELECT (SELECT count(*) FROM keys) + (SELECT count(*) FROM entities)"
	}
	err = m.tx.QueryRow(ctx, query).Scan(&n)
	return n, err
}

// Read reads a table.
func (m *moved) Read(ctx context.Context, t transfer.Table, yield func(transfer.Row) error) error {
	if t.Name != "keys" || !m.split() {
		return m.read(ctx, t, t.Name, yield)
	}
	return errors.Join(m.read(ctx, t, "keys", yield), m.read(ctx, t, "entities", yield))
}

func (m *moved) read(ctx context.Context, t transfer.Table, from string, yield func(transfer.Row) error) error {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		switch kind := m.kind(t.Name, c); {
		case from == "keys" && m.split() && slices.Contains(ofEntities, c):
			list[i] = "NULL"
		case kind == "timestamp with time zone":
			list[i] = "(extract(epoch FROM " + c + ") * 1000000)::bigint"
		case kind == "boolean":
			list[i] = c + "::integer::bigint"
		case kind == "smallint", kind == "integer":
			list[i] = c + "::bigint"
		case kind == "uuid":
			list[i] = "uuid_send(" + c + ")"
		default:
			list[i] = c
		}
	}
	rows, err := m.tx.Query(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+from, inBinary)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if err := yield(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Write copies rows into a table.
func (m *moved) Write(ctx context.Context, t transfer.Table, rows []transfer.Row) error {
	if t.Name != "keys" || !m.split() {
		return m.write(ctx, t, t.Name, rows)
	}
	revision := slices.Index(t.Columns, "revision")
	var keys, entities []transfer.Row
	for _, r := range rows {
		if r[revision] == nil {
			keys = append(keys, r)
		} else {
			entities = append(entities, r)
		}
	}
	return errors.Join(m.write(ctx, t, "keys", keys), m.write(ctx, t, "entities", entities))
}

func (m *moved) write(ctx context.Context, t transfer.Table, into string, rows []transfer.Row) error {
	stream := slices.Index(t.Columns, "stream")
	var names []string
	for _, c := range t.Columns {
		if into != "keys" || !m.split() || !slices.Contains(ofEntities, c) {
			names = append(names, c)
		}
	}
	moved := len(names)
	withConnection := derived(t.Name, "connection")
	if withConnection {
		names = append(names, "connection")
	}
	if derived(t.Name, "segment") {
		names = append(names, "segment")
	}
	encode := func(i int) ([]any, error) {
		row := rows[i]
		out := make([]any, 0, len(names))
		for _, name := range names[:moved] {
			at := slices.Index(t.Columns, name)
			v, err := native(m.kind(t.Name, name), row[at])
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", name, err)
			}
			out = append(out, v)
		}
		if withConnection {
			num, _ := row[stream].(int64)
			connection, ok := m.connections[num]
			if !ok {
				return nil, fmt.Errorf("there is no stream %d", num)
			}
			out = append(out, connection)
		}
		if len(out) < len(names) {
			out = append(out, m.segment)
		}
		return out, nil
	}
	n, err := m.tx.CopyFrom(ctx, pgx.Identifier{into}, names, pgx.CopyFromSlice(len(rows), encode))
	if err == nil && n != int64(len(rows)) {
		err = fmt.Errorf("%d of %d rows were written", n, len(rows))
	}
	if err == nil && t.Name == "streams" {
		num, connection := slices.Index(t.Columns, "num"), slices.Index(t.Columns, "connection")
		for _, r := range rows {
			a, _ := r[num].(int64)
			b, _ := r[connection].(int64)
			m.connections[a] = b
		}
	}
	return err
}

// native is a value as the driver takes it for a column of a type.
func native(kind string, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch kind {
	case "timestamp with time zone":
		if n, ok := v.(int64); ok {
			return time.UnixMicro(n).UTC(), nil
		}
	case "boolean":
		if n, ok := v.(int64); ok {
			return n != 0, nil
		}
	case "uuid":
		if b, ok := v.([]byte); ok && len(b) == 16 {
			return [16]byte(b), nil
		}
	case "bytea":
		switch v := v.(type) {
		case []byte:
			return v, nil
		case string:
			return []byte(v), nil
		}
	case "text":
		switch v := v.(type) {
		case []byte:
			return string(v), nil
		case string:
			return v, nil
		}
	case "smallint", "integer", "bigint":
		if n, ok := v.(int64); ok {
			return n, nil
		}
	}
	return nil, fmt.Errorf("a %T cannot be kept as %s", v, kind)
}

// Counters reads numbers that must not be given twice.
func (m *moved) Counters(ctx context.Context) (map[string]int64, error) {
	counters := map[string]int64{}
	for _, name := range []string{transfer.CounterConnections, transfer.CounterStreams} {
		var n int64
		err := m.tx.QueryRow(ctx, `SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'num')::regclass), 0)`, name).Scan(&n)
		if err != nil {
			return nil, err
		}
		counters[name] = n
	}
	var epoch int64
	if err := m.tx.QueryRow(ctx, "SELECT max(epoch) FROM leases").Scan(&epoch); err != nil {
		return nil, err
	}
	counters[transfer.CounterEpoch] = epoch
	return counters, nil
}

// SetCounters takes over the source's counters.
func (m *moved) SetCounters(ctx context.Context, counters map[string]int64) error {
	for name, n := range counters {
		var err error
		switch {
		case name == transfer.CounterEpoch:
			_, err = m.tx.Exec(ctx, "UPDATE leases SET epoch = greatest(epoch, $1)", n)
		case n > 0:
			_, err = m.tx.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, 'num')::regclass, $2)", name, n)
		}
		if err != nil {
			return fmt.Errorf("counter %s: %w", name, err)
		}
	}
	return nil
}

// Commit commits what was written, and has the planner look at it.
func (m *moved) Commit(ctx context.Context) error {
	if _, err := m.tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
		return err
	}
	if err := m.tx.Commit(ctx); err != nil {
		return err
	}
	_, err := m.conn.Exec(ctx, "ANALYZE")
	return err
}

// Close ends the transaction and the connection.
func (m *moved) Close() error {
	closeNow(m.conn)
	return nil
}

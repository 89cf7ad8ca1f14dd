package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// conn is one raw connection with its prepared statements.
type conn struct {
	raw   rawConn
	stmts map[string]driver.Stmt
	// failpoint is called before every statement in tests.
	failpoint func(statement string) error
	dest      []driver.Value
}

func connect(path string) (*conn, error) { return connectWith(path, writing) }

func connectWith(path string, a access) (*conn, error) {
	raw, err := openRaw(a.dsn(path))
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]driver.Stmt{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func (c *conn) prepare(query string) (driver.Stmt, error) {
	if c.failpoint != nil {
		if err := c.failpoint(query); err != nil {
			return nil, err
		}
	}
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.raw.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.stmts[query] = s
	return s, nil
}

// exec runs a prepared statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := s.Exec(args) //nolint:staticcheck // the variant with a context starts a goroutine for every call
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query runs a prepared statement and calls row for every row. The values are
// valid until row returns.
func (c *conn) query(row func(v []driver.Value), query string, args ...driver.Value) error {
	return c.queryWhile(context.Background(), func(v []driver.Value) bool {
		row(v)
		return true
	}, query, args...)
}

// queryWhile is query that ends after the row for which row is false, and when
// ctx does. Strings and bytes of the values stay; only v itself is used again.
func (c *conn) queryWhile(ctx context.Context, row func(v []driver.Value) bool, query string, args ...driver.Value) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args) //nolint:staticcheck // see exec
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := len(rows.Columns())
	if cap(c.dest) < n {
		c.dest = make([]driver.Value, n)
	}
	dest := c.dest[:n]
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := rows.Next(dest); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for i, v := range dest {
			// One driver hands out no bytes as nil, which would be bound as NULL.
			if b, ok := v.([]byte); ok && b == nil {
				dest[i] = []byte{}
			}
		}
		if !row(dest) {
			return nil
		}
	}
}

// script runs statements without parameters, not prepared.
func (c *conn) script(statements ...string) error {
	for _, s := range statements {
		if _, err := c.raw.Exec(s, nil); err != nil {
			return fmt.Errorf("run %q: %w", s, err)
		}
	}
	return nil
}

// pragma returns the first value of the first row.
func (c *conn) pragma(name string) (string, error) {
	var out string
	err := c.query(func(v []driver.Value) { out = fmt.Sprint(v[0]) }, "PRAGMA "+name)
	return out, err
}

// chunks are the numbers of rows for which statements are prepared. Fewer
// statements mean fewer crossings into C; more sizes mean more prepared ones.
var chunks = [...]int{64, 8, 1}

// inChunks calls f with consecutive parts of the n rows, each of a size in chunks.
func inChunks(n int, f func(from, size int) error) error {
	from := 0
	for _, size := range chunks {
		for ; n-from >= size; from += size {
			if err := f(from, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeated holds head + n times row, comma-separated, + tail for each chunk size.
type repeated map[int]string

func repeat(head, row, tail string) repeated {
	r := repeated{}
	for _, n := range chunks {
		r[n] = head + strings.TrimSuffix(strings.Repeat(row+",", n), ",") + tail
	}
	return r
}

// optional is a time that may be missing.
func optional(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// blob binds empty bytes as they are and nil as NULL.
func blob(b []byte) driver.Value {
	if b == nil {
		return nil
	}
	return b
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

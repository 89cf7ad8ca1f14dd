package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// call is one statement on its way to the server. Parameters are columns, one
// array each, in binary: a statement writes or reads all rows of a batch.
type call struct {
	// what names the statement in errors and to failpoints.
	what string
	sql  string
	args []argument
	// row is called with each row of the result, if set.
	row func(rows pgx.Rows) error
	// rows, if set, must be the number of rows it returned, else the
	// transaction lost a race.
	rows *int
	// zero is what a division by zero says, see exactly.
	zero error
	// tag, if set, must be what the server says it did: COMMIT in a failed
	// transaction is a ROLLBACK.
	tag string
}

// argument is one encoded parameter; a nil value is NULL.
type argument struct {
	oid   uint32
	value []byte
}

// errRace says that a row is not as the transaction had found it.
var errRace = errors.New("another process changed a row")

// errCareless says that a commit would be acknowledged before it is on disk.
var errCareless = errors.New("synchronous_commit is neither on nor remote_apply in the writer's transaction: a commit would be acknowledged before it is on disk")

// binaryForm is the form of all parameters and columns.
var binaryForm = []int16{pgx.BinaryFormatCode}

// exactly lets the call fail at the server, so that what is sent after it is not
// carried out, unless it changes n rows. The text must take a RETURNING at its end.
func (c call) exactly(n int) call {
	c.args = append(c.args, int8Argument(int64(n)))
	c.sql = fmt.Sprintf("WITH w AS (%s RETURNING 1) SELECT 1 / (count(*) = $%d)::int FROM w", c.sql, len(c.args))
	c.zero = errRace
	return c
}

func (c *call) read(conn *pgx.Conn, result *pgconn.ResultReader) error {
	rows := pgx.RowsFromResultReader(conn.TypeMap(), result)
	var err error
	for err == nil && rows.Next() {
		if c.row != nil {
			err = c.row(rows)
		}
	}
	rows.Close()
	if err = errors.Join(rows.Err(), err); err != nil {
		return c.failed(err)
	}
	if n := rows.CommandTag().RowsAffected(); c.rows != nil && n != int64(*c.rows) {
		return fmt.Errorf("%s: %d of %d rows: %w", c.what, n, *c.rows, errRace)
	}
	if tag := rows.CommandTag().String(); c.tag != "" && tag != c.tag {
		return fmt.Errorf("%s: the server answered %s: %w", c.what, tag, errRace)
	}
	return nil
}

// failed is an error of the call.
func (c *call) failed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "22012" && c.zero != nil {
		err = c.zero
	}
	return fmt.Errorf("%s: %w", c.what, err)
}

// column gathers the values of an array in PostgreSQL's binary form.
type column struct {
	oid, element uint32
	count        uint32
	null         bool
	buf          []byte
}

// headerBytes is the length of an array's header: dimensions, flag, type of the
// elements, length, lower bound.
const headerBytes = 20

func newColumn(oid, element uint32) *column {
	return &column{oid: oid, element: element, buf: make([]byte, headerBytes, headerBytes+256)}
}

func bools() *column  { return newColumn(pgtype.BoolArrayOID, pgtype.BoolOID) }
func int4s() *column  { return newColumn(pgtype.Int4ArrayOID, pgtype.Int4OID) }
func int8s() *column  { return newColumn(pgtype.Int8ArrayOID, pgtype.Int8OID) }
func texts() *column  { return newColumn(pgtype.TextArrayOID, pgtype.TextOID) }
func byteas() *column { return newColumn(pgtype.ByteaArrayOID, pgtype.ByteaOID) }
func uuids() *column  { return newColumn(pgtype.UUIDArrayOID, pgtype.UUIDOID) }
func times() *column  { return newColumn(pgtype.TimestamptzArrayOID, pgtype.TimestamptzOID) }

// grow makes room for n bytes in all.
func (c *column) grow(n int) { c.buf = slices.Grow(c.buf, n) }

func (c *column) size(n int) {
	c.count++
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(n))
}

func (c *column) nothing() {
	c.count++
	c.null = true
	c.buf = binary.BigEndian.AppendUint32(c.buf, 0xffffffff)
}

func (c *column) bool(v bool) {
	c.size(1)
	b := byte(0)
	if v {
		b = 1
	}
	c.buf = append(c.buf, b)
}

func (c *column) int4(v int32) {
	c.size(4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v))
}

func (c *column) int8(v int64) {
	c.size(8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v))
}

func (c *column) text(s string) {
	c.size(len(s))
	c.buf = append(c.buf, s...)
}

// bytes adds b; nil is NULL.
func (c *column) bytes(b []byte) {
	if b == nil {
		c.nothing()
		return
	}
	c.size(len(b))
	c.buf = append(c.buf, b...)
}

func (c *column) hash(h groupcommit.Hash) {
	c.size(len(h))
	c.buf = append(c.buf, h[:]...)
}

// y2k is the zero of PostgreSQL's binary times.
var y2k = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (c *column) time(t time.Time) { c.int8(t.UnixMicro() - y2k) }

// optional adds t; the zero time is NULL.
func (c *column) optional(t time.Time) {
	if t.IsZero() {
		c.nothing()
		return
	}
	c.time(t)
}

// utc is a time of the server as the store gives it out; NULL is the zero time.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func (c *column) argument() argument {
	b := c.buf[:headerBytes]
	binary.BigEndian.PutUint32(b[0:], 1)
	binary.BigEndian.PutUint32(b[4:], 0)
	if c.null {
		b[7] = 1
	}
	binary.BigEndian.PutUint32(b[8:], c.element)
	binary.BigEndian.PutUint32(b[12:], c.count)
	binary.BigEndian.PutUint32(b[16:], 1)
	return argument{c.oid, c.buf}
}

// columns are the arguments of a statement over unnest.
func columns(list ...*column) []argument {
	out := make([]argument, len(list))
	for i, c := range list {
		out[i] = c.argument()
	}
	return out
}

func textArgument(s string) argument { return argument{pgtype.TextOID, []byte(s)} }

func int4Argument(v int32) argument {
	return argument{pgtype.Int4OID, binary.BigEndian.AppendUint32(nil, uint32(v))}
}

func int8Argument(v int64) argument {
	return argument{pgtype.Int8OID, binary.BigEndian.AppendUint64(nil, uint64(v))}
}

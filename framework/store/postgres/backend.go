package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// backend is the writing connection as the engine sees it. Only the engine's
// goroutine uses it.
type backend struct {
	config *pgx.ConnConfig
	// node is the number of this process's row among the nodes.
	node *atomic.Int64
	// writer is the number of this process's row in the table of writers.
	writer    int64
	conn      *session
	lent      atomic.Bool // a pooler lends server processes, see session
	failpoint func(statement string) error
	guesses   guesses
}

var _ groupcommit.Backend = (*backend)(nil)

// pooled says that a pooler is between the writer and the server.
func (b *backend) pooled() bool { return b.conn.statements == nil }

// beginSQL is explicit about what a role or database may have set otherwise.
const beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// Begin starts a transaction. Its first statement is sent with the next call,
// to save a round trip.
func (b *backend) Begin(context.Context) (groupcommit.Tx, error) {
	if b.conn == nil || b.conn.IsClosed() {
		return nil, errors.New("the writing connection is closed")
	}
	return &tx{backend: b, conn: b.conn, waiting: b.conn.begin()}, nil
}

// Classify tells errors of PostgreSQL apart, by the classes of
// https://www.postgresql.org/docs/current/errcodes-appendix.html.
func (b *backend) Classify(err error) groupcommit.Class { return classify(err) }

func classify(err error) groupcommit.Class {
	if errors.Is(err, errRace) {
		return groupcommit.Retry
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return groupcommit.Unavailable
	}
	switch e.Code {
	case "40001", "40P01", "55P03", "23505":
		// Serialization failure, deadlock, lock timeout, a row that another
		// process inserted since the guard looked.
		return groupcommit.Retry
	case "54000", "54001", "54011", "54023", "P0001":
		// Limits of the server, such as the size of an index row, and what a
		// trigger of the operator refuses.
		return groupcommit.Content
	}
	switch e.Code[:2] {
	case "21", "22", "23":
		return groupcommit.Content
	default:
		return groupcommit.Unavailable
	}
}

// refused says that an error is the server's word that it has not carried out a
// statement, and so none of those after it.
func refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR" || errors.Is(err, errRace) || errors.Is(err, errCareless)
}

// commit ends a transaction.
var commit = call{what: "commit", sql: "COMMIT", tag: "COMMIT"}

// close closes the connection, if there is one.
func (b *backend) close() {
	if b.conn != nil {
		closeNow(b.conn.Conn)
		b.conn = nil
	}
}

// Reopen replaces the connection. It then writes to the process's row among the
// writers, which every transaction of the old connection that may be committing
// holds locked from its beginning: when the row can be written, that transaction has ended, and
// when that write is durable, on the standby too, so is what came before it.
func (b *backend) Reopen(ctx context.Context) error {
	b.close()
	b.forget()
	conn, err := openSession(ctx, b.config, &b.lent)
	if err != nil {
		return err
	}
	touch := call{
		what: "lock writer", sql: "UPDATE writers SET touched = touched + 1 WHERE num = $1", args: []argument{int8Argument(b.writer)},
	}
	err = conn.send(ctx, append(conn.begin(), touch.exactly(1), commit))
	if err != nil {
		closeNow(conn.Conn)
		return fmt.Errorf("wait for the end of the last transaction: %w", err)
	}
	b.conn = conn
	return nil
}

// Committed says whether the marker is that of the last transaction.
func (b *backend) Committed(ctx context.Context, marker string) (bool, error) {
	if b.conn == nil {
		return false, errors.New("the writing connection is closed")
	}
	saved, found := "", 0
	err := b.conn.send(ctx, []call{{
		what: "read marker", sql: "SELECT marker FROM writers WHERE num = $1", args: []argument{int8Argument(b.writer)},
		row: func(rows pgx.Rows) error { found++; return rows.Scan(&saved) },
	}})
	if err == nil && found != 1 {
		err = errors.New("the row of this writer is gone")
	}
	return saved == marker, err
}

// failure maps an error of a read or change to the errors of package store.
func failure(err error) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrFenced),
		errors.Is(err, store.ErrExists), errors.Is(err, store.ErrStale), errors.Is(err, store.ErrReused), errors.Is(err, store.ErrNotEmpty),
		errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	case classify(err) == groupcommit.Content:
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// session is the connection of a writer. Where it leads to one server process for
// as long as it lasts, the settings are made once and statements are prepared: to
// plan a statement takes the server longer than to carry it out.
type session struct {
	*pgx.Conn
	// statements are those that are prepared, by their text; nil where a pooler
	// lends a server process for a transaction.
	statements map[string]*pgconn.StatementDescription
	// lent is set when the server does not know a statement that was prepared.
	lent *atomic.Bool
}

// settings of the writer. Behind a pooler they are local to a transaction, because
// the next one may be on another connection.
//
//   - synchronous_commit: COMMIT returns when it is on disk, and on the
//     synchronous standby where there is one. remote_apply is stronger and stays.
//   - idle_in_transaction_session_timeout: a process that vanished without a
//     word lets go of its rows, and the fate of its last COMMIT is known then.
//   - jit: compiling costs more than any statement of ours.
const settings = `SELECT
	set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, $1),
	set_config('idle_in_transaction_session_timeout', '10s', $1),
	set_config('statement_timeout', '30s', $1),
	set_config('lock_timeout', '10s', $1),
	set_config('jit', 'off', $1)`

// forTransaction makes the settings for one transaction, forSession for as long as
// the connection lasts.
var (
	forTransaction = call{what: "set up transaction", sql: settings, args: []argument{{pgtype.BoolOID, []byte{1}}}}
	forSession     = call{
		what: "set up session", args: []argument{{pgtype.BoolOID, []byte{0}}},
		// One plan for all values, which finds every row by its key however small the
		// table was when it was made.
		sql: settings + ", set_config('plan_cache_mode', 'force_generic_plan', $1), set_config('enable_seqscan', 'off', $1)",
	}
)

// openSession opens a connection for a writer.
func openSession(ctx context.Context, config *pgx.ConnConfig, lent *atomic.Bool) (_ *session, err error) {
	s := &session{lent: lent}
	if s.Conn, err = connect(ctx, config); err != nil {
		return nil, err
	}
	if lent.Load() {
		return s, nil
	}
	// A pooler says a number of its own when it accepts a connection.
	var process int32
	err = s.send(ctx, []call{{
		what: "ask for the server process", sql: "SELECT pg_backend_pid()",
		row: func(rows pgx.Rows) error { return rows.Scan(&process) },
	}})
	if err == nil && uint32(process) == s.PgConn().PID() {
		err = s.send(ctx, []call{forSession})
		s.statements = map[string]*pgconn.StatementDescription{}
	}
	if err != nil {
		closeNow(s.Conn)
		return nil, err
	}
	return s, nil
}

// begin are the first statements of a transaction.
func (s *session) begin() []call {
	first := call{what: "begin", sql: beginSQL}
	if s.statements != nil {
		return []call{first}
	}
	return []call{first, forTransaction}
}

// prepare returns the prepared statement of a call, nil for none.
func (s *session) prepare(ctx context.Context, c *call) (*pgconn.StatementDescription, error) {
	if s.statements == nil || len(c.args) == 0 {
		return nil, nil
	}
	prepared := s.statements[c.sql]
	if prepared != nil {
		return prepared, nil
	}
	types := make([]uint32, len(c.args))
	for i, a := range c.args {
		types[i] = a.oid
	}
	prepared, err := s.PgConn().Prepare(ctx, "weir_"+strconv.Itoa(len(s.statements)), c.sql, types)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", c.what, err)
	}
	s.statements[c.sql] = prepared
	return prepared, nil
}

// send sends the calls in one round trip and reads all their results.
func (s *session) send(ctx context.Context, calls []call) error {
	batch := &pgconn.Batch{}
	for i := range calls {
		c := &calls[i]
		prepared, err := s.prepare(ctx, c)
		if err != nil {
			return err
		}
		values, types := make([][]byte, len(c.args)), make([]uint32, len(c.args))
		for j, a := range c.args {
			values[j], types[j] = a.value, a.oid
		}
		if prepared != nil {
			batch.ExecStatement(prepared, values, binaryForm, binaryForm)
		} else {
			batch.ExecParams(c.sql, values, types, binaryForm, binaryForm)
		}
	}
	results := s.PgConn().ExecBatch(ctx, batch)
	at, err := 0, error(nil)
	for ; err == nil && at < len(calls); at++ {
		// What the server says below a COMMIT comes before its result.
		forgive(s.Conn)
		if !results.NextResult() {
			break
		}
		if err = calls[at].read(s.Conn, results.ResultReader()); err == nil && calls[at].tag == commit.tag {
			err = replicated(s.Conn)
		}
	}
	// The first error of the server ends the batch; Close returns it when no
	// result did.
	if closeErr := results.Close(); err == nil && closeErr != nil {
		err = calls[min(at, len(calls)-1)].failed(closeErr)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "26000" {
		s.lent.Store(true)
	}
	return err
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// changeRetries is how often a deadlock of a change is tried again.
const changeRetries = 10

// change runs f in a transaction beside the writer; any node may. f may run
// more than once. Changes are idempotent: after an error whose outcome is not
// known the caller repeats them.
func (s *Store) change(ctx context.Context, what string, f func(context.Context, pgx.Tx) error) error {
	if s.closed.Load() {
		return fmt.Errorf("%s: %w", what, store.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var err error
	for range changeRetries {
		err = s.changeOnce(ctx, f)
		if err == nil || classify(err) != groupcommit.Retry {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return fmt.Errorf("%s: %w", what, store.ErrClosed)
	}
	return fmt.Errorf("%s: %w", what, failure(err))
}

func (s *Store) changeOnce(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	var begun bool
	var outcome error
	err := s.alive(ctx, func(conn *pgx.Conn) error {
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: beginSQL}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, settings, true); err != nil {
				return err
			}
			begun = true
			err := f(ctx, tx)
			forgive(conn)
			return err
		})
		if err == nil {
			err = replicated(conn)
		}
		if begun { // it may have been carried out
			outcome, err = err, nil
		}
		return err
	})
	return errors.Join(err, outcome)
}

// now is the time on the database's clock, which all processes share.
func (s *Store) now(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	if s.options.clock != nil {
		return s.options.clock().UTC(), nil
	}
	err = tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now.UTC(), err
}

// ping writes on the writing connection, outside of a batch.
func (b *backend) ping(ctx context.Context) error {
	if b.conn == nil || b.conn.IsClosed() {
		return errors.New("the writing connection is closed")
	}
	if b.failpoint != nil {
		if err := b.failpoint("ping"); err != nil {
			return err
		}
	}
	touch := call{what: "ping", sql: "UPDATE writers SET touched = touched + 1 WHERE num = $1", args: []argument{int8Argument(b.writer)}}
	return b.conn.send(ctx, []call{touch.exactly(1)})
}

const connectionColumns = "id, project, name, connector, type, enabled, created_at"

func scanConnection(row pgx.CollectableRow) (c store.Connection, err error) {
	err = row.Scan(&c.ID, &c.Project, &c.Name, &c.Connector, &c.Type, &c.Enabled, &c.CreatedAt)
	c.CreatedAt = c.CreatedAt.UTC()
	return c, err
}

// EnsureConnection makes the connection or updates it.
func (s *Store) EnsureConnection(ctx context.Context, c store.Connection) (store.Connection, error) {
	if err := store.CheckConnection(c); err != nil {
		return store.Connection{}, fmt.Errorf("ensure connection: %w", err)
	}
	var out store.Connection
	err := s.change(ctx, "ensure connection", func(ctx context.Context, tx pgx.Tx) error {
		out = c
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `INSERT INTO connections (id, project, name, connector, type, enabled, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project, name) WHERE deleted_at IS NULL
			DO UPDATE SET type = excluded.type, enabled = excluded.enabled RETURNING `+connectionColumns,
			store.NewID("con_", now), c.Project, c.Name, c.Connector, c.Type, c.Enabled, now)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectExactlyOneRow(rows, scanConnection); err != nil {
			return err
		}
		return store.SameConnector(out, c)
	})
	if err != nil {
		return store.Connection{}, err
	}
	return out, nil
}

// DeleteConnection hides the connection at once; its rows are removed in the
// background. It waits for a commit that has the connection locked.
func (s *Store) DeleteConnection(ctx context.Context, id string) error {
	what := fmt.Sprintf("delete connection %q", id)
	if !validText(id) {
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	err := s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		// An update alone would not wait for FOR KEY SHARE.
		var num int32
		err := tx.QueryRow(ctx, "SELECT num FROM connections WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", id).Scan(&num)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE connections SET deleted_at = clock_timestamp() WHERE num = $1", num)
		return err
	})
	wake(s.upkeepNow)
	return err
}

// SetPaused pauses a stream's polls or resumes them.
func (s *Store) SetPaused(ctx context.Context, connectionID, stream string, paused bool) error {
	what := fmt.Sprintf("pause or resume stream %q", stream)
	if !validText(connectionID) {
		return fmt.Errorf("%s: connection %q: %w", what, connectionID, store.ErrNotFound)
	}
	if !validText(stream) {
		return fmt.Errorf("%s: %w: the key is not valid UTF-8, or holds a NUL byte", what, store.ErrInvalid)
	}
	return s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO streams (connection, stream, origin, paused)
			SELECT u.connection, u.stream, `+newOrigin+`, $3
			FROM (SELECT num AS connection, $2::text AS stream FROM connections WHERE id = $1 AND deleted_at IS NULL) u
			ON CONFLICT (connection, stream) DO UPDATE SET paused = excluded.paused`, connectionID, stream, paused)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("connection %q: %w", connectionID, store.ErrNotFound)
		}
		return err
	})
}

// InterruptRuns ends the runs that earlier epochs of the shards left running.
func (s *Store) InterruptRuns(ctx context.Context, at time.Time) (int, error) {
	held, _ := s.Shards()
	ended := 0
	err := s.change(ctx, "interrupt runs", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `WITH ended AS (
				UPDATE runs r SET state = 'interrupted', finished_at = $1 FROM connections c
				WHERE r.state = 'running' AND c.num = r.connection AND c.deleted_at IS NULL
					AND r.epoch < ($2::bigint[])[get_byte(sha256(convert_to(c.id, 'UTF8')), 0) + 1]
				RETURNING r.connection, r.stream
			), counted AS (
				INSERT INTO hourly AS h (connection, stream, hour, events, duplicates, runs, failures)
				SELECT s.connection, s.num, $3, 0, 0, count(*), 0 FROM ended e
				JOIN streams s ON s.connection = e.connection AND s.stream = e.stream GROUP BY s.connection, s.num
				ON CONFLICT (connection, stream, hour) DO UPDATE SET runs = h.runs + excluded.runs
			) SELECT FROM ended`, at.UTC(), held[:], at.UTC().Truncate(time.Hour))
		ended = int(tag.RowsAffected())
		return err
	})
	return ended, err
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

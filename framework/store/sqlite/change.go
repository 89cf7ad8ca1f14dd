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

// change runs f in a transaction of the writer. Like a unit, it is not undone
// when ctx ends.
func (s *Store) change(ctx context.Context, what string, f func(*conn) error) error {
	err := s.engine.Do(ctx, func(context.Context) error { return s.writer.transact(f) })
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// changeFor is change with a result. A caller whose ctx ends leaves while f may
// still run, so the two share nothing but what f has handed over.
func changeFor[T any](ctx context.Context, s *Store, what string, f func(*conn) (T, error)) (result T, err error) {
	made := make(chan T, 1)
	err = s.change(ctx, what, func(db *conn) error {
		v, err := f(db)
		if err == nil {
			made <- v
		}
		return err
	})
	if err != nil {
		return result, err
	}
	return <-made, nil
}

func (w *writer) transact(f func(*conn) error) error {
	c := w.conn
	if c == nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, groupcommit.ErrDoubt)
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, groupcommit.ErrDoubt, err)
	}
	if err := f(c); err != nil {
		err = errors.Join(err, c.endTransaction())
		if isSentinel(err) {
			return err
		}
		return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, groupcommit.ErrDoubt, err)
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return fmt.Errorf("%w: %w: %w", store.ErrUnavailable, groupcommit.ErrDoubt, err)
	}
	w.wrote(4)
	return nil
}

// isSentinel reports that the database is fine and the request was not.
func isSentinel(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrFenced) || configurationRefused(err)
}

const connectionColumns = "num, id, project, name, connector, type, enabled, created_at"

// EnsureConnection makes the connection or updates it.
func (s *Store) EnsureConnection(ctx context.Context, c store.Connection) (store.Connection, error) {
	if err := store.CheckConnection(c); err != nil {
		return store.Connection{}, fmt.Errorf("ensure connection: %w", err)
	}
	var out store.Connection
	now := s.options.Clock()
	err := s.change(ctx, "ensure connection", func(db *conn) error {
		found := store.Connection{}
		err := db.query(func(v []driver.Value) { found = connectionFrom(v) },
			"SELECT "+connectionColumns+" FROM connections WHERE project = ? AND name = ? AND deleted_at IS NULL", c.Project, c.Name)
		if err != nil {
			return err
		}
		out = c
		if found.ID == "" {
			out.ID, out.CreatedAt = store.NewID("con_", now), now.UTC().Truncate(time.Microsecond)
			_, err := db.exec("INSERT INTO connections (id, project, name, connector, type, enabled, created_at) VALUES (?,?,?,?,?,?,?)",
				out.ID, out.Project, out.Name, out.Connector, out.Type, number(out.Enabled), out.CreatedAt.UnixMicro())
			return err
		}
		if err := store.SameConnector(found, c); err != nil {
			return err
		}
		out.ID, out.CreatedAt = found.ID, found.CreatedAt
		_, err = db.exec("UPDATE connections SET type = ?, enabled = ? WHERE id = ?", out.Type, number(out.Enabled), out.ID)
		return err
	})
	if err != nil {
		return store.Connection{}, err
	}
	return out, nil
}

// DeleteConnection hides the connection at once; its rows are removed in the
// background.
func (s *Store) DeleteConnection(ctx context.Context, id string) error {
	err := s.change(ctx, fmt.Sprintf("delete connection %q", id), func(db *conn) error {
		n, err := db.exec("UPDATE connections SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", s.options.Clock().UnixMicro(), id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return err
	}
	// Whatever the writer knows of deleted connections is forgotten before the
	// next unit: Do runs in the writer's goroutine.
	err = s.engine.Do(ctx, func(context.Context) error {
		delete(s.writer.nums, id)
		return nil
	})
	wake(s.trimNow)
	return err
}

// SetPaused pauses a stream's polls or resumes them.
func (s *Store) SetPaused(ctx context.Context, connectionID, stream string, paused bool) error {
	return s.change(ctx, fmt.Sprintf("pause or resume stream %q", stream), func(db *conn) error {
		n, err := db.exec(`INSERT INTO streams (connection, stream, origin, paused)
			SELECT c.num, ?1, `+newOrigin("c.num", "?1")+`, ?2 FROM connections c WHERE c.id = ?3 AND c.deleted_at IS NULL
			ON CONFLICT DO UPDATE SET paused = excluded.paused`, stream, number(paused), connectionID)
		if err == nil && n == 0 {
			err = fmt.Errorf("connection %q: %w", connectionID, store.ErrNotFound)
		}
		return err
	})
}

// InterruptRuns ends the runs that earlier epochs left running.
func (s *Store) InterruptRuns(ctx context.Context, at time.Time) (int, error) {
	ended, err := changeFor(ctx, s, "interrupt runs", func(db *conn) (int64, error) {
		hour := at.UTC().Truncate(time.Hour).Unix()
		_, err := db.exec(`INSERT INTO hourly (stream, hour, events, duplicates, runs, failures)
			SELECT s.num, ?, 0, 0, count(*), 0 FROM runs r JOIN streams s ON s.connection = r.connection AND s.stream = r.stream
			WHERE r.state = 'running' AND r.epoch < ? GROUP BY s.num
			ON CONFLICT DO UPDATE SET runs = runs + excluded.runs`, hour, s.epoch)
		if err != nil {
			return 0, err
		}
		return db.exec(`UPDATE runs SET state = 'interrupted', finished_at = ? WHERE state = 'running' AND epoch < ?`,
			at.UnixMicro(), s.epoch)
	})
	return int(ended), err
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func connectionFrom(v []driver.Value) store.Connection {
	enabled, _ := v[6].(int64)
	return store.Connection{
		ID: text(v[1]), Project: text(v[2]), Name: text(v[3]), Connector: text(v[4]), Type: text(v[5]),
		Enabled: enabled != 0, CreatedAt: moment(v[7]),
	}
}

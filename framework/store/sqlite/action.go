package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// WriteActions carries out writes in one transaction.
func (s *Store) WriteActions(ctx context.Context, writes []store.ActionWrite) ([]error, error) {
	each := make([]error, len(writes))
	for i := range writes {
		each[i] = writes[i].Check()
	}
	err := s.change(ctx, "write runs of actions", func(db *conn) error {
		now, nums := s.options.Clock().UnixMicro(), map[string]int64{}
		for i := range writes {
			if each[i] != nil {
				continue
			}
			num, known := nums[writes[i].Run.ConnectionID]
			if !known {
				err := db.query(func(v []driver.Value) { num, _ = v[0].(int64) }, "SELECT num FROM connections WHERE id = ?", writes[i].Run.ConnectionID)
				if err != nil {
					return err
				}
				nums[writes[i].Run.ConnectionID] = num
			}
			var err error
			if each[i], err = writeAction(db, &writes[i], num, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return each, nil
}

// writeAction writes one run of the connection with the given number, 0 for none;
// why says that it is refused.
func writeAction(db *conn, w *store.ActionWrite, num, now int64) (why, err error) {
	r := &w.Run
	var n int64
	switch {
	case w.Begin:
		n, err = db.exec(`INSERT INTO action_runs (connection, id, target, action, origin, state, owner, seen_at, started_at, finished_at, percent, message, events,
				error, error_class, stack, output)
			SELECT num, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM connections WHERE num = ? AND deleted_at IS NULL
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at WHERE owner = excluded.owner`,
			r.ID, r.TargetID, r.Action, r.Origin, string(r.State), r.Owner, now, r.StartedAt.UnixMicro(), optional(r.FinishedAt), int64(r.Percent), r.Message, r.Events,
			r.Error, r.ErrorClass, r.Stack, blob(r.Output), num)
		if err == nil && n == 0 {
			return fmt.Errorf("begin run %q of connection %q: %w", r.ID, r.ConnectionID, store.ErrNotFound), nil
		}
	case r.State == store.RunRunning:
		// What most writes are: no index has to change.
		n, err = db.exec("UPDATE action_runs SET seen_at = ?, percent = ?, message = ?, events = ? WHERE connection = ? AND id = ? AND owner = ? AND state = 'running'",
			now, int64(r.Percent), r.Message, r.Events, num, r.ID, r.Owner)
	default:
		n, err = db.exec(`UPDATE action_runs SET state = ?, seen_at = ?, finished_at = ?, percent = ?, message = ?, events = ?, error = ?, error_class = ?, stack = ?, output = ?
			WHERE connection = ? AND id = ? AND owner = ? AND state = 'running'`,
			string(r.State), now, optional(r.FinishedAt), int64(r.Percent), r.Message, r.Events, r.Error, r.ErrorClass, r.Stack, blob(r.Output), num, r.ID, r.Owner)
	}
	if err == nil && n == 0 {
		return fmt.Errorf("change run %q: %w", r.ID, store.ErrFenced), nil
	}
	for _, p := range w.Progress {
		if err != nil {
			break
		}
		_, err = db.exec("INSERT INTO action_events (connection, run, sequence, at, percent, message) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			num, r.ID, p.Sequence, p.At.UnixMicro(), int64(p.Percent), p.Message)
	}
	return nil, err
}

const actionColumns = `a.id, c.id, a.target, a.action, a.origin, a.state, a.owner, a.started_at, a.finished_at, a.percent, a.message, a.events,
	a.error, a.error_class`

const fromActions = " FROM action_runs a JOIN connections c ON c.num = a.connection AND c.deleted_at IS NULL "

func scanAction(v *store.ActionRun, more ...any) []any {
	return append([]any{
		&v.ID, &v.ConnectionID, &v.TargetID, &v.Action, &v.Origin, &v.State, &v.Owner,
		micros{&v.StartedAt},
		micros{&v.FinishedAt},
		&v.Percent, &v.Message, &v.Events,
		&v.Error, &v.ErrorClass,
	}, more...)
}

// ActionRun returns one run.
func (s *Store) ActionRun(ctx context.Context, id string) (store.ActionRun, error) {
	what := fmt.Sprintf("read run %q", id)
	found, err := list(ctx, s, what, "SELECT "+actionColumns+", a.stack, a.output"+fromActions+"WHERE a.id = ?",
		func(r *sql.Rows, v *store.ActionRun) error {
			return r.Scan(scanAction(v, &v.Stack, octets{&v.Output})...)
		}, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.ActionRun{}, err
	}
	return found[0], nil
}

// ActionRuns lists runs, newest first.
func (s *Store) ActionRuns(ctx context.Context, connectionID, before string, limit int) ([]store.ActionRun, error) {
	return list(ctx, s, "list runs of actions", "SELECT "+actionColumns+fromActions+
		"WHERE (?1 = '' OR c.id = ?1 OR a.target = ?1) AND (?2 = '' OR a.id < ?2) ORDER BY a.id DESC LIMIT ?3",
		func(r *sql.Rows, v *store.ActionRun) error { return r.Scan(scanAction(v)...) }, connectionID, before, bounded(limit))
}

// ActionProgress lists the reports of a run.
func (s *Store) ActionProgress(ctx context.Context, id string, after int64, limit int) ([]store.ActionProgress, error) {
	return list(ctx, s, "list the progress of a run", `SELECT e.sequence, e.at, e.percent, e.message FROM action_runs a
		JOIN action_events e ON e.connection = a.connection AND e.run = a.id WHERE a.id = ? AND e.sequence > ? ORDER BY e.sequence LIMIT ?`,
		func(r *sql.Rows, v *store.ActionProgress) error {
			return r.Scan(&v.Sequence, micros{&v.At}, &v.Percent, &v.Message)
		}, id, after, bounded(limit))
}

// TouchActions shows that the owner lives.
func (s *Store) TouchActions(ctx context.Context, owner string) ([]string, error) {
	return changeFor(ctx, s, "keep runs of actions", func(db *conn) (cancel []string, err error) {
		if _, err := db.exec("UPDATE action_runs SET seen_at = ? WHERE owner = ? AND state = 'running'", s.options.Clock().UnixMicro(), owner); err != nil {
			return nil, err
		}
		err = db.query(func(v []driver.Value) { cancel = append(cancel, text(v[0])) },
			"SELECT id FROM action_runs WHERE owner = ? AND state = 'running' AND cancel_at IS NOT NULL", owner)
		return cancel, err
	})
}

// CancelAction asks the owner of a run to cancel it.
func (s *Store) CancelAction(ctx context.Context, id string) error {
	return s.change(ctx, fmt.Sprintf("cancel run %q", id), func(db *conn) error {
		n, err := db.exec("UPDATE action_runs SET cancel_at = ? WHERE id = ? AND state = 'running'", s.options.Clock().UnixMicro(), id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// InterruptActions ends the runs of owners that are gone.
func (s *Store) InterruptActions(ctx context.Context, owner string, silence time.Duration) (int, error) {
	return changeFor(ctx, s, "interrupt runs of actions", func(db *conn) (int, error) {
		now := s.options.Clock()
		n, err := db.exec(`UPDATE action_runs SET state = 'interrupted', finished_at = ?, error = ? WHERE state = 'running' AND owner <> ? AND seen_at <= ?`,
			now.UnixMicro(), store.InterruptedAction, owner, now.Add(-silence).UnixMicro())
		return int(n), err
	})
}

// TrimActions removes runs that have ended.
func (s *Store) TrimActions(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	return changeFor(ctx, s, "trim runs of actions", func(db *conn) (int, error) {
		type key struct {
			connection int64
			id         string
		}
		var old []key
		err := db.query(func(v []driver.Value) {
			num, _ := v[0].(int64)
			old = append(old, key{num, text(v[1])})
		}, `SELECT connection, id FROM (
				SELECT connection, id, state, started_at, row_number() OVER (PARTITION BY connection ORDER BY id DESC) AS place FROM action_runs
			) WHERE state <> 'running' AND (started_at < ? OR place > ?) LIMIT ?`, before.UnixMicro(), int64(keep), int64(bounded(limit)))
		for _, k := range old {
			if err == nil {
				_, err = db.exec("DELETE FROM action_events WHERE connection = ? AND run = ?", k.connection, k.id)
			}
			if err == nil {
				_, err = db.exec("DELETE FROM action_runs WHERE connection = ? AND id = ?", k.connection, k.id)
			}
		}
		return len(old), err
	})
}

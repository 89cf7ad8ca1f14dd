package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirhq/weir/framework/store"
)

// WriteActions carries out writes in one transaction.
func (s *Store) WriteActions(ctx context.Context, writes []store.ActionWrite) ([]error, error) {
	each := make([]error, len(writes))
	refused := make([]error, len(writes))
	for i := range writes {
		refused[i] = writes[i].Check()
	}
	err := s.change(ctx, "write runs of actions", func(ctx context.Context, tx pgx.Tx) error {
		copy(each, refused)
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for i := range writes {
			if each[i] == nil {
				queueAction(batch, &writes[i], now, &each[i])
			}
		}
		if batch.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, err
	}
	return each, nil
}

// queueAction writes one run; why gets the reason when it is refused.
func queueAction(batch *pgx.Batch, w *store.ActionWrite, now time.Time, why *error) {
	r := &w.Run
	finished := &r.FinishedAt
	if finished.IsZero() {
		finished = nil
	}
	if w.Begin {
		batch.Queue(`INSERT INTO action_runs AS a (connection, id, target, action, origin, state, owner, seen_at, started_at, finished_at, percent, message, events,
				error, error_class, stack, output)
			SELECT num, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 FROM connections WHERE id = $17 AND deleted_at IS NULL
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at WHERE a.owner = excluded.owner`,
			r.ID, r.TargetID, r.Action, r.Origin, string(r.State), r.Owner, now, r.StartedAt, finished, r.Percent, r.Message, r.Events,
			r.Error, r.ErrorClass, r.Stack, r.Output, r.ConnectionID).
			Exec(refusal(why, fmt.Errorf("begin run %q of connection %q: %w", r.ID, r.ConnectionID, store.ErrNotFound)))
	} else {
		batch.Queue(`UPDATE action_runs SET state = $1, seen_at = $2, finished_at = $3, percent = $4, message = $5, events = $6, error = $7, error_class = $8, stack = $9, output = $10
			WHERE id = $11 AND owner = $12 AND state = 'running'`,
			string(r.State), now, finished, r.Percent, r.Message, r.Events, r.Error, r.ErrorClass, r.Stack, r.Output, r.ID, r.Owner).
			Exec(refusal(why, fmt.Errorf("change run %q: %w", r.ID, store.ErrFenced)))
	}
	for _, p := range w.Progress {
		// Of a run that was refused nothing is kept: its row is another owner's, or
		// none.
		batch.Queue(`INSERT INTO action_events (connection, run, sequence, at, percent, message)
			SELECT connection, id, $1, $2, $3, $4 FROM action_runs WHERE id = $5 AND owner = $6 AND seen_at = $7 ON CONFLICT DO NOTHING`,
			p.Sequence, p.At, p.Percent, p.Message, r.ID, r.Owner, now)
	}
}

// refusal tells why when a statement has changed nothing.
func refusal(why *error, reason error) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			*why = reason
		}
		return nil
	}
}

const actionColumns = `a.id, c.id, a.target, a.action, a.origin, a.state, a.owner, a.started_at, a.finished_at, a.percent, a.message, a.events,
	a.error, a.error_class`

const fromActions = " FROM action_runs a JOIN connections c ON c.num = a.connection AND c.deleted_at IS NULL "

func scanAction(r pgx.CollectableRow, v *store.ActionRun, more ...any) error {
	return r.Scan(append([]any{
		&v.ID, &v.ConnectionID, &v.TargetID, &v.Action, &v.Origin, &v.State, &v.Owner,
		moment{&v.StartedAt},
		moment{&v.FinishedAt},
		&v.Percent, &v.Message, &v.Events,
		&v.Error, &v.ErrorClass,
	}, more...)...)
}

// ActionRun returns one run.
func (s *Store) ActionRun(ctx context.Context, id string) (store.ActionRun, error) {
	what := fmt.Sprintf("read run %q", id)
	if !validText(id) {
		return store.ActionRun{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	found, err := list(ctx, s, what, "SELECT "+actionColumns+", a.stack, a.output"+fromActions+"WHERE a.id = $1",
		func(r pgx.CollectableRow) (v store.ActionRun, err error) {
			return v, scanAction(r, &v, &v.Stack, &v.Output)
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
	if !validText(connectionID, before) {
		return nil, nil
	}
	return list(ctx, s, "list runs of actions", "SELECT "+actionColumns+fromActions+
		`WHERE ($1 = '' OR c.id = $1 OR a.target = $1) AND ($2 = '' OR a.id COLLATE "C" < $2) ORDER BY a.id COLLATE "C" DESC LIMIT $3`,
		func(r pgx.CollectableRow) (v store.ActionRun, err error) { return v, scanAction(r, &v) }, connectionID, before, bounded(limit))
}

// ActionProgress lists the reports of a run.
func (s *Store) ActionProgress(ctx context.Context, id string, after int64, limit int) ([]store.ActionProgress, error) {
	if !validText(id) {
		return nil, nil
	}
	return list(ctx, s, "list the progress of a run", `SELECT e.sequence, e.at, e.percent, e.message FROM action_runs a
		JOIN action_events e ON e.connection = a.connection AND e.run = a.id WHERE a.id = $1 AND e.sequence > $2 ORDER BY e.sequence LIMIT $3`,
		func(r pgx.CollectableRow) (v store.ActionProgress, err error) {
			return v, r.Scan(&v.Sequence, moment{&v.At}, &v.Percent, &v.Message)
		}, id, after, bounded(limit))
}

// TouchActions shows that the owner lives.
func (s *Store) TouchActions(ctx context.Context, owner string) (cancel []string, err error) {
	err = s.change(ctx, "keep runs of actions", func(ctx context.Context, tx pgx.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `WITH seen AS (
				UPDATE action_runs SET seen_at = $1 WHERE owner = $2 AND state = 'running' RETURNING id, cancel_at
			) SELECT id FROM seen WHERE cancel_at IS NOT NULL`, now, owner)
		if err != nil {
			return err
		}
		cancel, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return cancel, err
}

// CancelAction asks the owner of a run to cancel it.
func (s *Store) CancelAction(ctx context.Context, id string) error {
	what := fmt.Sprintf("cancel run %q", id)
	if !validText(id) {
		return fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	return s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE action_runs SET cancel_at = clock_timestamp() WHERE id = $1 AND state = 'running'", id)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// InterruptActions ends the runs of owners that are gone.
func (s *Store) InterruptActions(ctx context.Context, owner string, silence time.Duration) (ended int, err error) {
	err = s.change(ctx, "interrupt runs of actions", func(ctx context.Context, tx pgx.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE action_runs SET state = 'interrupted', finished_at = $1, error = $2 WHERE state = 'running' AND owner <> $3 AND seen_at <= $4`,
			now, store.InterruptedAction, owner, now.Add(-silence))
		ended = int(tag.RowsAffected())
		return err
	})
	return ended, err
}

// TrimActions removes runs that have ended.
func (s *Store) TrimActions(ctx context.Context, before time.Time, keep, limit int) (removed int, err error) {
	err = s.change(ctx, "trim runs of actions", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `WITH old AS (
				SELECT connection, id FROM (
					SELECT connection, id, state, started_at, row_number() OVER (PARTITION BY connection ORDER BY id COLLATE "C" DESC) AS place FROM action_runs
				) a WHERE state <> 'running' AND (started_at < $1 OR place > $2) LIMIT $3
			), events AS (
				DELETE FROM action_events e USING old WHERE e.connection = old.connection AND e.run = old.id
			) DELETE FROM action_runs a USING old WHERE a.connection = old.connection AND a.id = old.id`, before.UTC(), keep, bounded(limit))
		removed = int(tag.RowsAffected())
		return err
	})
	return removed, err
}

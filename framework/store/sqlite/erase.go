package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework/store"
)

const (
	// eraseSpan is how many rows one read looks through for an entity, eraseRows
	// how many one transaction changes, with other units between them.
	eraseSpan = 20_000
	eraseRows = 500
)

// Erase blanks what is known of an entity. What was written over is overwritten
// in the file, and the log is copied back and emptied at the end, unless readers
// hold it: then the next one does.
func (s *Store) Erase(ctx context.Context, connectionID, entity string) (store.Erasure, error) {
	out, err := store.NewErasure(s.secret, connectionID, entity, s.options.Clock())
	if err != nil {
		return store.Erasure{}, fmt.Errorf("erase entity: %w", err)
	}
	e := &erasing{Store: s, entity: entity}
	err = e.find(ctx, connectionID)
	if err == nil {
		out.Events, err = e.events(ctx)
	}
	if err == nil {
		out.Deliveries, err = e.copies(ctx, "stored_deliveries", "connection = ? AND (dead = 0 OR ending <> 2)", e.connection, []string{"body", "header"},
			`dead = 1, ending = 2, header = NULL, body = NULL, bytes = 0, last_error = '', note = 'erased'`)
	}
	if err == nil {
		out.SinkCopies, err = e.sinks(ctx, connectionID)
	}
	if err == nil {
		err = e.record(ctx, out)
	}
	if err != nil {
		return store.Erasure{}, err
	}
	return out, nil
}

// erasing is one erasure.
type erasing struct {
	*Store
	entity     string
	connection int64
	streams    []eraseStream
}

type eraseStream struct{ num, head int64 }

func (e *erasing) find(ctx context.Context, connectionID string) error {
	nums, err := list(ctx, e.Store, "find connection", "SELECT num FROM connections WHERE id = ? AND deleted_at IS NULL",
		func(r *sql.Rows, v *int64) error { return r.Scan(v) }, connectionID)
	if err == nil && len(nums) == 0 {
		err = fmt.Errorf("erase entity: connection %q: %w", connectionID, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	e.connection = nums[0]
	e.streams, err = list(ctx, e.Store, "list streams", "SELECT num, head FROM streams WHERE connection = ?",
		func(r *sql.Rows, v *eraseStream) error { return r.Scan(&v.num, &v.head) }, e.connection)
	return err
}

// update changes rows in transactions that overwrite what they remove.
func (e *erasing) update(ctx context.Context, ids []int64, query string) (n int, err error) {
	for len(ids) > 0 {
		some := ids[:min(eraseRows, len(ids))]
		ids = ids[len(some):]
		err := e.change(ctx, "erase entity", func(c *conn) error {
			return c.overwriting(func() error {
				for _, id := range some {
					changed, err := c.exec(query, id)
					if err != nil {
						return err
					}
					n += int(changed)
				}
				return nil
			})
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// overwriting has SQLite write zeros over what f removes.
func (c *conn) overwriting(f func() error) error {
	if err := c.query(func([]driver.Value) {}, "PRAGMA secure_delete = ON"); err != nil {
		return err
	}
	err := f()
	if off := c.query(func([]driver.Value) {}, "PRAGMA secure_delete = OFF"); err == nil {
		err = off
	}
	return err
}

func (e *erasing) events(ctx context.Context) (total int, err error) {
	for _, stream := range e.streams {
		for after := int64(0); after < stream.head; after += eraseSpan {
			ids, err := list(ctx, e.Store, "find events to erase", `SELECT id FROM events WHERE id > ? AND id <= ? AND subject = ?
				AND deletion = 0 AND payload IS NOT NULL`, func(r *sql.Rows, v *int64) error { return r.Scan(v) },
				rowid(stream.num, after), rowid(stream.num, min(after+eraseSpan, stream.head)), e.entity)
			if err != nil {
				return total, err
			}
			n, err := e.update(ctx, ids, "UPDATE events SET payload = X'6E756C6C' WHERE id = ? AND payload <> X'6E756C6C'")
			total += n
			if err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// copies changes the rows of a table in which one of the columns holds the id.
func (e *erasing) copies(ctx context.Context, table, where string, owner any, columns []string, set string) (total int, err error) {
	for _, form := range store.ErasureForms(e.entity) {
		holds := "instr(" + strings.Join(columns, ", ?) > 0 OR instr(") + ", ?) > 0"
		var args []any
		for range columns {
			args = append(args, form)
		}
		for after := int64(0); ; {
			// No more than a few large bodies are looked through in one read.
			page, err := list(ctx, e.Store, "find copies to erase", "SELECT rowid, ("+holds+") FROM "+table+" WHERE rowid > ? AND "+where+" ORDER BY rowid LIMIT ?",
				func(r *sql.Rows, v *eraseCopy) error {
					var holds sql.NullBool
					err := r.Scan(&v.id, &holds)
					v.holds = holds.Bool
					return err
				},
				append(slices.Clone(args), after, owner, eraseRows)...)
			if err != nil {
				return total, err
			}
			if len(page) == 0 {
				break
			}
			var ids []int64
			for _, row := range page {
				after = row.id
				if row.holds {
					ids = append(ids, row.id)
				}
			}
			n, err := e.update(ctx, ids, "UPDATE "+table+" SET "+set+" WHERE rowid = ?")
			total += n
			if err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

type eraseCopy struct {
	id    int64
	holds bool
}

func (e *erasing) sinks(ctx context.Context, connectionID string) (int, error) {
	parked, err := e.copies(ctx, "parked", "source = ?", e.connection, []string{"event"}, "event = NULL")
	if err != nil {
		return parked, err
	}
	dead, err := e.copies(ctx, "dead_events", "source_id = ?", connectionID, []string{"event", "request", "response"},
		"event = NULL, request = NULL, response = NULL, discarded = 1, note = 'erased'")
	return parked + dead, err
}

// record keeps what was done, and empties the log, which holds what was there.
func (e *erasing) record(ctx context.Context, out store.Erasure) error {
	name, value, err := out.State()
	if err != nil {
		return fmt.Errorf("record erasure: %w", err)
	}
	err = e.change(ctx, "record erasure", func(c *conn) error {
		_, err := c.exec("INSERT INTO states (connection, name, value, updated_at) VALUES (?,?,?,?)", e.connection, name, blob(value), out.At.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	err = e.engine.Do(ctx, func(context.Context) error {
		if e.writer.conn == nil {
			return nil
		}
		return e.writer.restart()
	})
	if err != nil {
		e.options.Logger.Warn("empty the write-ahead log after an erasure", "err", err)
	}
	return nil
}

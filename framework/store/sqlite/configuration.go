package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

// configurationRefused reports that a change of the configuration was refused,
// and the database is fine.
func configurationRefused(err error) bool {
	for _, known := range []error{store.ErrExists, store.ErrStale, store.ErrReused, store.ErrNotEmpty} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// Configure changes the configuration in one transaction.
func (s *Store) Configure(ctx context.Context, c store.Configuration) (out store.Configuring, err error) {
	const what = "change the configuration"
	if err := store.CheckConfiguration(c); err != nil {
		return out, fmt.Errorf("%s: %w", what, err)
	}
	err = s.engine.Do(ctx, func(context.Context) error {
		err := s.writer.transact(func(db *conn) (err error) {
			out, err = configure(db, &c)
			return err
		})
		for i := range c.Connections {
			if c.Connections[i].Delete && err == nil {
				// Whatever the writer knows of deleted connections is forgotten
				// before the next unit.
				delete(s.writer.nums, c.Connections[i].ID)
			}
		}
		return err
	})
	if err != nil {
		return store.Configuring{}, fmt.Errorf("%s: %w", what, err)
	}
	wake(s.trimNow)
	return out, nil
}

func configure(db *conn, c *store.Configuration) (out store.Configuring, err error) {
	var digest []byte
	err = db.query(func(v []driver.Value) {
		out.Repeated = true
		digest, out.Answer, out.Version = bytesOf(v[0]), bytesOf(v[1]), intOf(v[2])
	}, "SELECT digest, answer, version FROM requests WHERE key = ?", c.Key)
	switch {
	case err != nil:
		return out, err
	case out.Repeated && !bytes.Equal(digest, c.Digest):
		return out, fmt.Errorf("%q: %w", c.Key, store.ErrReused)
	case out.Repeated:
		return out, nil
	}
	if out.Version, err = one(db, `INSERT INTO configuration (id, version) VALUES (1, 1)
		ON CONFLICT (id) DO UPDATE SET version = version + 1 RETURNING version`); err != nil {
		return out, err
	}
	for _, p := range c.Projects {
		if err := changeProject(db, out.Version, c, p); err != nil {
			return out, err
		}
	}
	for i := range c.Connections {
		if err := changeConnection(db, out.Version, c, &c.Connections[i]); err != nil {
			return out, err
		}
	}
	_, err = db.exec("INSERT INTO requests (key, digest, answer, version, at) VALUES (?, ?, ?, ?, ?)",
		c.Key, notNull(c.Digest), notNull(c.Answer), out.Version, c.At.UnixMicro())
	if err != nil {
		return out, err
	}
	_, err = db.exec("DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE at < ? ORDER BY at LIMIT ?)",
		c.At.Add(-store.RequestKeyAge).UnixMicro(), int64(trimRows))
	return out, err
}

func bytesOf(v driver.Value) []byte {
	b, _ := v.([]byte)
	return append([]byte{}, b...)
}

func intOf(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func changeProject(db *conn, version int64, c *store.Configuration, p store.ProjectChange) error {
	found, have := false, int64(0)
	err := db.query(func(v []driver.Value) { found, have = true, intOf(v[0]) }, "SELECT version FROM projects WHERE name = ?", p.Name)
	if err != nil {
		return err
	}
	switch {
	case p.Name == store.DefaultProject && !found: // it is there without a row
	case p.Version == 0 && !p.Delete && found && have != 0:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrExists)
	case (p.Version != 0 || p.Delete) && !found:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrNotFound)
	case found && have != p.Version:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrStale)
	}
	if !p.Delete {
		_, err = db.exec(`INSERT INTO projects (name, description, version, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?4)
			ON CONFLICT (name) DO UPDATE SET description = excluded.description, version = excluded.version, changed_at = excluded.changed_at`,
			p.Name, p.Description, version, c.At.UnixMicro())
		return err
	}
	used, err := one(db, "SELECT num FROM connections WHERE project = ? AND deleted_at IS NULL LIMIT 1", p.Name)
	switch {
	case err != nil:
		return err
	case used != 0:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrNotEmpty)
	}
	_, err = db.exec("DELETE FROM projects WHERE name = ?", p.Name)
	return err
}

func changeConnection(db *conn, version int64, c *store.Configuration, change *store.ConnectionChange) error {
	subject := fmt.Sprintf("connection %q", change.Name)
	var num, have, latest int64
	err := db.query(func(v []driver.Value) { num, have, latest = intOf(v[0]), intOf(v[1]), intOf(v[2]) },
		"SELECT num, version, latest FROM connections WHERE id = ? AND deleted_at IS NULL", change.ID)
	if err != nil {
		return err
	}
	made := num == 0
	if err := change.Fits(!made, have, latest); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if change.Delete {
		_, err := db.exec("UPDATE connections SET deleted_at = ?, version = ? WHERE num = ?", c.At.UnixMicro(), version, num)
		return err
	}
	if err := checkPlace(db, change, num); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if made {
		created := change.CreatedAt
		if created.IsZero() {
			created = c.At
		}
		_, err = db.exec(`INSERT INTO connections (id, project, name, connector, type, enabled, created_at, state, latest, deployed, managed_by, form, labels, version, changed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			change.ID, change.Project, change.Name, change.Connector, change.Type, number(change.Enabled), created.UnixMicro(),
			string(change.State), change.Latest, change.Deployed, change.ManagedBy, change.Form, change.Labels, version, c.At.UnixMicro())
		if err == nil {
			num, err = one(db, "SELECT num FROM connections WHERE id = ?", change.ID)
		}
	} else {
		_, err = db.exec(`UPDATE connections SET project = ?, name = ?, connector = ?, type = ?, enabled = ?, state = ?, latest = ?, deployed = ?,
			managed_by = ?, form = ?, labels = ?, version = ?, changed_at = ? WHERE num = ?`,
			change.Project, change.Name, change.Connector, change.Type, number(change.Enabled), string(change.State), change.Latest, change.Deployed,
			change.ManagedBy, change.Form, change.Labels, version, c.At.UnixMicro(), num)
	}
	if err != nil || change.Spec == nil {
		return err
	}
	_, err = db.exec("INSERT INTO revisions (connection, number, spec, created_at, created_by, message) VALUES (?, ?, ?, ?, ?, ?)",
		num, change.Latest, change.Spec, c.At.UnixMicro(), c.By, c.Message)
	return err
}

// checkPlace refuses a project that is not there and a name that is taken.
func checkPlace(db *conn, change *store.ConnectionChange, num int64) error {
	if change.Project != store.DefaultProject {
		there, err := one(db, "SELECT count(*) FROM projects WHERE name = ?", change.Project)
		if err != nil {
			return err
		}
		if there == 0 {
			return fmt.Errorf("project %q: %w", change.Project, store.ErrNotFound)
		}
	}
	other, err := one(db, "SELECT num FROM connections WHERE project = ? AND name = ? AND deleted_at IS NULL", change.Project, change.Name)
	if err == nil && other != 0 && other != num {
		err = store.ErrExists
	}
	return err
}

// RewriteRevision replaces the spec of a revision by one that means the same.
func (s *Store) RewriteRevision(ctx context.Context, connectionID string, revision int64, before, after []byte) error {
	return s.change(ctx, "rewrite revision", func(db *conn) error {
		n, err := db.exec(`UPDATE revisions SET spec = ? WHERE number = ? AND spec = ?
			AND connection = (SELECT num FROM connections WHERE id = ? AND deleted_at IS NULL)`, notNull(after), revision, notNull(before), connectionID)
		if err == nil && n == 0 {
			err = fmt.Errorf("revision %d: %w", revision, store.ErrStale)
		}
		return err
	})
}

package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weirhq/weir/framework/store"
)

// configuring is a transaction that changes the configuration.
type configuring struct {
	tx        pgx.Tx
	failpoint func(statement string) error
	*store.Configuration
	version int64
}

// exec runs a statement.
func (c *configuring) exec(ctx context.Context, what, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := c.at(what); err != nil {
		return pgconn.CommandTag{}, err
	}
	return c.tx.Exec(ctx, sql, args...)
}

// number reads one number; 0 stands for none.
func (c *configuring) number(ctx context.Context, what, sql string, args ...any) (n int64, err error) {
	if err := c.at(what); err != nil {
		return 0, err
	}
	if err = c.tx.QueryRow(ctx, sql, args...).Scan(&n); errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return n, err
}

func (c *configuring) at(what string) error {
	if c.failpoint == nil {
		return nil
	}
	return c.failpoint(what)
}

// Configure changes the configuration in one transaction. Changes come one after
// the other: each locks the row of the configuration.
func (s *Store) Configure(ctx context.Context, c store.Configuration) (out store.Configuring, err error) {
	const what = "change the configuration"
	if err := store.CheckConfiguration(c); err != nil {
		return out, fmt.Errorf("%s: %w", what, err)
	}
	err = s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) (err error) {
		t := &configuring{tx: tx, failpoint: s.options.failpoint, Configuration: &c}
		out, err = t.carryOut(ctx)
		if err == nil {
			err = t.at("commit")
		}
		return err
	})
	if err != nil {
		return store.Configuring{}, err
	}
	wake(s.upkeepNow)
	return out, nil
}

func (c *configuring) carryOut(ctx context.Context) (out store.Configuring, err error) {
	c.version, err = c.number(ctx, "raise configuration", `INSERT INTO configuration (id, version) VALUES (1, 1)
		ON CONFLICT (id) DO UPDATE SET version = configuration.version + 1 RETURNING version`)
	if err != nil {
		return out, err
	}
	// It was carried out before, or its outcome was not known: whoever did has ended.
	var digest []byte
	err = c.at("find request")
	if err == nil {
		err = c.tx.QueryRow(ctx, "SELECT digest, answer, version FROM requests WHERE key = $1", c.Key).Scan(&digest, &out.Answer, &out.Version)
	}
	switch {
	case err == nil && !bytes.Equal(digest, c.Digest):
		return out, fmt.Errorf("%q: %w", c.Key, store.ErrReused)
	case err == nil:
		out.Repeated = true
		_, err := c.exec(ctx, "lower configuration", "UPDATE configuration SET version = version - 1")
		return out, err
	case !errors.Is(err, pgx.ErrNoRows):
		return out, err
	}
	out = store.Configuring{Version: c.version}
	for _, p := range c.Projects {
		if err := c.project(ctx, p); err != nil {
			return out, err
		}
	}
	for i := range c.Connections {
		if err := c.connection(ctx, &c.Connections[i]); err != nil {
			return out, err
		}
	}
	_, err = c.exec(ctx, "keep request", "INSERT INTO requests (key, digest, answer, version, at) VALUES ($1, $2, $3, $4, $5)",
		c.Key, notNull(c.Digest), notNull(c.Answer), c.version, c.At)
	if err != nil {
		return out, err
	}
	_, err = c.exec(ctx, "forget requests", "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE at < $1 ORDER BY at LIMIT $2)",
		c.At.Add(-store.RequestKeyAge), trimRows)
	return out, err
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (c *configuring) project(ctx context.Context, p store.ProjectChange) error {
	if err := c.at("find project"); err != nil {
		return err
	}
	var have int64
	err := c.tx.QueryRow(ctx, "SELECT version FROM projects WHERE name = $1", p.Name).Scan(&have)
	found := err == nil
	switch {
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return err
	case p.Name == store.DefaultProject && !found: // it is there without a row
	case p.Version == 0 && !p.Delete && found && have != 0:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrExists)
	case (p.Version != 0 || p.Delete) && !found:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrNotFound)
	case found && have != p.Version:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrStale)
	}
	if !p.Delete {
		_, err = c.exec(ctx, "write project", `INSERT INTO projects (name, description, version, created_at, changed_at) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (name) DO UPDATE SET description = excluded.description, version = excluded.version, changed_at = excluded.changed_at`,
			p.Name, p.Description, c.version, c.At)
		return err
	}
	used, err := c.number(ctx, "look into project", "SELECT num FROM connections WHERE project = $1 AND deleted_at IS NULL LIMIT 1", p.Name)
	switch {
	case err != nil:
		return err
	case used != 0:
		return fmt.Errorf("project %q: %w", p.Name, store.ErrNotEmpty)
	}
	_, err = c.exec(ctx, "delete project", "DELETE FROM projects WHERE name = $1", p.Name)
	return err
}

func (c *configuring) connection(ctx context.Context, change *store.ConnectionChange) error {
	subject := fmt.Sprintf("connection %q", change.Name)
	if err := c.at("find connection"); err != nil {
		return err
	}
	var num, have, latest int64
	// A commit that has the connection locked ends first.
	err := c.tx.QueryRow(ctx, "SELECT num, version, latest FROM connections WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", change.ID).Scan(&num, &have, &latest)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	made := num == 0
	if err := change.Fits(!made, have, latest); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if change.Delete {
		_, err := c.exec(ctx, "delete connection", "UPDATE connections SET deleted_at = $1, version = $2 WHERE num = $3", c.At, c.version, num)
		return err
	}
	if err := c.place(ctx, change, num); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if num, err = c.row(ctx, change, num); err != nil || change.Spec == nil {
		return err
	}
	_, err = c.exec(ctx, "write revision", "INSERT INTO revisions (connection, number, spec, created_at, created_by, message) VALUES ($1, $2, $3, $4, $5, $6)",
		num, change.Latest, change.Spec, c.At, c.By, c.Message)
	return err
}

// row writes the row of a connection and returns its number.
func (c *configuring) row(ctx context.Context, change *store.ConnectionChange, num int64) (int64, error) {
	if num != 0 {
		_, err := c.exec(ctx, "change connection", `UPDATE connections SET project = $1, name = $2, connector = $3, type = $4, enabled = $5, state = $6,
			latest = $7, deployed = $8, managed_by = $9, form = $10, labels = $11, version = $12, changed_at = $13 WHERE num = $14`,
			change.Project, change.Name, change.Connector, change.Type, change.Enabled, string(change.State), change.Latest, change.Deployed,
			change.ManagedBy, change.Form, change.Labels, c.version, c.At, num)
		return num, err
	}
	created := change.CreatedAt
	if created.IsZero() {
		created = c.At
	}
	return c.number(ctx, "make connection", `INSERT INTO connections
		(id, project, name, connector, type, enabled, created_at, state, latest, deployed, managed_by, form, labels, version, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING num`,
		change.ID, change.Project, change.Name, change.Connector, change.Type, change.Enabled, created,
		string(change.State), change.Latest, change.Deployed, change.ManagedBy, change.Form, change.Labels, c.version, c.At)
}

// place refuses a project that is not there and a name that is taken.
func (c *configuring) place(ctx context.Context, change *store.ConnectionChange, num int64) error {
	if change.Project != store.DefaultProject {
		there, err := c.number(ctx, "find its project", "SELECT count(*) FROM projects WHERE name = $1", change.Project)
		if err != nil {
			return err
		}
		if there == 0 {
			return fmt.Errorf("project %q: %w", change.Project, store.ErrNotFound)
		}
	}
	other, err := c.number(ctx, "find its name", "SELECT num FROM connections WHERE project = $1 AND name = $2 AND deleted_at IS NULL", change.Project, change.Name)
	if err == nil && other != 0 && other != num {
		err = store.ErrExists
	}
	return err
}

package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

const configuredColumns = "c.id, c.project, c.name, c.connector, c.type, c.enabled, c.created_at, c.state, c.latest, c.deployed, c.managed_by, c.form, c.labels, c.version, c.changed_at"

func configuredInto(c *store.Configured) []any {
	return []any{
		&c.ID, &c.Project, &c.Name, &c.Connector, &c.Type, &c.Enabled,
		micros{&c.CreatedAt},
		&c.State, &c.Latest, &c.Deployed,
		&c.ManagedBy, &c.Form, &c.Labels, &c.Version,
		micros{&c.ChangedAt},
	}
}

// Requested returns digest and answer of a request that was carried out.
func (s *Store) Requested(ctx context.Context, key string) (digest, answer []byte, ok bool, err error) {
	type row struct{ digest, answer []byte }
	found, err := list(ctx, s, "find request", "SELECT digest, answer FROM requests WHERE key = ?",
		func(r *sql.Rows, v *row) error { return r.Scan(octets{&v.digest}, octets{&v.answer}) }, key)
	if err != nil || len(found) == 0 {
		return nil, nil, false, err
	}
	return found[0].digest, found[0].answer, true, nil
}

// ConfigurationVersion is raised by every change of the configuration.
func (s *Store) ConfigurationVersion(ctx context.Context) (int64, error) {
	found, err := list(ctx, s, "read the version of the configuration", "SELECT version FROM configuration",
		func(r *sql.Rows, v *int64) error { return r.Scan(v) })
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return found[0], nil
}

// ConfiguredVersions returns the version of every connection by its id.
func (s *Store) ConfiguredVersions(ctx context.Context) (map[string]int64, error) {
	type row struct {
		id      string
		version int64
	}
	found, err := list(ctx, s, "read the versions of connections", "SELECT id, version FROM connections WHERE deleted_at IS NULL",
		func(r *sql.Rows, v *row) error { return r.Scan(&v.id, &v.version) })
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64, len(found))
	for _, one := range found {
		out[one.id] = one.version
	}
	return out, nil
}

// Deployments lists connections with their deployed revisions.
func (s *Store) Deployments(ctx context.Context, ids []string) ([]store.Deployment, error) {
	query := "SELECT " + configuredColumns + ` , r.spec FROM connections c
		LEFT JOIN revisions r ON r.connection = c.num AND r.number = c.deployed WHERE c.deleted_at IS NULL`
	var args []any
	if ids != nil {
		wanted, err := json.Marshal(ids)
		if err != nil {
			return nil, fmt.Errorf("list deployments: %w", err)
		}
		query, args = query+" AND c.id IN (SELECT value FROM json_each(?))", []any{string(wanted)}
	}
	return list(ctx, s, "list deployments", query+" ORDER BY c.project, c.name", func(r *sql.Rows, d *store.Deployment) error {
		return r.Scan(append(configuredInto(&d.Configured), octets{&d.Spec})...)
	}, args...)
}

// LatestSpecs returns the specs of the latest revisions of connections by their ids.
func (s *Store) LatestSpecs(ctx context.Context, ids []string) (map[string][]byte, error) {
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("read revisions: %w", err)
	}
	type row struct {
		id   string
		spec []byte
	}
	found, err := list(ctx, s, "read revisions", `SELECT c.id, r.spec FROM connections c JOIN revisions r ON r.connection = c.num AND r.number = c.latest
		WHERE c.deleted_at IS NULL AND c.id IN (SELECT value FROM json_each(?))`,
		func(r *sql.Rows, v *row) error { return r.Scan(&v.id, octets{&v.spec}) }, string(wanted))
	specs := make(map[string][]byte, len(found))
	for _, one := range found {
		specs[one.id] = one.spec
	}
	return specs, err
}

// Configured lists the connections of a project by name.
func (s *Store) Configured(ctx context.Context, project, after string, limit int) ([]store.Configured, error) {
	return list(ctx, s, "list connections", "SELECT "+configuredColumns+` FROM connections c
		WHERE c.deleted_at IS NULL AND c.project = ? AND c.name > ? ORDER BY c.name LIMIT ?`,
		func(r *sql.Rows, c *store.Configured) error { return r.Scan(configuredInto(c)...) }, project, after, max(limit, 0))
}

// ConfiguredNamed returns one connection.
func (s *Store) ConfiguredNamed(ctx context.Context, project, name string) (store.Configured, error) {
	found, err := list(ctx, s, "read connection", "SELECT "+configuredColumns+` FROM connections c
		WHERE c.deleted_at IS NULL AND c.project = ? AND c.name = ?`,
		func(r *sql.Rows, c *store.Configured) error { return r.Scan(configuredInto(c)...) }, project, name)
	return first(found, err, "connection %q", name)
}

// first returns the only row, or ErrNotFound.
func first[T any](found []T, err error, what string, args ...any) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, err
	case len(found) == 0:
		return none, fmt.Errorf(what+": %w", append(args, store.ErrNotFound)...)
	}
	return found[0], nil
}

const revisionColumns = "c.id, r.number, r.spec, r.created_at, r.created_by, r.message"

func scanRevision(r *sql.Rows, v *store.Revision) error {
	return r.Scan(&v.ConnectionID, &v.Number, octets{&v.Spec}, micros{&v.CreatedAt}, &v.By, &v.Message)
}

// Revision returns one revision.
func (s *Store) Revision(ctx context.Context, connectionID string, revision int64) (store.Revision, error) {
	found, err := list(ctx, s, "read revision", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE c.id = ? AND r.number = ?`, scanRevision, connectionID, revision)
	return first(found, err, "revision %d", revision)
}

// Revisions lists revisions of a connection, newest first.
func (s *Store) Revisions(ctx context.Context, connectionID string, before int64, limit int) ([]store.Revision, error) {
	return list(ctx, s, "list revisions", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE c.id = ?1 AND (?2 = 0 OR r.number < ?2)
		ORDER BY r.number DESC LIMIT ?3`, scanRevision, connectionID, before, max(limit, 0))
}

// AllRevisions lists revisions of all connections.
func (s *Store) AllRevisions(ctx context.Context, afterID string, afterNumber int64, limit int) ([]store.Revision, error) {
	return list(ctx, s, "list revisions", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE (c.id, r.number) > (?, ?)
		ORDER BY c.id, r.number LIMIT ?`, scanRevision, afterID, afterNumber, max(limit, 0))
}

// Projects lists the projects.
func (s *Store) Projects(ctx context.Context) ([]store.Project, error) {
	found, err := list(ctx, s, "list projects", "SELECT name, description, version, created_at, changed_at FROM projects ORDER BY name",
		func(r *sql.Rows, p *store.Project) error {
			return r.Scan(&p.Name, &p.Description, &p.Version, micros{&p.CreatedAt}, micros{&p.ChangedAt})
		})
	if err != nil {
		return nil, err
	}
	return store.WithDefaultProject(found), nil
}

// RenamedConnections returns the connections that have renamed streams.
func (s *Store) RenamedConnections(ctx context.Context) ([]string, error) {
	return list(ctx, s, "list connections with renamed streams", `SELECT DISTINCT c.id FROM former_keys f
		JOIN connections c ON c.num = f.connection AND c.deleted_at IS NULL`, func(r *sql.Rows, id *string) error { return r.Scan(id) })
}

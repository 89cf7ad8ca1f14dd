package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

const configuredColumns = "c.id, c.project, c.name, c.connector, c.type, c.enabled, c.created_at, c.state, c.latest, c.deployed, c.managed_by, c.form, c.labels, c.version, c.changed_at"

func configuredInto(c *store.Configured) []any {
	return []any{
		&c.ID, &c.Project, &c.Name, &c.Connector, &c.Type, &c.Enabled,
		moment{&c.CreatedAt},
		&c.State, &c.Latest, &c.Deployed,
		&c.ManagedBy, &c.Form, &c.Labels, &c.Version,
		moment{&c.ChangedAt},
	}
}

func scanConfigured(r pgx.CollectableRow) (c store.Configured, err error) {
	return c, r.Scan(configuredInto(&c)...)
}

// Requested returns digest and answer of a request that was carried out.
func (s *Store) Requested(ctx context.Context, key string) (digest, answer []byte, ok bool, err error) {
	if !validText(key) {
		return nil, nil, false, nil
	}
	type row struct{ digest, answer []byte }
	found, err := list(ctx, s, "find request", "SELECT digest, answer FROM requests WHERE key = $1",
		func(r pgx.CollectableRow) (v row, err error) { return v, r.Scan(&v.digest, &v.answer) }, key)
	if err != nil || len(found) == 0 {
		return nil, nil, false, err
	}
	return found[0].digest, found[0].answer, true, nil
}

// ConfigurationVersion is raised by every change of the configuration.
func (s *Store) ConfigurationVersion(ctx context.Context) (int64, error) {
	found, err := list(ctx, s, "read the version of the configuration", "SELECT version FROM configuration", pgx.RowTo[int64])
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
		func(r pgx.CollectableRow) (v row, err error) { return v, r.Scan(&v.id, &v.version) })
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
	query := "SELECT " + configuredColumns + `, r.spec FROM connections c
		LEFT JOIN revisions r ON r.connection = c.num AND r.number = c.deployed WHERE c.deleted_at IS NULL`
	var args []any
	if ids != nil {
		query, args = query+" AND c.id = ANY ($1)", []any{ids}
	}
	return list(ctx, s, "list deployments", query+` ORDER BY c.project COLLATE "C", c.name COLLATE "C"`, func(r pgx.CollectableRow) (d store.Deployment, err error) {
		err = r.Scan(append(configuredInto(&d.Configured), &d.Spec)...)
		return d, err
	}, args...)
}

// LatestSpecs returns the specs of the latest revisions of connections by their ids.
func (s *Store) LatestSpecs(ctx context.Context, ids []string) (map[string][]byte, error) {
	type row struct {
		id   string
		spec []byte
	}
	found, err := list(ctx, s, "read revisions", `SELECT c.id, r.spec FROM connections c JOIN revisions r ON r.connection = c.num AND r.number = c.latest
		WHERE c.deleted_at IS NULL AND c.id = ANY ($1::text[])`,
		func(r pgx.CollectableRow) (v row, err error) { return v, r.Scan(&v.id, &v.spec) }, ids)
	specs := make(map[string][]byte, len(found))
	for _, one := range found {
		specs[one.id] = one.spec
	}
	return specs, err
}

// Configured lists the connections of a project by name.
func (s *Store) Configured(ctx context.Context, project, after string, limit int) ([]store.Configured, error) {
	if !validText(project, after) {
		return nil, nil
	}
	return list(ctx, s, "list connections", "SELECT "+configuredColumns+` FROM connections c
		WHERE c.deleted_at IS NULL AND c.project = $1 AND c.name COLLATE "C" > $2 ORDER BY c.name COLLATE "C" LIMIT $3`,
		scanConfigured, project, after, rowLimit(limit))
}

// ConfiguredNamed returns one connection.
func (s *Store) ConfiguredNamed(ctx context.Context, project, name string) (store.Configured, error) {
	if !validText(project, name) {
		return store.Configured{}, fmt.Errorf("connection %q: %w", name, store.ErrNotFound)
	}
	found, err := list(ctx, s, "read connection", "SELECT "+configuredColumns+` FROM connections c
		WHERE c.deleted_at IS NULL AND c.project = $1 AND c.name = $2`, scanConfigured, project, name)
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

func scanRevision(r pgx.CollectableRow) (v store.Revision, err error) {
	err = r.Scan(&v.ConnectionID, &v.Number, &v.Spec, moment{&v.CreatedAt}, &v.By, &v.Message)
	return v, err
}

// Revision returns one revision.
func (s *Store) Revision(ctx context.Context, connectionID string, revision int64) (store.Revision, error) {
	if !validText(connectionID) {
		return store.Revision{}, fmt.Errorf("revision %d: %w", revision, store.ErrNotFound)
	}
	found, err := list(ctx, s, "read revision", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE c.id = $1 AND r.number = $2`, scanRevision, connectionID, revision)
	return first(found, err, "revision %d", revision)
}

// Revisions lists revisions of a connection, newest first.
func (s *Store) Revisions(ctx context.Context, connectionID string, before int64, limit int) ([]store.Revision, error) {
	if !validText(connectionID) {
		return nil, nil
	}
	return list(ctx, s, "list revisions", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE c.id = $1 AND ($2::bigint = 0 OR r.number < $2)
		ORDER BY r.number DESC LIMIT $3`, scanRevision, connectionID, before, rowLimit(limit))
}

// AllRevisions lists revisions of all connections.
func (s *Store) AllRevisions(ctx context.Context, afterID string, afterNumber int64, limit int) ([]store.Revision, error) {
	return list(ctx, s, "list revisions", "SELECT "+revisionColumns+` FROM revisions r
		JOIN connections c ON c.num = r.connection AND c.deleted_at IS NULL WHERE (c.id COLLATE "C", r.number) > ($1, $2)
		ORDER BY c.id COLLATE "C", r.number LIMIT $3`, scanRevision, afterID, afterNumber, rowLimit(limit))
}

// RewriteRevision replaces the spec of a revision by one that means the same.
func (s *Store) RewriteRevision(ctx context.Context, connectionID string, revision int64, before, after []byte) error {
	return s.change(ctx, "rewrite revision", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE revisions SET spec = $1 WHERE number = $2 AND spec = $3
			AND connection = (SELECT num FROM connections WHERE id = $4 AND deleted_at IS NULL)`, notNull(after), revision, notNull(before), connectionID)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("revision %d: %w", revision, store.ErrStale)
		}
		return err
	})
}

// Projects lists the projects.
func (s *Store) Projects(ctx context.Context) ([]store.Project, error) {
	found, err := list(ctx, s, "list projects", `SELECT name, description, version, created_at, changed_at FROM projects ORDER BY name COLLATE "C"`,
		func(r pgx.CollectableRow) (p store.Project, err error) {
			err = r.Scan(&p.Name, &p.Description, &p.Version, moment{&p.CreatedAt}, moment{&p.ChangedAt})
			return p, err
		})
	if err != nil {
		return nil, err
	}
	return store.WithDefaultProject(found), nil
}

// RenamedConnections returns the connections that have renamed streams.
func (s *Store) RenamedConnections(ctx context.Context) ([]string, error) {
	return list(ctx, s, "list connections with renamed streams", `SELECT DISTINCT c.id FROM former_keys f
		JOIN connections c ON c.num = f.connection AND c.deleted_at IS NULL`, pgx.RowTo[string])
}

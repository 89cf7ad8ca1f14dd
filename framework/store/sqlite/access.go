package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// CreateToken keeps a token of the management API.
func (s *Store) CreateToken(ctx context.Context, t store.Token) error {
	const what = "create token"
	if err := store.CheckToken(t); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var refused error
	err := s.change(ctx, what, func(db *conn) error {
		var kept, named, all int64
		err := db.query(func(v []driver.Value) {
			kept, _ = v[0].(int64)
			named, _ = v[1].(int64)
			all, _ = v[2].(int64)
		}, `SELECT (SELECT count(*) FROM tokens WHERE id = ?1), (SELECT count(*) FROM tokens WHERE name = ?2 AND revoked_at IS NULL),
			(SELECT count(*) FROM tokens WHERE revoked_at IS NULL)`, t.ID, t.Name)
		switch {
		case err != nil || kept > 0:
			return err
		case named > 0:
			refused = store.ErrNameTaken
			return nil
		case all >= store.MaxTokens:
			refused = store.ErrTooManyTokens
			return nil
		}
		_, err = db.exec("INSERT INTO tokens (id, name, role, project, digest, created_by, created_at, expires_at, revoked_at) VALUES (?,?,?,?,?,?,?,?,?)",
			t.ID, t.Name, t.Role, t.Project, t.Digest[:], t.CreatedBy, t.CreatedAt.UnixMicro(), optional(t.ExpiresAt), optional(t.RevokedAt))
		return err
	})
	if err == nil && refused != nil {
		err = fmt.Errorf("%s %q: %w", what, t.Name, refused)
	}
	return err
}

const tokenColumns = "id, name, role, project, digest, created_by, created_at, expires_at, revoked_at" //nolint:gosec // names of columns, no credential

func scanToken(r *sql.Rows, t *store.Token) error {
	var digest []byte
	err := r.Scan(&t.ID, &t.Name, &t.Role, &t.Project, octets{&digest}, &t.CreatedBy, micros{&t.CreatedAt}, micros{&t.ExpiresAt}, micros{&t.RevokedAt})
	if err == nil && len(digest) != len(t.Digest) {
		return fmt.Errorf("token %s has a digest of %d bytes", t.ID, len(digest))
	}
	copy(t.Digest[:], digest)
	return err
}

// Tokens lists the tokens that were not revoked.
func (s *Store) Tokens(ctx context.Context) ([]store.Token, error) {
	return list(ctx, s, "list tokens", "SELECT "+tokenColumns+" FROM tokens WHERE revoked_at IS NULL ORDER BY id", scanToken)
}

// RevokeToken ends a token.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) (store.Token, error) {
	what := fmt.Sprintf("revoke token %q", id)
	err := s.change(ctx, what, func(db *conn) error {
		n, err := db.exec("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", at.UnixMicro(), id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Token{}, err
	}
	found, err := list(ctx, s, what, "SELECT "+tokenColumns+" FROM tokens WHERE id = ?", scanToken, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		return store.Token{}, err
	}
	return found[0], nil
}

// RecordAudit keeps what somebody did.
func (s *Store) RecordAudit(ctx context.Context, e store.AuditEntry) error {
	e, err := store.CheckAudit(e)
	if err != nil {
		return fmt.Errorf("record audit entry: %w", err)
	}
	return s.change(ctx, "record audit entry", func(db *conn) error {
		_, err := db.exec(`INSERT INTO audit (id, recorded_at, actor, role, address, action, project, connection, detail, status)
			VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`,
			e.ID, e.At.UnixMicro(), e.Actor, e.Role, e.Address, e.Action, e.Project, e.Connection, e.Detail, int64(e.Status))
		return err
	})
}

// AuditEntries lists what people did, newest first.
func (s *Store) AuditEntries(ctx context.Context, q store.AuditQuery, limit int) ([]store.AuditEntry, error) {
	return list(ctx, s, "list audit entries", `SELECT id, recorded_at, actor, role, address, action, project, connection, detail, status FROM audit
		WHERE (?1 = '' OR id < ?1) AND (?2 = '' OR actor = ?2) AND (?3 = '' OR project = ?3) AND (?4 = '' OR connection = ?4)
			AND (?5 IS NULL OR recorded_at >= ?5) AND (?6 IS NULL OR recorded_at < ?6)
		ORDER BY id DESC LIMIT ?7`,
		func(r *sql.Rows, e *store.AuditEntry) error {
			return r.Scan(&e.ID, micros{&e.At}, &e.Actor, &e.Role, &e.Address, &e.Action, &e.Project, &e.Connection, &e.Detail, &e.Status)
		}, q.Before, q.Actor, q.Project, q.Connection, optional(q.From), optional(q.To), bounded(limit))
}

// TrimAudit removes old entries.
func (s *Store) TrimAudit(ctx context.Context, before time.Time, keep int) (int, error) {
	removed, err := changeFor(ctx, s, "trim audit entries", func(db *conn) (int64, error) {
		return db.exec(`DELETE FROM audit WHERE id IN (
			SELECT id FROM (SELECT id, recorded_at FROM audit ORDER BY id LIMIT ?1)
			WHERE recorded_at < ?2 OR id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?3))`,
			int64(store.AuditTrimmed), before.UnixMicro(), int64(keep))
	})
	return int(removed), err
}

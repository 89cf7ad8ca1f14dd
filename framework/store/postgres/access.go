package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// tokensLock is what makers of tokens wait for, so that there are no more than
// there may be.
const tokensLock = "SELECT pg_advisory_xact_lock(hashtextextended('weir tokens', 0))" //nolint:gosec // names of columns, no credential

// CreateToken keeps a token of the management API.
func (s *Store) CreateToken(ctx context.Context, t store.Token) error {
	const what = "create token"
	if err := store.CheckToken(t); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var refused error
	err := s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		refused = nil
		if _, err := tx.Exec(ctx, tokensLock); err != nil {
			return err
		}
		var kept, named, all int64
		err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM tokens WHERE id = $1), (SELECT count(*) FROM tokens WHERE name = $2 AND revoked_at IS NULL),
			(SELECT count(*) FROM tokens WHERE revoked_at IS NULL)`, t.ID, t.Name).Scan(&kept, &named, &all)
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
		_, err = tx.Exec(ctx, `INSERT INTO tokens (id, name, role, project, digest, created_by, created_at, expires_at, revoked_at)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)`,
			t.ID, t.Name, t.Role, t.Project, t.Digest[:], t.CreatedBy, t.CreatedAt, nullable(t.ExpiresAt), nullable(t.RevokedAt))
		return err
	})
	if err == nil && refused != nil {
		err = fmt.Errorf("%s %q: %w", what, t.Name, refused)
	}
	return err
}

const tokenColumns = "id, name, role, project, digest, created_by, created_at, expires_at, revoked_at" //nolint:gosec // names of columns, no credential

func scanToken(r pgx.CollectableRow) (t store.Token, err error) {
	var digest []byte
	err = r.Scan(&t.ID, &t.Name, &t.Role, &t.Project, &digest, &t.CreatedBy, moment{&t.CreatedAt}, moment{&t.ExpiresAt}, moment{&t.RevokedAt})
	if err == nil && len(digest) != len(t.Digest) {
		return t, fmt.Errorf("token %s has a digest of %d bytes", t.ID, len(digest))
	}
	copy(t.Digest[:], digest)
	return t, err
}

// Tokens lists the tokens that were not revoked.
func (s *Store) Tokens(ctx context.Context) ([]store.Token, error) {
	return list(ctx, s, "list tokens", "SELECT "+tokenColumns+" FROM tokens WHERE revoked_at IS NULL ORDER BY id", scanToken)
}

// RevokeToken ends a token.
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) (store.Token, error) {
	what := fmt.Sprintf("revoke token %q", id)
	if !validText(id) {
		return store.Token{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	err := s.change(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		// One that was revoked at this very moment is this call, which is repeated.
		tag, err := tx.Exec(ctx, "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND (revoked_at IS NULL OR revoked_at = $1)", at.Truncate(time.Microsecond), id)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Token{}, err
	}
	found, err := list(ctx, s, what, "SELECT "+tokenColumns+" FROM tokens WHERE id = $1", scanToken, id)
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
	return s.change(ctx, "record audit entry", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO audit (id, recorded_at, actor, role, address, action, project, connection, detail, status)
			VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT (id) DO NOTHING`,
			e.ID, e.At, e.Actor, e.Role, e.Address, e.Action, e.Project, e.Connection, e.Detail, int64(e.Status))
		return err
	})
}

// AuditEntries lists what people did, newest first.
func (s *Store) AuditEntries(ctx context.Context, q store.AuditQuery, limit int) ([]store.AuditEntry, error) {
	for _, text := range []string{q.Before, q.Actor, q.Project, q.Connection} {
		if !validText(text) {
			return nil, nil
		}
	}
	return list(ctx, s, "list audit entries", `SELECT id, recorded_at, actor, role, address, action, project, connection, detail, status FROM audit
		WHERE ($1 = '' OR id < $1) AND ($2 = '' OR actor = $2) AND ($3 = '' OR project = $3) AND ($4 = '' OR connection = $4)
			AND ($5::timestamptz IS NULL OR recorded_at >= $5) AND ($6::timestamptz IS NULL OR recorded_at < $6)
		ORDER BY id DESC LIMIT $7`,
		func(r pgx.CollectableRow) (e store.AuditEntry, err error) {
			return e, r.Scan(&e.ID, moment{&e.At}, &e.Actor, &e.Role, &e.Address, &e.Action, &e.Project, &e.Connection, &e.Detail, &e.Status)
		}, q.Before, q.Actor, q.Project, q.Connection, nullable(q.From), nullable(q.To), bounded(limit))
}

// TrimAudit removes old entries.
func (s *Store) TrimAudit(ctx context.Context, before time.Time, keep int) (int, error) {
	var removed int64
	err := s.change(ctx, "trim audit entries", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM audit WHERE id IN (
			SELECT id FROM (SELECT id, recorded_at FROM audit ORDER BY id LIMIT $1) oldest
			WHERE recorded_at < $2 OR id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET $3))`,
			int64(store.AuditTrimmed), before, int64(keep))
		removed = tag.RowsAffected()
		return err
	})
	return int(removed), err
}

// nullable is NULL for the zero time.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

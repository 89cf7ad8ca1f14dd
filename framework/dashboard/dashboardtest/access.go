package dashboardtest

import (
	"context"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
)

var (
	_ api.TokenStore = (*Office)(nil)
	_ api.AuditStore = (*Office)(nil)
)

// CreateToken keeps a token.
func (o *Office) CreateToken(_ context.Context, t store.Token) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	if err := store.CheckToken(t); err != nil {
		return err
	}
	if slices.ContainsFunc(o.tokens, func(x store.Token) bool { return x.Name == t.Name && x.RevokedAt.IsZero() }) {
		return store.ErrNameTaken
	}
	o.tokens = append(o.tokens, t)
	return nil
}

// Tokens lists the tokens that were not revoked.
func (o *Office) Tokens(context.Context) ([]store.Token, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokenReads++
	if o.broken != nil {
		return nil, o.broken
	}
	return slices.DeleteFunc(slices.Clone(o.tokens), func(t store.Token) bool { return !t.RevokedAt.IsZero() }), nil
}

// TokenReads is how often the tokens were listed.
func (o *Office) TokenReads() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tokenReads
}

// RevokeToken ends a token.
func (o *Office) RevokeToken(_ context.Context, id string, at time.Time) (store.Token, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return store.Token{}, o.broken
	}
	for i := range o.tokens {
		if t := &o.tokens[i]; t.ID == id && t.RevokedAt.IsZero() {
			t.RevokedAt = at
			return *t, nil
		}
	}
	return store.Token{}, store.ErrNotFound
}

// RecordAudit keeps an entry.
func (o *Office) RecordAudit(_ context.Context, e store.AuditEntry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return o.broken
	}
	e, err := store.CheckAudit(e)
	o.audit = append([]store.AuditEntry{e}, o.audit...)
	return err
}

// AuditEntries lists entries, newest first.
func (o *Office) AuditEntries(_ context.Context, q store.AuditQuery, limit int) ([]store.AuditEntry, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return nil, o.broken
	}
	var out []store.AuditEntry
	// The clock stands, so that ids do not say what came first.
	after := q.Before == ""
	for _, e := range o.audit {
		fits := after && (q.Actor == "" || e.Actor == q.Actor) && (q.Project == "" || e.Project == q.Project) &&
			(q.Connection == "" || e.Connection == q.Connection) && (q.From.IsZero() || !e.At.Before(q.From)) && (q.To.IsZero() || e.At.Before(q.To))
		if fits && len(out) < limit {
			out = append(out, e)
		}
		after = after || e.ID == q.Before
	}
	return out, nil
}

// noSecrets is an office that keeps no secrets.
type noSecrets struct{}

// Rotate finds nothing.
func (noSecrets) Rotate(context.Context, string, int64) (seal.Rotated, error) {
	return seal.Rotated{Done: true}, nil
}

// KeyID names no key.
func (noSecrets) KeyID() string { return "" }

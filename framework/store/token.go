package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrNameTaken says that another token that was not revoked has the name.
var ErrNameTaken = errors.New("another token has this name")

// MaxTokens bounds the tokens that were not revoked: every process keeps them
// all in memory.
const MaxTokens = 1000

// ErrTooManyTokens says that there are [MaxTokens] tokens.
var ErrTooManyTokens = fmt.Errorf("there are %d tokens already; revoke some", MaxTokens)

// Token is a token of the management API. The token itself is kept nowhere.
type Token struct {
	// ID is "tok_…".
	ID string
	// Name is what people call it: unique among those that were not revoked.
	Name string
	// Role is what it allows, and Project where; "" for everywhere.
	Role, Project string
	// Digest is the SHA-256 of the token.
	Digest [32]byte
	// CreatedBy is who made it.
	CreatedBy string
	CreatedAt time.Time
	// ExpiresAt and RevokedAt are when it ends, and when somebody ended it; zero
	// for never.
	ExpiresAt, RevokedAt time.Time
}

// Tokens is the part of a [Store] that knows who may call the management API.
type Tokens interface {
	// CreateToken keeps a token. It fails with [ErrNameTaken] and
	// [ErrTooManyTokens], and does nothing when the token is kept already.
	CreateToken(ctx context.Context, t Token) error
	// Tokens lists the tokens that were not revoked, also expired ones, by id.
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken ends a token, known by its id, and returns it; or ErrNotFound
	// when there is none, or it was revoked before.
	RevokeToken(ctx context.Context, id string, at time.Time) (Token, error)
}

// AuditEntry is something that somebody did, or was refused.
type AuditEntry struct {
	// ID is "aud_…"; entries sort by it.
	ID string
	At time.Time
	// Actor is the name of a token, or how else the caller was known.
	Actor string
	// Role is what the actor may do.
	Role string
	// Address is where the request came from.
	Address string
	// Action is the method and the pattern of the route, or another word.
	Action string
	// Project and Connection are what it was done to, where the action names them.
	Project, Connection string
	// Detail is what else matters: a revision, a name. It never holds a secret.
	Detail string
	// Status is that of the HTTP answer.
	Status int
}

// AuditQuery chooses entries; "" and zero choose all.
type AuditQuery struct {
	// Before is the id of the entry before which older ones are listed.
	Before                     string
	Actor, Project, Connection string
	// From and To bound the time: [From, To).
	From, To time.Time
}

// Audit is the part of a [Store] that remembers what people did.
type Audit interface {
	// RecordAudit keeps an entry. It does nothing when the entry is kept already.
	RecordAudit(ctx context.Context, e AuditEntry) error
	// AuditEntries lists entries, newest first.
	AuditEntries(ctx context.Context, q AuditQuery, limit int) ([]AuditEntry, error)
	// TrimAudit removes entries from before a time, and the oldest beyond the
	// number that is kept, at most 1,000 at once, and returns how many there were.
	TrimAudit(ctx context.Context, before time.Time, keep int) (int, error)
}

// AuditTrimmed is how many entries [Audit.TrimAudit] removes at most at once.
const AuditTrimmed = 1000

// maxAccessText bounds each text of a token and of an entry.
const maxAccessText = 512

// CheckToken says everything that keeps t from being stored. Backends call it.
func CheckToken(t Token) error {
	errs := []error{checkTexts("token", map[string]string{"id": t.ID, "name": t.Name, "role": t.Role, "project": t.Project, "creator": t.CreatedBy})}
	if t.ID == "" || t.Name == "" || t.Role == "" || t.CreatedAt.IsZero() || t.Digest == [32]byte{} {
		errs = append(errs, fmt.Errorf("%w: a token needs an id, a name, a role, a digest and a time", ErrInvalid))
	}
	return errors.Join(errs...)
}

// CheckAudit brings e into the form that is stored. Backends call it.
func CheckAudit(e AuditEntry) (AuditEntry, error) {
	if e.ID == "" || e.At.IsZero() {
		return e, fmt.Errorf("%w: an audit entry needs an id and a time", ErrInvalid)
	}
	// What a caller sent may be anything; the entry is kept all the same.
	for _, text := range []*string{&e.Actor, &e.Role, &e.Address, &e.Action, &e.Project, &e.Connection, &e.Detail} {
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\ufffd"), "\x00", "\ufffd")
		if len(*text) > maxAccessText {
			*text = strings.ToValidUTF8((*text)[:maxAccessText-len("…")], "") + "…"
		}
	}
	return e, nil
}

func checkTexts(what string, texts map[string]string) error {
	var errs []error
	for name, text := range texts {
		if len(text) > maxAccessText || !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			errs = append(errs, fmt.Errorf("%w: the %s of the %s is longer than %d bytes, is not valid UTF-8, or holds a NUL byte", ErrInvalid, name, what, maxAccessText))
		}
	}
	return errors.Join(errs...)
}

package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirhq/weir/framework/store"
)

// Revisions are where sealed secrets stand; the store has them.
type Revisions interface {
	// AllRevisions lists the revisions of all connections after one of them.
	AllRevisions(ctx context.Context, afterID string, afterNumber int64, limit int) ([]store.Revision, error)
	// RewriteRevision replaces the spec of a revision that still has the spec
	// before, or fails with store.ErrStale.
	RewriteRevision(ctx context.Context, connectionID string, number int64, before, after []byte) error
}

// SettingsMember is the member of a revision's spec that holds the settings.
const SettingsMember = "config"

// ExtraMember is the member that holds what is kept for others.
const ExtraMember = "extra"

// Rotated is what a [Keys.Rotate] did.
type Rotated struct {
	// Revisions is how many were looked at, and Secrets how many secrets stand in
	// them.
	Revisions, Secrets int
	// Resealed is how many secrets were sealed with the first key.
	Resealed int
	// Failed says which secrets do not open, and why.
	Failed []string
	// LastID and LastNumber are the last revision that was looked at. Done says
	// that there is none after it.
	LastID     string
	LastNumber int64
	Done       bool
}

const (
	// rotateTries is how often a revision is read again that changed meanwhile.
	rotateTries = 5
	// maxFailed bounds what an answer says.
	maxFailed = 20
)

// Rotate seals the secrets of up to limit revisions after the given one with the
// first key. Each revision is replaced as a whole or not at all, and read again
// afterwards: what is counted opens with the first key. Called again from
// anywhere, it goes on; what was done is left alone.
func (k *Keys) Rotate(ctx context.Context, revisions Revisions, afterID string, afterNumber int64, limit int) (Rotated, error) {
	if k == nil {
		return Rotated{}, ErrNoKey
	}
	list, err := revisions.AllRevisions(ctx, afterID, afterNumber, limit)
	if err != nil {
		return Rotated{}, fmt.Errorf("list revisions: %w", err)
	}
	out := Rotated{LastID: afterID, LastNumber: afterNumber, Done: len(list) < limit}
	for _, revision := range list {
		if err := k.rotateOne(ctx, revisions, revision, &out); err != nil {
			out.Done = false
			return out, err
		}
		out.Revisions++
		out.LastID, out.LastNumber = revision.ConnectionID, revision.Number
	}
	return out, nil
}

func (k *Keys) rotateOne(ctx context.Context, revisions Revisions, revision store.Revision, out *Rotated) error {
	for range rotateTries {
		after, n, failed := k.Reseal(revision.ConnectionID, revision.Spec, SettingsMember)
		if n > 0 {
			err := revisions.RewriteRevision(ctx, revision.ConnectionID, revision.Number, revision.Spec, after)
			if err != nil && !errors.Is(err, store.ErrStale) {
				return fmt.Errorf("rewrite revision %d of %s: %w", revision.Number, revision.ConnectionID, err)
			}
			stale := err != nil
			again, err := reread(ctx, revisions, revision)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return nil // deleted meanwhile
			case err != nil:
				return err
			}
			revision = again
			if stale {
				continue
			}
			out.Resealed += n
		}
		secrets, _, _ := k.Check(revision.ConnectionID, revision.Spec, SettingsMember)
		out.Secrets += secrets
		if failed != nil && len(out.Failed) < maxFailed {
			out.Failed = append(out.Failed, fmt.Sprintf("revision %d of %s: %v", revision.Number, revision.ConnectionID, failed))
		}
		return nil
	}
	return fmt.Errorf("revision %d of %s changes all the time; try again", revision.Number, revision.ConnectionID)
}

// reread reads a revision again.
func reread(ctx context.Context, revisions Revisions, old store.Revision) (store.Revision, error) {
	list, err := revisions.AllRevisions(ctx, old.ConnectionID, old.Number-1, 1)
	if err != nil {
		return store.Revision{}, fmt.Errorf("read revision %d of %s again: %w", old.Number, old.ConnectionID, err)
	}
	if len(list) == 0 || list[0].ConnectionID != old.ConnectionID || list[0].Number != old.Number {
		return store.Revision{}, store.ErrNotFound
	}
	return list[0], nil
}

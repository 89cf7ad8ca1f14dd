package httpauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
)

const (
	// claimLife is how long a process that fetches is waited for: its request has
	// ended by then.
	claimLife = fetchTimeout + 5*time.Second
	// claimLook is how often is looked whether another process has fetched.
	claimLook = 200 * time.Millisecond
	// keepTimeout bounds one access to what is kept after a fetch.
	keepTimeout = 10 * time.Second
)

// unkept is a fetched grant, and the sealed form of the one that it replaces.
type unkept struct {
	before []byte
	grant  grant
}

// renew returns a token that is kept where all processes find it: one that another
// process has fetched, or else a new one. Who fetches says so first, and the others
// wait: a refresh token that rotates is good once, and a server that sees it twice
// may end the whole grant.
func (t *tokens) renew(ctx context.Context) (held, error) {
	if t.state == nil {
		if t.config.grant() == "refresh_token" {
			return held{}, framework.Permanent(errors.New("fetch token: the refresh token may be good only once, and there is no place to keep its successor; save the connection first"))
		}
		token, err := t.fetch(ctx, "")
		if err != nil {
			return held{}, err
		}
		return t.heldOf(token), nil
	}
	for mine := false; ; {
		fetched, err := t.keep(ctx)
		if err != nil {
			return held{}, err
		}
		if mine && fetched.access != "" {
			return fetched, nil // also when it has ended already: another one would too
		}
		g, sealed, err := t.vault.load(ctx)
		if err != nil {
			return held{}, err
		}
		if kept := (held{g.Access, g.Until}); t.usable(kept) {
			return kept, nil
		}
		if t.claimed(g.Claim) {
			if err := t.wait(ctx); err != nil {
				return held{}, err
			}
			continue
		}
		claiming := g
		claiming.Claim = rand.Text()
		claim, swapped, err := t.vault.swap(ctx, sealed, claiming)
		if err != nil {
			return held{}, fmt.Errorf("claim the fetch of a token: %w", err)
		}
		if !swapped {
			continue // another process was first
		}
		if err := t.fetchFor(ctx, g, claim); err != nil {
			return held{}, err
		}
		mine = true
	}
}

func (t *tokens) usable(h held) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.good(h)
}

// claimed reports that another process is fetching. It counts by its own clock how
// long, since it first saw it: clocks of two machines are never compared.
func (t *tokens) claimed(claim string) bool {
	if claim != t.seen {
		t.seen, t.seenSince = claim, t.now()
	}
	return claim != "" && t.now().Sub(t.seenSince) < claimLife
}

func (t *tokens) wait(ctx context.Context) error {
	timer := time.NewTimer(claimLook)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for the token that another process fetches: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// fetchFor fetches the successor of g, whose fetch is claimed. What it has fetched
// is kept by the next call of [tokens.keep].
func (t *tokens) fetchFor(ctx context.Context, g grant, claim []byte) error {
	refresh := cmp.Or(g.Refresh, t.config.RefreshToken.Reveal())
	token, err := t.fetch(ctx, refresh)
	if err == nil {
		next := t.heldOf(token)
		t.unkept = &unkept{claim, grant{
			Generation: g.Generation + 1, Refresh: cmp.Or(token.RefreshToken, g.Refresh), Access: next.access, Until: next.until,
		}}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	// A claim that cannot be given back is over by itself.
	if _, given, failed := t.vault.swap(ctx, claim, g); failed == nil && !given {
		return nil // another process took it for dead: look at what that one does
	}
	return err
}

// keep writes what was fetched before it is used, however often that takes: the
// refresh token that it came from may be void. It returns what was kept, if anything
// was.
func (t *tokens) keep(ctx context.Context) (kept held, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	for t.unkept != nil {
		own := t.unkept.grant
		_, swapped, err := t.vault.swap(ctx, t.unkept.before, own)
		if err != nil {
			return held{}, fmt.Errorf("keep the new token: %w", err)
		}
		if swapped {
			t.unkept = nil
			return held{own.Access, own.Until}, nil
		}
		// Another process took the claim for dead. Its request brings nothing if ours
		// has used the refresh token up; if it has succeeded, ours counts no more.
		other, sealed, err := t.vault.load(ctx)
		if err != nil {
			return held{}, fmt.Errorf("keep the new token: %w", err)
		}
		if other.Generation >= own.Generation {
			t.unkept = nil
			break
		}
		t.unkept.before = sealed
	}
	return held{}, nil
}

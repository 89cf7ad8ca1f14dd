package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// TokenStore keeps tokens; the store has it.
type TokenStore interface {
	// CreateToken keeps a token. It fails with store.ErrNameTaken and
	// store.ErrTooManyTokens.
	CreateToken(ctx context.Context, t store.Token) error
	// Tokens lists the tokens that were not revoked.
	Tokens(ctx context.Context) ([]store.Token, error)
	// RevokeToken ends a token, or fails with store.ErrNotFound.
	RevokeToken(ctx context.Context, id string, at time.Time) (store.Token, error)
}

const (
	// tokenPrefix is what tokens begin with, so that secret scanners find them.
	tokenPrefix = "weirtok_"
	// freshFor is how long the tokens in memory are believed: a token that was
	// revoked at another process ends within this time.
	freshFor = 2 * time.Second
	// missPause is the least time between two looks for a token that is not known:
	// wrong ones must not cost a query each.
	missPause = 250 * time.Millisecond
	// staleFor is how long they are believed while the store cannot be read.
	staleFor = 10 * time.Second
	// keyringWait bounds a look into the store.
	keyringWait = 3 * time.Second
)

// tokenForm is what tokens look like: 32 random bytes.
var tokenForm = regexp.MustCompile(`^` + tokenPrefix + `[A-Za-z0-9_-]{43}$`)

// Keyring knows the tokens of the store, and keeps them in memory for a moment.
type Keyring struct {
	store TokenStore
	now   func() time.Time

	mu       sync.Mutex
	byDigest map[[sha256.Size]byte]store.Token
	byID     map[string]store.Token
	// readAt is when they were read, on the monotonic clock; triedAt when it was
	// tried.
	readAt, triedAt time.Time
	// err is why the last try failed.
	err error
}

// NewKeyring returns the tokens of a store. now is the clock that tokens end by;
// nil is time.Now.
func NewKeyring(tokens TokenStore, now func() time.Time) *Keyring {
	if now == nil {
		now = time.Now
	}
	return &Keyring{store: tokens, now: now}
}

// find returns the token that was shown, if there is one and it has not ended.
// It fails when the store cannot be read.
func (k *Keyring) find(ctx context.Context, shown string) (store.Token, bool, error) {
	if k == nil || !tokenForm.MatchString(shown) {
		return store.Token{}, false, nil
	}
	// The digest is of the text, so another spelling of the same bytes is another
	// token. Who does not have the token cannot choose its digest: how long the
	// look takes tells nothing.
	digest := sha256.Sum256([]byte(shown))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, freshFor); err != nil {
		return store.Token{}, false, err
	}
	t, ok := k.byDigest[digest]
	if !ok {
		// It may have been made at another process just now.
		if err := k.refresh(ctx, missPause); err != nil {
			return store.Token{}, false, err
		}
		t, ok = k.byDigest[digest]
	}
	if !ok || subtle.ConstantTimeCompare(t.Digest[:], digest[:]) != 1 || k.ended(t) {
		return store.Token{}, false, nil
	}
	return t, true, nil
}

// get returns a token by its id, if it has not ended.
func (k *Keyring) get(ctx context.Context, id string) (store.Token, bool, error) {
	if k == nil {
		return store.Token{}, false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, freshFor); err != nil {
		return store.Token{}, false, err
	}
	t, ok := k.byID[id]
	if !ok || k.ended(t) {
		return store.Token{}, false, nil
	}
	return t, true, nil
}

func (k *Keyring) ended(t store.Token) bool {
	return !t.RevokedAt.IsZero() || (!t.ExpiresAt.IsZero() && !k.now().Before(t.ExpiresAt))
}

// refresh reads the tokens when what is in memory is older than age.
func (k *Keyring) refresh(ctx context.Context, age time.Duration) error {
	now := time.Now() // how old something is has nothing to do with the clock of the tokens
	if k.byID != nil && now.Sub(k.readAt) < age {
		return nil
	}
	if !k.triedAt.IsZero() && now.Sub(k.triedAt) < missPause {
		if k.byID != nil {
			return nil
		}
		return k.err
	}
	// Others wait for the answer too: one caller who leaves does not end it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyringWait)
	defer cancel()
	list, err := k.store.Tokens(ctx)
	k.triedAt, k.err = time.Now(), nil
	if err != nil {
		if k.byID != nil && now.Sub(k.readAt) < staleFor {
			return nil
		}
		// Nothing that was revoked meanwhile may go on.
		k.byID, k.byDigest, k.err = nil, nil, fmt.Errorf("read tokens: %w", err)
		return k.err
	}
	k.byID, k.byDigest, k.readAt = map[string]store.Token{}, map[[sha256.Size]byte]store.Token{}, now
	for _, t := range list {
		k.byID[t.ID], k.byDigest[t.Digest] = t, t
	}
	return nil
}

// forget has the next look read the store.
func (k *Keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID, k.byDigest, k.readAt, k.triedAt, k.err = nil, nil, time.Time{}, time.Time{}, nil
}

// create makes a token and returns it; it is shown nowhere again.
func (k *Keyring) create(ctx context.Context, t store.Token) (string, store.Token, error) {
	var b [32]byte
	// crypto/rand never fails: https://pkg.go.dev/crypto/rand#Read
	_, _ = rand.Read(b[:])
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	t.CreatedAt = k.now().UTC().Truncate(time.Microsecond)
	t.ID, t.Digest = store.NewID("tok_", t.CreatedAt), sha256.Sum256([]byte(text))
	if err := k.store.CreateToken(ctx, t); err != nil {
		return "", store.Token{}, err
	}
	k.forget()
	return text, t, nil
}

// list returns the tokens that were not revoked, from the store.
func (k *Keyring) list(ctx context.Context) ([]store.Token, error) { return k.store.Tokens(ctx) }

// errAmbiguous says that a text is the name of a token and the id of another.
var errAmbiguous = errors.New("this is the name of one token and the id of another")

// revoke ends a token, known by its id or its name.
func (k *Keyring) revoke(ctx context.Context, idOrName string) (store.Token, error) {
	list, err := k.store.Tokens(ctx)
	if err != nil {
		return store.Token{}, err
	}
	var found []store.Token
	for _, t := range list {
		if t.ID == idOrName || t.Name == idOrName {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return store.Token{}, store.ErrNotFound
	case 1:
	default:
		return store.Token{}, errAmbiguous
	}
	defer k.forget() // also after an error: it may have been revoked
	return k.store.RevokeToken(ctx, found[0].ID, k.now().UTC())
}

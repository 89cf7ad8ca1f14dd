package httpauth

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/framework"
)

const (
	// grantName is the beginning of the name of what is kept of a grant. The rest
	// tells grants apart, so that settings that are only tried out leave alone what
	// the running ones need.
	grantName = "oauth/grant/"
	// formerName is where earlier versions kept the refresh token alone.
	formerName = "oauth/refresh_token"
)

// grant is what all processes know of the tokens of a connection.
type grant struct {
	// Generation counts the fetches.
	Generation int64 `json:"generation"`
	// Refresh is the refresh token, "" for that of the settings.
	Refresh string    `json:"refresh,omitempty"`
	Access  string    `json:"access,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Claim names the fetch that goes on, "" for none.
	Claim string `json:"claim,omitempty"`
}

// vault keeps the grant of a connection in its state, sealed: the key is one of
// the settings, so that the store alone gives nobody a token, whether the operator
// has a key of their own or not. Another refresh token in the settings is another
// grant; another client secret is not: what the refresh token has become since
// stays.
type vault struct {
	state framework.State
	name  string
	aead  cipher.AEAD
	// former is where versions kept it to which another client secret was another
	// grant; nil where they kept it here.
	former *vault
}

func newVault(state framework.State, c Config) vault {
	secret := c.ClientSecret.Reveal()
	former := sealedBy(state, c, secret)
	if c.RefreshToken.Reveal() == "" || secret == "" {
		return former
	}
	v := sealedBy(state, c, "")
	v.former = &former
	return v
}

// sealedBy is the vault of a grant that belongs to a client secret.
func sealedBy(state framework.State, c Config, secret string) vault {
	key := sha256.Sum256([]byte("weir refresh token\x00" + c.ClientID + "\x00" + secret + "\x00" + c.RefreshToken.Reveal()))
	block, _ := aes.NewCipher(key[:]) // a key of this length always works
	aead, _ := cipher.NewGCM(block)   // and so does this block
	name := sha256.New()              // one way: the name tells nothing of the key
	_, _ = name.Write([]byte("name\x00"))
	_, _ = name.Write(key[:])
	_, _ = name.Write([]byte("\x00" + string(c.TokenURL)))
	for _, scope := range c.Scopes {
		_, _ = name.Write([]byte("\x00" + scope))
	}
	return vault{state: state, name: grantName + hex.EncodeToString(name.Sum(nil)[:8]), aead: aead}
}

// load returns the grant, and its sealed form for [vault.swap]; both are empty
// while nothing was kept.
func (v vault) load(ctx context.Context) (g grant, sealed []byte, err error) {
	if sealed, err = v.state.Load(ctx, v.name); err != nil {
		return g, nil, fmt.Errorf("load the tokens: %w", err)
	}
	if len(sealed) == 0 && v.former != nil {
		g, _, err = v.former.load(ctx)
		g.Claim = "" // nobody gives it back here
		return g, nil, err
	}
	if len(sealed) == 0 {
		former, err := v.state.Load(ctx, formerName)
		if err != nil {
			return g, nil, fmt.Errorf("load the refresh token: %w", err)
		}
		// One that was sealed with other settings belongs to another grant.
		if opened, err := v.open(former); err == nil {
			g.Refresh = string(opened)
		}
		return g, nil, nil
	}
	opened, err := v.open(sealed)
	if err != nil || json.Unmarshal(opened, &g) != nil {
		return grant{}, sealed, nil // damaged: begin again with the settings
	}
	return g, sealed, nil
}

// swap replaces the grant whose sealed form is before, nil for none, unless it was
// changed meanwhile. It returns the sealed form of the new one.
func (v vault) swap(ctx context.Context, before []byte, g grant) (sealed []byte, swapped bool, err error) {
	plain, err := json.Marshal(g)
	if err != nil {
		return nil, false, err
	}
	nonce := make([]byte, v.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed = v.aead.Seal(nonce, nonce, plain, nil)
	swapped, err = v.state.Swap(ctx, v.name, bytes.Clone(before), sealed)
	return sealed, swapped, err
}

func (v vault) open(sealed []byte) ([]byte, error) {
	if len(sealed) < v.aead.NonceSize() {
		return nil, errors.New("too short")
	}
	return v.aead.Open(nil, sealed[:v.aead.NonceSize()], sealed[v.aead.NonceSize():], nil)
}

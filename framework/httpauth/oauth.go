package httpauth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/weirhq/weir/framework"
)

const (
	// early is how long before its end a token is replaced.
	early = time.Minute
	// fetchTimeout bounds one request for a token.
	fetchTimeout = 30 * time.Second
	// stateName is where a rotated refresh token is kept.
	stateName = "oauth/refresh_token"
)

// tokens keeps the access token of a connection.
type tokens struct {
	config Config
	client *http.Client
	state  framework.State
	now    func() time.Time

	// turn is held by whoever fetches: one fetch at a time.
	turn chan struct{}
	mu   sync.Mutex
	held held
	// refresh is the current refresh token; "" while it was not looked up.
	refresh string
}

// held is an access token and when it is to be replaced; the zero time for never.
type held struct {
	access string
	until  time.Time
}

func newTokens(c Config, client *http.Client, state framework.State, now func() time.Time) *tokens {
	return &tokens{config: c, client: client, state: state, now: now, turn: make(chan struct{}, 1)}
}

// get returns a token that is good for a while, and fetches one if need be.
func (t *tokens) get(ctx context.Context) (string, error) {
	if token, ok := t.current(); ok {
		return token, nil
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("wait for a token: %w", context.Cause(ctx))
	}
	defer func() { <-t.turn }()
	if token, ok := t.current(); ok {
		return token, nil // somebody else fetched it meanwhile
	}
	// A refresh token may be good once: its successor must be kept, whatever
	// becomes of the request that asked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	token, err := t.fetch(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return "", err
	}
	next := held{access: token.AccessToken}
	if !token.Expiry.IsZero() {
		// A token that lives shorter than twice the margin is replaced at half of it.
		life := token.Expiry.Sub(t.now())
		next.until = token.Expiry.Add(-min(early, life/2))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = next
	return next.access, nil
}

func (t *tokens) current() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := t.held.access != "" && (t.held.until.IsZero() || t.now().Before(t.held.until))
	return t.held.access, ok
}

// drop forgets the token that was refused, unless another one is held by now. It
// reports whether there was one.
func (t *tokens) drop(authorization string) bool {
	refused, ok := strings.CutPrefix(authorization, "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok && t.held.access == refused {
		t.held = held{}
	}
	return ok
}

func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	style := map[string]oauth2.AuthStyle{"header": oauth2.AuthStyleInHeader, "body": oauth2.AuthStyleInParams}[t.config.Style]
	parameters := url.Values{}
	for name, value := range t.config.Parameters {
		parameters.Set(name, value)
	}
	if t.config.grant() == "client_credentials" {
		c := clientcredentials.Config{
			ClientID: t.config.ClientID, ClientSecret: t.config.ClientSecret.Reveal(), TokenURL: string(t.config.TokenURL),
			Scopes: t.config.Scopes, EndpointParams: parameters, AuthStyle: style,
		}
		token, err := c.Token(ctx)
		return token, refusal(err)
	}
	refresh, err := t.refreshToken(ctx)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(string(t.config.TokenURL))
	if err != nil {
		return nil, framework.Permanent(errors.New("token_url is no URL"))
	}
	if len(parameters) > 0 {
		addEncoded(address, parameters)
	}
	c := oauth2.Config{
		ClientID: t.config.ClientID, ClientSecret: t.config.ClientSecret.Reveal(), Scopes: t.config.Scopes,
		Endpoint: oauth2.Endpoint{TokenURL: address.String(), AuthStyle: style},
	}
	token, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return nil, refusal(err)
	}
	if token.RefreshToken != "" && !hmac.Equal([]byte(token.RefreshToken), []byte(refresh)) {
		// Kept before the new token is used: the old one may be void by now.
		if err := t.keep(ctx, token.RefreshToken); err != nil {
			return nil, fmt.Errorf("keep the rotated refresh token: %w", err)
		}
		t.refresh = token.RefreshToken
	}
	return token, nil
}

func addEncoded(u *url.URL, parameters url.Values) {
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += parameters.Encode()
}

// refusal turns a failed fetch into an error of the right class. What the server
// said is left out but for its code: it may repeat the credentials.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	var retrieve *oauth2.RetrieveError
	if !errors.As(err, &retrieve) || retrieve.Response == nil {
		if withURL, ok := errors.AsType[*url.Error](err); ok {
			err = withURL.Err
		}
		return fmt.Errorf("fetch token: %w", err)
	}
	failure := fmt.Errorf("fetch token: the server answered %d %s", retrieve.Response.StatusCode, plainCode(retrieve.ErrorCode))
	switch status := retrieve.Response.StatusCode; {
	case status == http.StatusTooManyRequests || status >= 500:
		return framework.RetryAfter(failure, framework.ParseRetryAfter(retrieve.Response.Header.Get("Retry-After"), time.Now()))
	default:
		return framework.Auth(failure)
	}
}

// plainCode returns an error code of RFC 6749, and nothing else.
func plainCode(code string) string {
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return code
}

// refreshToken returns the current refresh token: the last one that was kept, or
// the configured one.
func (t *tokens) refreshToken(ctx context.Context) (string, error) {
	if t.refresh != "" || t.state == nil {
		if t.refresh == "" {
			t.refresh = t.config.RefreshToken.Reveal()
		}
		return t.refresh, nil
	}
	kept, err := t.state.Load(ctx, stateName)
	if err != nil {
		return "", fmt.Errorf("load refresh token: %w", err)
	}
	t.refresh = t.config.RefreshToken.Reveal()
	if len(kept) > 0 {
		// What was sealed with other settings belongs to another grant.
		if opened, err := t.seal().open(kept); err == nil {
			t.refresh = string(opened)
		}
	}
	return t.refresh, nil
}

func (t *tokens) keep(ctx context.Context, refresh string) error {
	if t.state == nil {
		return nil
	}
	sealed, err := t.seal().close([]byte(refresh))
	if err != nil {
		return err
	}
	return t.state.Save(ctx, stateName, sealed)
}

// seal encrypts what is kept with a key of the settings, so that the store alone
// gives nobody a token, and a new refresh token in the settings wins over what
// was kept for the old one.
func (t *tokens) seal() sealer {
	return sealer{sha256.Sum256([]byte("weir refresh token\x00" + t.config.ClientID + "\x00" + t.config.ClientSecret.Reveal() + "\x00" + t.config.RefreshToken.Reveal()))}
}

type sealer struct{ key [32]byte }

func (s sealer) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s sealer) close(plain []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, plain, nil), nil
}

func (s sealer) open(sealed []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("too short")
	}
	return aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
}

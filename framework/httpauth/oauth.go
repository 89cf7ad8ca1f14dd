package httpauth

import (
	"context"
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
)

// tokens keeps the access token of a connection. What it fetches is a [grant] in
// the connection's state, so that every process that works on the connection has
// the same.
type tokens struct {
	config Config
	client *http.Client
	state  framework.State
	now    func() time.Time

	// turn is held by whoever fetches or waits for another process: one of this
	// process at a time.
	turn chan struct{}
	mu   sync.Mutex
	held held
	// refused is the access token that the provider refused last.
	refused string

	// The rest belongs to who has the turn.
	vault vault
	// seen is the claim of another process, and since when it is known.
	seen      string
	seenSince time.Time
	// unkept is what was fetched and could not be kept yet.
	unkept *unkept
}

// held is an access token and when it is to be replaced; the zero time for never.
type held struct {
	access string
	until  time.Time
}

func newTokens(c Config, client *http.Client, state framework.State, now func() time.Time) *tokens {
	t := &tokens{config: c, client: client, state: state, now: now, turn: make(chan struct{}, 1)}
	if state != nil {
		t.vault = newVault(state, c)
	}
	return t
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
	next, err := t.renew(ctx)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = next
	return next.access, nil
}

func (t *tokens) current() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held.access, t.good(t.held)
}

// good reports that a token may be used. The caller has the lock.
func (t *tokens) good(h held) bool {
	return h.access != "" && h.access != t.refused && (h.until.IsZero() || t.now().Before(h.until))
}

// drop forgets the token that was refused, unless another one is held by now. It
// reports whether there was one.
func (t *tokens) drop(authorization string) bool {
	refused, ok := strings.CutPrefix(authorization, "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok && t.held.access == refused {
		t.held, t.refused = held{}, refused
	}
	return ok
}

// heldOf is a fetched token and when it is to be replaced: a minute before its
// end, and one that lives shorter than twice that at half of its life.
func (t *tokens) heldOf(token *oauth2.Token) held {
	next := held{access: token.AccessToken}
	if !token.Expiry.IsZero() {
		life := token.Expiry.Sub(t.now())
		next.until = token.Expiry.Add(-min(early, life/2))
	}
	return next
}

// fetch asks the token server. refresh is the refresh token to use, if the grant
// has one. The request ends by itself: a refresh token may be good once, so its
// successor must be read whatever becomes of who asked.
func (t *tokens) fetch(ctx context.Context, refresh string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client)
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
	return token, refusal(err)
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

package httpauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/weirhq/weir/framework"
)

// Options are what an [Authorizer] works with.
type Options struct {
	// Client fetches tokens. Required for OAuth 2.
	Client *http.Client
	// State keeps rotated refresh tokens, if it is set.
	State framework.State
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Authorizer puts credentials into requests. It is safe for concurrent use.
type Authorizer struct {
	config Config
	now    func() time.Time
	tokens *tokens
	sign   *signature
}

// New returns an authorizer, or what is wrong with the settings.
func New(c Config, o Options) (*Authorizer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	a := &Authorizer{config: c, now: o.Now}
	if a.now == nil {
		a.now = time.Now
	}
	switch c.Type {
	case OAuth2:
		if o.Client == nil {
			return nil, fmt.Errorf("authentication: oauth2 needs a client")
		}
		a.tokens = newTokens(c, o.Client, o.State, a.now)
	case HMAC:
		var err error
		if a.sign, err = newSignature(c); err != nil {
			return nil, fmt.Errorf("authentication: %w", err)
		}
	}
	return a, nil
}

// Authorize puts the credentials into r, whose body is body. Call it last, and
// again for every try: signatures cover the request and the time.
func (a *Authorizer) Authorize(ctx context.Context, r *http.Request, body []byte) error {
	switch a.config.Type {
	case Bearer:
		r.Header.Set("Authorization", "Bearer "+a.config.Token.Reveal())
	case Basic:
		r.SetBasicAuth(a.config.Username, a.config.Password.Reveal())
	case APIKey:
		key := a.config.Prefix + a.config.Key.Reveal()
		if a.config.Header != "" {
			r.Header.Set(a.config.Header, key)
			return nil
		}
		addQuery(r.URL, a.config.Query, key)
	case OAuth2:
		token, err := a.tokens.get(ctx)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	case AWSSigV4:
		signAWS(r, body, a.config, a.now())
	case HMAC:
		a.sign.sign(r, body, a.now())
	}
	return nil
}

// Refused tells that the provider refused the credentials of r. It reports
// whether another try has other ones.
func (a *Authorizer) Refused(r *http.Request) bool {
	return a.tokens != nil && a.tokens.drop(r.Header.Get("Authorization"))
}

// addQuery adds a parameter and leaves the rest of the query as it is.
func addQuery(u *url.URL, name, value string) {
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

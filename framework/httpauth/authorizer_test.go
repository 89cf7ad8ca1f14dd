package httpauth_test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
)

func authorized(t *testing.T, c httpauth.Config, o httpauth.Options, url, body string) *http.Request {
	t.Helper()
	a, err := httpauth.New(c, o)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	require.NoError(t, err)
	require.NoError(t, a.Authorize(t.Context(), r, []byte(body)))
	return r
}

func TestPutsCredentialsWhereTheyBelong(t *testing.T) {
	t.Parallel()
	const url = "https://api.example.com/v1/x?b=2&a=%20"
	r := authorized(t, httpauth.Config{Type: "bearer", Token: "t0k"}, httpauth.Options{}, url, "")
	require.Equal(t, "Bearer t0k", r.Header.Get("Authorization"))
	r = authorized(t, httpauth.Config{Type: "basic", Username: "u", Password: "p:w"}, httpauth.Options{}, url, "")
	user, password, _ := r.BasicAuth()
	require.Equal(t, "u p:w", user+" "+password)
	r = authorized(t, httpauth.Config{Type: "api_key", Key: "k&y", Query: "key"}, httpauth.Options{}, url, "")
	require.Equal(t, "b=2&a=%20&key=k%26y", r.URL.RawQuery)
	r = authorized(t, httpauth.Config{Type: "api_key", Key: "k", Header: "X-Key", Prefix: "Token "}, httpauth.Options{}, url, "")
	require.Equal(t, "Token k", r.Header.Get("X-Key"))

	at := time.Unix(1_700_000_000, 0)
	r = authorized(t, httpauth.Config{
		Type: "hmac", Secret: "0123456789abcdef", Header: "X-Sig", Prefix: "v1=", TimestampHeader: "X-Time",
		Signed: "{timestamp}\n{method}\n{path}?{query}\n{body_sha256}\n{body}",
	}, httpauth.Options{Now: func() time.Time { return at }}, url, "hello")
	sum := sha256.Sum256([]byte("hello"))
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	mac.Write([]byte("1700000000\nPOST\n/v1/x?b=2&a=%20\n" + hex.EncodeToString(sum[:]) + "\nhello"))
	require.Equal(t, "v1="+hex.EncodeToString(mac.Sum(nil)), r.Header.Get("X-Sig"))
	require.Equal(t, "1700000000", r.Header.Get("X-Time"))
}

func TestRefusesSettingsThatDoNotBelongTogether(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]httpauth.Config{
		`"token" is required with type bearer`:                         {Type: "bearer"},
		`"password" does not belong to type bearer`:                    {Type: "bearer", Token: "x", Password: "y"},
		`"header" or query is required`:                                {Type: "api_key", Key: "x"},
		`"client_secret" is required with grant`:                       {Type: "oauth2", TokenURL: "https://x.example", ClientID: "c"},
		`"secret" is shorter than 16`:                                  {Type: "hmac", Secret: "short"},
		`"signed" holds something else in braces`:                      {Type: "hmac", Secret: "0123456789abcdef", Signed: "{bdy}"},
		`"timestamp_header" and {timestamp} in signed belong together`: {Type: "hmac", Secret: "0123456789abcdef", Signed: "{timestamp}.{body}"},
		`"token" holds a line break`:                                   {Type: "bearer", Token: "x\r\nHost: evil"},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
}

// tokenServer hands out tokens "a1", "a2", … and rotates refresh tokens "r0", "r1", …
// A refresh token that comes twice ends the grant for good.
type tokenServer struct {
	mu      sync.Mutex
	issued  int
	refresh int
	expires int
	rotate  bool
	ended   bool
	// secret is that of the client, "" for canary-secret.
	secret string
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	id, secret, _ := r.BasicAuth()
	refused := id != "client" || secret != cmp.Or(s.secret, "canary-secret")
	if r.FormValue("grant_type") == "refresh_token" {
		s.ended = s.ended || s.issued > 0 && s.rotate && r.FormValue("refresh_token") != fmt.Sprint("r", s.refresh)
		refused = refused || s.ended || r.FormValue("refresh_token") != fmt.Sprint("r", s.refresh)
	}
	if refused {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":%q}`, secret+r.FormValue("refresh_token"))
		return
	}
	s.issued++
	answer := map[string]any{"access_token": fmt.Sprint("a", s.issued), "token_type": "bearer", "expires_in": s.expires}
	if s.rotate {
		s.refresh++
		answer["refresh_token"] = fmt.Sprint("r", s.refresh)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// bearer asks the authorizer for credentials and returns them, or its error.
func bearer(t *testing.T, a *httpauth.Authorizer) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example", http.NoBody)
	if err != nil {
		return "", err
	}
	err = a.Authorize(t.Context(), r, nil)
	return r.Header.Get("Authorization"), err
}

func TestTokensAreKeptFetchedOnceAndReplacedBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&tokenServer{expires: 3600})
	t.Cleanup(server.Close)
	var offset atomic.Int64
	a, err := httpauth.New(httpauth.Config{Type: "oauth2", TokenURL: framework.URL(server.URL), ClientID: "client", ClientSecret: "canary-secret", Style: "header"},
		httpauth.Options{Client: server.Client(), Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }})
	require.NoError(t, err)
	token := func() string {
		got, err := bearer(t, a)
		if err != nil {
			return err.Error()
		}
		return got
	}
	var work sync.WaitGroup
	got := make([]string, 50)
	for i := range got {
		work.Go(func() { got[i] = token() })
	}
	work.Wait()
	for _, one := range got {
		require.Equal(t, "Bearer a1", one, "one fetch for all that waited")
	}
	offset.Store(int64(59*time.Minute + 5*time.Second))
	require.Equal(t, "Bearer a2", token(), "replaced before it ends")
	refused, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example", http.NoBody)
	require.NoError(t, err)
	refused.Header.Set("Authorization", "Bearer a2")
	offset.Store(0)
	require.True(t, a.Refused(refused))
	require.Equal(t, "Bearer a3", token())
	a.Refused(refused)
	require.Equal(t, "Bearer a3", token(), "another one than the refused is kept")
}

package httpauth_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
)

// kept is a state in memory that several processes share.
type kept struct {
	mu     sync.Mutex
	values map[string][]byte
	// broken says what a swap fails with, before it is done; swaps counts them.
	broken func(swap int) error
	swaps  int
}

func (k *kept) Load(_ context.Context, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values[name], nil
}

func (k *kept) Save(_ context.Context, name string, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values[name] = value
	return nil
}

func (k *kept) Swap(_ context.Context, name string, old, value []byte) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.swaps++
	if k.broken != nil {
		if err := k.broken(k.swaps); err != nil {
			return false, err
		}
	}
	now, there := k.values[name]
	if there != (old != nil) || !bytes.Equal(now, old) {
		return false, nil
	}
	k.values[name] = value
	return true, nil
}

func newKept() *kept { return &kept{values: map[string][]byte{}} }

// grantBench is a token server and processes that share a state.
type grantBench struct {
	server *tokenServer
	client *http.Client
	config httpauth.Config
	state  *kept
	// ahead is what the clock of all processes is ahead of the machine's.
	ahead atomic.Int64
}

func shared(t *testing.T, refresh framework.Secret) *grantBench {
	t.Helper()
	b := &grantBench{server: &tokenServer{expires: 3600, rotate: refresh != ""}, state: newKept()}
	server := httptest.NewServer(b.server)
	t.Cleanup(server.Close)
	b.client = server.Client()
	b.config = httpauth.Config{
		Type: "oauth2", TokenURL: framework.URL(server.URL), ClientID: "client", ClientSecret: "canary-secret", RefreshToken: refresh, Style: "header",
	}
	return b
}

// process is another process with the same settings.
func (b *grantBench) process(t *testing.T) *httpauth.Authorizer {
	t.Helper()
	a, err := httpauth.New(b.config, httpauth.Options{
		Client: b.client, State: b.state, Now: func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) },
	})
	require.NoError(t, err)
	return a
}

func (b *grantBench) token(t *testing.T, a *httpauth.Authorizer) string {
	t.Helper()
	got, err := bearer(t, a)
	require.NoError(t, err)
	return got
}

func TestARotatedRefreshTokenSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := shared(t, "r0")
	require.Equal(t, "Bearer a1", b.token(t, b.process(t)))
	require.Equal(t, "Bearer a1", b.token(t, b.process(t)), "what is kept is used until it ends")
	b.ahead.Store(int64(time.Hour - 55*time.Second))
	require.Equal(t, "Bearer a2", b.token(t, b.process(t)))
	b.ahead.Store(int64(time.Hour))
	require.Equal(t, "Bearer a3", b.token(t, b.process(t)))
	require.NotEmpty(t, b.state.values)
	for name, value := range b.state.values {
		for _, secret := range []string{"canary-secret", `"access"`, `"refresh"`} {
			require.NotContains(t, name+string(value), secret, "what is kept is sealed")
		}
	}
	// Another token in the settings is another grant, and leaves the first one alone.
	running := b.config
	b.config.RefreshToken = "r9"
	_, err := bearer(t, b.process(t))
	require.ErrorContains(t, err, "fetch token: the server answered 400 invalid_grant")
	require.NotContains(t, err.Error(), "canary")
	require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
	b.config, b.server.ended = running, false
	b.ahead.Store(int64(2 * time.Hour))
	require.Equal(t, "Bearer a4", b.token(t, b.process(t)))
	// What is damaged begins with the settings again.
	for name := range b.state.values {
		b.state.values[name] = []byte("damaged")
	}
	_, err = bearer(t, b.process(t))
	require.ErrorContains(t, err, "invalid_grant")
}

func TestARotatedRefreshTokenSurvivesAnotherClientSecret(t *testing.T) {
	t.Parallel()
	b := shared(t, "r0")
	require.Equal(t, "Bearer a1", b.token(t, b.process(t)))
	b.config.ClientSecret, b.server.secret = "canary-replaced", "canary-replaced"
	b.ahead.Store(int64(time.Hour))
	require.Equal(t, "Bearer a2", b.token(t, b.process(t)), "r0 is used up, and what it became is kept")
	// A wrong one brings nothing and loses nothing.
	b.config.ClientSecret = "canary-wrong"
	b.ahead.Store(int64(2 * time.Hour))
	_, err := bearer(t, b.process(t))
	require.ErrorContains(t, err, "invalid_grant")
	b.config.ClientSecret = "canary-replaced"
	require.Equal(t, "Bearer a3", b.token(t, b.process(t)))
}

func TestProcessesFetchOneTokenAtATime(t *testing.T) {
	t.Parallel()
	for _, refresh := range []framework.Secret{"", "r0"} {
		b := shared(t, refresh)
		processes := []*httpauth.Authorizer{b.process(t), b.process(t), b.process(t)}
		all := func(want string) {
			var work sync.WaitGroup
			for range 10 {
				for _, p := range processes {
					work.Go(func() {
						got, err := bearer(t, p)
						if assert.NoError(t, err) {
							assert.Equal(t, want, got)
						}
					})
				}
			}
			work.Wait()
		}
		all("Bearer a1")
		b.ahead.Store(int64(time.Hour - 55*time.Second))
		all("Bearer a2")
		// A token that the provider refuses is replaced once, for everybody.
		refused, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x.example", http.NoBody)
		require.NoError(t, err)
		refused.Header.Set("Authorization", "Bearer a2")
		for _, p := range processes {
			require.True(t, p.Refused(refused))
			require.Equal(t, "Bearer a3", b.token(t, p))
		}
		require.Equal(t, 3, b.server.issued)
		require.False(t, b.server.ended, "no refresh token was used twice")
	}
}

func TestAFetchedTokenIsNotLostWithTheStore(t *testing.T) {
	t.Parallel()
	b := shared(t, "r0")
	p := b.process(t)
	down := errors.New("the store is away")
	b.state.broken = func(swap int) error {
		if swap == 2 || swap == 3 {
			return down
		}
		return nil
	}
	for range 2 {
		_, err := bearer(t, p)
		require.ErrorIs(t, err, down, "what is not kept is not used")
		require.ErrorContains(t, err, "keep the new token")
	}
	require.Equal(t, "Bearer a1", b.token(t, p), "the one that was fetched, and not a second one with a void refresh token")
	require.Equal(t, "Bearer a1", b.token(t, b.process(t)))
	require.False(t, b.server.ended)
}

// transport answers without a network, so that time can be the test's.
type transport struct{ handler http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestAProcessThatDiesWhileItFetchesIsWaitedForAndReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &tokenServer{expires: 3600, rotate: true}
		state := newKept()
		config := httpauth.Config{
			Type: "oauth2", TokenURL: "https://tokens.example", ClientID: "client", ClientSecret: "canary-secret", RefreshToken: "r0", Style: "header",
		}
		process := func(handler http.Handler) *httpauth.Authorizer {
			a, err := httpauth.New(config, httpauth.Options{Client: &http.Client{Transport: transport{handler}}, State: state})
			require.NoError(t, err)
			return a
		}
		// The first process hangs before its request arrives, for longer than a request
		// may take; it holds the claim.
		release := make(chan struct{})
		stalled := process(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			server.ServeHTTP(w, r)
		}))
		late := make(chan error, 1)
		go func() { _, err := bearer(t, stalled); late <- err }()
		synctest.Wait()
		second := process(server)
		begun := time.Now()
		require.Equal(t, "Bearer a1", func() string { got, err := bearer(t, second); require.NoError(t, err); return got }())
		require.GreaterOrEqual(t, time.Since(begun), 30*time.Second, "as long as its request may take")
		close(release)
		require.NoError(t, <-late, "it finds that another process has fetched, and uses that")
		third, err := bearer(t, process(server))
		require.NoError(t, err)
		require.Equal(t, "Bearer a1", third)

		// Who gives up waiting is told what for.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release = make(chan struct{})
		config.RefreshToken = "r1"
		go func() { _, err := bearer(t, process(stuck(release))); late <- err }()
		synctest.Wait()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x.example", http.NoBody)
		require.NoError(t, err)
		require.ErrorContains(t, process(server).Authorize(ctx, r, nil), "wait for the token that another process fetches")
		close(release)
		require.Error(t, <-late)
	})
}

// stuck answers nothing until release is closed, and then with an error.
func stuck(release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.WriteHeader(http.StatusInternalServerError)
	})
}

func TestARefreshTokenIsNotUsedUpWhereNothingIsKept(t *testing.T) {
	t.Parallel()
	b := shared(t, "r0")
	a, err := httpauth.New(b.config, httpauth.Options{Client: b.client})
	require.NoError(t, err)
	_, err = bearer(t, a)
	require.ErrorContains(t, err, "save the connection first")
	require.Zero(t, b.server.issued)
}

package api_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

// follow opens the feed and hands over the names of its messages.
func follow(t *testing.T, b *bundle) (events <-chan string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/api/v1/changes", nil)
	require.NoError(t, err)
	response, err := b.server.Client().Do(r)
	require.NoError(t, err)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	out := make(chan string, 100)
	go func() {
		defer response.Body.Close()
		defer close(out)
		for s := bufio.NewScanner(response.Body); s.Scan(); {
			if name, ok := strings.CutPrefix(s.Text(), "event: "); ok {
				out <- name
			}
		}
	}()
	return out
}

func TestListenersAreToldOfChangesUntilTheServerStops(t *testing.T) {
	t.Parallel()
	b := setup(t, dashboardtest.Loopback())
	first, second := follow(t, b), follow(t, b)
	require.Equal(t, "ready", <-first)
	require.Equal(t, "ready", <-second)
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPost, "/api/v1/connections/demo/streams/orders/pause").status)
	require.Equal(t, "change", <-first)
	require.Equal(t, "change", <-second)
	b.front.API.CloseFeeds()
	_, open := <-first
	require.False(t, open)
	_, open = <-second
	require.False(t, open)
}

// A thousand commits in a moment are two messages: one at once, and one for all
// that came while the listener was left alone.
func TestAFloodOfChangesIsFewMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		office := dashboardtest.Busy(noon)
		front, err := office.Open(dashboardtest.Loopback(), nil, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			front.Handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/v1/changes", nil))
		}()
		synctest.Wait()
		for range 1000 {
			front.Feed.Notify()
		}
		synctest.Wait()
		for range 1000 {
			front.Feed.Notify()
		}
		wait(t, 5)
		synctest.Wait()
		cancel()
		<-done
		require.Equal(t, 2, strings.Count(rec.Body.String(), "event: change"))
		require.Equal(t, 1, strings.Count(rec.Body.String(), "event: ready"))
		require.Contains(t, rec.Body.String(), "retry: 2000")
	})
}

func TestASilentFeedShowsThatItIsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		front, err := dashboardtest.Busy(noon).Open(dashboardtest.Loopback(), nil, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		rec := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			front.Handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/v1/changes", nil))
		}()
		wait(t, 46)
		cancel()
		<-done
		require.Equal(t, 3, strings.Count(rec.Body.String(), ": still here"))
	})
}

func TestAFeedWithoutListenersDoesNothing(t *testing.T) {
	t.Parallel()
	var f api.Feed
	f.Notify()
	changed, stop := f.Listen("")
	f.Notify()
	f.Notify()
	<-changed
	select {
	case <-changed:
		require.Fail(t, "two signals for one listener that had not listened")
	default:
	}
	stop()
	f.Notify()
	require.Empty(t, changed)
}

// wait lets the clock of a bubble go on.
func wait(t *testing.T, seconds int) {
	t.Helper()
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	<-timer.C
}

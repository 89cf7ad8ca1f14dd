package httpguard_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/httpguard"
)

func TestEachStepOfARequestIsBoundedAndNotTheirSum(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause := 0 * time.Second
		switch r.URL.Path {
		case "/steady":
			pause = 60 * time.Millisecond
		case "/stalls":
			pause = time.Hour
		case "/silent":
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		for range 8 {
			_, _ = io.WriteString(w, "part ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	client, err := guard.NewClient(httpguard.Options{Hosts: []string{"127.0.0.1"}, Step: 300 * time.Millisecond, MaxPerHost: 1, MaxTotal: 4})
	require.NoError(t, err)
	get := func(path string) (string, error) {
		response, err := client.Get(server.URL + path)
		if err != nil {
			return "", err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	body, err := get("/steady")
	require.NoError(t, err, "480 ms in all, and never 300 without a byte")
	require.Len(t, body, 40)
	_, err = get("/stalls")
	require.ErrorIs(t, err, httpguard.ErrStalled)
	begun := time.Now()
	_, err = get("/silent")
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.Less(t, time.Since(begun), 20*time.Second)

	// The wait for a connection of a pool that is used up.
	busy := make(chan error, 1)
	held, err := client.Get(server.URL + "/steady")
	require.NoError(t, err)
	go func() { _, err := get("/"); busy <- err }()
	require.ErrorIs(t, <-busy, httpguard.ErrStalled)
	require.NoError(t, held.Body.Close())
	_, err = get("/")
	require.NoError(t, err)
	close(release)
}

package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering returns a server that answers the n-th request, counted from 0.
func answering(t *testing.T, answer func(n int, r *http.Request) (status int, body string)) (url string) {
	t.Helper()
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := answer(n, r)
		n++
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAShortPageOfEventsIsNotTheLast(t *testing.T) {
	t.Parallel()
	server := answering(t, func(n int, r *http.Request) (int, string) {
		want := url.Values{"limit": {"500"}}
		if n > 0 {
			want.Set("after", fmt.Sprint(n))
			want.Set("epoch", "7")
		}
		require.Equal(t, want, r.URL.Query())
		next := fmt.Sprintf("%q", fmt.Sprint(n+1))
		if n == 2 {
			next = "null"
		}
		return http.StatusOK, fmt.Sprintf(`{"epoch":7,"events":[{"weirsequence":%d}],"next":%s}`, n+1, next)
	})
	code, stdout, stderr := weir(t, nil, nil, "events", "c", "s", "--json", "--server", server)
	require.Zero(t, code, stderr)
	require.Equal(t, 3, strings.Count(stdout, "\n"))
}

func TestStatusInJSONExitsWithOneToo(t *testing.T) {
	t.Parallel()
	url := answering(t, func(int, *http.Request) (int, string) {
		return http.StatusOK, `{"streams":[{"connection":"c","stream":"s","state":"failing"}],"next":null}`
	})
	for _, args := range [][]string{{"status"}, {"status", "--json"}} {
		code, stdout, stderr := weir(t, nil, nil, append(args, "--server", url)...)
		require.Equal(t, 1, code, stderr)
		require.Contains(t, stdout, "failing")
	}
}

func TestASyncWaitsForTheRunsThatAreGoingOn(t *testing.T) {
	t.Parallel()
	url := answering(t, func(n int, _ *http.Request) (int, string) {
		if n%2 == 0 {
			return http.StatusConflict, `{"code":"busy","detail":"stream is busy with run run_1"}`
		}
		return http.StatusOK, fmt.Sprintf(`{"cursor":%d,"hasMore":%t,"emitted":1,"duplicates":0}`, n, n < 2)
	})
	code, stdout, stderr := weir(t, nil, nil, "sync", "c", "s", "--server", url)
	require.Zero(t, code, stderr)
	require.Equal(t, 2, strings.Count(stdout, "1 emitted"))
	require.Contains(t, stderr, "run_1")
}

func TestASyncThatIsNotToWaitSaysThatItIsBusy(t *testing.T) {
	t.Parallel()
	url := answering(t, func(int, *http.Request) (int, string) {
		return http.StatusConflict, `{"code":"busy","detail":"stream is busy with run run_1"}`
	})
	code, _, stderr := weir(t, nil, nil, "sync", "c", "s", "--wait", "0s", "--server", url)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "run_1")
}

func TestASyncWhoseCursorComesBackEnds(t *testing.T) {
	t.Parallel()
	url := answering(t, func(n int, _ *http.Request) (int, string) {
		return http.StatusOK, fmt.Sprintf(`{"cursor":{"page":%d},"hasMore":true,"emitted":1,"duplicates":0}`, n%3)
	})
	code, _, stderr := weir(t, nil, nil, "sync", "c", "s", "--server", url)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "never come to an end")
}

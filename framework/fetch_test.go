package framework_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
)

// provider answers every request of a client.
type provider func(*http.Request) (*http.Response, error)

func (p provider) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }

// fetch asks the provider for a URL whose query holds a secret.
func fetch(t *testing.T, p provider) (*framework.Fetched, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/v1/things?key=hunter2", http.NoBody)
	require.NoError(t, err)
	return framework.Fetch(&http.Client{Transport: p}, request)
}

// says is a provider that always gives one answer.
func says(status int, body io.Reader, header ...string) provider {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			h.Set(name, value)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Request: r}, nil
	}
}

func TestFetchReadsTheWholeBody(t *testing.T) {
	t.Parallel()
	got, err := fetch(t, says(http.StatusOK, strings.NewReader(`{"n":9007199254740993}`), "X-Page: 2"))
	require.NoError(t, err)
	require.Equal(t, "2", got.Header.Get("X-Page"))
	require.JSONEq(t, `{"n":9007199254740993}`, string(got.Body))
	var into struct {
		N int64 `json:"n"`
	}
	require.NoError(t, got.Decode(&into))
	require.Equal(t, int64(9007199254740993), into.N)
}

func TestFetchGivesARefusalWithItsBody(t *testing.T) {
	t.Parallel()
	got, err := fetch(t, says(http.StatusTooManyRequests, strings.NewReader("slow down"), "Retry-After: 3"))
	require.Equal(t, 3*time.Second, framework.RetryDelay(err))
	require.Equal(t, "slow down", string(got.Body))
	require.NotContains(t, err.Error(), "hunter2")
	require.Contains(t, err.Error(), "api.test/v1/things")
}

// What is read may be older than the answer: the request's duration, the part
// of the second that Date leaves out, and the one that a change's time leaves out.
func TestFetchDatesTheReadBeforeIt(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	got, err := fetch(t, says(http.StatusOK, strings.NewReader("{}"), "Date: "+date.Format(http.TimeFormat)))
	require.NoError(t, err)
	require.True(t, got.ReadAt.Before(date.Add(-time.Second)), got.ReadAt)
	require.True(t, got.ReadAt.After(date.Add(-time.Minute)), got.ReadAt)

	got, err = fetch(t, says(http.StatusOK, strings.NewReader("{}")))
	require.NoError(t, err)
	require.Zero(t, got.ReadAt, "without a Date nothing is known")
}

func TestFetchBoundsTheBody(t *testing.T) {
	t.Parallel()
	endless := io.LimitReader(zeros{}, 1<<40)
	_, err := fetch(t, says(http.StatusOK, endless))
	require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
	got, err := fetch(t, says(http.StatusOK, io.LimitReader(zeros{}, framework.MaxResponseBytes)))
	require.NoError(t, err)
	require.Len(t, got.Body, framework.MaxResponseBytes)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestFetchHidesTheQueryOfAFailure(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	for name, p := range map[string]provider{
		"no connection": func(*http.Request) (*http.Response, error) { return nil, cause },
		"a cut body":    says(http.StatusOK, io.MultiReader(strings.NewReader("{"), failing{cause})),
	} {
		got, err := fetch(t, p)
		require.ErrorIs(t, err, cause, name)
		require.Equal(t, framework.ClassTransient, framework.ClassOf(err), name)
		require.NotContains(t, fmt.Sprintf("%+v", err), "hunter2", name)
		require.Nil(t, got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatDoesNotDecodeMayDecodeTheNextTime(t *testing.T) {
	t.Parallel()
	got, err := fetch(t, says(http.StatusOK, strings.NewReader(`<html>`)))
	require.NoError(t, err)
	require.Equal(t, framework.ClassTransient, framework.ClassOf(got.Decode(new(int))))
}

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

const adminToken = "a-long-enough-admin-token"

// bundle is a served office.
type bundle struct {
	office *dashboardtest.Office
	front  *dashboardtest.Front
	server *httptest.Server
	log    *bytes.Buffer
	ready  error
}

var noon = time.Date(2026, 3, 2, 12, 20, 0, 0, time.UTC)

func setup(t *testing.T, policy api.ListenPolicy) *bundle {
	t.Helper()
	b := &bundle{office: dashboardtest.Busy(noon), log: &bytes.Buffer{}}
	front, err := b.office.Open(policy, slog.New(slog.NewTextHandler(b.log, nil)), func(c *api.Config) {
		c.Ready = func(context.Context) error { return b.ready }
	})
	require.NoError(t, err)
	b.front = front
	b.server = httptest.NewServer(front.Handler)
	t.Cleanup(func() {
		front.API.CloseFeeds()
		b.server.Close()
	})
	return b
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *bundle) do(t *testing.T, method, path string, change ...func(*http.Request)) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, nil)
	require.NoError(t, err)
	for _, f := range change {
		f(r)
	}
	client := b.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(body)}
}

func (b *bundle) get(t *testing.T, path string) answer {
	t.Helper()
	return b.do(t, http.MethodGet, path)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

// decode reads a JSON answer into v.
func (a answer) decode(t *testing.T, v any) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

// problem reads a problem document and checks what all of them have.
func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	var p api.Problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, a.status, p.Status)
	require.Equal(t, http.StatusText(a.status), p.Title)
	require.Equal(t, "about:blank", p.Type)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.Detail)
	return p
}

var errDisk = errors.New("disk I/O error at /var/lib/weir/secret-path")

// json asks and reads a JSON answer with the given status into v.
func (b *bundle) json(t *testing.T, method, path string, status int, v any) {
	t.Helper()
	a := b.do(t, method, path)
	require.Equal(t, status, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

// problem asks and reads a problem with the given status.
func (b *bundle) problem(t *testing.T, method, path string, status int) api.Problem {
	t.Helper()
	a := b.do(t, method, path)
	require.Equal(t, status, a.status, a.body)
	return a.problem(t)
}

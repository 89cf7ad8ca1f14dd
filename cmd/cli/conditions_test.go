package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every write keeps to If-Match and says what it made, and is made once under one
// Idempotency-Key.
func TestEveryWriteKeepsToItsConditions(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	body := `{"type":"webhook","name":"hook","fullUrl":"http://127.0.0.1:1/"}`
	status, v, _ := p.ask(t, http.MethodPost, hook, body, "If-Match", `"con_x.1"`)
	require.Equal(t, http.StatusPreconditionFailed, status, "there is nothing yet: %v", v)
	status, _, first := p.ask(t, http.MethodPost, hook, body)
	require.Equal(t, http.StatusOK, status)
	old := first.Get("ETag")
	status, _, changed := p.ask(t, http.MethodPatch, hook, `{"description":"x"}`, "If-Match", old)
	require.Equal(t, http.StatusOK, status)
	now := changed.Get("ETag")
	require.NotEqual(t, old, now)
	for _, c := range [][3]string{
		{http.MethodPut, "", body},
		{http.MethodPatch, "", `{"description":"y"}`},
		{http.MethodPost, "/pause", ""},
		{http.MethodPost, "/stop", ""},
		{http.MethodPost, "/resume", ""},
		{http.MethodPost, "/restart", ""},
		{http.MethodPost, "/deploy", ""},
		{http.MethodPost, "/rollback?revision=1", ""},
		{http.MethodPost, "/detach", ""},
		{http.MethodDelete, "", ""},
	} {
		status, v, _ := p.ask(t, c[0], hook+c[1], c[2], "If-Match", old)
		require.Equal(t, http.StatusPreconditionFailed, status, "%s: %v", c, v)
	}
	_, v, header := p.ask(t, http.MethodGet, hook, "")
	require.Equal(t, now, header.Get("ETag"), "nothing was done")
	require.Equal(t, "running", v["state"])
	for _, action := range []string{"/pause", "/stop", "/resume", "/restart", "/deploy", "/detach"} {
		status, v, header = p.ask(t, http.MethodPost, hook+action, "", "If-Match", now)
		require.Equal(t, http.StatusOK, status, "%s: %v", action, v)
		require.Equal(t, now, header.Get("ETag"), action)
	}

	for _, action := range []string{"/deploy", "/rollback"} {
		status, v, _ = p.ask(t, http.MethodPost, hook+action+"?revision=99", "")
		require.Equal(t, http.StatusNotFound, status, v)
		require.Equal(t, "unknown_revision", v["code"], action)
	}
	for body, paths := range map[string][]string{
		`{"project":"eu"}`:     {"project"},
		`{"type":"source"}`:    {"type", "config.step_timeout_seconds"},
		`{"connector":"file"}`: {"connector", "config.endpoint"},
	} {
		status, v, _ = p.ask(t, http.MethodPatch, hook, body)
		require.Equal(t, http.StatusUnprocessableEntity, status, v)
		for _, path := range paths {
			require.Contains(t, fmt.Sprint(v["errors"]), "path:"+path, body)
		}
	}

	projects := "/api/v1/projects"
	status, _, made := p.ask(t, http.MethodPost, projects, `{"name":"eu"}`)
	require.Equal(t, http.StatusOK, status)
	status, _, described := p.ask(t, http.MethodPatch, projects+"/eu", `{"description":"x"}`, "If-Match", made.Get("ETag"))
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, made.Get("ETag"), described.Get("ETag"))
	for method, body := range map[string]string{http.MethodPatch: `{"description":"y"}`, http.MethodDelete: ""} {
		status, v, _ = p.ask(t, method, projects+"/eu", body, "If-Match", made.Get("ETag"))
		require.Equal(t, http.StatusPreconditionFailed, status, v)
	}
	for range 2 {
		status, v, _ = p.ask(t, http.MethodDelete, projects+"/eu", "", "Idempotency-Key", "gone")
		require.Equal(t, http.StatusOK, status, v)
		require.Equal(t, "eu", v["name"])
		require.Equal(t, "x", v["description"])
	}
	status, _, _ = p.ask(t, http.MethodDelete, projects+"/us", "", "Idempotency-Key", "other")
	require.Equal(t, http.StatusNotFound, status)

	for _, name := range []string{`""`, `" "`, `"日本"`, `null`, `5`} {
		status, v, _ = p.ask(t, http.MethodPost, "/api/v1/connections", `{"type":"webhook","fullUrl":"http://127.0.0.1:1/","name":`+name+`}`)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %v", name, v)
	}
	require.NoError(t, p.interrupt(t))
}

// A program that sends all of a body before it reads learns why it is refused.
func TestWhoSendsTooMuchLearnsWhy(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, ""), "run")
	for _, path := range []string{hook, "/connectors", "/api/v1/projects", "/api/v1/tokens"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		body := bytes.Repeat([]byte("x"), 10<<20)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", path, len(body))
		require.NoError(t, err)
		_, err = conn.Write(body)
		require.NoError(t, err, path)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err, path)
		require.Contains(t, string(answer), "HTTP/1.1 413 ", path)
		require.NoError(t, conn.Close())
	}
}

// A request that is tried again and again holds up neither a stop nor a change.
func TestTriesOfAPageEndWithTheProcess(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		asked <- struct{}{}
	}))
	t.Cleanup(provider.Close)
	p := startIn(t, configured(t, "connections: [{name: busy, class: http, config: {endpoint: \""+provider.URL+"\", stream: rows}}]\n"), "run")
	<-asked
	<-asked // it waits for the third try
	require.NoError(t, p.interrupt(t))
	require.LessOrEqual(t, len(asked), 1)
}

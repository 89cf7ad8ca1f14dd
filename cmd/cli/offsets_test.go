package cli_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sink that was stopped goes on by the command that the help names, and every
// answer says what the sink has become.
func TestASinkIsStoppedMovedAndRestarted(t *testing.T) {
	t.Parallel()
	p := startIn(t, configured(t, `connections:
  - {name: in, class: http, config: {mode: push, path: in, auth: {type: none, reason: a test of offsets}, stream: ev}}
  - {name: out, class: stdout, type: sink, streams: [in.ev]}
`), "run")
	for range 3 {
		_, _, _ = p.ask(t, http.MethodPost, "/webhooks/in/in", `{"id": 1}`)
		_, _, _ = p.ask(t, http.MethodPost, "/webhooks/in/in", `{"id": 2}`)
	}
	offsets := func(want string, args ...string) {
		t.Helper()
		code, out, errs := weir(t, nil, nil, append(args, "--server", p.url)...)
		require.Zero(t, code, errs)
		require.Regexp(t, "^"+want+"\n", out, args)
	}
	for range 3 {
		offsets("stopped", "offsets", "stop", "out")
		offsets("stopped", "offsets", "set", "out", "in.ev", "earliest")
		offsets("stopped", "offsets", "skip", "out", "in.ev")
		offsets("running", "offsets", "restart", "out")
		offsets("running", "offsets", "restart", "out")
	}
	for _, step := range [][2]string{{"pause", "paused"}, {"resume", "running"}, {"stop", "stopped"}, {"resume", "running"}} {
		status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/out/"+step[0], "")
		require.Equal(t, http.StatusOK, status, v)
		require.Equal(t, step[1], v["state"], "the answer to "+step[0])
	}
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/out/stop", "")
	require.Equal(t, http.StatusOK, status, v)
	status, v, _ = p.ask(t, http.MethodPost, "/api/v1/connections/out/restart", "")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, v["detail"], "resume it instead")
}

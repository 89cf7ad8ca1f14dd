package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/cmd/cli"
)

// steering is what a provider may put into a text: a cleared screen, a window
// title, a C1 control, a turned around text, a carriage return, a delete.
const steering = "\x1b[2J\x1b]0;title\a \u009b31m \u202egnp.exe\u2066 \r overwritten \x7f end"

func inJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return b.String()
}

func TestNothingThatAProviderSaysSteersTheTerminal(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := inJSON(t, steering)
		switch {
		case strings.HasSuffix(r.URL.Path, "/events"):
			_, _ = io.WriteString(w, `{"events":[{"weirsequence":1,"time":`+text+`,"type":`+text+`,"subject":`+text+`,"weiroperation":`+text+`,"data":`+text+`}],"next":null}`)
		case strings.HasSuffix(r.URL.Path, "/streams"):
			_, _ = io.WriteString(w, `{"streams":[{"connection":`+text+`,"stream":`+text+`,"mode":"poll","cadence":`+text+`,"state":"failing","last_error":`+text+`}],"next":null}`)
		case r.URL.Query().Has("cursor"):
			_, _ = io.WriteString(w, `{"cursor":`+text+`,"hasMore":false,"emitted":0,"duplicates":0}`)
		default:
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `{"title":"Bad Gateway","status":502,"detail":`+text+`}`)
		}
	}))
	t.Cleanup(s.Close)
	for _, command := range []string{
		"events a b", "events a b --json", "status", "status --json", "sync a b", "sync a b --cursor 1 --json",
	} {
		code, stdout, stderr := weir(t, nil, nil, append(strings.Fields(command), "--server", s.URL)...)
		require.LessOrEqual(t, code, 1, stderr)
		require.Contains(t, stdout+stderr, "title", command)
		for _, r := range stdout + stderr {
			require.True(t, r == '\n' || r == '\t' || !unicode.In(r, unicode.Cc, unicode.Cf), "%s printed %q", command, r)
		}
		if strings.Contains(command, "--json") {
			require.True(t, json.Valid([]byte(stdout)), stdout)
			var back any
			require.NoError(t, json.Unmarshal([]byte(stdout), &back))
			require.Contains(t, inJSON(t, back), strings.Trim(inJSON(t, steering), "\"\n"), "it means the same")
		}
	}
}

func TestAPasswordInTheServersAddressIsNotShown(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"http://weir:canary@127.0.0.1:1", "http://weir:canary@127.0.0.1:1/%zz", "http://weir:canary@[::1"} {
		_, stdout, stderr := weir(t, nil, nil, "status", "--server", server)
		require.NotContains(t, stdout+stderr, "canary")
	}
}

// FuzzPlain writes a text in two parts and looks for what steers a terminal, and
// for a loss.
func FuzzPlain(f *testing.F) {
	f.Add(steering, 3)
	f.Add("gr\u00fc\u00df \U000e0041 \U0001f469\u200d\U0001f680 \xff\xe2\x80", 4)
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = min(max(at, 0), len(text))
		whole, parts := cli.Plain(text), cli.Plain(text[:at], text[at:])
		require.Equal(t, whole, parts)
		require.False(t, strings.ContainsAny(whole, "\x1b\u009b\r\x7f\u202e\x00"), "%q", whole)
		if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			require.Equal(t, text, whole)
		}
	})
}

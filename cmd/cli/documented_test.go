package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// words splits a command as a shell does, as far as pages need it.
func words(command string) (out []string) {
	word, quoted, begun := strings.Builder{}, false, false
	for _, r := range command {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case !quoted && (r == ' ' || r == '\n' || r == '\\'):
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

// The requests that pages show are made, in their order.
func TestTheRequestsOfThePagesAreTaken(t *testing.T) {
	t.Parallel()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[{"id":"1"}]`) }))
	t.Cleanup(provider.Close)
	p := startIn(t, configured(t, ""), "run")
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/shop", `{"name":"shop","type":"source","connector":"http","stream":"orders","config":{"endpoint":"`+provider.URL+`"}}`)
	require.Equal(t, http.StatusOK, status, v)
	for _, page := range []struct {
		file     string
		requests int
	}{{"connections.md", 6}, {"kafka-connect.md", 5}} {
		text, err := os.ReadFile("../../docs/" + page.file)
		require.NoError(t, err)
		made := 0
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			for _, command := range regexp.MustCompile(`(?m)^curl (?:[^'\n]|'[^']*')*`).FindAllString(block[1], -1) {
				method, body, address := "", "", ""
				args := words(command)[1:]
				for i := 0; i < len(args); i++ {
					switch args[i] {
					case "-X":
						i++
						method = args[i]
					case "-d":
						i++
						body = args[i]
					case "-H":
						i++
						require.Equal(t, "Content-Type: application/json", args[i], command)
					case "-s":
					default:
						require.Empty(t, address, command)
						address = args[i]
					}
				}
				if method == "" {
					method = map[bool]string{true: http.MethodPost, false: http.MethodGet}[body != ""]
				}
				path, local := strings.CutPrefix(address, "localhost:9657")
				require.True(t, local, command)
				status, answer, _ := p.raw(t, method, path, body)
				require.Equal(t, 2, status/100, "%s: %d %s", command, status, answer)
				made++
				if path == "/connectors" {
					// Nobody types faster than a sink begins.
					require.Eventually(t, func() bool {
						_, offsets, _ := p.raw(t, http.MethodGet, "/connectors/orders-out/offsets", "")
						return strings.Contains(string(offsets), "shop.orders")
					}, 20*time.Second, 10*time.Millisecond)
				}
			}
		}
		require.Equal(t, page.requests, made, page.file)
	}
	require.NoError(t, p.interrupt(t))
}

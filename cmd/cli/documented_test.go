package cli_test

import (
	"bufio"
	"context"
	"encoding/json"
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

// shown is a request that a page shows, with the answer that it shows, "" for none.
// feed is how an answer without an end begins.
type shown struct{ command, method, path, body, answer, feed string }

// shownIn are the requests of a page, in their order.
func shownIn(t *testing.T, page string) (all []shown) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```(?:\n```json\n(.*?)```|\n```\n(.*?)```)?").FindAllStringSubmatch(string(text), -1) {
		for _, command := range regexp.MustCompile(`(?m)^curl (?:[^'\n]|'[^']*')*`).FindAllString(block[1], -1) {
			one := shown{command: command, answer: block[2], feed: block[3]}
			address := ""
			args := words(command)[1:]
			for i := 0; i < len(args); i++ {
				switch args[i] {
				case "-X":
					i++
					one.method = args[i]
				case "-d":
					i++
					one.body = args[i]
				case "-H":
					i++
					require.Equal(t, "Content-Type: application/json", args[i], command)
				case "-s", "-N":
				default:
					require.Empty(t, address, command)
					address = args[i]
				}
			}
			if one.method == "" {
				one.method = map[bool]string{true: http.MethodPost, false: http.MethodGet}[one.body != ""]
			}
			one.path = regexp.MustCompile(`^(http://127\.0\.0\.1|localhost):9657`).ReplaceAllString(address, "")
			require.True(t, strings.HasPrefix(one.path, "/"), command)
			all = append(all, one)
		}
	}
	return all
}

// begins returns the first lines of an answer that never ends.
func begins(t *testing.T, url string, lines int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	read, text := bufio.NewReader(response.Body), ""
	for range lines {
		line, err := read.ReadString('\n')
		require.NoError(t, err, text)
		text += line
	}
	return text
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
		all := shownIn(t, page.file)
		require.Len(t, all, page.requests, page.file)
		for _, one := range all {
			status, answer, _ := p.raw(t, one.method, one.path, one.body)
			require.Equal(t, 2, status/100, "%s: %d %s", one.command, status, answer)
			if one.path == "/connectors" {
				// Nobody types faster than a sink begins.
				require.Eventually(t, func() bool {
					_, offsets, _ := p.raw(t, http.MethodGet, "/connectors/orders-out/offsets", "")
					return strings.Contains(string(offsets), "shop.orders")
				}, time.Minute, 10*time.Millisecond)
			}
		}
	}
	require.NoError(t, p.interrupt(t))
}

// Each request of the API's page is made beside the demo, and its answer has what
// the page shows of it.
func TestTheRequestsOfTheAPIsPageAreAnswered(t *testing.T) {
	t.Parallel()
	p := startIn(t, t.TempDir(), "demo", "--listen", "127.0.0.1:0")
	status, v, _ := p.ask(t, http.MethodPost, "/api/v1/connections/code",
		`{"name":"code","type":"source","connector":"github","streams":[],"config":{"token":"ghp_test","repos":["weirhq/weir"],"webhook_secret":"a secret of a test"}}`)
	require.Equal(t, http.StatusOK, status, v)
	require.Eventually(t, func() bool {
		var list struct{ Events []any }
		return get(t, p.url+"/api/v1/connections/demo/streams/customers/events?limit=1", &list) == http.StatusOK && len(list.Events) == 1
	}, 60*time.Second, 100*time.Millisecond)
	all := shownIn(t, "api.md")
	require.Len(t, all, 12)
	for _, one := range all {
		want := http.StatusOK
		switch {
		case strings.HasSuffix(one.path, "/changes"):
			require.Equal(t, one.feed, begins(t, p.url+one.path, strings.Count(one.feed, "\n")), one.command)
			continue
		case strings.Contains(one.path, "redeliver?id="):
			want = http.StatusNotFound // that delivery is of the page
		case strings.Contains(one.path, "lmit"):
			want = http.StatusBadRequest
		case strings.HasSuffix(one.path, "/run"), strings.HasSuffix(one.path, "/pause"):
			want = 2
		}
		status, answer, _ := p.raw(t, one.method, one.path, one.body)
		if want == 2 {
			status /= 100
		}
		require.Equal(t, want, status, "%s: %s", one.command, answer)
		if one.answer == "" || want == http.StatusNotFound {
			continue
		}
		var onPage, here map[string]any
		// Long lines are broken between words and after commas.
		require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(one.answer, "\n", " ")), &onPage), "the answer of the page to %s", one.command)
		require.NoError(t, json.Unmarshal(answer, &here), "%s", answer)
		for key := range onPage {
			require.Contains(t, here, key, one.command)
		}
	}
	require.NoError(t, p.interrupt(t))
}

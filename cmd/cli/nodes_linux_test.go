package cli_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// twoNodes are two processes that share a PostgreSQL store.
type twoNodes struct {
	dir, store string
	a, b       *process
}

// startNodes writes a weir.yaml with these connections and runs it on two nodes.
func startNodes(t *testing.T, connections string) *twoNodes {
	t.Helper()
	n := &twoNodes{dir: t.TempDir(), store: postgresServer(t)}
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "weir.yaml"), []byte("connections:\n"+connections), 0o600))
	n.a = n.start(t)
	n.b = n.start(t)
	return n
}

func (n *twoNodes) start(t *testing.T) *process {
	t.Helper()
	return startIn(t, n.dir, "run", "--listen", "127.0.0.1:0", "--store", n.store)
}

// frames reads server-sent events from an answer.
type frames struct {
	t     *testing.T
	lines *bufio.Scanner
	// id is that of the last frame.
	id string
}

// trigger calls a trigger and reads its answer while it comes.
func (p *process) trigger(t *testing.T, path, body, lastID string) *frames {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/sink/trigger/http/default"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer a-token-of-callers-0123456789")
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	client := &http.Client{Timeout: 2 * time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	return &frames{t: t, lines: bufio.NewScanner(response.Body)}
}

type runFrame struct {
	Type     string `json:"type"`
	RunID    string `json:"run_id"`
	Progress int    `json:"progress"`
	State    string `json:"state"`
	Error    string `json:"error"`
}

// until reads frames up to one that is wanted, and fails when the answer ends
// before.
func (f *frames) until(wanted func(runFrame) bool) (last runFrame) {
	f.t.Helper()
	for f.lines.Scan() {
		if id, is := strings.CutPrefix(f.lines.Text(), "id: "); is {
			f.id = id
		}
		text, is := strings.CutPrefix(f.lines.Text(), "data: ")
		if !is {
			continue
		}
		last = runFrame{}
		require.NoError(f.t, json.Unmarshal([]byte(text), &last))
		if wanted(last) {
			return last
		}
	}
	f.t.Fatalf("the answer ended; the last frame was %+v: %v", last, f.lines.Err())
	return last
}

func isEnd(f runFrame) bool { return f.Type != "progress" }

// endlessShop has as many orders as anybody reads, and answers the third page of
// them only when the caller is gone.
func endlessShop(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/orders" {
		_, _ = io.WriteString(w, `{"data":[],"has_more":false}`)
		return
	}
	from := 0
	_, _ = fmt.Sscanf(r.FormValue("starting_after"), "o%d", &from)
	if from >= 20 {
		<-r.Context().Done()
		return
	}
	var orders []string
	for i := from + 1; i <= from+10; i++ {
		orders = append(orders, fmt.Sprintf(`{"id":"o%d","version":1,"updated_at":"2026-01-02T03:04:05Z","status":"open"}`, i))
	}
	_, _ = io.WriteString(w, `{"data":[`+strings.Join(orders, ",")+`],"has_more":true}`)
}

func TestARunIsFollowedAndCanceledFromAnotherNodeAndItsNodeMayDie(t *testing.T) {
	t.Parallel()
	long(t)
	shop := httptest.NewServer(http.HandlerFunc(endlessShop))
	t.Cleanup(shop.Close)
	n := startNodes(t, `
  - {name: shop, connector: demo, streams: [customers], config: {base_url: "`+shop.URL+`", webhook_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
  - name: count
    type: trigger
    config: {path: /count, method: POST, auth_token: a-token-of-callers-0123456789, action: shop.count_orders}
`)
	const quick = `{"pause_ms":0}`
	half := func(f runFrame) bool { require.Equal(t, "progress", f.Type, "%+v", f); return f.Progress == 28 }

	// Started on A and followed there; its caller comes back on B.
	atA := n.a.trigger(t, "/count", quick, "")
	first := atA.until(func(f runFrame) bool { return f.Progress == 16 })
	atB := n.b.trigger(t, "/count", "", atA.id)
	second := atB.until(half)
	require.Equal(t, first.RunID, second.RunID)
	require.True(t, strings.HasPrefix(atB.id, first.RunID+"/"), "%s goes on with %s", atB.id, first.RunID)

	// Canceled on B: both callers hear of it.
	status, answer, _ := n.b.raw(t, http.MethodDelete, "/api/v1/projects/default/runs/"+first.RunID, "")
	require.Less(t, status, 300, "%s", answer)
	for _, caller := range []*frames{atA, atB} {
		end := caller.until(isEnd)
		require.Equal(t, "error canceled", end.Type+" "+end.State)
	}

	// A dies in the middle of the next one: who follows it on B is told.
	atA = n.a.trigger(t, "/count", quick, "")
	third := atA.until(half)
	atB = n.b.trigger(t, "/count", "", third.RunID)
	atB.until(half)
	n.a.kill()
	end := atB.until(isEnd)
	require.Equal(t, "error interrupted", end.Type+" "+end.State)
	status, run, _ := n.b.ask(t, http.MethodGet, "/api/v1/projects/default/runs/"+third.RunID, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "interrupted", run["state"])
	// B begins new ones, also while those of A still counted.
	n.b.trigger(t, "/count", quick, "").until(half)
}

// grants is a token server whose refresh tokens are good once: one that comes again
// ends everything.
type grants struct {
	mu     sync.Mutex
	issued int
	ended  bool
	// used counts the requests with each access token, and refused others.
	used    map[string]int
	refused int
}

func (g *grants) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/token" {
		if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); strings.HasPrefix(token, "canary-access-") {
			g.used[token]++
			_, _ = io.WriteString(w, `[{"id":1}]`)
			return
		}
		g.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.ended = g.ended || r.FormValue("refresh_token") != fmt.Sprint("canary-refresh-", g.issued)
	if g.ended {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	g.issued++
	_, _ = fmt.Fprintf(w, `{"access_token":"canary-access-%d","token_type":"bearer","expires_in":30,"refresh_token":"canary-refresh-%d"}`, g.issued, g.issued)
}

// state is how many tokens were issued, and how often the last one was used.
func (g *grants) state() (issued, used int, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issued, g.used[fmt.Sprint("canary-access-", g.issued)], g.ended
}

func TestNodesShareATokenWhoseRefreshTokenIsGoodOnce(t *testing.T) {
	t.Parallel()
	long(t)
	server := &grants{used: map[string]int{}}
	api := httptest.NewServer(server)
	t.Cleanup(api.Close)
	n := startNodes(t, `
  - name: api
    class: http
    stream: things
    config:
      endpoint: `+api.URL+`/things
      interval_ms: 1000
      authentication: {type: oauth2, token_url: "`+api.URL+`/token", client_id: weir, client_secret: canary-secret, refresh_token: canary-refresh-0, style: body}
`)
	// Both ask for things, at once and over and over: a test of the connection runs on
	// the node that is asked, whichever has its lease.
	var work sync.WaitGroup
	for _, p := range []*process{n.a, n.b, n.a, n.b} {
		work.Go(func() {
			for range 5 {
				code, out, errs := weir(t, nil, nil, "test", "api", "--server", p.url)
				if code != 0 {
					t.Errorf("weir test: %s%s", out, errs)
				}
			}
		})
	}
	work.Wait()
	require.False(t, t.Failed(), "%s\n%s", n.a.stderr, n.b.stderr)
	issued, used, ended := server.state()
	require.False(t, ended, "no refresh token was used twice")
	require.Equal(t, 1, issued, "one token for all")
	require.GreaterOrEqual(t, used, 20)

	// One dies; the other goes on when the token has ended, with the refresh token
	// that the first has got.
	n.a.kill()
	require.Eventually(t, func() bool {
		issued, used, ended := server.state()
		return ended || issued >= 2 && used > 1
	}, 90*time.Second, 50*time.Millisecond)
	_, _, ended = server.state()
	require.False(t, ended, "no refresh token was used twice")
	require.Zero(t, server.refused)
	requireNoneStored(t, n.store, "canary-access", "canary-refresh", "canary-secret")
	require.NotContains(t, n.a.stderr.String()+n.b.stderr.String(), "canary")
}

// requireNoneStored looks for texts in every row of every table.
func requireNoneStored(t *testing.T, url string, texts ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, err := conn.Query(t.Context(), "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	seen := 0
	for _, table := range tables {
		rows, err := conn.Query(t.Context(), "SELECT x::text FROM "+table+" x")
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, row := range all {
			seen++
			for _, text := range texts {
				require.NotContains(t, row, text, table)
				require.NotContains(t, row, fmt.Sprintf("%x", text), "%s, as bytes", table)
			}
		}
	}
	require.Greater(t, seen, 10, "there are rows to look at")
}

//go:build cgo && unix

package cli_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killsEnv is how many processes the long test kills.
const killsEnv = "WEIR_TEST_KILLS"

func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsEnv)
	if text == "" {
		return 50
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, killsEnv)
	return n
}

// A Weir is killed again and again, at any moment from its start on, while it
// takes webhooks, polls and backfills.
func TestProcessesKilledUnderMixedLoadLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	long(t)
	shop := newFaultShop(t)
	program, dir := buildFaults(t), shop.configure(t)
	listen := address(t)
	began := time.Now().UTC()
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { shop.work(ctx, "http://"+listen) })
	served := 0
	for i := range kills(t) {
		said := &lockedBuffer{}
		c := exec.Command(program, "run", "--listen", listen)
		c.Dir, c.Stderr = dir, said
		require.NoError(t, c.Start())
		running := func() bool { return strings.Contains(said.String(), "weir is running") }
		if i%3 != 0 { // the others may die while they start
			require.Eventually(t, running, 30*time.Second, time.Millisecond, "weir does not run: %s", said)
			if i%5 == 1 {
				backfill(ctx, "http://"+listen, began)
			}
		}
		<-time.After(rand.N(300 * time.Millisecond))
		if running() {
			served++
		}
		require.NoError(t, c.Process.Kill())
		_ = c.Wait()
		require.Equal(t, -1, c.ProcessState.ExitCode(), "killed, and by nobody else: %s", said)
	}
	killed := time.Since(began)
	p := startProgram(t, dir, program, "run", "--listen", listen)
	require.Eventually(t, func() bool { _, acknowledged := shop.count(); return acknowledged > kills(t) }, time.Minute, 10*time.Millisecond, "enough to tell anything")
	stop()
	load.Wait()
	p.settle(t, shop)
	require.NoError(t, p.interrupt(t), p.stderr)
	changes, acknowledged := shop.count()
	t.Logf("%d lives in %s, of which %d served: %d changes, %d webhooks acknowledged", kills(t), killed.Round(time.Second), served, changes, acknowledged)
	shop.agree(t, dir)
	require.Equal(t, "ok", integrity(t, dir))
}

// backfill asks for a backfill of everything so far. The process may be killed
// before it answers.
func backfill(ctx context.Context, server string, from time.Time) {
	query := url.Values{"from": {from.Format(time.RFC3339)}, "to": {time.Now().UTC().Format(time.RFC3339Nano)}, "window": {"1m"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/api/v1/connections/shop/streams/things/backfills?"+query.Encode(), http.NoBody)
	if err != nil {
		return
	}
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// integrity is what SQLite says of the file.
func integrity(t *testing.T, dir string) (answer string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "weir-data", "weir.db")+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&answer))
	return answer
}

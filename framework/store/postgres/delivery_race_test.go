//go:build unix

package postgres

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/internal/testneed"
)

// TestOneDeliverySentToThreeProcessesByManyIsOneRow sends one delivery to three
// nodes at once, 200 times each: one of them records it, and all others know it.
func TestOneDeliverySentToThreeProcessesByManyIsOneRow(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	const senders, rounds = 200, 3
	url := database(t)
	config := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
connections:
  - name: hooks
    connector: http
    type: source
    config: {mode: push, path: in, auth: bearer, webhook_secret: a token that is long enough, idempotency_key: ["header:X-Id"]}
`), 0o600))
	weir := program(t, nil)
	var nodes []*process
	for range 3 {
		nodes = append(nodes, runNode(t, weir, config, url))
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	// send repeats what was not taken for want of room, as a sender does.
	send := func(n *process, id string) (status string) {
		for t.Context().Err() == nil {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/webhooks/hooks/in", strings.NewReader(`{"n":1}`))
			if err != nil {
				return err.Error()
			}
			request.Header.Set("Authorization", "Bearer a token that is long enough")
			request.Header.Set("X-Id", id)
			response, err := client.Do(request)
			if err != nil {
				return err.Error()
			}
			raw, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			var said struct{ Status string }
			if err == nil && response.StatusCode == http.StatusOK && json.Unmarshal(raw, &said) == nil {
				return said.Status
			}
			if response.StatusCode != http.StatusServiceUnavailable {
				return response.Status + " " + string(raw)
			}
		}
		return "ended"
	}
	conn := dial(t, url)
	for round := range rounds {
		id := string(rune('a' + round))
		answers := make(chan string, len(nodes)*senders)
		begin := make(chan struct{})
		var sending sync.WaitGroup
		for _, n := range nodes {
			for range senders {
				sending.Go(func() {
					<-begin
					answers <- send(n, id)
				})
			}
		}
		close(begin)
		sending.Wait()
		close(answers)
		counts := map[string]int{}
		for status := range answers {
			counts[status]++
		}
		// The one that is recorded may have found no free handler: it is handled next.
		require.Equal(t, len(nodes)*senders-1, counts["duplicate"], "%v", counts)
		require.Equal(t, 1, counts["accepted"]+counts["stored"], "%v", counts)
		require.Eventually(t, func() bool {
			var events, keys, waiting int
			require.NoError(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM delivery_keys),
				(SELECT count(*) FROM stored_deliveries)`).Scan(&events, &keys, &waiting))
			return events == round+1 && keys == round+1 && waiting == 0
		}, 30*time.Second, 50*time.Millisecond)
	}

	// Each process tells of all.
	for i, n := range nodes {
		var row struct {
			Deliveries          map[string]int
			Processes, Answered int
		}
		require.Eventually(t, func() bool {
			response, err := client.Get(n.url + "/api/v1/connections/hooks/webhooks/in")
			if err != nil {
				return false
			}
			defer func() { _ = response.Body.Close() }()
			return json.NewDecoder(response.Body).Decode(&row) == nil && row.Answered == len(nodes)
		}, 30*time.Second, 50*time.Millisecond, "node %d: %+v", i, row)
		require.Equal(t, len(nodes), row.Processes)
		require.Equal(t, rounds*(len(nodes)*senders-1), row.Deliveries["duplicate"], "node %d: %+v", i, row)
		require.GreaterOrEqual(t, row.Deliveries["accepted"]+row.Deliveries["stored"], rounds)
	}
}

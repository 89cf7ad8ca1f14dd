package cli_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// upgrade is a connector in two versions, each in a binary of its own, that work
// on one store after another.
type upgrade struct{ first, later, dir string }

func buildUpgrade(t *testing.T) upgrade {
	t.Helper()
	u := upgrade{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "later"), t.TempDir()}
	for _, args := range [][]string{{"-o", u.first}, {"-o", u.later, "-tags", "later"}} {
		build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, args...), "./testdata/upgrade")...)
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(u.dir, "weir.yaml"), []byte("connections:\n  - name: shop\n    connector: acme\n"), 0o600))
	return u
}

func (u upgrade) start(t *testing.T, program string) *process {
	t.Helper()
	return startProgram(t, u.dir, program, "run", "--listen", "127.0.0.1:0")
}

// logged returns the ids and keys of a stream's events.
func (p *process) logged(t *testing.T, stream string) (ids, records []string) {
	t.Helper()
	code, stdout, stderr := weir(t, nil, nil, "events", "shop", stream, "--json", "--server", p.url)
	require.Zero(t, code, stderr)
	for line := range strings.SplitSeq(strings.TrimSpace(stdout), "\n") {
		var e struct {
			ID   string `json:"id"`
			Data struct{ ID string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		ids, records = append(ids, e.ID), append(records, e.Data.ID)
	}
	return ids, records
}

// stream waits until a stream is as wanted.
func (p *process) stream(t *testing.T, stream string, wanted func(total int64, lastError string) bool) {
	t.Helper()
	var list struct {
		Streams []struct {
			Stream      string `json:"stream"`
			EventsTotal int64  `json:"events_total"`
			LastError   string `json:"last_error"`
		} `json:"streams"`
	}
	require.Eventually(t, func() bool {
		list.Streams = nil
		get(t, p.url+"/api/v1/streams", &list)
		for _, s := range list.Streams {
			if s.Stream == stream {
				return wanted(s.EventsTotal, s.LastError)
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "stream %s: %+v\n%s", stream, &list, p.stderr)
}

func filled(total int64, lastError string) bool { return total > 0 && lastError == "" }

func (p *process) deliver(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/webhooks/shop/in", strings.NewReader("{}"))
	require.NoError(t, err)
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// A later version of a connector renames streams and changes cursors. It goes on
// where the first one was; the first one, run again, touches nothing of it.
func TestALaterVersionOfAConnectorGoesOnWhereTheFirstWas(t *testing.T) {
	t.Parallel()
	u := buildUpgrade(t)

	p := u.start(t, u.first)
	p.stream(t, "customers", filled)
	p.stream(t, "orders", filled)
	require.Equal(t, http.StatusOK, p.deliver(t))
	customers, _ := p.logged(t, "customers")
	events, _ := p.logged(t, "events")
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.later)
	p.stream(t, "clients", func(total int64, _ string) bool { return total == int64(len(customers)) })
	code, stdout, stderr := weir(t, nil, nil, "sync", "shop", "clients", "--server", p.url)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "1 emitted, 1 duplicates", "it goes on at the checkpoint, and knows what was recorded")
	ids, records := p.logged(t, "clients")
	require.Equal(t, customers, ids[:len(customers)], "a rename changes no id")
	require.Equal(t, []string{"r1", "r2"}, records)
	notices, _ := p.logged(t, "notices")
	require.Equal(t, events, notices)
	_, before := p.logged(t, "orders")
	p.stream(t, "orders", func(total int64, lastError string) bool { return total > int64(len(before)) && lastError == "" })
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.first)
	for _, stream := range []string{"customers", "orders"} {
		p.stream(t, stream, func(_ int64, lastError string) bool {
			return strings.Contains(lastError, "a newer version of the connector was here")
		})
	}
	_, steady := p.logged(t, "steady")
	p.stream(t, "steady", func(total int64, _ string) bool { return total > int64(len(steady)) })
	require.Equal(t, http.StatusOK, p.deliver(t), "a delivery for a renamed stream is kept for the newer version")
	p.stream(t, "events", func(total int64, _ string) bool { return total == 0 })
	require.NoError(t, p.interrupt(t), p.stderr)

	p = u.start(t, u.later)
	again, _ := p.logged(t, "clients")
	require.Equal(t, ids, again, "the first version overwrote nothing")
	_, orders := p.logged(t, "orders")
	p.stream(t, "orders", func(total int64, lastError string) bool { return total > int64(len(orders)) && lastError == "" })
	require.NoError(t, p.interrupt(t), p.stderr)
}

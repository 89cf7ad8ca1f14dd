package runtime_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

func TestANearlyFullDiskTurnsWebhooksAwayLetsRunsWaitAndHeals(t *testing.T) {
	t.Parallel()
	var free atomic.Uint64
	free.Store(200)
	dir, b, log := t.TempDir(), behaviour{}, &lines{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Connections: []config.Connection{connection("acme")}}, Plugins: []framework.Plugin{b.plugin()},
		Listener: listener, Log: slog.New(slog.NewTextHandler(log, nil)),
		OpenStore: func(ctx context.Context) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(log, nil)), Space: func(string) (sqlite.Space, error) {
				return sqlite.Space{Free: free.Load() << 20, Size: 1000 << 20}, nil
			}})
		},
	})
	require.NoError(t, err)
	w := serve(t, r, log)
	require.Eventually(t, func() bool { return w.stream(t, "acme", "things").EventsTotal == 1 }, time.Minute, 5*time.Millisecond)
	status, body := w.send(t, "acme", "before")
	require.Equal(t, http.StatusOK, status, "%s", body)

	free.Store(20)
	refused := func() bool {
		status, _ := w.do(t, http.MethodGet, "/readyz", nil, nil)
		return status == http.StatusServiceUnavailable
	}
	require.Eventually(t, refused, time.Minute, 5*time.Millisecond)
	_, body = w.do(t, http.MethodGet, "/readyz", nil, nil)
	require.Contains(t, string(body), "disk_low")
	request := w.signed(t, "acme", "full")
	response, err := w.client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	status, body = w.do(t, http.MethodGet, "/api/v1/streams", nil, nil)
	require.Equal(t, http.StatusOK, status, "%s", body)
	_, body = w.do(t, http.MethodGet, "/metrics", nil, nil)
	require.Contains(t, string(body), "weir_disk_free_bytes 2.097152e+07")
	require.Contains(t, string(body), "weir_disk_reserve_bytes 5.24288e+07")
	status, body = w.do(t, http.MethodPost, "/api/v1/connections/acme/streams/others/run", nil, nil)
	require.Less(t, status, 300, "%s", body)

	free.Store(200)
	require.Eventually(t, func() bool { status, _ := w.send(t, "acme", "full"); return status == http.StatusOK }, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool { return w.stream(t, "acme", "others").State == "healthy" }, time.Minute, 5*time.Millisecond)
	require.Equal(t, int64(2), w.stream(t, "acme", "reports").EventsTotal)
	said := log.String()
	require.Equal(t, 1, strings.Count(said, "webhooks are refused and runs wait"))
	require.Equal(t, 1, strings.Count(said, "there is room on the disk again"))
	require.NotContains(t, said, "webhook could not be stored", "a line for each would fill the disk")
}

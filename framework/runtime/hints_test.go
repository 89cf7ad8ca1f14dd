package runtime_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// telling is a store that another process writes to as well, and whose heads
// nobody can look up while it is blind.
type telling struct {
	store.Store

	blind atomic.Bool
	hints chan store.Hint
}

func (s *telling) Hints() <-chan store.Hint { return s.hints }

func (s *telling) Heads(ctx context.Context, sources []store.Source) ([]store.Hint, error) {
	if s.blind.Load() {
		return nil, nil
	}
	return s.Store.Heads(ctx, sources)
}

// heedless starts a Weir with a sink that has its first event, and whose store
// tells nobody from then on how far its streams are.
func heedless(t *testing.T) (*weir, *telling, *receiver) {
	t.Helper()
	s, got := &telling{hints: make(chan store.Hint)}, &receiver{}
	b := behaviour{deliver: got.take}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{connection("shop", "reports"), outlet("out", "shop.reports")}},
		Plugins: []framework.Plugin{b.plugin(), b.outlet()},
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			s.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
			return s, err
		},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	w := &weir{Runtime: r, client: &http.Client{Timeout: 20 * time.Second}}
	t.Cleanup(w.client.CloseIdleConnections)
	require.Eventually(t, func() bool {
		status, _ := w.send(t, "shop", "1")
		return status == 200
	}, 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return slices.Equal(got.got(), []string{"shop.reports 1"}) }, 20*time.Second, time.Millisecond)
	s.blind.Store(true)
	return w, s, got
}

func TestASinkIsWokenByAWebhook(t *testing.T) {
	t.Parallel()
	w, _, got := heedless(t)
	status, _ := w.send(t, "shop", "2")
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool { return len(got.got()) == 2 }, 20*time.Second, time.Millisecond, "the sink was not woken")
}

func TestASinkIsWokenByWhatAnotherNodeSaysItHasRecorded(t *testing.T) {
	t.Parallel()
	_, s, got := heedless(t)
	connections, err := s.Connections(t.Context())
	require.NoError(t, err)
	shop := connections[slices.IndexFunc(connections, func(c store.Connection) bool { return c.Name == "shop" })]
	receipt, err := s.Commit(t.Context(), store.Unit{ID: store.NewCommitID(), ConnectionID: shop.ID, At: time.Now(), Emissions: []ingest.Emission{{
		Stream: "reports", Type: "thing", Operation: ingest.Upsert, Key: ingest.EventKey("2"), Payload: []byte(`{"id":"2"}`),
	}}})
	require.NoError(t, err)
	s.hints <- store.Hint{Source: store.Source{ConnectionID: shop.ID, Stream: "reports"}, Head: receipt.Events[0].Sequence}
	require.Eventually(t, func() bool { return len(got.got()) == 2 }, 20*time.Second, time.Millisecond, "the sink was not woken")
}

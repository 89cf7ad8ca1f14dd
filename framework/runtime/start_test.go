package runtime_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

func TestRunEndsWhenTheSchedulerDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{connection("one", "things")}},
		Plugins: []framework.Plugin{behaviour{}.plugin()},
		OpenStore: func(ctx context.Context) (store.Store, error) {
			return sqlite.Open(ctx, sqlite.Options{Dir: dir})
		},
	})
	require.NoError(t, err)
	require.NoError(t, r.StopScheduler(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(t.Context()) }()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, scheduler.ErrStopped)
	case <-time.After(20 * time.Second):
		require.Fail(t, "it does not end")
	}
	listener, err := net.Listen("tcp", r.Addr().String())
	require.NoError(t, err, "the address is free again")
	require.NoError(t, listener.Close())
	again, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	require.NoError(t, err, "the store is closed")
	require.NoError(t, again.Close())
}

package runtime_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// losing is a store whose leases of some connections are lost between the look at
// the shards and the work.
type losing struct {
	store.Store

	lost atomic.Pointer[map[string]bool]
	all  atomic.Bool
}

func (l *losing) Epoch(id string) (int64, bool) {
	if lost := l.lost.Load(); l.all.Load() || (lost != nil && (*lost)[id]) {
		return 0, false
	}
	return l.Store.Epoch(id)
}

// A process that starts while its shards move to others starts all the same.
func TestALeaseThatIsLostAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	log, leases, dir := &lines{}, &losing{}, t.TempDir()
	leases.all.Store(true)
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Connections: []config.Connection{connection("acme")}}, Plugins: []framework.Plugin{behaviour{}.plugin()}, Listener: listener,
		Log: slog.New(slog.NewTextHandler(log, nil)),
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			leases.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: dir})
			return leases, err
		},
	})
	require.NoError(t, err)
	w := serve(t, r, log)
	leases.all.Store(false)
	require.Eventually(t, func() bool { return w.stream(t, "acme", "things").EventsTotal == 1 }, time.Minute, time.Millisecond, log.String())
}

func TestALostLeaseTakesNoOtherConnectionOff(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	log, leases, dir := &lines{}, &losing{}, t.TempDir()
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Secrets: config.Secrets{Key: seal.NewKey()}}, Plugins: []framework.Plugin{behaviour{}.plugin(), behaviour{}.outlet()}, Listener: listener,
		Log: slog.New(slog.NewTextHandler(log, nil)),
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			leases.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: dir})
			return leases, err
		},
	})
	require.NoError(t, err)
	w := serve(t, r, log)
	ids := map[string]string{}
	for _, name := range []string{"keeps", "loses"} {
		v, err := w.Connections().Create(t.Context(), "default", name, document(), resource.Request{})
		require.NoError(t, err)
		ids[name] = v.ID
	}
	scheduled := func(name string) func() bool { return func() bool { return w.Scheduled(ids[name], "things") } }
	for name := range ids {
		require.Eventually(t, scheduled(name), time.Minute, time.Millisecond, name)
	}
	refusals := func() int { return strings.Count(log.String(), "could not be taken on") }

	// Both begin again, and neither can; then one can.
	leases.lost.Store(&map[string]bool{ids["keeps"]: true, ids["loses"]: true})
	for name := range ids {
		_, err := w.Connections().Patch(t.Context(), "default", name, map[string]any{"description": "again"}, resource.Request{})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return !scheduled("keeps")() && !scheduled("loses")() && refusals() > 0 }, time.Minute, time.Millisecond)
	together := refusals()
	require.Eventually(t, func() bool { return refusals() > together+1 }, time.Minute, time.Millisecond, "both are tried together by then")
	leases.lost.Store(&map[string]bool{ids["loses"]: true})
	require.Eventually(t, scheduled("keeps"), time.Minute, time.Millisecond)
	before := refusals()
	require.Eventually(t, func() bool { return refusals() > before+1 }, time.Minute, time.Millisecond, log.String())
	require.True(t, scheduled("keeps")(), "it is taken off with the other")
	require.False(t, scheduled("loses")())
	leases.lost.Store(nil)
	require.Eventually(t, scheduled("loses"), time.Minute, time.Millisecond)
}

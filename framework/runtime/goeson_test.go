package runtime_test

import (
	"context"
	"errors"
	"net/http"
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

// What an operator asks of a connection holds also for the revision that goes on
// because a newer one does not open.
func TestARevisionThatGoesOnIsPaused(t *testing.T) {
	t.Parallel()
	got := &receiver{}
	var opens atomic.Int64
	opens.Store(1000)
	w := keyed(t, t.TempDir(), seal.NewKey(), behaviour{deliver: got.take, sinkOpened: func() error {
		if opens.Add(-1) < 0 {
			return errors.New("the broker cannot be reached")
		}
		return nil
	}})
	desk, who, ctx := w.Connections(), resource.Request{By: "ada"}, t.Context()
	_, err := desk.Create(ctx, "default", "one", document(), who)
	require.NoError(t, err)
	out := map[string]any{"connector": "outlet", "type": "sink", "streams": []any{"one.things"}, "config": map[string]any{}}
	_, err = desk.Create(ctx, "default", "out", out, who)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(got.got()) == 1 }, time.Minute, time.Millisecond)

	opens.Store(1) // when it is tried
	v, err := desk.Patch(ctx, "default", "out", map[string]any{"description": "new"}, who)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 1}, []int64{v.Deployed, v.Running})
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool { return len(got.got()) == 2 }, time.Minute, time.Millisecond, "the revision before goes on")

	_, err = desk.SetState(ctx, "default", "out", store.DesiredPaused, who)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, body := w.do(t, http.MethodGet, "/api/v1/connections/out/offsets", nil, nil)
		return strings.Contains(string(body), `"state":"paused"`)
	}, time.Minute, time.Millisecond, "it delivers although it was paused")
	_, err = desk.SetState(ctx, "default", "out", store.DesiredRunning, who)
	require.NoError(t, err)
	status, _ = w.send(t, "one", "d2")
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool { return len(got.got()) == 3 }, time.Minute, time.Millisecond)
}

// broken is a store whose revisions nobody can read any more.
type broken struct {
	store.Store

	now atomic.Bool
}

func (b *broken) Deployments(ctx context.Context, ids []string) ([]store.Deployment, error) {
	list, err := b.Store.Deployments(ctx, ids)
	for i := range list {
		if b.now.Load() {
			list[i].Spec = []byte("{")
		}
	}
	return list, err
}

func TestWhatIsSwitchedOffEndsAlsoWhereItsRevisionDoesNotOpen(t *testing.T) {
	t.Parallel()
	s, log := &broken{}, &lines{}
	r, err := runtime.New(t.Context(), runtime.Options{
		Config: &config.File{Listen: "127.0.0.1:0", Secrets: config.Secrets{Key: seal.NewKey()}}, Plugins: []framework.Plugin{behaviour{}.plugin()},
		OpenStore: func(ctx context.Context) (_ store.Store, err error) {
			s.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
			return s, err
		},
	})
	require.NoError(t, err)
	w := serve(t, r, log)
	desk, who, ctx := w.Connections(), resource.Request{By: "ada"}, t.Context()
	_, err = desk.Create(ctx, "default", "one", document(), who)
	require.NoError(t, err)
	s.now.Store(true)
	v, err := desk.Patch(ctx, "default", "one", map[string]any{"description": "new"}, who)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 1}, []int64{v.Deployed, v.Running}, "the revision before goes on")
	v, err = desk.Patch(ctx, "default", "one", map[string]any{"enabled": false}, who)
	require.NoError(t, err)
	require.Equal(t, resource.StateDisabled, v.State)
	require.Zero(t, v.Running)
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusNotFound, status)
}

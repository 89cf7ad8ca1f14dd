package runtime_test

import (
	"context"
	"errors"
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
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/runtime"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/ingest"
)

// keyed runs a Weir without a file that has a key to seal secrets with.
func keyed(t testing.TB, dir, key string, b behaviour, connections ...config.Connection) *weir {
	t.Helper()
	log := &lines{}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r, err := runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Connections: connections, Secrets: config.Secrets{Key: key}},
		Plugins: []framework.Plugin{b.plugin(), b.outlet()}, Listener: listener,
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.NoError(t, err)
	return serve(t, r, log)
}

func document(changes ...func(map[string]any)) map[string]any {
	d := map[string]any{
		"connector": "test", "type": "source", "config": map[string]any{"webhook_secret": secret, "key": "canary-key-0123456789"},
	}
	for _, change := range changes {
		change(d)
	}
	return d
}

func TestAConnectionIsMadeChangedAndDeletedWhileTheProcessRuns(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), seal.NewKey()
	b := behaviour{page: func(_ context.Context, _ framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
		return framework.SyncResult[position]{Cursor: position{1}}, emit(out, things, "a")
	}}
	w := keyed(t, dir, key, b)
	desk, who := w.Connections(), resource.Request{By: "ada"}
	ctx := t.Context()

	v, err := desk.Create(ctx, "default", "one", document(), who)
	require.NoError(t, err)
	require.Equal(t, resource.StateRunning, v.State)
	require.Equal(t, map[string]any{"webhook_secret": "***", "key": "***"}, v.Config)
	require.NotEmpty(t, v.Fingerprints["key"])
	w.await(t, "one", "things", state("healthy"))
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusOK, status)

	// Paused: it polls no more and takes webhooks.
	_, err = desk.SetState(ctx, "default", "one", store.DesiredPaused, who)
	require.NoError(t, err)
	w.await(t, "one", "things", state("paused"))
	status, _ = w.send(t, "one", "d2")
	require.Equal(t, http.StatusOK, status)
	_, err = desk.SetState(ctx, "default", "one", store.DesiredRunning, who)
	require.NoError(t, err)
	w.await(t, "one", "things", state("healthy"))

	// Disabled: nothing of it is there.
	v, err = desk.Patch(ctx, "default", "one", map[string]any{"enabled": false}, who)
	require.NoError(t, err)
	require.Equal(t, resource.StateDisabled, v.State)
	status, _ = w.send(t, "one", "d3")
	require.Equal(t, http.StatusNotFound, status)
	v, err = desk.Rollback(ctx, "default", "one", 1, who)
	require.NoError(t, err)
	require.Equal(t, int64(3), v.Deployed)
	status, _ = w.send(t, "one", "d3")
	require.Equal(t, http.StatusOK, status)

	// A rename keeps the id; the new name is served, the old one is not.
	renamed, err := desk.Patch(ctx, "default", "one", map[string]any{"name": "two"}, who)
	require.NoError(t, err)
	require.Equal(t, v.ID, renamed.ID)
	status, _ = w.send(t, "two", "d4")
	require.Equal(t, http.StatusOK, status)
	status, _ = w.send(t, "one", "d5")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, int64(5), w.await(t, "two", "things", state("healthy")).EventsTotal, "what was recorded stays")

	// Everything survives a restart.
	require.NoError(t, w.stop())
	w = keyed(t, dir, key, b)
	status, _ = w.send(t, "two", "d6")
	require.Equal(t, http.StatusOK, status)
	desk = w.Connections()
	_, err = desk.Delete(ctx, "default", "two", resource.Kept{}, who)
	require.NoError(t, err)
	status, _ = w.send(t, "two", "d7")
	require.Equal(t, http.StatusNotFound, status)
	again, err := desk.Create(ctx, "default", "two", document(), who)
	require.NoError(t, err)
	require.NotEqual(t, renamed.ID, again.ID)
	w.await(t, "two", "things", func(r row) bool { return r.EventsTotal == 1 })
	require.NotContains(t, w.log.String(), "canary-key")
}

func TestARevisionThatDoesNotOpenLeavesTheOldOneRunning(t *testing.T) {
	t.Parallel()
	got := &receiver{}
	var refuse atomic.Bool
	b := behaviour{deliver: func(batch []*sink.Message) sink.Answer { return got.take(batch) }}
	b.opened = func() error {
		if refuse.Load() {
			return errors.New("the provider knows no such account")
		}
		return nil
	}
	w := keyed(t, t.TempDir(), seal.NewKey(), b)
	desk, who := w.Connections(), resource.Request{By: "ada"}
	_, err := desk.Create(t.Context(), "default", "one", document(), who)
	require.NoError(t, err)
	w.await(t, "one", "things", state("healthy"))
	refuse.Store(true)
	_, err = desk.Patch(t.Context(), "default", "one", map[string]any{"description": "new"}, who)
	var open *resource.OpenError
	require.ErrorAs(t, err, &open)
	require.ErrorContains(t, err, "no such account")
	require.ErrorContains(t, err, "goes on")
	v, err := desk.Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1, 1}, []int64{v.Revision, v.Deployed, v.Running}, "nothing was saved")
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusOK, status)
	// As a draft it is saved, and cannot be deployed.
	draft := who
	draft.Draft = true
	v, err = desk.Patch(t.Context(), "default", "one", map[string]any{"description": "new"}, draft)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 1, 1}, []int64{v.Revision, v.Deployed, v.Running})
	_, err = desk.Deploy(t.Context(), "default", "one", 0, who)
	require.ErrorAs(t, err, &open)
	refuse.Store(false)
	v, err = desk.Deploy(t.Context(), "default", "one", 0, who)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2, 2}, []int64{v.Revision, v.Deployed, v.Running})
}

func TestASinkIsChangedPausedStoppedAndRestartedLive(t *testing.T) {
	t.Parallel()
	got := &receiver{}
	w := keyed(t, t.TempDir(), seal.NewKey(), behaviour{deliver: got.take})
	desk, who := w.Connections(), resource.Request{By: "ada"}
	ctx := t.Context()
	_, err := desk.Create(ctx, "default", "one", document(), who)
	require.NoError(t, err)
	w.await(t, "one", "things", state("healthy"))
	_, err = desk.Create(ctx, "default", "out", map[string]any{"connector": "outlet", "type": "sink", "streams": []any{"one.things"}, "config": map[string]any{}}, who)
	require.NoError(t, err)
	arrived := func(n int) {
		require.Eventually(t, func() bool { return len(got.got()) >= n }, time.Minute, time.Millisecond)
	}
	arrived(1)
	_, err = desk.SetState(ctx, "default", "out", store.DesiredPaused, who)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, body := w.do(t, http.MethodGet, "/api/v1/connections/out/offsets", nil, nil)
		return string(body) != "" && strings.Contains(string(body), `"paused"`)
	}, time.Minute, time.Millisecond)
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusOK, status)
	v, err := desk.SetState(ctx, "default", "out", store.DesiredStopped, who)
	require.NoError(t, err)
	require.Equal(t, resource.StateStopped, v.State)
	require.Len(t, got.got(), 1)
	_, err = desk.SetState(ctx, "default", "out", store.DesiredRunning, who)
	require.NoError(t, err)
	arrived(2)
	verdict, err := desk.Test(ctx, "default", "out")
	require.NoError(t, err)
	require.True(t, verdict.OK, "%+v", verdict)
	arrived(3)
	verdict, err = desk.Test(ctx, "default", "one")
	require.NoError(t, err)
	require.True(t, verdict.OK, "%+v", verdict)
	require.Contains(t, verdict.Steps[1].Detail, "nothing was recorded")
}

func TestWhatTheFileManagesIsReadOnlyElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := keyed(t, dir, "", behaviour{}, connection("one"))
	desk, who := w.Connections(), resource.Request{By: "ada"}
	v, err := desk.Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, store.ManagedByFile, v.ManagedBy)
	require.Equal(t, "***", v.Config["key"])
	var managed *resource.ManagedError
	_, err = desk.Patch(t.Context(), "default", "one", map[string]any{"description": "x"}, who)
	require.ErrorAs(t, err, &managed)
	_, err = desk.Delete(t.Context(), "default", "one", resource.Kept{}, who)
	require.ErrorAs(t, err, &managed)
	_, err = desk.Detach(t.Context(), "default", "one", who)
	require.ErrorContains(t, err, "operator's file alone")
	_, err = desk.SetState(t.Context(), "default", "one", store.DesiredPaused, who)
	require.NoError(t, err, "it may be paused")
	// A secret through the API needs a key.
	_, err = desk.Create(t.Context(), "default", "two", document(), who)
	var faults resource.Faults
	require.ErrorAs(t, err, &faults)
	require.Equal(t, "config.key", faults[0].Path)
	require.NoError(t, w.stop())

	// What the file does not name any more does not run, and keeps everything.
	w = keyed(t, dir, seal.NewKey(), behaviour{})
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusNotFound, status)
	gone, err := w.Connections().Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, resource.StateDraft, gone.State)
	require.NoError(t, w.stop())
	w = keyed(t, dir, seal.NewKey(), behaviour{}, connection("one"))
	back, err := w.Connections().Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, v.ID, back.ID)
	require.Equal(t, resource.StateRunning, back.State)
	_, err = w.Connections().Detach(t.Context(), "default", "one", who)
	require.NoError(t, err, "with a key the secrets come along")
	status, _ = w.send(t, "one", "d2")
	require.Equal(t, http.StatusOK, status)
}

func TestWhatDidNotOpenIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), seal.NewKey()
	var refuse atomic.Bool
	b := behaviour{opened: func() error {
		if refuse.Load() {
			return errors.New("the provider cannot be reached")
		}
		return nil
	}}
	w := keyed(t, dir, key, b)
	_, err := w.Connections().Create(t.Context(), "default", "one", document(), resource.Request{By: "ada"})
	require.NoError(t, err)
	require.NoError(t, w.stop())
	refuse.Store(true)
	w = keyed(t, dir, key, b)
	v, err := w.Connections().Get(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, resource.StateFailed, v.State)
	require.Contains(t, v.Reason, "cannot be reached")
	_, err = w.Connections().Restart(t.Context(), "default", "one")
	require.ErrorContains(t, err, "cannot be reached")
	refuse.Store(false)
	v, err = w.Connections().Restart(t.Context(), "default", "one")
	require.NoError(t, err)
	require.Equal(t, resource.StateRunning, v.State)
	w.await(t, "one", "things", state("healthy"))
	require.Equal(t, 1, strings.Count(w.log.String(), "a revision does not open"), "each try is not news")
}

// A file that is read again changes what has changed in it: what somebody else
// changed since stays.
func TestAFileThatIsTheSameUndoesNothing(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), seal.NewKey()
	one := connection("one")
	w := keyed(t, dir, key, behaviour{}, one, connection("two"))
	// Another file, as weir apply brings it.
	applied := func(description string) config.Connection {
		c := connection("one")
		c.Description = description
		return c
	}
	_, err := w.Connections().ApplyFile(t.Context(), nil, []config.Connection{applied("applied")}, resource.FileOptions{}, resource.Request{By: "ada"}, false)
	require.NoError(t, err)
	_, err = w.Connections().Detach(t.Context(), "default", "two", resource.Request{By: "ada"})
	require.NoError(t, err)
	_, err = w.Connections().Patch(t.Context(), "default", "two", map[string]any{"description": "detached"}, resource.Request{By: "ada"})
	require.NoError(t, err)
	said := func(w *weir, name string) string {
		v, err := w.Connections().Get(t.Context(), "default", name)
		require.NoError(t, err)
		require.Equal(t, resource.StateRunning, v.State)
		return v.Description
	}
	require.NoError(t, w.stop())
	w = keyed(t, dir, key, behaviour{}, one, connection("two"))
	require.Equal(t, []string{"applied", "detached"}, []string{said(w, "one"), said(w, "two")})
	require.NoError(t, w.stop())
	// Changed in the file: the file's is the newer word.
	w = keyed(t, dir, key, behaviour{}, applied("filed"), connection("two"))
	require.Equal(t, []string{"filed", "detached"}, []string{said(w, "one"), said(w, "two")})
	require.NoError(t, w.stop())
	w = keyed(t, dir, key, behaviour{}, applied("filed"), connection("two"))
	require.Equal(t, "filed", said(w, "one"))
	require.NoError(t, w.stop())
	// What the API manages and the file changes is refused whole.
	two := connection("two")
	two.Description = "filed"
	log := &lines{}
	_, err = runtime.New(t.Context(), runtime.Options{
		Config:  &config.File{Listen: "127.0.0.1:0", Connections: []config.Connection{applied("more"), two}, Secrets: config.Secrets{Key: key}},
		Plugins: []framework.Plugin{behaviour{}.plugin(), behaviour{}.outlet()}, Log: slog.New(slog.NewTextHandler(log, nil)),
		OpenStore: func(ctx context.Context) (store.Store, error) { return sqlite.Open(ctx, sqlite.Options{Dir: dir}) },
	})
	require.ErrorContains(t, err, `"two" is managed through the API`)
}

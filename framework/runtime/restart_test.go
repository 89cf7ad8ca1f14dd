package runtime_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

// A sink that is restarted ends before it begins again: two that run beside each
// other would send the same events, and each write its own place.
func TestARestartedSinkSendsNothingBesideWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	entered, let := make(chan struct{}, 10), make(chan struct{})
	got := &receiver{}
	w := keyed(t, t.TempDir(), seal.NewKey(), behaviour{deliver: func(batch []*sink.Message) sink.Answer {
		entered <- struct{}{}
		<-let
		return got.take(batch)
	}})
	desk, who, ctx := w.Connections(), resource.Request{By: "ada"}, t.Context()
	_, err := desk.Create(ctx, "default", "one", document(), who)
	require.NoError(t, err)
	_, err = desk.Create(ctx, "default", "out", map[string]any{"connector": "outlet", "type": "sink", "streams": []any{"one.things"}, "config": map[string]any{}}, who)
	require.NoError(t, err)
	<-entered
	_, err = desk.Restart(ctx, "default", "out")
	require.NoError(t, err)
	select {
	case <-entered:
		t.Error("it sent the event once more while it was on its way")
	case <-time.After(time.Second):
	}
	close(let)
	require.Eventually(t, func() bool { return len(got.got()) > 0 }, time.Minute, time.Millisecond)
	status, _ := w.send(t, "one", "d1")
	require.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool { return len(got.got()) > 1 }, time.Minute, time.Millisecond, "it goes on")
	require.Equal(t, []string{"one.things a", "one.things hook d1"}, got.got())
}

func TestARunThatARestartEndsIsOver(t *testing.T) {
	t.Parallel()
	entered, let := make(chan struct{}, 10), make(chan struct{})
	w := keyed(t, t.TempDir(), seal.NewKey(), behaviour{page: func(ctx context.Context, _ framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
		entered <- struct{}{}
		select {
		case <-let:
		case <-ctx.Done():
			return framework.SyncResult[position]{}, ctx.Err()
		}
		return framework.SyncResult[position]{Cursor: position{1}}, emit(out, things, "a")
	}})
	desk, who := w.Connections(), resource.Request{By: "ada"}
	_, err := desk.Create(t.Context(), "default", "one", document(func(d map[string]any) { d["streams"] = []any{"things"} }), who)
	require.NoError(t, err)
	<-entered
	_, err = desk.Restart(t.Context(), "default", "one")
	require.NoError(t, err)
	time.AfterFunc(100*time.Millisecond, func() { close(let) })
	require.Eventually(t, func() bool {
		_, runs := w.do(t, http.MethodGet, "/api/v1/connections/one/streams/things/runs", nil, nil)
		return strings.Contains(string(runs), `"id"`) && !strings.Contains(string(runs), `"running"`)
	}, time.Minute, 5*time.Millisecond, "the run is going on for ever")
}

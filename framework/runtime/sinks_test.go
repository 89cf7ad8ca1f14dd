package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

// outlet is the test connector as a sink.
func (b behaviour) outlet() framework.Plugin {
	return framework.DefineSink(catalog.Connector{Key: "outlet"}, func(context.Context, framework.Instance[struct{}]) (sink.Spec, error) {
		if b.sinkOpened != nil {
			if err := b.sinkOpened(); err != nil {
				return sink.Spec{}, err
			}
		}
		return sink.Spec{Sender: sender(b.deliver), Policy: sink.Standard{Base: time.Millisecond, MaxAttempts: 1000}}, nil
	})
}

// sender sends every event as it is.
type sender func(batch []*sink.Message) sink.Answer

func (sender) Prepare(_ context.Context, e *ingest.Event) (*sink.Message, error) {
	return &sink.Message{Event: e, Body: e.Payload}, nil
}

func (s sender) Send(_ context.Context, batch []*sink.Message) sink.Answer { return s(batch) }

func outlet(name string, streams ...string) config.Connection {
	return config.Connection{
		Project: "default", Name: name, Connector: "outlet", Type: "sink", Enabled: true, Streams: streams, Settings: map[string]any{},
	}
}

// receiver remembers what it got, and refuses while down.
type receiver struct {
	mu   sync.Mutex
	list []string
	down bool
}

func (r *receiver) take(batch []*sink.Message) sink.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return sink.Answer{Err: errors.New("down")}
	}
	for _, m := range batch {
		r.list = append(r.list, m.Event.Connection+"."+m.Event.Stream+" "+m.Event.Subject)
	}
	return sink.Answer{Status: 200}
}

func (r *receiver) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.list))
}

func TestASinkGetsWhatIsRecordedOverRestartsAndWithLaterStreams(t *testing.T) {
	t.Parallel()
	dir, r := t.TempDir(), &receiver{}
	b := behaviour{deliver: r.take}
	w := run(t, dir, b, connection("shop"), outlet("out", "shop.reports", "*.things"))
	status, body := w.send(t, "shop", "1")
	require.Equal(t, 200, status, string(body))
	want := []string{"shop.reports 1", "shop.things a", "shop.things hook 1"}
	require.Eventually(t, func() bool { return len(r.got()) == len(want) }, time.Minute, time.Millisecond)
	require.Equal(t, want, r.got())

	// What was recorded and not delivered is delivered by the next process.
	r.set(true)
	_, _ = w.send(t, "shop", "2")
	require.NoError(t, w.stop())
	r.set(false)
	w = run(t, dir, b, connection("shop"), connection("other"), outlet("out", "shop.reports", "*.things"))
	want = []string{"other.things a", "shop.reports 1", "shop.reports 2", "shop.things a", "shop.things hook 1", "shop.things hook 2"}
	require.Eventually(t, func() bool { return len(r.got()) >= len(want) }, time.Minute, time.Millisecond)
	require.NoError(t, w.stop())
	require.Equal(t, want, r.got(), "nothing twice, and the glob takes the later stream")
}

func TestASinkWithoutStreamsIsIdleBesideOneWithAll(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	w := run(t, t.TempDir(), behaviour{deliver: r.take}, connection("shop"), outlet("out", "*"), outlet("idle"))
	require.Eventually(t, func() bool { return slices.Contains(r.got(), "shop.things a") }, time.Minute, time.Millisecond)
	require.NoError(t, w.stop())
}

func TestTheButtonsOfASinkAreKeptWithItsConnection(t *testing.T) {
	t.Parallel()
	w, _, _ := triggerBench(t)
	states := func() (connection, sink string) {
		read := func(path string) string {
			var v struct{ State string }
			_, body := w.do(t, http.MethodGet, path, nil, nil)
			require.NoError(t, json.Unmarshal(body, &v), "%s", body)
			return v.State
		}
		return read("/api/v1/connections/out"), read("/api/v1/connections/out/offsets")
	}
	for _, step := range [][2]string{
		{"pause", "paused"}, {"resume", "running"}, {"stop", "stopped"}, {"restart", "running"}, {"restart", "running"},
	} {
		status, body := w.do(t, http.MethodPost, "/sinks/default/out/"+step[0], http.Header{"Origin": {w.URL()}}, nil)
		require.Less(t, status, 400, "%s", body)
		require.Eventually(t, func() bool {
			connection, sink := states()
			return connection == step[1] && sink == step[1]
		}, 20*time.Second, 5*time.Millisecond, "%s: the connection says the same as its sink", step[0])
	}
}

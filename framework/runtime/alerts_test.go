package runtime_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/alert"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

// alertsPlugin is a connector as connectors/alerts is.
func alertsPlugin() framework.Plugin {
	stream := catalog.Webhook[alert.Alert](alert.Stream)
	inbox := catalog.Receive("inbox", catalog.EndpointSpec{Auth: catalog.AuthBearer})
	c := catalog.Connector{Key: alert.Connector, Streams: []catalog.Stream{stream}, Endpoints: []catalog.Endpoint{inbox}}
	return framework.Define(c, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
		return framework.Routes{framework.Webhook(inbox, func(context.Context, *framework.Delivery, *ingest.Buffer) error { return nil })}, nil
	})
}

func TestASinkThatEndsIsToldOfByAnother(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	refuse := func(batch []*sink.Message) sink.Answer {
		if batch[0].Event.Stream == alert.Stream {
			return r.take(batch)
		}
		return sink.Answer{Status: http.StatusGone}
	}
	told := config.Connection{
		Project: "default", Name: "alerts", Connector: alert.Connector, Type: "source", Enabled: true,
		Settings: map[string]any{"webhook_secret": strings.Repeat("s", 32)},
	}
	w := run(t, t.TempDir(), behaviour{deliver: refuse}, connection("shop"), told, outlet("out", "shop.*"), outlet("pager", "alerts.alerts"))
	require.Eventually(t, func() bool { return len(r.got()) > 0 }, time.Minute, time.Millisecond)
	status, body := w.do(t, http.MethodGet, "/api/v1/connections/alerts/streams/alerts/events", nil, nil)
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{`"type":"sink.disabled"`, `"connection":"out"`, `410 Gone: the receiver wants nothing any more`} {
		require.Contains(t, string(body), want)
	}
	status, body = w.do(t, http.MethodGet, "/metrics", nil, nil)
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{
		`weir_sink_state{connection="default/out",state="disabled"} 1`, `weir_sink_attempts_total{connection="default/out",outcome="disable"}`,
		`weir_sink_lag{connection="default/out",stream="shop.things"}`, `weir_sink_delivered_total{connection="default/pager",stream="alerts.alerts"} 1`,
		`weir_sink_attempt_seconds_count{connection="default/pager"} 1`, `weir_sink_dead_letters{connection="default/out"} 0`,
	} {
		require.Eventually(t, func() bool {
			_, body = w.do(t, http.MethodGet, "/metrics", nil, nil)
			return strings.Contains(string(body), want)
		}, time.Minute, 20*time.Millisecond, want)
	}
	require.NoError(t, w.stop())
}

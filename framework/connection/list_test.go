package connection_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/trigger"
)

// counted counts what is asked of a store.
type counted struct {
	store.Configurations

	asked int
}

func (c *counted) Configured(ctx context.Context, project, after string, limit int) ([]store.Configured, error) {
	c.asked++
	return c.Configurations.Configured(ctx, project, after, limit)
}

func (c *counted) LatestSpecs(ctx context.Context, ids []string) (map[string][]byte, error) {
	c.asked++
	return c.Configurations.LatestSpecs(ctx, ids)
}

func (c *counted) Deployments(ctx context.Context, ids []string) ([]store.Deployment, error) {
	c.asked++
	return c.Configurations.Deployments(ctx, ids)
}

func (c *counted) Revision(ctx context.Context, id string, number int64) (store.Revision, error) {
	c.asked++
	return c.Configurations.Revision(ctx, id, number)
}

// watched says that every third connection has failed.
type watched struct{ asked int }

func (w *watched) Observe(_ context.Context, list []store.Configured) []connection.Observation {
	w.asked++
	out := make([]connection.Observation, len(list))
	for i, c := range list {
		var n int
		_, _ = fmt.Sscanf(c.Name, "c-%d", &n)
		out[i].Failed = n%3 == 0
	}
	return out
}

func (*watched) Try(context.Context, config.Connection) error { return nil }

func (*watched) Refresh(context.Context) error { return nil }

func (*watched) Streams(string) []config.StreamRef { return nil }

func (*watched) SetPolls(context.Context, string, bool) error { return nil }

func (*watched) Restart(context.Context, string) error                                  { return nil }
func (*watched) Test(context.Context, config.Connection, string) (v connection.Verdict) { return v }

func TestAPageAsksTheStoreFewQuestionsWhateverIsOnIt(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	const connections = 100
	all := store.Configuration{Key: "fill", At: time.Now()}
	for n := range connections {
		one := store.ConnectionChange{Configured: store.Configured{
			Connection: store.Connection{ID: store.NewID("con_", time.Now()), Project: "default", Name: fmt.Sprintf("c-%03d", n), Connector: "x", Type: "sink", Enabled: true},
			State:      store.DesiredRunning, Latest: 1, Deployed: 1, ManagedBy: store.ManagedByAPI,
		}, Spec: []byte(`{"config":{}}`)}
		if n%2 == 0 {
			one.Type = "source"
		}
		if n%5 == 0 {
			one.Deployed, one.State = 0, store.DesiredDraft
		}
		if n%7 == 0 {
			one.Labels = `{"team":"shop"}`
		}
		all.Connections = append(all.Connections, one)
	}
	_, err = s.Configure(t.Context(), all)
	require.NoError(t, err)
	kept, live := &counted{Configurations: s}, &watched{}
	desk, err := connection.NewDesk(connection.DeskConfig{Store: kept, Plugins: []framework.Plugin{trigger.Plugin}, Live: live})
	require.NoError(t, err)
	for name, f := range map[string]connection.Filter{
		"all": {}, "sinks": {Type: "sink"}, "drafts": {State: connection.StateDraft}, "failed sources": {Type: "source", State: connection.StateFailed},
		"labelled": {Labels: map[string]string{"team": "shop"}}, "none": {Labels: map[string]string{"team": "x"}},
	} {
		var want []string
		for n := range connections {
			state := connection.StateRunning
			switch {
			case n%5 == 0:
				state = connection.StateDraft
			case n%3 == 0:
				state = connection.StateFailed
			}
			if (f.Type == "" || (f.Type == "source") == (n%2 == 0)) && (f.State == "" || f.State == state) && (f.Labels == nil || f.Labels["team"] == "shop" && n%7 == 0) {
				want = append(want, fmt.Sprintf("c-%03d", n))
			}
		}
		for _, limit := range []int{1, 7, 99, 100, 1000} {
			var got []string
			after, pages := "", 0
			for {
				kept.asked, live.asked = 0, 0
				views, more, err := desk.List(t.Context(), "default", f, after, limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(views), limit)
				if limit >= 100 || f.Type == "" && f.State == "" && f.Labels == nil {
					require.LessOrEqual(t, kept.asked, 2, "%s, limit %d", name, limit)
					require.Equal(t, 1, live.asked, "%s, limit %d", name, limit)
				}
				for _, v := range views {
					got, after = append(got, v.Name), v.Name
				}
				pages++
				if !more {
					break
				}
				require.Len(t, views, limit, "a page with more after it is full")
			}
			require.Equal(t, want, got, "%s, limit %d", name, limit)
			require.Equal(t, max(1, (len(want)+limit-1)/limit), pages, "%s, limit %d: no empty page at the end", name, limit)
		}
	}
}

package connection_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/trigger"
)

// polling remembers what it was told of polls.
type polling struct {
	watched

	told []bool
}

func (p *polling) SetPolls(_ context.Context, _ string, paused bool) error {
	p.told = append(p.told, paused)
	return nil
}

// deskOf makes a desk of a store that holds one connection.
func deskOf(t *testing.T, one store.Configured, wrap func(store.Configurations) store.Configurations) (*connection.Desk, *polling) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	one.ID, one.Latest, one.ManagedBy = store.NewID("con_", time.Now()), 1, store.ManagedByAPI
	_, err = s.Configure(t.Context(), store.Configuration{Key: "fill", At: time.Now(), Connections: []store.ConnectionChange{{Configured: one, Spec: specOf(1)}}})
	require.NoError(t, err)
	live := &polling{}
	desk, err := connection.NewDesk(connection.DeskConfig{Store: wrap(s), Plugins: []framework.Plugin{trigger.Plugin}, Live: live})
	require.NoError(t, err)
	return desk, live
}

// specOf is a revision of a connection that is switched off, so that nothing of it
// is looked at.
func specOf(n int) []byte {
	return fmt.Appendf(nil, `{"type":"trigger","description":"%d","enabled":false,"config":{"path":"/x","method":"POST","action":"ingest","public":true}}`, n)
}

func named(name string) store.Configured {
	return store.Configured{
		Connection: store.Connection{Project: "default", Name: name, Connector: "trigger", Type: "trigger"}, State: store.DesiredDraft,
	}
}

func itself(s store.Configurations) store.Configurations { return s }

func TestARefusedResumeResumesNothing(t *testing.T) {
	t.Parallel()
	one := named("one")
	one.State, one.Deployed = store.DesiredPaused, 1
	desk, live := deskOf(t, one, itself)
	_, err := desk.SetState(t.Context(), "default", "one", store.DesiredRunning, connection.Request{IfMatch: `"con_x.7"`})
	require.ErrorIs(t, err, connection.ErrPrecondition)
	require.Empty(t, live.told, "its polls go on although it stays paused")

	// The store cannot be written: it stays paused.
	busy := &overtaken{}
	desk, live = deskOf(t, one, func(s store.Configurations) store.Configurations {
		busy.Configurations, busy.always = s, store.ErrUnavailable
		return busy
	})
	_, err = desk.SetState(t.Context(), "default", "one", store.DesiredRunning, connection.Request{})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Equal(t, []bool{false, true}, live.told)

	draft, live := deskOf(t, named("two"), itself)
	_, err = draft.SetState(t.Context(), "default", "two", store.DesiredRunning, connection.Request{})
	require.ErrorIs(t, err, connection.ErrState)
	require.Empty(t, live.told)
}

func TestAnAnswerThatIsRepeatedChangesNoPolls(t *testing.T) {
	t.Parallel()
	one := named("one")
	one.State, one.Deployed = store.DesiredRunning, 1
	desk, live := deskOf(t, one, itself)
	set := func(to store.Desired, key string) {
		t.Helper()
		_, err := desk.SetState(t.Context(), "default", "one", to, connection.Request{Key: key})
		require.NoError(t, err)
	}
	set(store.DesiredPaused, "a")
	set(store.DesiredRunning, "b")
	set(store.DesiredPaused, "c")
	require.Equal(t, []bool{true, false, true}, live.told)
	// The network hands an old request over once more.
	set(store.DesiredRunning, "b")
	require.Equal(t, []bool{true, false, true}, live.told, "the polls of a paused connection were resumed")
	set(store.DesiredRunning, "d")
	set(store.DesiredPaused, "c")
	require.Equal(t, []bool{true, false, true, false}, live.told, "the polls of a running connection were paused")
	set(store.DesiredRunning, "e")
	require.Equal(t, []bool{true, false, true, false, false}, live.told, "what runs is told so once more: a stream may be paused by itself")
}

// overtaken lets somebody else do something just before a change, or fails it.
type overtaken struct {
	store.Configurations

	before func()
	always error
}

func (o *overtaken) Configure(ctx context.Context, c store.Configuration) (store.Configuring, error) {
	if o.always != nil {
		return store.Configuring{}, o.always
	}
	if f := o.before; f != nil {
		o.before = nil
		f()
	}
	return o.Configurations.Configure(ctx, c)
}

func TestTheLatestRevisionIsDeployedAlsoWhenItCameMeanwhile(t *testing.T) {
	t.Parallel()
	o := &overtaken{}
	desk, _ := deskOf(t, named("one"), func(s store.Configurations) store.Configurations {
		o.Configurations = s
		return o
	})
	o.before = func() {
		row, err := o.ConfiguredNamed(t.Context(), "default", "one")
		require.NoError(t, err)
		row.Latest, row.Deployed, row.State = 2, 2, store.DesiredRunning
		_, err = o.Configurations.Configure(t.Context(), store.Configuration{
			Key: "other", At: time.Now(), Connections: []store.ConnectionChange{{Configured: row, Spec: specOf(2)}},
		})
		require.NoError(t, err)
	}
	v, err := desk.Deploy(t.Context(), "default", "one", 0, connection.Request{})
	require.NoError(t, err)
	require.Equal(t, int64(2), v.Deployed, "the revision before the latest was deployed")
}

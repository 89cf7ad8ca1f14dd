package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// shelf is a store of fixed rows.
type shelf struct {
	connections []store.Connection
	statuses    []store.StreamStatus
	counts      []store.HourlyCount
	cursors     map[string]string
	states      []store.State
	fail        error
}

func (s *shelf) Connections(context.Context) ([]store.Connection, error) {
	return s.connections, s.fail
}

func (s *shelf) Checkpoint(_ context.Context, connectionID, stream, lane string) (store.Checkpoint, bool, error) {
	cursor, ok := s.cursors[connectionID+"."+stream+"."+lane]
	var c store.Checkpoint
	c.Cursor = []byte(cursor)
	return c, ok, s.fail
}

func (s *shelf) States(context.Context, string, string) ([]store.State, error) {
	return s.states, s.fail
}

func (s *shelf) Statuses(_ context.Context, connectionID string) (out []store.StreamStatus, err error) {
	for _, r := range s.statuses {
		if connectionID == "" || r.ConnectionID == connectionID {
			out = append(out, r)
		}
	}
	return out, s.fail
}

func (s *shelf) Hourly(_ context.Context, connectionID string, since time.Time) (out []store.HourlyCount, err error) {
	for _, r := range s.counts {
		if (connectionID == "" || r.ConnectionID == connectionID) && !r.Hour.Before(since) {
			out = append(out, r)
		}
	}
	return out, s.fail
}

func (s *shelf) Offsets(context.Context, string) ([]store.Offset, error) { return nil, s.fail }
func (s *shelf) DeadCounts(context.Context, string) (map[string]int64, error) {
	return nil, s.fail
}

// live says that everything of one connector is linked and one stream runs.
type live struct {
	manifest catalog.Manifest
	running  string
}

func (l live) Manifest(id string) (catalog.Manifest, bool) { return l.manifest, id != "con_unlinked" }
func (l live) Running(id, stream string) bool              { return l.running == id+"."+stream }

var shop = catalog.Manifest{Connector: "shop", Streams: []catalog.StreamManifest{
	{Key: "orders", Mode: catalog.ModePoll, Schedule: "*/15 * * * *", Description: "Orders are <paid> carts."},
	{Key: "events", Mode: catalog.ModeWebhook},
}}

func setup(t *testing.T) (*health.Board, *shelf) {
	t.Helper()
	now := at("2026-03-02 12:20:00")
	s := &shelf{
		connections: []store.Connection{
			{ID: "con_b", Project: "default", Name: "beta", Connector: "shop", Enabled: true},
			{ID: "con_a", Project: "default", Name: "alpha", Connector: "shop", Enabled: true},
			{ID: "con_o", Project: "other", Name: "alpha", Connector: "shop", Enabled: false},
		},
		statuses: []store.StreamStatus{
			{ConnectionID: "con_a", Stream: "orders", Head: 42, Duplicates: 7, LastSuccessAt: now.Add(-time.Minute), NextRunAt: now.Add(10 * time.Minute)},
			{ConnectionID: "con_a", Stream: "events", Head: 3, NextRunAt: now, ConsecutiveFailures: 2, LastError: "handler said no"},
		},
		counts: []store.HourlyCount{
			{ConnectionID: "con_a", Stream: "orders", Hour: at("2026-03-02 12:00:00"), Events: 5},
			{ConnectionID: "con_a", Stream: "orders", Hour: at("2026-03-01 13:00:00"), Events: 2},
			{ConnectionID: "con_a", Stream: "orders", Hour: at("2026-03-01 12:00:00"), Events: 1000},
			{ConnectionID: "con_b", Stream: "orders", Hour: at("2026-03-02 12:00:00"), Events: 9},
		},
		cursors: map[string]string{"con_a.orders.live": `{"n":9007199254740993,"q":"<a>"}`, "con_a.events.live": `"never shown"`},
	}
	b, err := health.NewBoard(health.BoardConfig{Store: s, Live: live{shop, "con_b.orders"}, Now: func() time.Time { return now }})
	require.NoError(t, err)
	return b, s
}

func TestBoardListsStreamsByProjectConnectionAndDeclaration(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	targets, err := b.Targets(t.Context(), "")
	require.NoError(t, err)
	var names []string
	for _, x := range targets {
		names = append(names, x.Connection.Project+"/"+x.Connection.Name+"/"+x.Stream.Key)
	}
	require.Equal(t, []string{
		"default/alpha/orders", "default/alpha/events", "default/beta/orders", "default/beta/events", "other/alpha/orders", "other/alpha/events",
	}, names)
	views, err := b.Views(t.Context(), targets)
	require.NoError(t, err)
	require.NotNil(t, views[0].Cursor)
	plain, err := b.Overview(t.Context(), targets)
	require.NoError(t, err)
	views[0].Cursor = nil
	require.Equal(t, views, plain)
	var states []health.State
	for _, v := range views {
		states = append(states, v.State)
	}
	require.Equal(t, []health.State{health.Healthy, health.Failing, health.Running, health.NeverRun, health.Disabled, health.Disabled}, states)
	require.EqualValues(t, 9, views[2].Events24h)
}

func TestViewOfAPollStreamAsJSON(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	target, err := b.Find(t.Context(), "default", "con_a", "orders")
	require.NoError(t, err)
	v, err := b.View(t.Context(), target)
	require.NoError(t, err)
	want := `{"project":"default","connection":"alpha","connection_id":"con_a","connector":"shop","stream":"orders","mode":"poll",` +
		`"schedule":"*/15 * * * *","cadence":"every 15 minutes","description":"Orders are <paid> carts.","state":"healthy",` +
		`"last_success_at":"2026-03-02T12:19:00.000000Z","next_run_at":"2026-03-02T12:30:00.000000Z","last_error":null,"consecutive_failures":0,` +
		`"events_total":42,"duplicates_total":7,"cursor":{"n":9007199254740993,"q":"<a>"},"events_24h":7,` +
		`"hourly":[2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,5],"alarms":[]}`
	require.Equal(t, want, encode(t, v))

	var back health.View
	require.NoError(t, json.Unmarshal([]byte(encode(t, v)), &back))
	require.Equal(t, v, back)
}

func TestViewOfAWebhookStreamHasNoScheduleNextRunOrCursor(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	target, err := b.Find(t.Context(), "default", "alpha", "events")
	require.NoError(t, err)
	v, err := b.View(t.Context(), target)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(encode(t, v)), &fields))
	for _, name := range []string{"schedule", "cadence", "next_run_at", "cursor", "last_success_at"} {
		value, present := fields[name]
		require.True(t, present, name)
		require.Nil(t, value, name)
	}
	require.Equal(t, "handler said no", fields["last_error"])
	require.Equal(t, "failing", fields["state"])
}

func TestACursorThatIsNoJSONIsShownAsText(t *testing.T) {
	t.Parallel()
	v := health.NewView(health.Input{Stream: shop.Streams[0], Cursor: []byte("{broken"), Now: at("2026-03-02 12:20:00")})
	require.Contains(t, encode(t, v), `"cursor":"{broken"`)
}

func TestUnknownNamesSayWhatIsNear(t *testing.T) {
	t.Parallel()
	b, _ := setup(t)
	for _, c := range []struct{ project, connection, stream, want string }{
		{"default", "alpah", "orders", `no connection "alpah" in project "default"; did you mean "alpha"?`},
		{"default", "con_o", "orders", `no connection "con_o" in project "default"`},
		{"default", "alpha", "order", `no stream "order" in connection "alpha"; did you mean "orders"?`},
		{"othr", "alpha", "orders", `no project "othr"`},
		{"default", "x\r\ny", "orders", `no connection "x\r\ny" in project "default"`},
	} {
		_, err := b.Find(t.Context(), c.project, c.connection, c.stream)
		var unknown *health.UnknownError
		require.ErrorAs(t, err, &unknown)
		require.EqualError(t, err, c.want)
	}
}

func TestAConnectionWhoseConnectorIsNotLinkedHasNoStreams(t *testing.T) {
	t.Parallel()
	b, s := setup(t)
	s.connections = []store.Connection{{ID: "con_unlinked", Project: "default", Name: "gone", Enabled: true}}
	targets, err := b.Targets(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, targets)
	_, err = b.Find(t.Context(), "default", "gone", "orders")
	require.EqualError(t, err, `no stream "orders" in connection "gone"`)
}

func TestBoardPassesOnAFailingStore(t *testing.T) {
	t.Parallel()
	b, s := setup(t)
	s.fail = errors.New("disk gone")
	_, err := b.Targets(t.Context(), "")
	require.ErrorContains(t, err, "disk gone")
	_, err = b.Views(t.Context(), nil)
	require.ErrorContains(t, err, "disk gone")
}

// encode is JSON as the API writes it.
func encode(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}

func TestAnIdGoesBeforeAConnectionOfThatName(t *testing.T) {
	t.Parallel()
	b, err := health.NewBoard(health.BoardConfig{Live: nobody{}, Store: &shelf{connections: []store.Connection{
		{ID: "con_1", Project: "default", Name: "con_2"}, {ID: "con_2", Project: "default", Name: "meant"},
	}}})
	require.NoError(t, err)
	c, err := b.Connection(t.Context(), "default", "con_2")
	require.NoError(t, err)
	require.Equal(t, "meant", c.Name)
}

// nobody knows of no connector.
type nobody struct{}

func (nobody) Manifest(string) (catalog.Manifest, bool) { return catalog.Manifest{}, false }
func (nobody) Running(string, string) bool              { return false }

func TestAlarmsAreShownWhileSomethingRuns(t *testing.T) {
	t.Parallel()
	b, s := setup(t)
	since := at("2026-03-02 10:00:00")
	w := store.AlarmWrite("orders", &store.Alarm{Kind: store.AlarmZeroEvents, Since: since, Runs: 18, Usual: 0.8})
	s.states = []store.State{{ConnectionID: "con_a", Name: w.Name, Value: w.Value}, {ConnectionID: "con_a", Name: "alarm/x", Value: []byte("{")}}
	s.statuses[0].LastSuccessAt = at("2026-03-02 11:40:00")
	view := func() health.View {
		target, err := b.Find(t.Context(), "default", "con_a", "orders")
		require.NoError(t, err)
		v, err := b.View(t.Context(), target)
		require.NoError(t, err)
		return v
	}
	v := view()
	require.Len(t, v.Alarms, 2)
	require.Equal(t, health.AlarmLate, v.Alarms[0].Kind)
	require.Equal(t, "2026-03-02T11:45:00.000000Z", v.Alarms[0].Since.String(), "when it was due")
	require.Equal(t, store.AlarmZeroEvents, v.Alarms[1].Kind)
	require.Contains(t, v.Alarms[1].Detail, "18 runs in a row")
	require.Contains(t, v.Alarms[1].Detail, "80 %")
	s.statuses[0].Paused = true
	require.Empty(t, view().Alarms, "what is paused on purpose raises none")
}

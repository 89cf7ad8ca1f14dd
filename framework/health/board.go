package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/store"
)

// Store is what a [Board] reads; the store has it.
type Store interface {
	// Connections lists the connections by project and name.
	Connections(ctx context.Context) ([]store.Connection, error)
	// Checkpoint returns a lane's checkpoint.
	Checkpoint(ctx context.Context, connectionID, stream, lane string) (c store.Checkpoint, ok bool, err error)
	// Statuses lists the status of every stream of a connection, or of all for "".
	Statuses(ctx context.Context, connectionID string) ([]store.StreamStatus, error)
	// States lists the named pieces of state of a connection, or of all for "".
	States(ctx context.Context, connectionID, prefix string) ([]store.State, error)
	// Hourly lists the hourly counts since a time, of a connection, or of all for "".
	Hourly(ctx context.Context, connectionID string, since time.Time) ([]store.HourlyCount, error)
	// Offsets lists the offsets of a sink, or of all for "".
	Offsets(ctx context.Context, connectionID string) ([]store.Offset, error)
	// DeadCounts counts the dead letters that nobody has settled, by sink; of one,
	// or of all for "".
	DeadCounts(ctx context.Context, connectionID string) (map[string]int64, error)
}

// Live says what the runtime knows beside the store.
type Live interface {
	// Manifest returns what the connector of a connection declares, with the
	// descriptions of its doc comments. ok is false when the connector is not
	// linked into this program.
	Manifest(connectionID string) (m catalog.Manifest, ok bool)
	// Running reports that a run of the stream is going on.
	Running(connectionID, stream string) bool
}

// BoardConfig is what [NewBoard] needs.
type BoardConfig struct {
	Store Store
	Live  Live
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

func (c BoardConfig) withDefaults() BoardConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c BoardConfig) validate() error {
	if c.Store == nil || c.Live == nil {
		return errors.New("health board: Store and Live are required")
	}
	return nil
}

// Board makes the views of the streams. It keeps nothing between calls.
type Board struct{ cfg BoardConfig }

// NewBoard returns a board that reads from cfg.
func NewBoard(cfg BoardConfig) (*Board, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Board{cfg.withDefaults()}, nil
}

// Now returns the time on the board's clock.
func (b *Board) Now() time.Time { return b.cfg.Now() }

// Target is a stream that was found by its names.
type Target struct {
	Connection store.Connection
	// Manifest is that of the connection's connector.
	Manifest catalog.Manifest
	Stream   catalog.StreamManifest
}

// Connections lists the connections of a project, or of all for "", by project
// and name.
func (b *Board) Connections(ctx context.Context, project string) ([]store.Connection, error) {
	all, err := b.cfg.Store.Connections(ctx)
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	if project != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(c store.Connection) bool { return c.Project != project })
	}
	slices.SortStableFunc(all, func(x, y store.Connection) int {
		return cmp.Or(cmp.Compare(x.Project, y.Project), cmp.Compare(x.Name, y.Name))
	})
	return all, nil
}

// Manifest returns what the connector of a connection declares; with no
// streams when the connector is not linked in.
func (b *Board) Manifest(connectionID string) catalog.Manifest {
	if m, ok := b.cfg.Live.Manifest(connectionID); ok {
		return m
	}
	return catalog.Manifest{}
}

// Targets lists every stream of a project, or of all for "", by project and
// connection, in the order in which the connector declares them.
func (b *Board) Targets(ctx context.Context, project string) ([]Target, error) {
	connections, err := b.Connections(ctx, project)
	if err != nil {
		return nil, err
	}
	var out []Target
	for _, c := range connections {
		m := b.Manifest(c.ID)
		for _, s := range m.Streams {
			out = append(out, Target{Connection: c, Manifest: m, Stream: s})
		}
	}
	return out, nil
}

// Connection finds a connection of a project by its name or id.
// It fails with an [*UnknownError].
func (b *Board) Connection(ctx context.Context, project, nameOrID string) (store.Connection, error) {
	all, err := b.Connections(ctx, "")
	if err != nil {
		return store.Connection{}, err
	}
	var names []string
	known := false
	for _, c := range all {
		if c.Project != project {
			continue
		}
		known = true
		// An id goes before a name: a connection may be named like the id of
		// another one.
		if c.ID == nameOrID {
			return c, nil
		}
		names = append(names, c.Name)
	}
	for _, c := range all {
		if c.Project == project && c.Name == nameOrID {
			return c, nil
		}
	}
	if !known && project != DefaultProject {
		// Without a guess at what was meant: the names of other projects are not for
		// everybody.
		return store.Connection{}, unknown("project", project, "", nil)
	}
	return store.Connection{}, unknown("connection", nameOrID, "project "+quote(project), names)
}

// Find finds a stream by project, connection (name or id) and stream key.
// It fails with an [*UnknownError].
func (b *Board) Find(ctx context.Context, project, connection, stream string) (Target, error) {
	c, err := b.Connection(ctx, project, connection)
	if err != nil {
		return Target{}, err
	}
	m := b.Manifest(c.ID)
	if s, ok := m.Stream(stream); ok {
		return Target{Connection: c, Manifest: m, Stream: s}, nil
	}
	var keys []string
	for _, s := range m.Streams {
		keys = append(keys, s.Key)
	}
	return Target{}, unknown("stream", stream, "connection "+quote(c.Name), keys)
}

// FindRecorded is Find that also finds a stream of which there is only what was
// recorded: that of a connection which was deleted and whose events were kept, or
// which does not run here.
func (b *Board) FindRecorded(ctx context.Context, project, connection, stream string) (Target, error) {
	t, missing := b.Find(ctx, project, connection, stream)
	if missing == nil {
		return t, nil
	}
	c, err := b.Connection(ctx, project, connection)
	if err != nil || b.Manifest(c.ID).Connector != "" {
		return Target{}, missing
	}
	statuses, err := b.cfg.Store.Statuses(ctx, c.ID)
	if err != nil {
		return Target{}, fmt.Errorf("read the streams of connection %q: %w", c.Name, err)
	}
	if !slices.ContainsFunc(statuses, func(s store.StreamStatus) bool { return s.Stream == stream }) {
		return Target{}, missing
	}
	return Target{Connection: c, Stream: catalog.StreamManifest{Key: stream}}, nil
}

// Views makes the views of targets, in their order. It reads a checkpoint a
// stream: hand it a page of them.
func (b *Board) Views(ctx context.Context, targets []Target) ([]View, error) {
	return b.views(ctx, targets, true)
}

// Overview makes the views of targets without their cursors, in their order. It
// costs the same few reads for any number of streams.
func (b *Board) Overview(ctx context.Context, targets []Target) ([]View, error) {
	return b.views(ctx, targets, false)
}

func (b *Board) views(ctx context.Context, targets []Target, cursors bool) ([]View, error) {
	only := onlyConnection(targets)
	now := b.Now()
	statuses, err := b.cfg.Store.Statuses(ctx, only)
	if err != nil {
		return nil, fmt.Errorf("read stream statuses: %w", err)
	}
	counts, err := b.cfg.Store.Hourly(ctx, only, now.UTC().Truncate(time.Hour).Add(-(Hours-1)*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("read hourly counts: %w", err)
	}
	states, err := b.cfg.Store.States(ctx, only, store.AlarmStates)
	if err != nil {
		return nil, fmt.Errorf("read alarms: %w", err)
	}
	type key struct{ connection, stream string }
	alarmOf := map[key]*store.Alarm{}
	for _, s := range states {
		if stream, alarm, ok := store.ReadAlarm(s); ok {
			alarmOf[key{s.ConnectionID, stream}] = &alarm
		}
	}
	statusOf := make(map[key]store.StreamStatus, len(statuses))
	for _, s := range statuses {
		statusOf[key{s.ConnectionID, s.Stream}] = s
	}
	countsOf := make(map[key][]store.HourlyCount)
	for _, c := range counts {
		k := key{c.ConnectionID, c.Stream}
		countsOf[k] = append(countsOf[k], c)
	}
	views := make([]View, 0, len(targets))
	for _, t := range targets {
		k := key{t.Connection.ID, t.Stream.Key}
		in := Input{
			Connection: t.Connection, Stream: t.Stream, Status: statusOf[k], Counts: countsOf[k], Alarm: alarmOf[k],
			Running: b.cfg.Live.Running(k.connection, k.stream) || statusOf[k].Running, Now: now,
		}
		if cursors && t.Stream.Mode == catalog.ModePoll {
			c, ok, err := b.cfg.Store.Checkpoint(ctx, k.connection, k.stream, store.LaneLive)
			if err != nil {
				return nil, fmt.Errorf("read checkpoint of %s.%s: %w", t.Connection.Name, k.stream, err)
			}
			if ok {
				in.Cursor = c.Cursor
			}
		}
		views = append(views, NewView(in))
	}
	return views, nil
}

// View makes the view of one stream.
func (b *Board) View(ctx context.Context, t Target) (View, error) {
	views, err := b.Views(ctx, []Target{t})
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

// onlyConnection returns the id of the one connection of all targets, or "".
func onlyConnection(targets []Target) string {
	only := ""
	for _, t := range targets {
		if only != "" && only != t.Connection.ID {
			return ""
		}
		only = t.Connection.ID
	}
	return only
}

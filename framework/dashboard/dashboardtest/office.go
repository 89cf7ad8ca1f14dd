package dashboardtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Office is a store and a runtime in memory. It has the methods that the API and
// the dashboard ask for, and others by which a test makes things happen.
type Office struct {
	// OnPage answers a page on demand, if set.
	OnPage func(call api.PageCall) (api.PageResult, error)
	// MostEvents bounds the events that one read brings, as their bytes do in a
	// store; 0 for no bound.
	MostEvents int
	// OnRun answers a request to run, if set; else the stream is running from then on.
	OnRun func(connectionID, stream string) error

	mu           sync.Mutex
	now          time.Time
	connections  []store.Connection
	manifests    map[string]catalog.Manifest
	streams      map[string]*stream
	deliveries   []store.DeliverySummary // newest first
	reports      map[string]intake.Report
	header, body string // of stored deliveries
	pace         time.Duration
	backfills    []scheduler.Backfill
	states       []store.State
	sinks        map[string]*outlet
	tokens       []store.Token
	tokenReads   int
	audit        []store.AuditEntry // newest first
	broken       error
	revised      map[string]*revised
}

// stream is everything about one stream of one connection.
type stream struct {
	status     store.StreamStatus
	checkpoint *store.Checkpoint
	runs       []store.Run // newest first
	events     []ingest.Event
	// offset is how many events came before the first of events.
	offset  int64
	hourly  map[time.Time]int64
	running bool
}

// NewOffice returns an empty office whose clock stands at now.
func NewOffice(now time.Time) *Office {
	return &Office{now: now, manifests: map[string]catalog.Manifest{}, streams: map[string]*stream{}, reports: map[string]intake.Report{}}
}

// Now is the office's clock.
func (o *Office) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// Advance moves the clock.
func (o *Office) Advance(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

// Break makes every read and write fail with err, or work again with nil.
func (o *Office) Break(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = err
}

// Connect adds a connection with what its connector declares.
func (o *Office) Connect(c store.Connection, m catalog.Manifest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connections = append(o.connections, c)
	o.manifests[c.ID] = m
}

func (o *Office) stream(connectionID, key string) *stream {
	k := connectionID + "." + key
	s := o.streams[k]
	if s == nil {
		s = &stream{status: store.StreamStatus{ConnectionID: connectionID, Stream: key}, hourly: map[time.Time]int64{}}
		o.streams[k] = s
	}
	return s
}

// Status changes the status of a stream.
func (o *Office) Status(connectionID, key string, change func(s *store.StreamStatus)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.stream(connectionID, key).status)
}

// SetRunning says that a stream is being read, or no longer.
func (o *Office) SetRunning(connectionID, key string, running bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream(connectionID, key).running = running
}

// SetCheckpoint saves the live checkpoint of a stream.
func (o *Office) SetCheckpoint(connectionID, key string, c store.Checkpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stream(connectionID, key).checkpoint = &c
}

// AddRun adds a run, newer than those before.
func (o *Office) AddRun(r store.Run) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stream(r.ConnectionID, r.Stream)
	s.runs = slices.Insert(s.runs, 0, r)
}

// Past says that events were recorded before those that the office still has.
func (o *Office) Past(connectionID, key string, events int64, hourly []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stream(connectionID, key)
	s.offset, s.status.Head = events, events
	hour := o.now.UTC().Truncate(time.Hour)
	for i, n := range hourly {
		s.hourly[hour.Add(-time.Duration(len(hourly)-1-i)*time.Hour)] = n
	}
}

// Record appends an event and counts it. Names, sequence and id are filled in.
func (o *Office) Record(connectionID, key string, e ingest.Event) ingest.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stream(connectionID, key)
	s.status.Head++
	for _, c := range o.connections {
		if c.ID == connectionID {
			e.Project, e.Connection = c.Project, c.Name
		}
	}
	e.ConnectionID, e.Stream, e.Sequence = connectionID, key, s.status.Head
	if e.Key == "" {
		e.Key = fmt.Sprintf("v/%s/%d", e.Subject, e.Sequence)
	}
	e.ID = ingest.EventID(connectionID, key, e.Key)
	if e.RecordedAt.IsZero() {
		e.RecordedAt = o.now
	}
	if e.Time.IsZero() {
		e.Time = e.RecordedAt
	}
	s.events = append(s.events, e)
	s.hourly[o.now.UTC().Truncate(time.Hour)]++
	return e
}

// Connections lists the connections.
func (o *Office) Connections(context.Context) ([]store.Connection, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.connections), o.broken
}

// Manifest returns what the connector of a connection declares.
func (o *Office) Manifest(connectionID string) (catalog.Manifest, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m, ok := o.manifests[connectionID]
	return m, ok && m.Connector != ""
}

// Running reports that a stream is being read.
func (o *Office) Running(connectionID, key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream(connectionID, key).running
}

// Checkpoint returns the live checkpoint of a stream.
func (o *Office) Checkpoint(_ context.Context, connectionID, key, lane string) (store.Checkpoint, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.stream(connectionID, key).checkpoint; c != nil && lane == store.LaneLive {
		return *c, true, o.broken
	}
	return store.Checkpoint{}, false, o.broken
}

// States lists what was given to SetAlarm.
func (o *Office) States(_ context.Context, connectionID, prefix string) (out []store.State, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.states {
		if (connectionID == "" || s.ConnectionID == connectionID) && strings.HasPrefix(s.Name, prefix) {
			out = append(out, s)
		}
	}
	return out, o.broken
}

// SetAlarm raises an alarm of a stream.
func (o *Office) SetAlarm(connectionID, key string, a store.Alarm) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := store.AlarmWrite(key, &a)
	o.states = append(o.states, store.State{ConnectionID: connectionID, Name: w.Name, Value: w.Value})
}

// Statuses lists the statuses of the streams that something happened to.
func (o *Office) Statuses(_ context.Context, connectionID string) ([]store.StreamStatus, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []store.StreamStatus
	for _, s := range o.streams {
		if connectionID == "" || s.status.ConnectionID == connectionID {
			out = append(out, s.status)
		}
	}
	return out, o.broken
}

// Hourly lists the counts of the hours.
func (o *Office) Hourly(_ context.Context, connectionID string, since time.Time) ([]store.HourlyCount, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []store.HourlyCount
	for _, s := range o.streams {
		if connectionID != "" && s.status.ConnectionID != connectionID {
			continue
		}
		for hour, n := range s.hourly {
			if !hour.Before(since) {
				out = append(out, store.HourlyCount{ConnectionID: s.status.ConnectionID, Stream: s.status.Stream, Hour: hour, Events: n})
			}
		}
	}
	return out, o.broken
}

// LogEpoch implements api.Store.
func (o *Office) LogEpoch() int64 { return 1 }

// Events lists the events after a sequence.
func (o *Office) Events(_ context.Context, connectionID, key string, after int64, limit int) ([]ingest.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stream(connectionID, key)
	from := min(max(0, after-s.offset), int64(len(s.events)))
	if o.MostEvents > 0 {
		limit = min(limit, o.MostEvents)
	}
	to := min(from+int64(limit), int64(len(s.events)))
	events := slices.Clone(s.events[from:to])
	if err := ingest.CheckTrimmed(events, key, after, s.offset+int64(len(s.events))); err != nil {
		return nil, err
	}
	return events, o.broken
}

// Trim removes the events of a stream up to a sequence, as retention does.
func (o *Office) Trim(connectionID, key string, through int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stream(connectionID, key)
	s.events, s.offset = s.events[through-s.offset:], through
}

// Runs lists the runs of a stream, newest first.
func (o *Office) Runs(_ context.Context, connectionID, key, before string, limit int) ([]store.Run, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	runs := o.stream(connectionID, key).runs
	if before != "" {
		i := slices.IndexFunc(runs, func(r store.Run) bool { return r.ID == before })
		runs = runs[i+1:]
	}
	return slices.Clone(runs[:min(limit, len(runs))]), o.broken
}

// Run returns one run.
func (o *Office) Run(_ context.Context, id string) (store.Run, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.streams {
		for _, r := range s.runs {
			if r.ID == id {
				return r, o.broken
			}
		}
	}
	return store.Run{}, fmt.Errorf("run %s: %w", id, store.ErrNotFound)
}

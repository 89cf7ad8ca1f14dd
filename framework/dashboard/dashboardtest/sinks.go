package dashboardtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Outbound is the id of a sink of a busy office that delivers, and Broken that of
// one that has failed.
const (
	Outbound = "con_06dvr0000000000000outbound"
	Broken   = "con_06dvr000000000000000broken"
)

// outlet is everything about one sink.
type outlet struct {
	snapshot delivery.Snapshot
	offsets  []store.Offset
	letters  []store.DeadEvent // newest first
}

// AddSink adds a connection that delivers.
func (o *Office) AddSink(c store.Connection, s delivery.Snapshot, offsets []store.Offset, letters []store.DeadEvent) {
	o.Connect(c, catalog.Manifest{Connector: c.Connector})
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sinks == nil {
		o.sinks = map[string]*outlet{}
	}
	o.sinks[c.ID] = &outlet{s, offsets, letters}
	o.states = append(o.states, delivery.StateWrites(c.ID, s)...)
}

// sinksOf are the office's sinks, for the API and the dashboard.
type sinksOf struct{ *Office }

var _ api.Sinks = sinksOf{}

func (o *Office) outlet(id string) *outlet {
	if s := o.sinks[id]; s != nil {
		return s
	}
	return &outlet{}
}

// Offsets lists the offsets of a sink, or of all.
func (o *Office) Offsets(_ context.Context, connectionID string) (list []store.Offset, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, s := range o.sinks {
		if connectionID == "" || connectionID == id {
			list = append(list, s.offsets...)
		}
	}
	return list, o.broken
}

// DeadCounts counts dead letters.
func (o *Office) DeadCounts(context.Context, string) (map[string]int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := map[string]int64{}
	for id, s := range o.sinks {
		for _, letter := range s.letters {
			if !letter.Discarded {
				counts[id]++
			}
		}
	}
	return counts, o.broken
}

// DeadEvents lists dead letters.
func (s sinksOf) DeadEvents(_ context.Context, which store.DeadEvents, limit int) (list []store.DeadEvent, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, letter := range s.outlet(which.ConnectionID).letters {
		if letter.Discarded == which.Discarded && len(list) < limit && (which.Source.Stream == "" || which.Source == letter.Source) {
			list = append(list, letter)
		}
	}
	return list, s.broken
}

// DeadEvent returns one.
func (s sinksOf) DeadEvent(_ context.Context, connectionID, id string) (store.DeadEvent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, letter := range s.outlet(connectionID).letters {
		if letter.ID == id {
			return letter, s.broken
		}
	}
	return store.DeadEvent{}, store.ErrNotFound
}

// Head is the last sequence of a stream.
func (s sinksOf) Head(_ context.Context, source store.Source) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream(source.ConnectionID, source.Stream).status.Head, s.broken
}

// Snapshot says what a sink is doing.
func (s sinksOf) Snapshot(_ context.Context, connectionID string) (delivery.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sinks[connectionID]
	if one == nil {
		return delivery.Snapshot{}, &api.ConflictError{Err: delivery.ErrUnknownSink}
	}
	return one.snapshot, s.broken
}

// Change does what is asked with the office's own copies.
func (s sinksOf) Change(_ context.Context, connectionID string, c api.SinkChange) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sinks[connectionID]
	if one == nil {
		return 0, &api.ConflictError{Err: delivery.ErrUnknownSink}
	}
	conditions := map[api.SinkAction]delivery.Condition{
		api.SinkPause: delivery.StatePaused, api.SinkResume: delivery.StateRunning, api.SinkStop: delivery.StateStopped,
	}
	switch {
	case conditions[c.Action] != "":
		one.snapshot.State = delivery.State{Condition: conditions[c.Action], Since: s.now}
		s.states = slices.DeleteFunc(s.states, func(w store.State) bool { return w.ConnectionID == connectionID })
		s.states = append(s.states, delivery.StateWrites(connectionID, one.snapshot)...)
	case c.Action == api.SinkRedeliver:
		one.letters = slices.DeleteFunc(one.letters, func(l store.DeadEvent) bool { return slices.Contains(c.IDs, l.ID) })
	case c.Action == api.SinkRedeliverAll:
		one.snapshot.Redeliveries = append(one.snapshot.Redeliveries, delivery.Redelivery{
			ID: c.Redelivery, Source: c.Letters.Source, Every: c.Every, Total: len(one.letters), At: s.now,
		})
		return len(one.letters), s.broken
	case c.Action == api.SinkCancel && c.Redelivery != "":
		one.snapshot.Redeliveries = slices.DeleteFunc(one.snapshot.Redeliveries, func(r delivery.Redelivery) bool { return r.ID == c.Redelivery })
	case c.Action == api.SinkDiscard:
		for i := range one.letters {
			if slices.Contains(c.IDs, one.letters[i].ID) {
				one.letters[i].Discarded, one.letters[i].Note = true, c.Reason
			}
		}
	case c.Action == api.SinkSeek && one.snapshot.State.Condition != delivery.StateStopped:
		return 0, &api.ConflictError{Err: delivery.ErrState}
	}
	return len(c.IDs), s.broken
}

// WithSinks adds a sink that delivers with trouble, and one that has failed.
func (o *Office) WithSinks(now time.Time) *Office {
	orders := store.Source{ConnectionID: Demo, Stream: "orders"}
	customers := store.Source{ConnectionID: Demo, Stream: "customers"}
	events := []ingest.Event{
		{
			ID: "evt_1", Project: "default", Connection: "demo", ConnectionID: Demo, Stream: "orders", Sequence: 41, Type: "order", Subject: "ord_41",
			Operation: ingest.Upsert, Time: now, RecordedAt: now, Payload: []byte(`{"id":"ord_41","note":"<script>alert(1)</script>","total":12.50}`),
		},
		{
			ID: "evt_2", Project: "default", Connection: "demo", ConnectionID: Demo, Stream: "orders", Sequence: 52, Type: "order", Subject: "ord_52",
			Operation: ingest.Upsert, Time: now, RecordedAt: now, Payload: []byte(`{"id":"ord_52"}`),
		},
	}
	var letters []store.DeadEvent
	for i := range events {
		encoded, _ := delivery.EncodeEvent(&events[i])
		letters = append(letters, store.DeadEvent{
			ID: fmt.Sprintf("dlt_06dvr000000000000000000%d", i), ConnectionID: Outbound, Position: store.Position{Source: orders, Sequence: events[i].Sequence},
			Event: encoded, Reason: "422 Unprocessable Entity", Attempts: 1, Status: 422, FirstAt: now.Add(-time.Hour), DeadAt: now.Add(-time.Duration(i) * time.Minute),
			Request:  []byte("POST https://receiver.example/hook\nAuthorization: ***\nContent-Type: application/json\n"),
			Response: []byte(`{"error":"total must be a text","page":"<img src=x onerror=alert(1)>"}`),
		})
	}
	recent := []delivery.Recent{
		{At: now.Add(-time.Second), Stream: "orders", Source: orders, Events: 1, Status: 200, Took: 38 * time.Millisecond, Verdict: sink.Delivered},
		{At: now.Add(-3 * time.Second), Stream: "orders", Source: orders, Events: 1, Status: 422, Took: 12 * time.Millisecond, Verdict: sink.GiveUp, Reason: "422 Unprocessable Entity"},
		{At: now.Add(-4 * time.Second), Stream: "customers", Source: customers, Events: 20, Status: 200, Took: 51 * time.Millisecond, Verdict: sink.Delivered},
		{At: now.Add(-9 * time.Second), Stream: "customers", Source: customers, Events: 20, Status: 503, Took: 2 * time.Second, Verdict: sink.Retry, Reason: "503 Service Unavailable"},
	}
	o.AddSink(store.Connection{ID: Outbound, Project: "default", Name: "outbound", Connector: "http", Type: "sink", Enabled: true, CreatedAt: now.Add(-30 * time.Hour)},
		delivery.Snapshot{
			State: delivery.State{Condition: delivery.StateRunning, Since: now.Add(-30 * time.Hour)}, Order: sink.PerKey, InFlight: 2, Parked: 3, Recent: recent,
			Streams: []delivery.Progress{{Source: orders, Next: 60, Head: 61}, {Source: customers, Next: 12_400, Head: 12_422}},
			Replays: []delivery.Replay{{ID: "rpl_06dvr000000000000000000000", Source: orders, From: 10, Next: 25, To: 40, At: now}},
		},
		[]store.Offset{
			{ConnectionID: Outbound, Source: orders, Next: 60, LowWater: 41, Parked: 3, Delivered: 55, Dead: 2, DeliveredAt: now.Add(-time.Second)},
			{ConnectionID: Outbound, Source: customers, Next: 12_400, LowWater: 12_400, Delivered: 12_399, DeliveredAt: now.Add(-4 * time.Second)},
		}, letters)
	o.AddSink(store.Connection{ID: Broken, Project: "default", Name: "warehouse", Connector: "http", Type: "sink", Enabled: true, CreatedAt: now.Add(-30 * time.Hour)},
		delivery.Snapshot{
			State: delivery.State{Condition: delivery.StateFailed, Reason: "401 Unauthorized, after 6 attempts", Since: now.Add(-2 * time.Hour)}, Order: sink.Ordered,
			FailingSince: now.Add(-3 * time.Hour), BreakerUntil: now.Add(40 * time.Second), Streams: []delivery.Progress{{Source: orders, Next: 7, Head: 61}},
		},
		[]store.Offset{{
			ConnectionID: Broken, Source: orders, Next: 7, LowWater: 7, Delivered: 6, DeliveredAt: now.Add(-3 * time.Hour),
			LastError: "401 Unauthorized, after 6 attempts", ConsecutiveFailures: 6,
		}}, nil)
	return o
}

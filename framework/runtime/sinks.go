package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// outlet is what a connection of type sink runs on.
type outlet struct {
	spec sink.Spec
	// streams are its subscriptions as they were written.
	streams []string
}

// typeSink is the type of a connection that delivers.
const typeSink = "sink"

// prepareSink checks a connection of type sink.
func (r *Runtime) prepareSink(plugin framework.Plugin, c config.Connection) (*connection, error) {
	as, ok := plugin.AsSink()
	if !ok {
		return nil, fmt.Errorf("connection %q: connector %q is no sink", c.Name, c.Connector)
	}
	prepared := &connection{
		Connection: store.Connection{Project: c.Project, Name: c.Name, Connector: c.Connector, Type: c.Type, Enabled: c.Enabled},
		plugin:     plugin, settings: c.Settings, retention: c.Retention, subscribed: c.Streams, start: c.Start,
	}
	for _, w := range as.Warnings(c.Settings) {
		r.log.Warn("settings", "project", c.Project, "connection", c.Name, "warning", w.Error())
	}
	if _, err := as.Declare(c.Settings); err != nil && c.Enabled {
		return prepared, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	return prepared, nil
}

// openSink opens an enabled connection of type sink.
func (r *Runtime) openSink(ctx context.Context, c *connection) error {
	spec, err := c.plugin.OpenSink(ctx, framework.OpenRequest{
		Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Settings: c.settings,
		NewClient: r.guard.NewClient, Client: r.guard.Client, State: r.stateOf(c.ID),
		Log: r.log.With("project", c.Project, "connection", c.Name),
	})
	if err != nil {
		return fmt.Errorf("connection %q: %w", c.Name, err)
	}
	spec.Start = cmp.Or(c.start, spec.Start)
	c.outlet = &outlet{spec: spec, streams: c.subscribed}
	return nil
}

// sourcesIn are the streams that a sink reads: what its subscriptions name among
// the streams of its project. The error says which name none.
func (r *Runtime) sourcesIn(set *connectionSet, c *connection) ([]store.Source, error) {
	_, ids := set.project(c.Project)
	chosen, errs := set.subscribed(c.Project, c.subscribed)
	sources := make([]store.Source, 0, len(chosen))
	for _, ref := range chosen {
		sources = append(sources, store.Source{ConnectionID: ids[ref.Connection], Stream: ref.Stream})
	}
	return sources, errors.Join(errs...)
}

// deliver starts a sink, in the state that an operator wants it to be in.
func (r *Runtime) deliver(ctx context.Context, c *connection, sources []store.Source) error {
	if err := r.settle(ctx, c); err != nil {
		return err
	}
	return r.engine.Add(ctx, delivery.Identity{Project: c.Project, Connection: c.Name, ConnectionID: c.ID}, c.outlet.spec, sources)
}

// settle writes the desired state of a sink where its engine reads it, before it
// starts. One that has stopped by itself stays so until it is restarted.
func (r *Runtime) settle(ctx context.Context, c *connection) error {
	state := connectionState{r.store, c.ID}
	value, err := state.Load(ctx, delivery.StateName)
	if err != nil {
		return err
	}
	want, change, err := delivery.Settled(value, map[store.Desired]delivery.Condition{
		store.DesiredPaused: delivery.StatePaused, store.DesiredStopped: delivery.StateStopped,
	}[c.desired], time.Now())
	if err != nil || !change {
		return err
	}
	return state.Save(ctx, delivery.StateName, want)
}

// waking is a store that tells the sinks of what was recorded.
type waking struct {
	store.Store

	engine    *delivery.Engine
	deference *deference
}

// Commit records u and wakes the sinks of its streams.
func (w waking) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	receipt, err := w.Store.Commit(ctx, u)
	w.tell(u, receipt, err)
	return receipt, err
}

// Offer records u, if there is room for it at once, and wakes the sinks.
func (w waking) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	receipt, err := w.Store.Offer(ctx, u)
	w.tell(u, receipt, err)
	return receipt, err
}

// tell wakes the sinks of what was appended, and notes that a newer version of the
// connector has renamed a stream.
func (w waking) tell(u store.Unit, receipt store.Receipt, err error) {
	if renamed, ok := errors.AsType[*store.RenamedError](err); ok {
		w.deference.renamed(u.ConnectionID, renamed.Rename)
	}
	if err != nil || receipt.Appended == 0 {
		return
	}
	heads := map[string]int64{}
	for i, e := range receipt.Events {
		if !e.Duplicate && i < len(u.Emissions) {
			stream := u.Emissions[i].Stream
			heads[stream] = max(heads[stream], e.Sequence)
		}
	}
	for stream, head := range heads {
		w.engine.Wake(u.ConnectionID, stream, head)
	}
}

// heed wakes sinks and pages by what other nodes say they have recorded, until ctx ends.
func (r *Runtime) heed(ctx context.Context) {
	s, ok := r.store.(store.Hinting)
	if !ok {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-s.Hints():
			r.engine.Wake(h.Source.ConnectionID, h.Source.Stream, h.Head)
			r.feed.Notify()
		}
	}
}

// neededFor is how long the answer of [lowWater] may be old. An older one keeps
// more, never less, unless an operator has moved an offset back meanwhile.
const neededFor = 5 * time.Second

// lowWater says what sinks still need of streams, for retention. It is asked
// while connections are still being opened.
type lowWater struct {
	runtime *Runtime

	mu   sync.Mutex
	at   time.Time
	need map[store.Source]int64
}

// needed returns the first sequence of a stream that a sink still needs, or 0.
func (l *lowWater) needed(ctx context.Context, connectionID, stream string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.need == nil || now.Sub(l.at) > neededFor {
		need, err := l.read(ctx)
		if err != nil {
			return 0, err
		}
		l.need, l.at = need, now
	}
	return l.need[store.Source{ConnectionID: connectionID, Stream: stream}], nil
}

func (l *lowWater) read(ctx context.Context) (map[store.Source]int64, error) {
	offsets, err := l.runtime.store.Offsets(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("read what sinks still need: %w", err)
	}
	type reader struct {
		sink   string
		source store.Source
	}
	set := l.runtime.set.Load()
	known, need := map[reader]int64{}, map[store.Source]int64{}
	hold := func(source store.Source, first int64) {
		if old, is := need[source]; first > 0 && (!is || first < old) {
			need[source] = first
		}
	}
	for _, o := range offsets {
		known[reader{o.ConnectionID, o.Source}] = o.LowWater
		// A sink or source that does not open here goes on when it is mended.
		if set.closed(o.ConnectionID) || set.closed(o.Source.ConnectionID) {
			hold(o.Source, o.LowWater)
		}
	}
	for _, c := range set.byID {
		if c.Type != typeSink || !c.Enabled {
			continue // what is switched off, or gone, holds nothing back
		}
		sources, _ := l.runtime.sourcesIn(set, c) // what is wrong with them was said when the sink began
		for _, source := range sources {
			first, ok := known[reader{c.ID, source}]
			if !ok && c.start != sink.Latest {
				first = 1 // it has not begun to read
			}
			hold(source, first)
		}
	}
	return need, nil
}

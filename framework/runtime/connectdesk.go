package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/api/kafkaconnect"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
)

// connectDesk gives the connections to the Kafka Connect face.
type connectDesk struct{ runtime *Runtime }

var _ kafkaconnect.Desk = connectDesk{}

// listPage is how many connections are read at once.
const listPage = 1000

// List returns the sources and sinks of a project.
func (d connectDesk) List(ctx context.Context, project string) (list []kafkaconnect.Connection, err error) {
	after := ""
	for more := true; more; {
		var views []resource.View
		if views, more, err = d.runtime.desk.List(ctx, project, resource.Filter{}, after, listPage); err != nil {
			return nil, err
		}
		for _, v := range views {
			after = v.Name
			if v.Type != resource.TypeTrigger {
				list = append(list, connectView(v))
			}
		}
		more = more && len(views) > 0
	}
	return list, nil
}

// view returns a source or sink.
func (d connectDesk) view(ctx context.Context, project, name string) (resource.View, error) {
	v, err := d.runtime.desk.Get(ctx, project, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && (v.Type == resource.TypeTrigger || v.State == resource.StateDeleted) {
		return v, kafkaconnect.ErrNotFound
	}
	return v, err
}

// Get returns a source or sink.
func (d connectDesk) Get(ctx context.Context, project, name string) (kafkaconnect.Connection, error) {
	v, err := d.view(ctx, project, name)
	return connectView(v), err
}

// connectView shows a connection to the face.
func connectView(v resource.View) kafkaconnect.Connection {
	return kafkaconnect.Connection{
		Spec: kafkaconnect.Spec{
			Name: v.Name, Type: v.Type, Connector: v.Connector, Streams: v.Streams, Start: v.Start, Settings: v.Config, Extra: v.Extra,
		},
		State: kafkaconnect.State(v.State), Trace: v.Reason, Node: v.Node, Broken: v.State == resource.StateFailed && v.Running == 0,
	}
}

// document is a configuration as the desk reads it. What other doors have said of
// the connection, and this face cannot, stays.
func connectDocument(s kafkaconnect.Spec, before *resource.View) (map[string]any, error) {
	document := map[string]any{}
	if before != nil {
		raw, err := before.Spec.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if document, err = resource.Decode(raw); err != nil {
			return nil, err
		}
	}
	extra := map[string]any{}
	for key, text := range s.Extra {
		extra[key] = text
	}
	document["name"], document["type"], document["connector"] = s.Name, s.Type, s.Connector
	document["config"], document["extra"] = s.Settings, extra
	for key, value := range map[string]any{"streams": s.Streams, "start": s.Start} {
		delete(document, key)
		switch v := value.(type) {
		case []string:
			if len(v) > 0 {
				list := []any{}
				for _, one := range v {
					list = append(list, one)
				}
				document[key] = list
			}
		case string:
			if v != "" {
				document[key] = v
			}
		}
	}
	return document, nil
}

// connectError says in the face's words what the desk said.
func connectError(err error) error {
	var (
		faults  resource.Faults
		managed *resource.ManagedError
		closed  *resource.OpenError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &faults):
		invalid := &kafkaconnect.InvalidError{}
		for _, f := range faults {
			path := strings.TrimPrefix(strings.TrimPrefix(f.Path, "config."), seal.ExtraMember+".")
			if path == "connector" || path == "class" {
				path = "connector.class"
			}
			invalid.Faults = append(invalid.Faults, kafkaconnect.Fault{Path: path, Reason: f.Message})
		}
		return invalid
	case errors.As(err, &closed):
		return &kafkaconnect.InvalidError{Faults: []kafkaconnect.Fault{{Reason: closed.Error()}}}
	case errors.As(err, &managed), errors.Is(err, resource.ErrState), errors.Is(err, resource.ErrPrecondition):
		return fmt.Errorf("%w: %w", kafkaconnect.ErrRefused, err)
	case errors.Is(err, store.ErrExists):
		return kafkaconnect.ErrExists
	case errors.Is(err, store.ErrNotFound):
		return kafkaconnect.ErrNotFound
	}
	return err
}

// connectRequest says who asks.
func connectRequest(ctx context.Context) resource.Request {
	return resource.Request{By: api.CallerOf(ctx).Name}
}

// Check checks a configuration and saves nothing.
func (d connectDesk) Check(ctx context.Context, project string, s kafkaconnect.Spec) error {
	before, err := d.view(ctx, project, s.Name)
	known := &before
	switch {
	case errors.Is(err, kafkaconnect.ErrNotFound):
		known = nil
	case err != nil:
		return err
	}
	document, err := connectDocument(s, known)
	if err != nil {
		return err
	}
	_, err = d.runtime.desk.Validate(ctx, project, s.Name, document, connectRequest(ctx))
	return connectError(err)
}

// Create saves a new connection.
func (d connectDesk) Create(ctx context.Context, project string, s kafkaconnect.Spec, state kafkaconnect.State) error {
	document, err := connectDocument(s, nil)
	if err != nil {
		return err
	}
	q := connectRequest(ctx)
	q.State = map[kafkaconnect.State]store.Desired{
		kafkaconnect.StatePaused: store.DesiredPaused, kafkaconnect.StateStopped: store.DesiredStopped,
	}[state]
	_, err = d.runtime.desk.Create(ctx, project, s.Name, document, q)
	return connectError(err)
}

// Replace gives a connection another configuration.
func (d connectDesk) Replace(ctx context.Context, project string, s kafkaconnect.Spec) error {
	before, err := d.view(ctx, project, s.Name)
	if err != nil {
		return err
	}
	document, err := connectDocument(s, &before)
	if err != nil {
		return err
	}
	q := connectRequest(ctx)
	q.IfMatch = before.ETag()
	_, err = d.runtime.desk.Replace(ctx, project, s.Name, document, q)
	return connectError(err)
}

// Delete removes a connection. What it has recorded and given up stays.
func (d connectDesk) Delete(ctx context.Context, project, name string) error {
	_, err := d.runtime.desk.Delete(ctx, project, name, resource.Kept{Events: true, DeadLetters: true}, connectRequest(ctx))
	return connectError(err)
}

// Act pauses, resumes, stops or restarts a connection.
func (d connectDesk) Act(ctx context.Context, project, name string, action kafkaconnect.Action) error {
	var err error
	to := map[kafkaconnect.Action]store.Desired{
		kafkaconnect.ActionPause: store.DesiredPaused, kafkaconnect.ActionResume: store.DesiredRunning, kafkaconnect.ActionStop: store.DesiredStopped,
	}[action]
	if action == kafkaconnect.ActionRestart {
		_, err = d.runtime.desk.Restart(ctx, project, name)
	} else {
		_, err = d.runtime.desk.SetState(ctx, project, name, to, connectRequest(ctx))
	}
	return connectError(err)
}

// Offsets lists how far a connection has got.
func (d connectDesk) Offsets(ctx context.Context, project, name string) (list []kafkaconnect.Offset, err error) {
	v, err := d.view(ctx, project, name)
	if err != nil {
		return nil, err
	}
	if v.Type == resource.TypeSink {
		offsets, err := d.runtime.store.Offsets(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		names, err := d.sources(ctx, project)
		if err != nil {
			return nil, err
		}
		for _, o := range offsets {
			list = append(list, kafkaconnect.Offset{Stream: cmp.Or(names[o.Source.ConnectionID], o.Source.ConnectionID) + "." + o.Stream, Next: o.Next})
		}
		return list, nil
	}
	for _, key := range d.polled(v) {
		saved, ok, err := d.runtime.store.Checkpoint(ctx, v.ID, key, store.LaneLive)
		if err != nil {
			return nil, err
		}
		o := kafkaconnect.Offset{Stream: key}
		if ok {
			o.Cursor = saved.Cursor
		}
		list = append(list, o)
	}
	return list, nil
}

// sources are the names of a project's connections by their ids.
func (d connectDesk) sources(ctx context.Context, project string) (map[string]string, error) {
	all, err := d.runtime.store.Connections(ctx)
	names := map[string]string{}
	for _, c := range all {
		if c.Project == project {
			names[c.ID] = c.Name
		}
	}
	return names, err
}

// polled are the poll streams of a source that runs here or waits.
func (d connectDesk) polled(v resource.View) (keys []string) {
	manifest, _ := d.runtime.Manifest(v.ID)
	for _, s := range manifest.Streams {
		if s.Mode == catalog.ModePoll {
			keys = append(keys, s.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Move changes offsets, after all of them were checked.
func (d connectDesk) Move(ctx context.Context, project, name string, offsets []kafkaconnect.Offset) error {
	v, err := d.view(ctx, project, name)
	if err != nil {
		return err
	}
	if v.Type == resource.TypeSink {
		return d.seek(ctx, v, offsets)
	}
	streams, invalid := d.polled(v), &kafkaconnect.InvalidError{}
	for _, o := range offsets {
		if !slices.Contains(streams, o.Stream) {
			invalid.Faults = append(invalid.Faults, kafkaconnect.Fault{Reason: fmt.Sprintf("connection %s has no poll stream %s", v.Name, o.Stream)})
		}
	}
	if len(invalid.Faults) > 0 {
		return invalid
	}
	for _, o := range offsets {
		err := operations(d).Reset(ctx, v.ID, o.Stream, scheduler.ResetTo{Cursor: o.Cursor})
		if errors.Is(err, scheduler.ErrResetTo) {
			return &kafkaconnect.InvalidError{Faults: []kafkaconnect.Fault{{Reason: err.Error()}}}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seek moves the offsets of a sink.
func (d connectDesk) seek(ctx context.Context, v resource.View, offsets []kafkaconnect.Offset) error {
	reads, err := d.reads(ctx, v)
	if err != nil {
		return err
	}
	desk := sinkDesk{d.runtime.store, d.runtime}
	invalid := &kafkaconnect.InvalidError{}
	var changes []api.SinkChange
	for _, o := range offsets {
		source, ok := reads[o.Stream]
		if !ok {
			invalid.Faults = append(invalid.Faults, kafkaconnect.Fault{Reason: fmt.Sprintf("connector %s does not read topic %s", v.Name, o.Stream)})
			continue
		}
		head, err := desk.Head(ctx, source)
		if err != nil {
			return err
		}
		if o.Next > head+1 {
			invalid.Faults = append(invalid.Faults, kafkaconnect.Fault{Reason: fmt.Sprintf("topic %s ends at %d, so its next offset is at most %d", o.Stream, head, head+1)})
		}
		changes = append(changes, api.SinkChange{Action: api.SinkSeek, Source: source, Next: max(o.Next, 1)})
	}
	if len(invalid.Faults) > 0 {
		return invalid
	}
	for _, c := range changes {
		if _, err := desk.Change(ctx, v.ID, c); err != nil {
			return err
		}
	}
	return nil
}

// reads are the streams of a sink by their topics: those that it has an offset in,
// and those in which nothing was recorded yet.
func (d connectDesk) reads(ctx context.Context, v resource.View) (map[string]store.Source, error) {
	offsets, err := d.runtime.store.Offsets(ctx, v.ID)
	if err != nil {
		return nil, err
	}
	names, err := d.sources(ctx, v.Project)
	if err != nil {
		return nil, err
	}
	out := map[string]store.Source{}
	for _, o := range offsets {
		out[names[o.Source.ConnectionID]+"."+o.Stream] = o.Source
	}
	set := d.runtime.set.Load()
	if c := set.byID[v.ID]; c != nil {
		sources, _ := d.runtime.sourcesIn(set, c) // what names no stream is no topic
		for _, s := range sources {
			out[names[s.ConnectionID]+"."+s.Stream] = s
		}
	}
	return out, nil
}

package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/action"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/budget"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

const (
	// builtInTimeout bounds a sync, a backfill or a redelivery.
	builtInTimeout = catalog.MaxActionTimeout
	// ingestTimeout and ingestLimit bound what records one event.
	ingestTimeout = 30 * time.Second
	ingestLimit   = 256
	// builtInPoll is how often what another part of Weir does is looked at.
	builtInPoll = 300 * time.Millisecond
)

// syncOutput is what a sync has done.
type syncOutput struct {
	Streams    []string `json:"streams"`
	Pages      int      `json:"pages"`
	Emitted    int      `json:"emitted"`
	Duplicates int      `json:"duplicates"`
}

// backfillInput is the range that a backfill reads.
type backfillInput struct {
	From   string `json:"from" required:"true" doc:"The start of the range, a date or an RFC 3339 time."`
	To     string `json:"to" doc:"The end of the range, exclusive; now without it."`
	Window string `json:"window" doc:"The length of the parts that are read one by one, such as 1d or 6h."`
	Rate   string `json:"rate" doc:"The most pages, such as 60/min."`
}

// redeliverInput chooses dead letters.
type redeliverInput struct {
	Stream string  `json:"stream" doc:"Only those of this stream, as connection.stream."`
	Rate   float64 `json:"rate" default:"100" min:"0.001" max:"1000" doc:"How many are due a second."`
}

type redeliverOutput struct {
	Redelivered int `json:"redelivered"`
}

type ingestOutput struct {
	ID        string `json:"id"`
	Stream    string `json:"stream"`
	Sequence  int64  `json:"sequence"`
	Duplicate bool   `json:"duplicate"`
}

// builtIn fills in the call of an action that every program has.
func (r *Runtime) builtIn(project, name, target string, in framework.ActionInput, call action.Call) (action.Call, error) {
	connection, stream, _ := strings.Cut(target, ".")
	c := r.named(project, connection)
	if c == nil || !c.Enabled {
		return action.Call{}, fmt.Errorf("%s: there is no connection %q, or it is not enabled", name, connection)
	}
	call.TargetID = c.ID
	encode := func(value any, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		return json.Marshal(value)
	}
	switch name {
	case trigger.ActionSync:
		if _, err := framework.DecodeInput[struct{}](in); err != nil {
			return action.Call{}, err
		}
		call.Do = func(ctx context.Context, progress framework.Progress) ([]byte, error) {
			return encode(r.syncAll(ctx, c, stream, progress))
		}
	case trigger.ActionBackfill:
		spec, err := backfillSpec(in)
		if err != nil {
			return action.Call{}, err
		}
		if err := rangeOf(c, stream); err != nil {
			return action.Call{}, fmt.Errorf("backfill: %w", err)
		}
		call.Do = func(ctx context.Context, progress framework.Progress) ([]byte, error) {
			return encode(r.backfill(ctx, c, stream, spec, progress))
		}
	case trigger.ActionRedeliver:
		which, every, err := r.deadLetters(c, in)
		if err != nil {
			return action.Call{}, err
		}
		call.Do = func(ctx context.Context, progress framework.Progress) ([]byte, error) {
			return encode(r.redeliver(ctx, c, which, every, progress))
		}
	}
	return call, nil
}

// named is the connection of a project with a name.
func (r *Runtime) named(project, name string) *connection {
	for _, c := range r.configured() {
		if c.Project == project && c.Name == name {
			return c
		}
	}
	return nil
}

// syncAll reads poll streams of a connection, one or all, from their checkpoints to
// their ends.
func (r *Runtime) syncAll(ctx context.Context, c *connection, only string, progress framework.Progress) (syncOutput, error) {
	out := syncOutput{Streams: []string{}}
	for _, s := range c.manifest.Streams {
		if s.Mode == catalog.ModePoll && (only == "" || s.Key == only) {
			out.Streams = append(out.Streams, s.Key)
		}
	}
	if len(out.Streams) == 0 {
		return out, framework.Permanent(fmt.Errorf("connection %q has no poll stream %q", c.Name, only))
	}
	for i, stream := range out.Streams {
		done := 100 * i / len(out.Streams)
		for more := true; more; {
			page, err := r.page(ctx, c.ID, stream, func() { progress(done, stream+" is being read already; waiting for its turn") })
			if err != nil {
				return out, fmt.Errorf("stream %s: %w", stream, err)
			}
			more = page.HasMore
			out.Pages++
			out.Emitted += page.Emitted
			out.Duplicates += page.Duplicates
			progress(done, fmt.Sprintf("%s: %d pages, %d events", stream, out.Pages, out.Emitted))
		}
	}
	return out, nil
}

// page reads one page, and waits for its turn where the stream is being read.
func (r *Runtime) page(ctx context.Context, connectionID, stream string, waiting func()) (api.PageResult, error) {
	for {
		page, err := operations{r}.Page(ctx, api.PageCall{ConnectionID: connectionID, Stream: stream})
		if conflict, ok := errors.AsType[*api.ConflictError](err); !ok || !conflict.Busy {
			return page, err
		}
		waiting()
		if err := pause(ctx, builtInPoll); err != nil {
			return api.PageResult{}, err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// rangeOf refuses a backfill of what cannot be read by range.
func rangeOf(c *connection, stream string) error {
	i := slices.IndexFunc(c.manifest.Streams, func(s catalog.StreamManifest) bool { return s.Key == stream && s.Mode == catalog.ModePoll })
	if i < 0 {
		return fmt.Errorf("connection %q has no poll stream %q", c.Name, stream)
	}
	return api.CheckBackfill(health.Target{Connection: c.Connection, Manifest: c.manifest, Stream: c.manifest.Streams[i]})
}

func backfillSpec(in framework.ActionInput) (scheduler.BackfillSpec, error) {
	given, err := framework.DecodeInput[backfillInput](in)
	faults, ok := errors.AsType[framework.InputErrors](err)
	if err != nil && !ok {
		return scheduler.BackfillSpec{}, err
	}
	fault := func(name, reason string) {
		faults = append(faults, &framework.SettingError{Name: name, Reason: reason})
	}
	moment := func(name, text string, fallback time.Time) time.Time {
		if text == "" {
			return fallback
		}
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC()
			}
		}
		fault(name, "must be a date (2026-01-31) or an RFC 3339 time (2026-01-31T12:00:00Z)")
		return time.Time{}
	}
	spec := scheduler.BackfillSpec{From: moment("from", given.From, time.Time{}), To: moment("to", given.To, time.Now())}
	if given.Window != "" {
		if spec.Window, err = api.ParseDuration(given.Window); err != nil || spec.Window <= 0 {
			fault("window", "must be a duration such as 1d, 12h or 30m")
		}
	}
	if given.Rate != "" {
		if spec.Rate, err = budget.ParseRate(given.Rate); err != nil {
			fault("rate", err.Error())
		}
	}
	if len(faults) == 0 && !spec.From.Before(spec.To) {
		fault("to", "is not after from")
	} else if len(faults) == 0 {
		if err := spec.Check(); err != nil {
			fault("window", err.Error())
		}
	}
	if len(faults) > 0 {
		return spec, framework.Permanent(fmt.Errorf("%w: %w", framework.ErrInput, faults))
	}
	return spec, nil
}

// backfill starts a backfill and waits for its end. One that is canceled with the run
// may be resumed as any other.
func (r *Runtime) backfill(ctx context.Context, c *connection, stream string, spec scheduler.BackfillSpec, progress framework.Progress) (scheduler.Backfill, error) {
	b, err := operations{r}.Backfill(ctx, c.ID, stream, spec)
	if err != nil {
		return b, err
	}
	for {
		if err := pause(ctx, builtInPoll); err != nil {
			if errors.Is(err, action.ErrStopping) {
				return b, err // the process stops, and the backfill goes on elsewhere or later
			}
			// The run is over; what it has begun is taken back.
			tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			_, canceled := operations{r}.CancelBackfill(tidying, c.ID, b.ID)
			cancel()
			return b, errors.Join(err, canceled)
		}
		all, err := operations{r}.Backfills(ctx, c.ID)
		if err != nil {
			continue // a node may just be taking the connection over
		}
		found := false
		for _, one := range all {
			if one.ID == b.ID {
				b, found = one, true
			}
		}
		switch {
		case !found:
			return b, errors.New("the backfill is gone")
		case b.State == scheduler.BackfillDone:
			return b, nil
		case b.State == scheduler.BackfillRunning:
			progress(int(100*b.Progress()), fmt.Sprintf("%d pages, %d events; read up to %s", b.Pages, b.Events, b.DoneTo.Format(time.RFC3339)))
		default:
			return b, framework.Permanent(fmt.Errorf("the backfill is %s: %s", b.State, b.Error))
		}
	}
}

const (
	// redeliverLook is how often the progress of a redelivery is looked at.
	redeliverLook = 500 * time.Millisecond
	// lastAsk is how long a run that was canceled may take to end what it began.
	lastAsk = 10 * time.Second
)

// deadLetters reads which dead letters of a sink are meant, and how far apart they
// are to be due.
func (r *Runtime) deadLetters(c *connection, in framework.ActionInput) (which store.DeadEvents, every time.Duration, err error) {
	given, err := framework.DecodeInput[redeliverInput](in)
	faults, ok := errors.AsType[framework.InputErrors](err)
	if err != nil && !ok {
		return which, 0, err
	}
	which = store.DeadEvents{ConnectionID: c.ID, To: time.Now()}
	if given.Stream != "" {
		var reason string
		if which.Source, reason = r.sourceNamed(c.Project, given.Stream); reason != "" {
			faults = append(faults, &framework.SettingError{Name: "stream", Reason: reason})
		}
	}
	if len(faults) > 0 {
		return which, 0, framework.Permanent(fmt.Errorf("%w: %w", framework.ErrInput, faults))
	}
	return which, time.Duration(float64(time.Second) / given.Rate), nil
}

// sourceNamed finds a stream of a project by its id, or says why it does not.
func (r *Runtime) sourceNamed(project, id string) (source store.Source, reason string) {
	var known []string
	for _, c := range r.configured() {
		if c.Project != project {
			continue
		}
		for _, s := range c.manifest.Streams {
			one := c.Name + "." + s.Key
			if one == id {
				return store.Source{ConnectionID: c.ID, Stream: s.Key}, ""
			}
			known = append(known, one)
		}
	}
	slices.Sort(known)
	return source, "is no stream of the project, written as connection.stream" + framework.Suggest(id, known)
}

// redeliver sends the dead letters of a sink again, and follows until each had its
// turn. A run that is canceled ends it.
func (r *Runtime) redeliver(ctx context.Context, c *connection, which store.DeadEvents, every time.Duration, progress framework.Progress) (out redeliverOutput, err error) {
	desk, id := sinkDesk{r.store, r}, store.NewID(delivery.RedeliveryPrefix, time.Now())
	ask := api.SinkChange{Action: api.SinkRedeliverAll, Redelivery: id, Letters: &which, Every: every}
	if out.Redelivered, err = desk.Change(ctx, c.ID, ask); err != nil {
		return out, err
	}
	for {
		s, err := desk.Snapshot(ctx, c.ID)
		if err != nil {
			return out, err
		}
		at := slices.IndexFunc(s.Redeliveries, func(one delivery.Redelivery) bool { return one.ID == id })
		if at < 0 {
			return out, nil
		}
		one := s.Redeliveries[at]
		progress(100*one.Taken/max(one.Total, 1), fmt.Sprintf("%d of %d dead letters were taken", one.Taken, one.Total))
		if err := pause(ctx, redeliverLook); err != nil {
			return out, errors.Join(err, desk.cancelRedelivery(ctx, c.ID, id))
		}
	}
}

// cancelRedelivery ends a redelivery whose run has ended.
func (d sinkDesk) cancelRedelivery(ctx context.Context, connectionID, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAsk)
	defer cancel()
	_, err := d.Change(ctx, connectionID, api.SinkChange{Action: api.SinkCancel, Redelivery: id})
	return err
}

// ingest records an event, once for each key.
func (r *Runtime) ingest(ctx context.Context, c *connection, payload json.RawMessage, key string) ([]byte, error) {
	stream, eventType := c.trigger.settings.Events()
	out := ingest.NewBuffer([]string{stream}, ingest.DeliveryLimits())
	now := time.Now()
	// The key says where the sender's id was found, so that no two are alike; the
	// subject is that id.
	named := ingest.EventKey(key)
	if id := webhook.DeliveryID(key); utf8.ValidString(id) && !strings.ContainsRune(id, 0) {
		named = named.About(id)
	}
	err := ingest.Canonical(out, catalog.Webhook[json.RawMessage](stream), eventType, payload, ingest.Options{IdempotencyKey: named, Time: now})
	emissions, poison := out.Seal()
	if err = errors.Join(err, poison); err != nil {
		return nil, framework.Permanent(err)
	}
	receipt, err := waking{r.store, r.engine, r.deference}.Commit(ctx, store.Unit{ID: store.NewCommitID(), ConnectionID: c.ID, At: now, Emissions: emissions})
	if err != nil {
		return nil, err
	}
	r.feed.Notify()
	one := receipt.Events[0]
	return json.Marshal(ingestOutput{ID: one.ID, Stream: c.Name + "." + stream, Sequence: one.Sequence, Duplicate: one.Duplicate})
}

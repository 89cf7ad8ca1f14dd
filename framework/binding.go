package framework

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/ingest"
)

// Binding holds the routes of one opened connection revision. The runtime calls
// handlers through it; it contains their panics and leaves behind those that
// hang.
type Binding struct {
	connector catalog.Connector
	streams   []string
	pages     map[string]Route
	receivers map[string]Route
	actions   map[string]Route
	redact    redactor
	abandoned atomic.Int64
}

// RouteErrors lists what is wrong between a connector's catalog and its routes.
type RouteErrors []catalog.Finding

// Error lists every finding, one a line.
func (e RouteErrors) Error() string {
	errs := make([]error, len(e))
	for i, f := range e {
		errs[i] = errors.New(f.String())
	}
	return errors.Join(errs...).Error()
}

func bind(c catalog.Connector, settings reflect.Type, routes Routes, redact redactor) (*Binding, error) {
	b := &Binding{connector: c, pages: map[string]Route{}, receivers: map[string]Route{}, actions: map[string]Route{}, redact: redact}
	var findings RouteErrors
	add := func(rule, subject, format string, args ...any) {
		findings = append(findings, catalog.Finding{
			Rule: rule, Severity: catalog.SeverityError, Connector: c.Key, Subject: subject,
			Message: fmt.Sprintf(format, args...),
		})
	}
	for _, f := range settingFields(settings) {
		if isSecret(f.kind) && f.fallback != "" {
			add("SC310", f.name, "setting %q is a secret with a default, which everybody has who has the program; remove the default", f.name)
		}
	}
	m := c.Manifest()
	for _, r := range routes {
		switch {
		case r.page != nil:
			if s, ok := m.Stream(r.stream); !ok || s.Mode != catalog.ModePoll {
				add("SC202", r.stream, "sync route for %q, which is no poll stream of this connector; remove the route or declare the stream", r.stream)
			} else if _, twice := b.pages[r.stream]; twice {
				add("SC203", r.stream, "stream %q has two sync routes; keep one", r.stream)
			}
			for _, why := range r.wrongMigrations() {
				add("SC506", r.stream, "stream %q: %s", r.stream, why)
			}
			if lost := unsaved(reflect.TypeOf(r.cursor.fresh()).Elem(), "", map[reflect.Type]bool{}); lost != "" {
				add("SC206", r.stream, "the cursor type of stream %q does not survive a checkpoint: %s; keep positions in exported fields of plain types", r.stream, lost)
			}
			b.pages[r.stream] = r
		case r.receive != nil:
			if _, ok := m.Endpoint(r.endpoint); !ok {
				add("SC309", r.endpoint, "webhook route for %q, which is no declared endpoint of this connector; remove the route or declare the endpoint", r.endpoint)
			} else if _, twice := b.receivers[r.endpoint]; twice {
				add("SC203", r.endpoint, "endpoint %q has two webhook routes; keep one", r.endpoint)
			}
			b.receivers[r.endpoint] = r
		case r.act != nil:
			if _, ok := m.Action(r.action); !ok {
				add("SC211", r.action, "action route for %q, which is no declared action of this connector; remove the route or list the action in Connector.Actions", r.action)
			} else if _, twice := b.actions[r.action]; twice {
				add("SC203", r.action, "action %q has two routes; keep one", r.action)
			}
			b.actions[r.action] = r
		default:
			add("SC202", "", "an empty route; make routes with framework.Sync, framework.Webhook and framework.Action")
		}
	}
	for _, s := range m.Streams {
		b.streams = append(b.streams, s.Key)
		if _, ok := b.pages[s.Key]; s.Mode == catalog.ModePoll && !ok {
			add("SC201", s.Key, "poll stream %q has no sync route; add framework.Sync(…)", s.Key)
		}
	}
	for _, e := range m.Endpoints {
		if _, ok := b.receivers[e.Path]; !ok {
			add("SC302", e.Path, "endpoint %q has no webhook route; add framework.Webhook(…)", e.Path)
		}
	}
	for _, a := range m.Actions {
		if _, ok := b.actions[a.Key]; !ok {
			add("SC210", a.Key, "action %q has no route; add framework.Action(…)", a.Key)
		}
	}
	if len(findings) > 0 {
		return nil, findings
	}
	return b, nil
}

// Streams returns the keys of the declared streams.
func (b *Binding) Streams() []string { return b.streams }

// CursorType returns what a checkpoint of the stream must say about its cursor.
func (b *Binding) CursorType(stream string) CursorType { return b.pages[stream].cursor.kind }

// ReadCursor returns the cursor of a checkpoint as today's code takes it. A
// cursor of an earlier version goes through the stream's [CursorMigration].
// Errors: [ErrNewerConnector], [ErrCursorUnreadable], a panic of the migration.
func (b *Binding) ReadCursor(stream string, saved CursorType, cursor []byte) ([]byte, error) {
	now, err := b.pages[stream].readCursor(saved, cursor)
	return now, b.redact.err(err)
}

// CheckCursor returns nil when the encoded cursor is one of the stream's, else
// a [*CursorError], or [ErrNoRoute].
func (b *Binding) CheckCursor(stream string, cursor []byte) error {
	route, ok := b.pages[stream]
	if !ok {
		return fmt.Errorf("check cursor of stream %q: %w", stream, ErrNoRoute)
	}
	return route.cursor.decode(cursor, route.cursor.fresh())
}

// Abandoned returns how many handlers of this connection were left behind and
// have not returned yet. No other handler is called at [MaxAbandoned] of them.
func (b *Binding) Abandoned() int { return int(max(b.abandoned.Load(), 0)) }

// Page runs the sync route of stream for one page and returns its emissions.
// A route that runs past the deadline of ctx is abandoned after a short grace.
func (b *Binding) Page(ctx context.Context, stream string, in PageCall) (PageReturn, []ingest.Emission, error) {
	route, ok := b.pages[stream]
	if !ok {
		return PageReturn{}, nil, fmt.Errorf("sync stream %q: %w", stream, ErrNoRoute)
	}
	out := ingest.NewBuffer(b.streams, ingest.PageLimits())
	result, err := contain(ctx, &b.abandoned, func(ctx context.Context) (PageReturn, error) { return route.page(ctx, in, out) })
	emissions, poison := out.Seal()
	if err != nil {
		return PageReturn{}, nil, b.redact.err(emitFailure(err, poison))
	}
	if poison != nil {
		return PageReturn{}, nil, b.redact.err(Permanent(poison))
	}
	return result, emissions, nil
}

// Deliver runs the webhook route of endpoint for one delivery and returns its
// emissions. A route that runs past the deadline of ctx is abandoned after a
// short grace.
func (b *Binding) Deliver(ctx context.Context, endpoint string, d *Delivery) ([]ingest.Emission, error) {
	return b.Receive(ctx, endpoint, d, nil)
}

// Receive is [Binding.Deliver] for a sender who waits: it returns at the end of
// ctx, with [ErrLate] when the route has not returned by then, whose emissions
// come to nothing. ended is called once, when the route has returned or was not
// called at all, or, with true, when it was left behind after the grace; without
// it Receive is Deliver. The runtime uses it.
func (b *Binding) Receive(ctx context.Context, endpoint string, d *Delivery, ended func(hangs bool)) ([]ingest.Emission, error) {
	lingers := ended == nil
	if lingers {
		ended = func(bool) {}
	}
	route, ok := b.receivers[endpoint]
	if !ok {
		ended(false)
		return nil, fmt.Errorf("receive at endpoint %q: %w", endpoint, ErrNoRoute)
	}
	out := ingest.NewBuffer(b.streams, ingest.DeliveryLimits())
	call, err := begin(ctx, &b.abandoned, ended, func(ctx context.Context) (struct{}, error) { return struct{}{}, route.receive(ctx, d, out) })
	if err != nil {
		ended(false)
		return nil, err
	}
	o, ok := call.wait(ctx)
	switch {
	case ok:
	case lingers:
		o = call.linger(ctx)
	default:
		go call.linger(ctx)
		o.err = fmt.Errorf("%w: %w", ErrLate, context.Cause(ctx))
	}
	emissions, poison := out.Seal()
	if o.err != nil {
		return nil, b.redact.err(emitFailure(o.err, poison))
	}
	if poison != nil {
		return nil, b.redact.err(Permanent(poison))
	}
	return emissions, nil
}

// emitFailure marks err as permanent when it is the failed emission that the
// handler returned: the same record fails again.
func emitFailure(err, poison error) error {
	if poison != nil && errors.Is(err, poison) {
		return Permanent(err)
	}
	return err
}

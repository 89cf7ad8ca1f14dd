package framework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/sink"
)

// sinkPart is what a connector is as a sink.
type sinkPart struct {
	settings reflect.Type
	open     func(ctx context.Context, settings any, in OpenRequest) (sink.Spec, error)
}

// DefineSink links a connector that is a sink and nothing else. Its declaration
// has a key, and the hosts that every connection of it may call.
func DefineSink[S any](connector catalog.Connector, open func(ctx context.Context, in Instance[S]) (sink.Spec, error)) Plugin {
	return WithSink(Plugin{connector: connector}, open)
}

// WithSink returns p with what it is as a sink: connections of type sink have
// settings of type S, and open says how each of them delivers. It is called once
// for each revision of a connection, and should return quickly.
func WithSink[S any](p Plugin, open func(ctx context.Context, in Instance[S]) (sink.Spec, error)) Plugin {
	hosts := p.connector.Hosts
	p.sink = &sinkPart{
		settings: reflect.TypeFor[S](),
		open: func(ctx context.Context, decoded any, in OpenRequest) (sink.Spec, error) {
			settings := *decoded.(*S) //nolint:errcheck // it was decoded into a value of this type
			return open(ctx, Instance[S]{
				Settings: settings, HTTP: in.client(hosts, settingHosts(settings)), Client: in.newClient, State: in.State, Log: in.Log,
				Project: in.Project, Connection: in.Connection, ConnectionID: in.ConnectionID,
			})
		},
	}
	return p
}

// Source reports whether connections of type source can be made.
func (p Plugin) Source() bool { return p.open != nil }

// AsSink returns the connector as a sink: its settings, and what checks, hides and
// describes them, are those of connections of type sink. ok is false when it is none.
func (p Plugin) AsSink() (_ Plugin, ok bool) {
	if p.sink == nil {
		return Plugin{}, false
	}
	return Plugin{connector: catalog.Connector{Key: p.connector.Key, Hosts: p.connector.Hosts}, settings: p.sink.settings, sink: p.sink}, true
}

// OpenSink decodes the settings of a connection of type sink and says how it
// delivers.
func (p Plugin) OpenSink(ctx context.Context, in OpenRequest) (spec sink.Spec, err error) {
	as, ok := p.AsSink()
	if !ok {
		return sink.Spec{}, fmt.Errorf("connector %q is no sink", p.Key())
	}
	if in.Log == nil {
		in.Log = slog.New(slog.DiscardHandler)
	}
	redact := newRedactor(as.secretValues(in.Settings))
	in.Log = slog.New(redactedLog{in.Log.Handler(), redact})
	defer func() {
		if r := recover(); r != nil {
			spec, err = sink.Spec{}, fmt.Errorf("open sink %q: %w", p.Key(), newPanicError(r))
		}
		err = redact.settings(err)
	}()
	decoded, err := as.decode(in.Settings)
	if err != nil {
		return sink.Spec{}, err
	}
	spec, err = p.sink.open(ctx, decoded, in)
	if err != nil {
		return sink.Spec{}, fmt.Errorf("open sink %q: %w", p.Key(), err)
	}
	if spec.Sender != nil {
		spec.Sender = redactedSender{spec.Sender, redact}
	}
	return spec, spec.WithDefaults().Validate()
}

// redactedSender keeps secrets out of what a sender says about an attempt.
type redactedSender struct {
	sink.Sender

	redact redactor
}

// Send makes an attempt.
func (s redactedSender) Send(ctx context.Context, batch []*sink.Message) sink.Answer {
	answer := s.Sender.Send(ctx, batch)
	if answer.Err != nil {
		answer.Err = errors.New(s.redact.text(answer.Err.Error()))
	}
	answer.Request = []byte(s.redact.text(string(answer.Request)))
	answer.Body = []byte(s.redact.text(string(answer.Body)))
	return answer
}

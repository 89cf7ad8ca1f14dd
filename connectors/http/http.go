package http

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
)

// Connector declares nothing itself: streams and endpoint come from settings.
var Connector = catalog.Connector{Key: "http", Dynamic: true}

// Plugin links declaration, settings and routes, and what the connector is as a sink.
var Plugin = framework.WithSink(framework.DefineDynamic(Connector, declare, open), openSink)

// record is what every stream holds: the provider's bytes.
type record = json.RawMessage

// pollStream declares a stream that is asked for.
func pollStream(s StreamSettings) catalog.PollStream[record, cursor] {
	spec := catalog.PollSpec{Schedule: s.schedule(), CursorVersion: 1}
	if s.Window != nil {
		spec.Window, spec.Backfill = true, true
		spec.Lookback = time.Duration(s.Window.Lookback) * time.Second
	}
	return catalog.Poll[record, cursor](s.Key, spec)
}

// inbox declares the endpoint of push mode.
func (s Settings) inbox() catalog.Endpoint {
	spec := s.Auth.Spec
	if s.IdempotencyKey != nil {
		spec.DeliveryKey = s.IdempotencyKey
	}
	return catalog.Receive(s.Path, spec)
}

func declare(s Settings) (streams []catalog.Stream, endpoints []catalog.Endpoint, err error) {
	if s.Mode == modePush {
		for _, key := range s.pushStreams() {
			streams = append(streams, catalog.Webhook[record](key))
		}
		return streams, []catalog.Endpoint{s.inbox()}, nil
	}
	effective, _ := s.effective()
	for _, one := range effective {
		streams = append(streams, pollStream(one))
	}
	return streams, nil, nil
}

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	s := in.Settings
	if s.Mode == modePush {
		return framework.Routes{framework.Webhook(s.inbox(), newReceiver(s).receive)}, nil
	}
	client, err := in.Client(s.options())
	if err != nil {
		return nil, err
	}
	authorizer, err := httpauth.New(s.Authentication, httpauth.Options{Client: client, State: in.State})
	if err != nil {
		return nil, err
	}
	sender := &sender{client: client, authorizer: authorizer, attempts: s.RetryAttempts + 1}
	var routes framework.Routes
	effective, paths := s.effective()
	for i, one := range effective {
		p, err := newPoller(s, one, sender)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paths[i], err)
		}
		routes = append(routes, framework.Sync(p.stream, p.page))
	}
	return routes, nil
}

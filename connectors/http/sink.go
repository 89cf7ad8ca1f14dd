package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/framework/httpauth"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

// Formats of a sink's requests.
const (
	formatCloudEvents = "cloudevents"
	formatBatched     = "cloudevents_batched"
	formatBinary      = "cloudevents_binary"
	formatJSON        = "json"
	formatArray       = "json_array"
	formatNDJSON      = "ndjson"
	formatTemplate    = "template"
)

// contentTypes are the formats' own.
var contentTypes = map[string]string{
	formatCloudEvents: "application/cloudevents+json; charset=utf-8",
	formatBatched:     "application/cloudevents-batch+json; charset=utf-8",
	formatBinary:      "application/json",
	formatJSON:        "application/json",
	formatArray:       "application/json",
	formatNDJSON:      "application/x-ndjson",
	formatTemplate:    "text/plain; charset=utf-8",
}

// outlet sends the events of one connection. It implements [sink.Sender].
type outlet struct {
	settings   SinkSettings
	client     *http.Client
	authorizer *httpauth.Authorizer
	headers    []*expr.Template
	keys       [][]byte
	requests   *requests
	// fixed is the target of every event, nil where it depends on them.
	fixed *target
	// reads says that events are looked into, by an expression.
	reads bool
}

// target is where a message goes.
type target struct {
	method  string
	url     *url.URL
	headers []string
}

func openSink(_ context.Context, in framework.Instance[SinkSettings]) (sink.Spec, error) {
	s := in.Settings
	o := &outlet{settings: s, requests: &requests{compression: s.Compression, threshold: s.Threshold}}
	client, err := in.Client(s.options())
	if err != nil {
		return sink.Spec{}, err
	}
	if o.authorizer, err = httpauth.New(s.Authentication, httpauth.Options{Client: client, State: in.State}); err != nil {
		return sink.Spec{}, err
	}
	// A redirected POST is often repeated as a GET, and would lead elsewhere.
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// The context of each attempt ends it: another timer beside that is only work.
	own.Timeout = 0
	o.client = &own
	constant := true
	for _, h := range s.Headers {
		t, err := expr.ParseTemplate(h.Value.Reveal())
		if err != nil {
			return sink.Spec{}, err
		}
		_, same := t.Constant()
		constant = constant && same
		o.headers = append(o.headers, t)
	}
	for _, secret := range s.SigningSecret {
		key, err := signingKey(secret.Reveal())
		if err != nil {
			return sink.Spec{}, err
		}
		o.keys = append(o.keys, key)
	}
	_, sameURL := s.Endpoint.Constant()
	_, sameMethod := s.fixedMethod()
	constant = constant && sameURL && sameMethod
	if constant {
		if o.fixed, err = o.targetOf(context.Background(), &ingest.Event{}, expr.Of(nil)); err != nil { //nolint:contextcheck // constants are put together: nothing is waited for
			return sink.Spec{}, err
		}
	}
	o.reads = !constant || s.Filter.given() || s.Transform.given() || s.Format == formatTemplate
	return s.spec(o), nil
}

// Prepare writes an event as the format says, unless the filter leaves it out.
func (o *outlet) Prepare(ctx context.Context, e *ingest.Event) (*sink.Message, error) {
	sent := e
	in := expr.Of(nil)
	if o.reads {
		var err error
		if in, err = document(e); err != nil {
			return nil, err
		}
	}
	if o.settings.Filter.given() {
		wanted, err := o.settings.Filter.One(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
		if !wanted.True() {
			return nil, nil //nolint:nilnil // the sink does not want it
		}
	}
	if o.settings.Transform.given() {
		values, err := o.settings.Transform.All(ctx, in)
		switch {
		case err != nil:
			return nil, fmt.Errorf("transform: %w", err)
		case len(values) == 0:
			return nil, nil //nolint:nilnil // see above
		case len(values) > 1:
			return nil, fmt.Errorf("transform: gives %d values; it must give one, or none to pass the event over", len(values))
		}
		changed := *e
		if changed.Payload, err = values[0].JSON(); err != nil {
			return nil, fmt.Errorf("transform: %w", err)
		}
		sent = &changed
		if in, err = document(sent); err != nil {
			return nil, err
		}
	}
	to, err := o.to(ctx, e, in)
	if err != nil {
		return nil, err
	}
	m := &sink.Message{Event: e, Made: &letter{to, sent}}
	if to != o.fixed {
		m.Group = strings.Join(append([]string{to.method, to.url.String()}, to.headers...), "\n")
	}
	if bodiless(to.method) {
		return m, nil
	}
	m.Body, err = o.body(ctx, sent, in)
	if to.method == http.MethodDelete && sent.Payload == nil && o.settings.Format != formatTemplate && !o.envelope() {
		m.Body = nil // there is nothing to say beyond what the URL says
	}
	return m, err
}

// letter is what Send must know of a message.
type letter struct {
	to   *target
	sent *ingest.Event
}

// document is an event as expressions see it.
func document(e *ingest.Event) (*expr.Document, error) {
	encoded, err := e.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return expr.Parse(encoded)
}

// to says where an event goes.
func (o *outlet) to(ctx context.Context, e *ingest.Event, in *expr.Document) (*target, error) {
	if o.fixed == nil {
		return o.targetOf(ctx, e, in)
	}
	if o.settings.DeleteMethod != "" && e.Operation == ingest.Deletion && o.settings.DeleteMethod != o.fixed.method {
		return &target{method: o.settings.DeleteMethod, url: o.fixed.url, headers: o.fixed.headers}, nil
	}
	return o.fixed, nil
}

func (o *outlet) targetOf(ctx context.Context, e *ingest.Event, in *expr.Document) (*target, error) {
	t := &target{method: http.MethodPost}
	if o.settings.Method.given() {
		method, err := o.settings.Method.Text(ctx, in, plainText)
		if err != nil {
			return nil, fmt.Errorf("method: %w", err)
		}
		if t.method = method; !slices.Contains(methods, method) {
			return nil, fmt.Errorf("method: gives %q, which is none of %s", method[:min(len(method), 20)], strings.Join(methods, ", "))
		}
	}
	if o.settings.DeleteMethod != "" && e.Operation == ingest.Deletion {
		t.method = o.settings.DeleteMethod
	}
	text, err := o.settings.Endpoint.Text(ctx, in, escapeInURL)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if t.url, err = url.Parse(encodeURL(text)); err != nil {
		return nil, errors.New("endpoint: makes no URL")
	}
	for i, template := range o.headers {
		value, err := template.Text(ctx, in, plainText)
		if err != nil || !httpguard.ValidHeaderValue(value) {
			return nil, fmt.Errorf("header %s: its template fails, or gives a character that no header can carry", o.settings.Headers[i].Name)
		}
		t.headers = append(t.headers, value)
	}
	return t, nil
}

// envelope reports whether the format says by itself which event it is.
func (o *outlet) envelope() bool {
	return o.settings.Format == formatCloudEvents || o.settings.Format == formatBatched
}

// body writes one event.
func (o *outlet) body(ctx context.Context, e *ingest.Event, in *expr.Document) ([]byte, error) {
	switch o.settings.Format {
	case formatCloudEvents, formatBatched:
		return e.MarshalJSON()
	case formatTemplate:
		text, err := o.settings.Template.Text(ctx, in, plainText)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		return []byte(text), nil
	case formatNDJSON:
		var line bytes.Buffer
		if e.Payload == nil {
			return []byte("null"), nil
		}
		// Digits, escapes and the order of keys stay.
		err := json.Compact(&line, e.Payload)
		return line.Bytes(), err
	case formatBinary:
		return e.Payload, nil
	}
	if e.Payload == nil {
		return []byte("null"), nil
	}
	return e.Payload, nil
}

// join writes the body of a request.
func (o *outlet) join(batch []*sink.Message) []byte {
	switch o.settings.Format {
	case formatBatched, formatArray:
		size := 2
		for _, m := range batch {
			size += len(m.Body) + 1
		}
		body := append(make([]byte, 0, size), '[')
		for i, m := range batch {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, m.Body...)
		}
		return append(body, ']')
	case formatNDJSON:
		var body []byte
		for _, m := range batch {
			body = append(append(body, m.Body...), '\n')
		}
		return body
	}
	return batch[0].Body
}

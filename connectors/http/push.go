package http

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/ingest"
)

// receiver turns verified deliveries into events.
type receiver struct {
	routing  *Routing
	fallback string
	streams  map[string]catalog.WebhookStream[record]
	readings map[string]Reading
	whole    Reading
}

func newReceiver(s Settings) *receiver {
	r := &receiver{routing: s.Routing, streams: map[string]catalog.WebhookStream[record]{}, readings: map[string]Reading{}, whole: s.Reading}
	for _, key := range s.pushStreams() {
		r.streams[key], r.readings[key] = catalog.Webhook[record](key), s.Reading
		if r.fallback == "" {
			r.fallback = key
		}
	}
	effective, _ := s.effective()
	for _, one := range effective {
		r.readings[one.Key] = one.Reading
	}
	if s.Routing != nil {
		r.fallback = s.Routing.Default
		if r.fallback == "" {
			r.fallback = defaultStream
		}
	}
	return r
}

// receive records what a delivery says.
func (r *receiver) receive(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	body, err := jsonBody(d)
	if err != nil {
		return framework.Permanent(err)
	}
	parts, err := r.parts(ctx, d.Header, body)
	if err != nil {
		return framework.Permanent(fmt.Errorf("read the delivery: %w", err))
	}
	several := len(parts) > 1
	for i, p := range parts {
		to := emission{stream: r.streams[p.stream], at: d.ReceivedAt, fact: d.Key}
		if several {
			to.fact += "#" + strconv.Itoa(i)
		}
		if err := r.readings[p.stream].emit(ctx, out, p.record, to); err != nil {
			return fmt.Errorf("record %d of the delivery: %w", i+1, err)
		}
	}
	return nil
}

// routed is one record of a delivery and the stream that it goes to.
type routed struct {
	stream string
	record expr.Value
}

// parts finds the records of a delivery. With routing, the body, or each entry
// of a list, finds its stream first, and the stream says where its records are.
func (r *receiver) parts(ctx context.Context, header http.Header, body []byte) ([]routed, error) {
	var parts []routed
	split := r.whole
	if r.routing != nil {
		split.Records = r.routing.Each
	}
	pieces, _, err := split.extract(ctx, body)
	if err != nil {
		return nil, err
	}
	for _, piece := range pieces {
		if r.routing == nil {
			parts = append(parts, routed{r.fallback, piece})
			continue
		}
		stream, err := r.route(ctx, header, piece)
		if err != nil {
			return nil, err
		}
		records := []expr.Value{piece}
		if e := r.readings[stream].Records; e.given() {
			if records, err = e.All(ctx, piece.Document()); err != nil {
				return nil, fmt.Errorf("records: %w", err)
			}
		}
		for _, record := range records {
			parts = append(parts, routed{stream, record})
		}
	}
	return parts, nil
}

// route returns the key of the stream that a part of a delivery goes to.
func (r *receiver) route(ctx context.Context, header http.Header, piece expr.Value) (string, error) {
	kind := ""
	if r.routing.Header != "" {
		// A repeated header says nothing: which one is meant?
		if values := header.Values(r.routing.Header); len(values) == 1 {
			kind = values[0]
		}
	} else {
		v, err := r.routing.Body.One(ctx, piece.Document())
		if err != nil {
			return "", fmt.Errorf("routing.body: %w", err)
		}
		kind = v.Text()
	}
	if key, ok := r.routing.Streams[kind]; ok {
		return key, nil
	}
	if _, ok := r.streams[kind]; ok {
		return kind, nil
	}
	return r.fallback, nil
}

// jsonBody returns the delivery's body as JSON: as it came, or the fields of a
// form as an object.
func jsonBody(d *framework.Delivery) ([]byte, error) {
	mediaType, _, _ := mime.ParseMediaType(d.Header.Get("Content-Type"))
	if mediaType != "application/x-www-form-urlencoded" || json.Valid(d.Body) {
		// curl -d sends JSON under this type too, when nobody says another.
		return d.Body, nil
	}
	form, err := url.ParseQuery(string(d.Body))
	if err != nil {
		return nil, fmt.Errorf("the form cannot be read")
	}
	fields := make(map[string]any, len(form))
	for name, values := range form {
		fields[name] = values[0]
		if len(values) > 1 {
			fields[name] = slices.Clone(values)
		}
	}
	return json.Marshal(fields)
}

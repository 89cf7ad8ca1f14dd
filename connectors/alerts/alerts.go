// Package alerts is the source of what an operator should hear of: a connection of
// class alerts has a stream that Weir itself writes when a sink or a stream of the
// project is in trouble, and when it is well again. Programs of one's own may post
// alerts to it too. A sink delivers them.
package alerts

import (
	"context"
	"errors"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/alert"
	"github.com/weirhq/weir/ingest"
)

//go:generate go tool catalogcheck -write .

// Alerts are failed and disabled sinks, breakers that open, lost data, and streams
// that are late, fail or bring nothing any more; and the end of each.
var Alerts = catalog.Webhook[alert.Alert](alert.Stream)

// Inbox takes alerts of other programs. Weir writes its own without it.
var Inbox = catalog.Receive("inbox", catalog.EndpointSpec{Auth: catalog.AuthBearer})

// Connector declares the stream.
var Connector = catalog.Connector{Key: alert.Connector, Streams: []catalog.Stream{Alerts}, Endpoints: []catalog.Endpoint{Inbox}}

// Plugin is the source.
var Plugin = framework.Define(Connector, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
	return framework.Routes{framework.Webhook(Inbox, receive)}, nil
})

func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var a alert.Alert
	if err := d.Decode(&a); err != nil {
		return framework.Permanent(err)
	}
	if a.ID == "" || a.Kind == "" {
		return framework.Permanent(errors.New("an alert needs an id and a kind"))
	}
	return ingest.Canonical(out, Alerts, a.Kind, a, ingest.Options{IdempotencyKey: ingest.VersionKey(a.ID, a.Kind), Time: a.At})
}

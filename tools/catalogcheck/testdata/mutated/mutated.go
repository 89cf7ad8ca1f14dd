// Package mutated verifies its deliveries itself. A test takes lines out of it.
package mutated

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// Order is what was bought.
type Order struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

type position struct {
	Page int `json:"page"`
}

var (
	// Orders are what was bought.
	Orders = catalog.Poll[ingest.Record[Order], position]("orders", catalog.PollSpec{Schedule: "@hourly", Window: true})
	// Events are changes of orders.
	Events = catalog.Webhook[ingest.Record[Order]]("events")
	// Inbox receives changes, signed in the provider's own way.
	Inbox = catalog.Receive("mutated", catalog.EndpointSpec{Auth: catalog.AuthCustom, Signature: catalog.SignatureSpec{Header: "X-Signature"}})
)

// Connector declares them.
var Connector = catalog.Connector{
	Key:       "mutated",
	Streams:   []catalog.Stream{Orders, Events},
	Endpoints: []catalog.Endpoint{Inbox},
}

// Settings configure a connection.
type Settings struct {
	URL framework.URL `json:"url" required:"true"`
}

// Plugin links them.
var Plugin = framework.Define(Connector, open)

type client struct {
	http *http.Client
	url  string
}

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	c := &client{in.HTTP, string(in.Settings.URL)}
	routes := framework.Routes{framework.Sync(Orders, c.sync)}
	return append(routes, framework.Webhook(Inbox, receive)), nil
}

func (c *client) sync(ctx context.Context, in framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
	orders, err := c.page(ctx, in)
	if err != nil {
		return framework.SyncResult[position]{}, err
	}
	for _, order := range orders {
		if err := emit(out, order); err != nil {
			return framework.SyncResult[position]{}, err
		}
	}
	return framework.SyncResult[position]{Cursor: position{in.Cursor.Page + 1}, HasMore: len(orders) > 0}, nil
}

func (c *client) page(ctx context.Context, in framework.SyncRequest[position]) ([]ingest.Record[Order], error) {
	address := c.url + "?page=" + strconv.Itoa(in.Cursor.Page) + "&from=" + strconv.FormatInt(in.From.Unix(), 10)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, framework.Permanent(err)
	}
	fetched, err := framework.Fetch(c.http, request)
	if err != nil {
		return nil, err
	}
	var orders []ingest.Record[Order]
	err = fetched.Decode(&orders)
	if err != nil {
		return nil, err
	}
	return orders, nil
}

func receive(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	if err := d.Verify(ctx); err != nil {
		return err
	}
	var order ingest.Record[Order]
	if err := d.Decode(&order); err != nil {
		return err
	}
	if order.Value.ID == "" {
		return framework.Permanent(errors.New("the event has no id"))
	}
	return ingest.Canonical(out, Events, "order", order, ingest.Options{IdempotencyKey: ingest.EventKey(d.Key)})
}

func emit(out *ingest.Buffer, order ingest.Record[Order]) error {
	options := ingest.Options{}
	options.IdempotencyKey = ingest.VersionKey(order.Value.ID, order.Value.Version)
	return ingest.Canonical(out, Orders, "order", order, options)
}

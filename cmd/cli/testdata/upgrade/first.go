//go:build !later

package main

import (
	"context"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Customers are pages of one record.
	Customers = catalog.Poll[record, pageCursor]("customers", catalog.PollSpec{Schedule: "@every 1h", CursorVersion: 1})
	// Orders change their cursor and not their key.
	Orders = catalog.Poll[record, pageCursor]("orders", catalog.PollSpec{Schedule: "@every 1s", CursorVersion: 1})
	// Events are delivered.
	Events = catalog.Webhook[record]("events")

	connector = catalog.Connector{
		Key: "acme", Streams: []catalog.Stream{Customers, Orders, Steady, Events}, Endpoints: []catalog.Endpoint{Inbox},
	}
)

func routes() framework.Routes {
	page := func(to catalog.Of[record]) framework.SyncFunc[pageCursor] {
		return func(_ context.Context, in framework.SyncRequest[pageCursor], out *ingest.Buffer) (framework.SyncResult[pageCursor], error) {
			next := in.Cursor.Page + 1
			return framework.SyncResult[pageCursor]{Cursor: pageCursor{next}}, emit(out, to, next)
		}
	}
	return framework.Routes{framework.Sync(Customers, page(Customers)), framework.Sync(Orders, page(Orders))}
}

func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	n, err := delivered(d)
	if err != nil {
		return err
	}
	return emit(out, Events, n)
}

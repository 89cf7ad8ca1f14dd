//go:build later

package main

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// cursor is what pageCursor became.
type cursor struct{ After string }

var (
	// Clients were called customers, and buyers by a version that never ran here.
	Clients = catalog.Poll[record, cursor]("clients", catalog.PollSpec{Schedule: "@every 1h", CursorVersion: 2, RenamedFrom: "buyers", FormerKeys: []string{"customers"}})
	// Orders have another cursor.
	Orders = catalog.Poll[record, cursor]("orders", catalog.PollSpec{Schedule: "@every 1s", CursorVersion: 2})
	// Notices were called events.
	Notices = catalog.Webhook[record]("notices", catalog.WebhookSpec{RenamedFrom: "events"})

	connector = catalog.Connector{
		Key: "acme", Streams: []catalog.Stream{Clients, Orders, Steady, Notices}, Endpoints: []catalog.Endpoint{Inbox},
	}
)

// migrate reads the cursors of the first version.
func migrate(old pageCursor) (cursor, error) { return cursor{After: fmt.Sprintf("r%d", old.Page)}, nil }

func routes() framework.Routes {
	page := func(to catalog.Of[record]) framework.SyncFunc[cursor] {
		return func(_ context.Context, in framework.SyncRequest[cursor], out *ingest.Buffer) (framework.SyncResult[cursor], error) {
			last := 0
			if _, err := fmt.Sscanf(in.Cursor.After, "r%d", &last); err != nil && !in.First {
				return framework.SyncResult[cursor]{}, err
			}
			// The last record once more: it must be known.
			if last > 0 {
				if err := emit(out, to, last); err != nil {
					return framework.SyncResult[cursor]{}, err
				}
			}
			return framework.SyncResult[cursor]{Cursor: cursor{fmt.Sprintf("r%d", last+1)}}, emit(out, to, last+1)
		}
	}
	return framework.Routes{
		framework.Sync(Clients, page(Clients), framework.FromVersion(1, migrate)),
		framework.Sync(Orders, page(Orders), framework.FromVersion(1, migrate)),
	}
}

func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	n, err := delivered(d)
	if err != nil {
		return err
	}
	return emit(out, Notices, n)
}

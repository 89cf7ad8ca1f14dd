package framework

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/ingest"
)

// Routes are the routes of one connection.
type Routes []Route

// Route is the code behind one declaration. [Sync], [Webhook] and [Action] make one.
type Route struct {
	stream   string
	endpoint string
	action   string
	cursor   cursorCodec
	// migrations are ordered as they were given.
	migrations []cursorReader
	page       func(ctx context.Context, in PageCall, out *ingest.Buffer) (PageReturn, error)
	receive    func(ctx context.Context, d *Delivery, out *ingest.Buffer) error
	act        func(ctx context.Context, in ActionInput, progress Progress) ([]byte, error)
	checkInput func(in ActionInput) error
}

// SyncRequest asks a sync route for one page.
type SyncRequest[C any] struct {
	// Cursor is what the last page of the stream returned, or the zero value
	// on the first page.
	Cursor C
	// First says that there is no saved cursor.
	First bool
	// From and To bound the records wanted, half-open and in UTC. They are zero
	// unless the stream's spec asks for a window, or an operator for a range.
	From, To time.Time
}

// SyncResult ends one page.
type SyncResult[C any] struct {
	// Cursor is where the next page starts. It is saved in the same
	// transaction as the page's events.
	Cursor C
	// HasMore asks for the next page at once. A cursor that does not change
	// while HasMore stays true stops the run.
	HasMore bool
}

// SyncFunc reads one page from the provider: it emits each record into out and
// returns the cursor of the next page. When it returns an error nothing of the
// page is recorded, and the page is asked for again later.
type SyncFunc[C any] func(ctx context.Context, in SyncRequest[C], out *ingest.Buffer) (SyncResult[C], error)

// WebhookFunc receives one verified delivery and emits what it says into out.
// When it returns an error the delivery is kept and the function is called
// again later, unless the error is [Permanent].
type WebhookFunc func(ctx context.Context, d *Delivery, out *ingest.Buffer) error

// Sync binds a poll stream to the function that reads one page of it. migrations
// read the cursors that earlier versions of the connector saved, see [FromVersion].
func Sync[T, C any](stream catalog.PollStream[T, C], fn func(ctx context.Context, in SyncRequest[C], out *ingest.Buffer) (SyncResult[C], error), migrations ...CursorMigration[C]) Route {
	codec := newCursorCodec[C](stream.Declaration().Poll.CursorVersion)
	return Route{
		stream: stream.Key(),
		cursor: codec, migrations: readers(migrations),
		page: func(ctx context.Context, in PageCall, out *ingest.Buffer) (PageReturn, error) {
			request := SyncRequest[C]{First: in.Cursor == nil, From: in.From, To: in.To}
			if in.Cursor != nil {
				if err := codec.decode(in.Cursor, &request.Cursor); err != nil {
					return PageReturn{}, err
				}
			}
			if fn == nil {
				return PageReturn{}, Permanent(fmt.Errorf("sync route of stream %q is nil", stream.Key()))
			}
			result, err := fn(ctx, request, out)
			if err != nil {
				return PageReturn{}, err
			}
			cursor, err := codec.encode(result.Cursor)
			if err != nil {
				return PageReturn{}, Permanent(err)
			}
			return PageReturn{Cursor: cursor, HasMore: result.HasMore}, nil
		},
	}
}

// Webhook binds an endpoint to the function that receives its deliveries.
func Webhook(endpoint catalog.Endpoint, fn WebhookFunc) Route {
	return Route{
		endpoint: endpoint.Path(),
		receive: func(ctx context.Context, d *Delivery, out *ingest.Buffer) error {
			if fn == nil {
				return Permanent(fmt.Errorf("webhook route of endpoint %q is nil", endpoint.Path()))
			}
			return fn(ctx, d, out)
		},
	}
}

// PageCall is a [SyncRequest] with its cursor encoded. The runtime uses it.
type PageCall struct {
	// Cursor is the encoded cursor, or nil on the first page.
	Cursor   []byte
	From, To time.Time
}

// PageReturn is a [SyncResult] with its cursor encoded. The runtime uses it.
type PageReturn struct {
	Cursor  []byte
	HasMore bool
}

// ErrNoRoute is returned for a stream, endpoint or action that has no route.
var ErrNoRoute = errors.New("no route")

package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// pageSize is how many objects one page asks for.
const pageSize = 50

// object is a record of a polled stream.
type object interface {
	Customer | Order
	version() Version
}

func (v Version) version() Version { return v }

func (c *client) syncCustomers(ctx context.Context, in framework.SyncRequest[cursor], out *ingest.Buffer) (framework.SyncResult[cursor], error) {
	return syncPage(ctx, c, "/v1/customers", Customers, "customer", in, out)
}

func (c *client) syncOrders(ctx context.Context, in framework.SyncRequest[cursor], out *ingest.Buffer) (framework.SyncResult[cursor], error) {
	return syncPage(ctx, c, "/v1/orders", Orders, "order", in, out)
}

// syncPage reads one page, newest first, down to the watermark.
func syncPage[T object](
	ctx context.Context, c *client, path string, stream catalog.Of[ingest.Record[T]], canonicalType string,
	in framework.SyncRequest[cursor], out *ingest.Buffer,
) (framework.SyncResult[cursor], error) {
	at := in.Cursor
	list, err := fetchList[T](ctx, c, path, at.After)
	if errors.Is(err, errAnchorGone) {
		// The order after which the page starts was deleted: read from the top
		// again. What was read comes again and is known.
		at.After = ""
		return framework.SyncResult[cursor]{Cursor: at, HasMore: true}, nil
	}
	if err != nil {
		return framework.SyncResult[cursor]{}, err
	}
	if at.AsOf.IsZero() {
		at.AsOf = list.AsOf
	}
	for _, r := range list.Data {
		v := r.Value.version()
		if !v.UpdatedAt.After(at.Watermark) {
			list.HasMore = false // from here on all is known
			break
		}
		if err := emit(out, stream, canonicalType, r); err != nil {
			return framework.SyncResult[cursor]{}, err
		}
		at.After = v.ID
	}
	if !list.HasMore {
		return framework.SyncResult[cursor]{Cursor: cursor{Watermark: at.AsOf}}, nil
	}
	return framework.SyncResult[cursor]{Cursor: at, HasMore: true}, nil
}

// emit emits one version of an object, or that it is gone.
func emit[T object](out *ingest.Buffer, stream catalog.Of[ingest.Record[T]], canonicalType string, r ingest.Record[T]) error {
	v := r.Value.version()
	options := ingest.Options{
		IdempotencyKey: ingest.VersionKey(v.ID, strconv.FormatInt(v.Number, 10)),
		Time:           v.UpdatedAt,
	}
	if v.Deleted {
		return ingest.Delete(out, stream, canonicalType, options)
	}
	return ingest.Canonical(out, stream, canonicalType, r, options)
}

// receive takes one webhook about an order.
func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var event ingest.Record[OrderEvent]
	if err := d.Decode(&event); err != nil {
		return err
	}
	e := event.Value
	if e.ID == "" || !strings.HasPrefix(e.Type, "order.") || e.Order.Value.ID == "" {
		return framework.Permanent(errors.New("the delivery is no event of an order"))
	}
	return errors.Join(
		ingest.Canonical(out, OrderEvents, e.Type, event, ingest.Options{IdempotencyKey: ingest.EventKey(e.ID), Time: e.CreatedAt}),
		emit(out, Orders, "order", e.Order),
	)
}

type list[T object] struct {
	Data    []ingest.Record[T] `json:"data"`
	HasMore bool               `json:"has_more"`
	AsOf    time.Time          `json:"as_of"`
}

// errAnchorGone says that the object named by starting_after does not exist.
var errAnchorGone = errors.New("the object named by starting_after is gone")

func fetchList[T object](ctx context.Context, c *client, path, after string) (*list[T], error) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if after != "" {
		query.Set("starting_after", after)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(c.settings.BaseURL)+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, framework.Permanent(fmt.Errorf("make request: %w", err))
	}
	if key := c.settings.APIKey.Reveal(); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := framework.Fetch(c.http, request)
	if err != nil && after != "" && response != nil && response.Status == http.StatusNotFound {
		return nil, errAnchorGone
	}
	if err != nil {
		return nil, err
	}
	page := new(list[T])
	return page, response.Decode(page)
}

package main

//go:generate go tool catalogcheck -write .

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Orders are the deliveries that the load sends.
	Orders = catalog.Webhook[ingest.Record[order]]("orders")
	// Inbox receives the load.
	Inbox = catalog.Receive("orders", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
	// Tell reports its progress at moments that are the same for all its runs.
	Tell = catalog.Action[telling, struct{}]("tell", catalog.ActionSpec{MaxRunning: 1000})
	// Records are read page by page from the local API.
	Records = catalog.Poll[ingest.Record[order], place]("records", catalog.PollSpec{Schedule: "@every 24h"})
)

// Hooks is the connector of the works that send webhooks or call triggers.
var Hooks = catalog.Connector{
	Key: "bench_hooks", Streams: []catalog.Stream{Orders}, Endpoints: []catalog.Endpoint{Inbox}, Actions: []catalog.Callable{Tell},
}

// Pages is the connector of the work poll.
var Pages = catalog.Connector{Key: "bench_pages", Streams: []catalog.Stream{Records}}

// order is what both sides read of a body.
type order struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

// place is the position in the local API.
type place struct {
	After int `json:"after"`
}

var hooksPlugin = framework.Define(Hooks, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
	return framework.Routes{framework.Webhook(Inbox, receive), framework.Action(Tell, tell)}, nil
})

// telling says when a run of Tell reports: Rounds times from Begin on, which is in
// Unix milliseconds, every EveryMS.
type telling struct {
	Begin   int64 `json:"begin"`
	EveryMS int64 `json:"every_ms"`
	Rounds  int   `json:"rounds"`
}

// rounds calls report at each moment with the time that it is.
func (t telling) rounds(ctx context.Context, report func(round int, now int64)) error {
	for round := range t.Rounds {
		moment := time.NewTimer(time.Until(time.UnixMilli(t.Begin + int64(round)*t.EveryMS)))
		select {
		case <-moment.C:
			report(round, time.Now().UnixNano())
		case <-ctx.Done():
			moment.Stop()
			return ctx.Err()
		}
	}
	return nil
}

func tell(ctx context.Context, in telling, progress framework.Progress) (struct{}, error) {
	return struct{}{}, in.rounds(ctx, func(round int, now int64) {
		progress(100*round/in.Rounds, strconv.FormatInt(now, 10))
	})
}

func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var o ingest.Record[order]
	if err := d.Decode(&o); err != nil {
		return framework.Permanent(err)
	}
	return ingest.Canonical(out, Orders, "order", o, ingest.Options{IdempotencyKey: ingest.VersionKey(o.Value.ID, o.Value.Version)})
}

// pagesSettings say where the local API is.
type pagesSettings struct {
	BaseURL framework.URL `json:"base_url" required:"true"`
}

var pagesPlugin = framework.Define(Pages, func(_ context.Context, in framework.Instance[pagesSettings]) (framework.Routes, error) {
	reader := &pageReader{in.HTTP, string(in.Settings.BaseURL)}
	return framework.Routes{framework.Sync(Records, reader.sync)}, nil
})

type pageReader struct {
	http *http.Client
	base string
}

func (r *pageReader) sync(ctx context.Context, in framework.SyncRequest[place], out *ingest.Buffer) (framework.SyncResult[place], error) {
	none := framework.SyncResult[place]{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/records?after=%d", r.base, in.Cursor.After), http.NoBody)
	if err != nil {
		return none, err
	}
	response, err := framework.Fetch(r.http, request)
	if err != nil {
		return none, err
	}
	var page listing[ingest.Record[order]]
	if err := response.Decode(&page); err != nil {
		return none, err
	}
	if page.HasMore && len(page.Data) == 0 {
		return none, errors.New("an empty page says that there are more")
	}
	for _, record := range page.Data {
		key := ingest.VersionKey(record.Value.ID, record.Value.Version)
		if err := ingest.Canonical(out, Records, "record", record, ingest.Options{IdempotencyKey: key}); err != nil {
			return none, err
		}
	}
	return framework.SyncResult[place]{Cursor: place{in.Cursor.After + len(page.Data)}, HasMore: page.HasMore}, nil
}

// listing is a page of the local API.
type listing[T any] struct {
	Data    []T  `json:"data"`
	HasMore bool `json:"has_more"`
}

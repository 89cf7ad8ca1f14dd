// Command faults is a Weir with a connector that polls, backfills and takes
// webhooks, for tests that kill it and take its disk away.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/cmd/cli"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// thing is one version of an object of the shop.
type thing struct {
	ID      string    `json:"id"`
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	Deleted bool      `json:"deleted"`
}

// note is a webhook: what became of a thing.
type note struct {
	ID    string `json:"id"`
	Thing thing  `json:"thing"`
}

// position is the number of the shop's last change that was read.
type position struct {
	After int64 `json:"after"`
}

type settings struct {
	BaseURL framework.URL `json:"base_url" required:"true"`
}

var (
	// Things are read from the shop's list of changes.
	Things = catalog.Poll[thing, position]("things", catalog.PollSpec{Schedule: "@every 1s", Backfill: true})
	// Notes are the shop's webhooks.
	Notes = catalog.Webhook[note]("notes")
	// Inbox takes them.
	Inbox = catalog.Receive("in", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})

	connector = catalog.Connector{
		Key: "faults", Streams: []catalog.Stream{Things, Notes}, Endpoints: []catalog.Endpoint{Inbox},
	}
)

func main() {
	cli.Main(framework.Define(connector, func(_ context.Context, in framework.Instance[settings]) (framework.Routes, error) {
		c := client{in.HTTP, string(in.Settings.BaseURL)}
		return framework.Routes{framework.Sync(Things, c.page), framework.Webhook(Inbox, receive)}, nil
	}))
}

type client struct {
	http *http.Client
	base string
}

func (c client) page(ctx context.Context, in framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
	query := url.Values{"after": {strconv.FormatInt(in.Cursor.After, 10)}}
	if !in.To.IsZero() {
		query.Set("from", in.From.Format(time.RFC3339Nano))
		query.Set("to", in.To.Format(time.RFC3339Nano))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/changes?"+query.Encode(), http.NoBody)
	if err != nil {
		return framework.SyncResult[position]{}, err
	}
	response, err := framework.Fetch(c.http, request)
	if err != nil {
		return framework.SyncResult[position]{}, err
	}
	var page struct {
		Things []thing `json:"things"`
		Last   int64   `json:"last"`
		More   bool    `json:"more"`
	}
	if err := response.Decode(&page); err != nil {
		return framework.SyncResult[position]{}, err
	}
	for _, t := range page.Things {
		if err := emit(out, t); err != nil {
			return framework.SyncResult[position]{}, err
		}
	}
	return framework.SyncResult[position]{Cursor: position{page.Last}, HasMore: page.More}, nil
}

func emit(out *ingest.Buffer, t thing) error {
	options := ingest.Options{IdempotencyKey: ingest.VersionKey(t.ID, fmt.Sprint(t.Version)), Time: t.At}
	if t.Deleted {
		return ingest.Delete(out, Things, "thing", options)
	}
	return ingest.Canonical(out, Things, "thing", t, options)
}

func receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var n note
	if err := d.Decode(&n); err != nil {
		return err
	}
	return errors.Join(
		ingest.Canonical(out, Notes, "note", n, ingest.Options{IdempotencyKey: ingest.EventKey(n.ID), Time: n.Thing.At}),
		emit(out, n.Thing),
	)
}

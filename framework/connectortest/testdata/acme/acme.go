// Package acme ingests the tickets of an Acme help desk.
package acme

//go:generate go tool catalogcheck -write .

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Tickets are what people ask for help with.
	Tickets = catalog.Poll[ingest.Record[Ticket], position]("tickets", catalog.PollSpec{Schedule: "*/5 * * * *"})
	// Events are webhook deliveries.
	Events = catalog.Webhook[Event]("events")
	// Inbox receives the webhooks.
	Inbox = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Acme-Signature"}})
)

// Connector declares what is ingested from Acme.
var Connector = catalog.Connector{
	Key:       "acme",
	Streams:   []catalog.Stream{Tickets, Events},
	Endpoints: []catalog.Endpoint{Inbox},
	Hosts:     []string{"api.acme.example"},
}

// Settings configure a connection.
type Settings struct {
	Token   framework.Secret `json:"token" required:"true"`
	BaseURL framework.URL    `json:"base_url" default:"https://api.acme.example"`
}

// Ticket is one ticket.
type Ticket struct {
	ID        int64     `json:"id"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Event is one delivery.
type Event struct {
	ID string `json:"id"`
}

type position struct {
	Page int `json:"page"`
}

// Plugin links declaration, settings and routes.
var Plugin = framework.Define(Connector, open)

type client struct {
	http     *http.Client
	settings Settings
}

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	c := &client{in.HTTP, in.Settings}
	return framework.Routes{
		framework.Sync(Tickets, c.tickets),
		framework.Webhook(Inbox, c.receive),
	}, nil
}

func (c *client) tickets(ctx context.Context, in framework.SyncRequest[position], out *ingest.Buffer) (framework.SyncResult[position], error) {
	query := url.Values{"page": {strconv.Itoa(in.Cursor.Page)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(c.settings.BaseURL)+"/tickets?"+query.Encode(), http.NoBody)
	if err != nil {
		return framework.SyncResult[position]{}, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.settings.Token.Reveal())
	response, err := framework.Fetch(c.http, request)
	if err != nil {
		return framework.SyncResult[position]{}, err
	}
	var page []ingest.Record[Ticket]
	if err := response.Decode(&page); err != nil {
		return framework.SyncResult[position]{}, err
	}
	for _, t := range page {
		if err := ingest.Canonical(out, Tickets, "ticket", t, ingest.Options{
			IdempotencyKey: ingest.VersionKey(strconv.FormatInt(t.Value.ID, 10), t.Value.UpdatedAt.Format(time.RFC3339Nano)),
			Time:           t.Value.UpdatedAt,
		}); err != nil {
			return framework.SyncResult[position]{}, err
		}
	}
	if len(page) == 0 {
		return framework.SyncResult[position]{Cursor: in.Cursor}, nil
	}
	return framework.SyncResult[position]{Cursor: position{in.Cursor.Page + 1}, HasMore: true}, nil
}

func (c *client) receive(_ context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	var e Event
	if err := d.Decode(&e); err != nil {
		return err
	}
	return ingest.Canonical(out, Events, "event", e, ingest.Options{IdempotencyKey: ingest.EventKey(e.ID)})
}

package demo

//go:generate go tool catalogcheck -write .

import (
	"context"
	"net/http"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Customers are the customers of the demo shop.
	Customers = catalog.Poll[ingest.Record[Customer], cursor]("customers", catalog.PollSpec{Schedule: "@every 10s"})
	// Orders are the orders of the demo shop.
	Orders = catalog.Poll[ingest.Record[Order], cursor]("orders", catalog.PollSpec{Schedule: "@every 10s"})
	// OrderEvents are the shop's webhooks, each of which tells one change of an order.
	OrderEvents = catalog.Webhook[ingest.Record[OrderEvent]]("order_events")
	// Inbox receives the shop's webhooks.
	Inbox = catalog.Receive("orders", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
)

// Connector declares what is ingested from the demo shop.
var Connector = catalog.Connector{
	Key:       "demo",
	Streams:   []catalog.Stream{Customers, Orders, OrderEvents},
	Endpoints: []catalog.Endpoint{Inbox},
	Actions:   []catalog.Callable{CountOrders},
}

// Settings configure a connection to one demo shop.
type Settings struct {
	// BaseURL is where the shop's API is.
	BaseURL framework.URL `json:"base_url" required:"true"`
	// APIKey is the shop's API key, if it has one.
	APIKey framework.Secret `json:"api_key"`
}

// Plugin links declaration, settings and routes.
var Plugin = framework.Define(Connector, open)

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	c := &client{http: in.HTTP, settings: in.Settings}
	return framework.Routes{
		framework.Sync(Customers, c.syncCustomers),
		framework.Sync(Orders, c.syncOrders),
		framework.Webhook(Inbox, receive),
		framework.Action(CountOrders, c.countOrders),
	}, nil
}

// Customer is what the connector reads of a customer.
type Customer struct{ Version }

// Order is what the connector reads of an order.
type Order struct {
	Version

	Status string `json:"status"`
}

// Version names one version of an object of the shop.
type Version struct {
	ID        string    `json:"id"`
	Number    int64     `json:"version"`
	UpdatedAt time.Time `json:"updated_at"`
	Deleted   bool      `json:"deleted"`
}

// OrderEvent is one webhook.
type OrderEvent struct {
	ID        string               `json:"id"`
	Type      string               `json:"type"`
	CreatedAt time.Time            `json:"created_at"`
	Order     ingest.Record[Order] `json:"data"`
}

// cursor is where a polled stream was read to.
type cursor struct {
	// Watermark says that every change up to it was read.
	Watermark time.Time `json:"watermark"`
	// AsOf is the watermark after the run that is going on: the time of its
	// first page on the shop's clock. It is zero while none is.
	AsOf time.Time `json:"as_of"`
	// After is the last object that was read in this run.
	After string `json:"after"`
}

type client struct {
	http     *http.Client
	settings Settings
}

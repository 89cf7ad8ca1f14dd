package stripe

//go:generate go tool catalogcheck -write .

import (
	"context"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Customers are the people and companies that are billed.
	Customers = catalog.Poll[ingest.Record[Customer], window]("customers", catalog.PollSpec{Schedule: "*/15 * * * *", Backfill: true})
	// Invoices are bills to customers, from draft to paid or void.
	Invoices = catalog.Poll[ingest.Record[Invoice], window]("invoices", catalog.PollSpec{Schedule: "*/15 * * * *", Backfill: true})
	// Payouts are transfers from the Stripe balance to a bank account.
	Payouts = catalog.Poll[ingest.Record[Payout], window]("payouts", catalog.PollSpec{Schedule: "*/15 * * * *", Backfill: true})
	// Payments are invoices that were paid, one record for each payment.
	Payments = catalog.Webhook[Payment]("payments")
	// Events are webhook events about objects that have no stream of their own.
	Events = catalog.Webhook[ingest.Record[Event]]("events")
	// Inbox receives Stripe's webhook events.
	Inbox = catalog.Receive("stripe", catalog.EndpointSpec{Auth: catalog.AuthStripe})
)

// Connector declares what is ingested from Stripe.
var Connector = catalog.Connector{
	Key:       "stripe",
	Streams:   []catalog.Stream{Customers, Invoices, Payouts, Payments, Events},
	Endpoints: []catalog.Endpoint{Inbox},
	Hosts:     []string{"api.stripe.com"},
}

// Settings configure a connection to one Stripe account.
type Settings struct {
	// APIKey is a secret or restricted key that may read customers, invoices
	// and payouts.
	APIKey framework.Secret `json:"api_key" required:"true"`
	// APIVersion pins the version of the API, for example "2025-09-30.clover".
	// Without it the account's default is used. The webhook endpoint in Stripe
	// should have the same, so that both give records one shape.
	APIVersion string `json:"api_version"`
	// BaseURL is where the API is.
	BaseURL framework.URL `json:"base_url" default:"https://api.stripe.com"`
}

// Plugin links declaration, settings and routes.
var Plugin = framework.Define(Connector, open)

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	c := &client{http: in.HTTP, settings: in.Settings}
	return framework.Routes{
		framework.Sync(Customers, c.syncCustomers),
		framework.Sync(Invoices, c.syncInvoices),
		framework.Sync(Payouts, c.syncPayouts),
		framework.Webhook(Inbox, receive),
	}, nil
}

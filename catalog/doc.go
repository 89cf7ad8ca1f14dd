// Package catalog declares what a connector ingests: its streams, its webhook
// endpoints and the hosts it talks to.
//
// A declaration is data. The package performs no input or output and knows no
// handler; the code behind a declaration is bound to it in package framework.
// An author writes each key, schedule and path once, as the first argument of
// a package-level variable, and refers to that variable everywhere else:
//
//	var (
//		// Customers are the people who pay.
//		Customers = catalog.Poll[Customer, cursor]("customers", catalog.PollSpec{Schedule: "*/15 * * * *"})
//		// Events are the deliveries that belong to no other stream.
//		Events = catalog.Webhook[Event]("events")
//		// Inbox receives the provider's webhooks.
//		Inbox = catalog.Receive("stripe", catalog.EndpointSpec{Auth: catalog.AuthStripe})
//	)
//
//	var Connector = catalog.Connector{
//		Key:       "stripe",
//		Streams:   []catalog.Stream{Customers, Events},
//		Endpoints: []catalog.Endpoint{Inbox},
//		Hosts:     []string{"api.stripe.com"},
//	}
//
// The type parameters carry the promises that the Go compiler keeps: a stream
// accepts only its own record type, and a sync route only its own cursor type.
// Everything else is proven by the static checker, and proven again when the
// runtime starts ([Validate]), under the same rule ids.
package catalog

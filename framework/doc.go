// Package framework is what the author of a connector imports.
//
// A connector is a catalog, a settings struct and the routes that serve the
// catalog. [Define] ties them together; [Sync] binds a poll stream to the
// function that reads one page of it, and [Webhook] binds an endpoint to the
// function that receives one delivery:
//
//	var Plugin = framework.Define(Connector, open)
//
//	func open(ctx context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
//		c := &client{http: in.HTTP, key: in.Settings.APIKey}
//		return framework.Routes{
//			framework.Sync(Customers, c.syncCustomers),
//			framework.Webhook(Inbox, c.receive),
//		}, nil
//	}
//
// open runs once for each revision of a connection, so nothing is shared
// between two connections unless the author shares it. Handlers turn a request
// into emissions; the runtime verifies, schedules, retries and commits around
// them. They may fail, hang or panic without harm to anything but their own
// page or delivery.
package framework

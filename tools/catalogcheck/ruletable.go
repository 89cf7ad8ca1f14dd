package catalogcheck

import "github.com/weirhq/weir/catalog"

func commentRules() []Rule {
	return []Rule{
		{
			ID: "SC001", Title: "ignore comment without rule or reason, or unused",
			Severity: catalog.SeverityWarning, Stage: StageDeclaration,
			Doc: "An ignore comment accepts one finding for one reason. Without both it accepts nothing, " +
				"and one that no longer matches a finding would hide the next. SC001 cannot be ignored.",
			Bad: `//catalogcheck:ignore SC113
Orders = catalog.Poll[Order, cursor]("orders", catalog.PollSpec{Schedule: "*/45 * * * *"})`,
			Good: `//catalogcheck:ignore SC113 the provider publishes at :00 and :45
Orders = catalog.Poll[Order, cursor]("orders", catalog.PollSpec{Schedule: "*/45 * * * *"})`,
		},
	}
}

func declarationRules() []Rule {
	return []Rule{
		{
			ID: "SC101", Title: "key, path or another part of a declaration is not constant",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "A catalog is data: everything else refers to its keys, and checkpoints and events are stored under them. " +
				"A key that is computed can differ between two builds. Write it out, or use a constant.",
			Bad:  `Customers = catalog.Poll[Customer, cursor](prefix()+"customers", spec)`,
			Good: `Customers = catalog.Poll[Customer, cursor]("customers", catalog.PollSpec{Schedule: "@hourly"})`,
		},
		{
			ID: "SC102", Title: "key is not lower_snake_case of 1 to 63 characters",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "Keys stand in addresses, metrics and file names. Keys of streams, actions and connectors match " + catalog.KeyPattern +
				", paths of endpoints match " + catalog.PathPattern + ".",
			Bad:  `Customers = catalog.Poll[Customer, cursor]("Stripe-Customers", spec)`,
			Good: `Customers = catalog.Poll[Customer, cursor]("customers", spec)`,
		},
		{
			ID: "SC103", Title: "two streams or two actions of one connector share a key",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "Both would write to one log and one checkpoint, and of two actions nobody could tell which is meant. Give each its own key.",
			Bad: `Customers = catalog.Poll[Customer, cursor]("customers", spec)
Clients   = catalog.Webhook[Client]("customers")`,
			Good: `Customers = catalog.Poll[Customer, cursor]("customers", spec)
Clients   = catalog.Webhook[Client]("clients")`,
		},
		{
			ID: "SC104", Title: "stream or action variable has no doc comment",
			Severity: catalog.SeverityWarning, Stage: StageDeclaration,
			Doc: "The comment above the variable, or at the end of its line, is the description on the dashboard. " +
				"The comment above a group of variables describes none of them.",
			Bad: `Customers = catalog.Poll[Customer, cursor]("customers", spec)`,
			Good: `// Customers are the people who pay.
Customers = catalog.Poll[Customer, cursor]("customers", spec)`,
		},
		{
			ID: "SC105", Title: "declared stream, endpoint or action is not listed in the connector, or listed twice",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc:  "Only what Connector.Streams, Connector.Endpoints and Connector.Actions list exists at run time. A variable that is in none of them does nothing.",
			Bad:  `var Connector = catalog.Connector{Key: "stripe", Streams: []catalog.Stream{Customers}} // and Invoices?`,
			Good: `var Connector = catalog.Connector{Key: "stripe", Streams: []catalog.Stream{Customers, Invoices}}`,
		},
		{
			ID: "SC106", Title: "stream, endpoint or action is made inside a function, a loop or init",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "What is made while the program runs cannot be proven. Declare it in a package-level variable. " +
				"Only a connector with Dynamic: true, whose streams come from settings, may make them in functions.",
			Bad: `func open(…) (framework.Routes, error) {
	orders := catalog.Poll[Order, cursor]("orders", spec)
	return framework.Routes{framework.Sync(orders, fetch)}, nil
}`,
			Good: `var Orders = catalog.Poll[Order, cursor]("orders", spec)`,
		},
		{
			ID: "SC107", Title: "poll stream without a schedule",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "A poll stream is read when its schedule says so; without one it never is. " +
				"The other half, a webhook stream with a schedule, does not compile: catalog.Webhook takes none.",
			Bad:  `Customers = catalog.Poll[Customer, cursor]("customers", catalog.PollSpec{})`,
			Good: `Customers = catalog.Poll[Customer, cursor]("customers", catalog.PollSpec{Schedule: "*/15 * * * *"})`,
		},
		{
			ID: "SC108", Title: "key is reserved",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc:  "Commands and addresses use \"all\" for every stream of a connection. Choose another key.",
			Bad:  `Everything = catalog.Webhook[Event]("all")`,
			Good: `Events = catalog.Webhook[Event]("events")`,
		},
	}
}

func scheduleRules() []Rule {
	poll := func(schedule string) string {
		return `Orders = catalog.Poll[Order, cursor]("orders", catalog.PollSpec{Schedule: "` + schedule + `"})`
	}
	rule := func(id string, severity catalog.Severity, title, bad, good, doc string) Rule {
		return Rule{
			ID: id, Title: title, Severity: severity, Stage: StageDeclaration,
			Doc: doc, Bad: poll(bad), Good: poll(good),
		}
	}
	return []Rule{
		rule("SC110", catalog.SeverityError, "schedule is not a cron expression",
			"every 15 minutes", "*/15 * * * *",
			"A schedule has five fields (minute, hour, day of month, month, day of week), or is a descriptor: @hourly, @daily, @weekly, @monthly, @yearly or @every with a Go duration."),
		rule("SC111", catalog.SeverityError, "schedule never fires",
			"TZ=UTC 0 0 31 4 *", "TZ=UTC 0 0 30 4 *",
			"The fields are each in range, but no date has them all: April has no 31st. The stream would never be read."),
		rule("SC112", catalog.SeverityError, "time zone without fields, or an unknown one",
			"TZ=Europe/Berlinn 0 6 * * *", "TZ=Europe/Berlin 0 6 * * *",
			"TZ= takes a name of the IANA time zone database, and stands before the fields."),
		rule("SC113", catalog.SeverityWarning, "step does not divide the field",
			"*/45 * * * *", "*/30 * * * *",
			"A step starts anew with every hour or day: */45 fires at :00 and :45, so gaps of 45 and of 15 minutes take turns."),
		rule("SC114", catalog.SeverityError, "step larger than its field, or @every too short",
			"*/99 * * * *", "@every 99m",
			"A step larger than the field fires once in it, so */99 silently means hourly; and @every counts in whole seconds from 1."),
		rule("SC115", catalog.SeverityWarning, "day of month and day of week are both set",
			"TZ=UTC 0 9 13 * 5", "TZ=UTC 0 9 * * 5",
			"Cron takes the two as alternatives: this fires on every 13th and on every Friday, not on Friday the 13th."),
		rule("SC116", catalog.SeverityWarning, "hour is fixed without a time zone",
			"0 6 * * *", "TZ=UTC 0 6 * * *",
			"Schedules without a zone are in UTC, which the author of a fixed hour may not have meant. Write the zone."),
		{
			ID: "SC117", Title: "rate limit is no rate", Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "Connector.RateLimit is what the provider allows one account: a whole number, a slash, and s, min, h or d, with a number before it if there are several.",
			Bad: `var Connector = catalog.Connector{Key: "acme", RateLimit: "a hundred a minute"}`, Good: `var Connector = catalog.Connector{Key: "acme", RateLimit: "100/min"}`,
		},
	}
}

func routeRules() []Rule {
	return []Rule{
		{
			ID: "SC201", Title: "poll stream has no sync route",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "Every poll stream of the catalog needs the function that reads it, on every way out of open. " +
				"Routes may be in a variable, appended, or returned by a function of the package; of routes from another package nothing is said.",
			Bad: `return framework.Routes{
	framework.Sync(Customers, c.syncCustomers), // and Invoices?
}, nil`,
			Good: `return framework.Routes{
	framework.Sync(Customers, c.syncCustomers),
	framework.Sync(Invoices, c.syncInvoices),
}, nil`,
		},
		{
			ID: "SC202", Title: "sync route for a stream outside of the catalog",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc:  "The route would never be called: the runtime reads the streams that Connector.Streams lists, and refuses the connection.",
			Bad:  `framework.Sync(other.Customers, c.syncCustomers)`,
			Good: `framework.Sync(Customers, c.syncCustomers)`,
		},
		{
			ID: "SC203", Title: "two routes for one stream, endpoint or action",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "Only one of them can be called. Routes in branches that exclude each other are fine.",
			Bad: `framework.Sync(Customers, c.syncCustomers),
framework.Sync(Customers, c.syncInvoices),`,
			Good: `framework.Sync(Customers, c.syncCustomers),
framework.Sync(Invoices, c.syncInvoices),`,
		},
		{
			ID: "SC204", Title: "route is registered on a condition or in a loop",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "A connection whose routes do not serve the whole catalog does not open, so a route that depends on a setting is a connection that fails on it. " +
				"A loop over a table of streams is fine, and so are alternatives that each register the route.",
			Bad: `if in.Settings.WithInvoices {
	routes = append(routes, framework.Sync(Invoices, c.syncInvoices))
}`,
			Good: `routes = append(routes, framework.Sync(Invoices, c.syncInvoices)) // returns at once without in.Settings.WithInvoices`,
		},
		{
			ID: "SC205", Title: "handler of the wrong signature, cursor or record type",
			Severity: catalog.SeverityError, Stage: StageCompiler,
			Doc: "The type parameters of a stream bind its handler and its records, so the Go compiler refuses the mistake, " +
				"as it refuses a sync route for a webhook stream. The checker never prints this id.",
			Bad: `var Customers = catalog.Poll[Customer, pageCursor]("customers", spec)
func sync(ctx context.Context, in framework.SyncRequest[string], out *ingest.Buffer) (framework.SyncResult[string], error)`,
			Good: `func sync(ctx context.Context, in framework.SyncRequest[pageCursor], out *ingest.Buffer) (framework.SyncResult[pageCursor], error)`,
		},
		{
			ID: "SC206", Title: "cursor type does not survive a checkpoint",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "The cursor is saved as JSON with each page. Functions, channels and interfaces with methods cannot be, and a struct without an exported field is saved empty, " +
				"so the stream would start from the beginning for ever. Types with a JSON or text form of their own are taken as they are.",
			Bad:  `type cursor struct{ page int }`,
			Good: `type cursor struct{ Page int }`,
		},
		{
			ID: "SC207", Title: "sync route never reads its cursor, or the range that it promises",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "Without the cursor every page starts from the beginning. A stream that declares Window or Backfill is asked for a range, " +
				"and would record what lies outside of it. A stream that is always read whole has the cursor type struct{}. The declared range is an error, the cursor a warning. " +
				"Nothing is said of a route that hands its request on as a whole.",
			Bad:  `func sync(ctx context.Context, _ framework.SyncRequest[cursor], out *ingest.Buffer) (framework.SyncResult[cursor], error)`,
			Good: `page, err := c.list(ctx, in.Cursor.Next)`,
		},
	}
}

func intakeRules() []Rule {
	return []Rule{
		{
			ID: "SC301", Title: "webhook stream, but the connector has no endpoint",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc:  "A webhook stream is fed only by deliveries, and deliveries need an endpoint.",
			Bad:  `var Connector = catalog.Connector{Key: "acme", Streams: []catalog.Stream{Events}}`,
			Good: `var Connector = catalog.Connector{Key: "acme", Streams: []catalog.Stream{Events}, Endpoints: []catalog.Endpoint{Inbox}}`,
		},
		{
			ID: "SC302", Title: "declared endpoint has no handler",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc:  "Deliveries would be accepted for nobody. Bind the endpoint with framework.Webhook on every way out of open.",
			Bad:  `return framework.Routes{framework.Sync(Customers, c.syncCustomers)}, nil // and Inbox?`,
			Good: `return framework.Routes{framework.Sync(Customers, c.syncCustomers), framework.Webhook(Inbox, c.receive)}, nil`,
		},
		{
			ID: "SC303", Title: "handler of an AuthCustom endpoint never verifies",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "With AuthCustom the handler gets deliveries that nobody has verified, and must call the delivery's Verify itself. " +
				"A call in a function of the package that the handler calls counts; a delivery that is handed to another package is out of sight.",
			Bad: `func (c *client) receive(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	return c.record(d, out)
}`,
			Good: `func (c *client) receive(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
	if err := d.Verify(ctx); err != nil {
		return err
	}
	return c.record(d, out)
}`,
		},
		{
			ID: "SC304", Title: "endpoint does not say how deliveries are verified",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc:  "The framework verifies before any handler runs, and there is no default: name the Auth. AuthNone needs a written Reason, AuthAPIKey the header, AuthHMAC the header and a signed text with the body in it.",
			Bad:  `Inbox = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthNone})`,
			Good: `Inbox = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})`,
		},
		{
			ID: "SC305", Title: "event can be emitted before the delivery is verified",
			Severity: catalog.SeverityError, Stage: StageFlow,
			Doc: "There is a way through the handler of an AuthCustom endpoint on which Verify was not called, or failed, and an event is emitted all the same: " +
				"an error that is logged and forgotten, a branch that skips the check. Return the error of Verify before anything else.",
			Bad: `if err := d.Verify(ctx); err != nil {
	c.log.Warn("not verified", "err", err)
}
return ingest.Canonical(out, Events, …)`,
			Good: `if err := d.Verify(ctx); err != nil {
	return err
}
return ingest.Canonical(out, Events, …)`,
		},
		{
			ID: "SC306", Title: "result of Verify is dropped",
			Severity: catalog.SeverityError, Stage: StageFlow,
			Doc:  "Verify says by its error whether the delivery is genuine. Without a look at it every delivery is accepted. It is reported in packages with an AuthCustom endpoint; for all others the framework has verified before.",
			Bad:  `_ = d.Verify(ctx)`,
			Good: `if err := d.Verify(ctx); err != nil { return err }`,
		},
		{
			ID: "SC307", Title: "signature is compared byte by byte",
			Severity: catalog.SeverityError, Stage: StageFlow,
			Doc:  "== and bytes.Equal return at the first difference, so an attacker learns from the time how much of a forged signature is right. hmac.Equal always takes as long. It is reported where one side is what crypto/hmac summed up.",
			Bad:  `if hex.EncodeToString(mac.Sum(nil)) == header { … }`,
			Good: `if hmac.Equal(mac.Sum(nil), signature) { … }`,
		},
		{
			ID: "SC309", Title: "webhook route for an endpoint outside of the catalog",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc:  "The route has no address. Declare the endpoint with catalog.Receive and list it in Connector.Endpoints.",
			Bad:  `framework.Webhook(catalog.Endpoint{}, c.receive)`,
			Good: `framework.Webhook(Inbox, c.receive)`,
		},
		{
			ID: "SC310", Title: "secret is written in the source",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "Whoever can read the source or the binary has it, and it cannot be rotated without a build. " +
				"It is reported where a constant becomes a framework.Secret, and where one is the default of a setting.",
			Bad:  `c := client{token: framework.Secret("sk_live_51H…")}`,
			Good: `c := client{token: in.Settings.Token}`,
		},
	}
}

func emissionRules() []Rule {
	return []Rule{
		{
			ID: "SC401", Title: "event for a stream outside of the catalog",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc:  "The buffer refuses it at run time, and the page or delivery fails. Emit to a stream of this connector.",
			Bad:  `ingest.Canonical(out, other.Customers, "customer", customer, options)`,
			Good: `ingest.Canonical(out, Customers, "customer", customer, options)`,
		},
		{
			ID: "SC402", Title: "event without an idempotency key",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "The key names one version of one entity; it is what makes a record exactly once. " +
				"Use ingest.VersionKey, ingest.LatestKey when the provider gives no version, or ingest.EventKey for a fact that has none.",
			Bad:  `ingest.Canonical(out, Customers, "customer", c, ingest.Options{Time: c.Updated})`,
			Good: `ingest.Canonical(out, Customers, "customer", c, ingest.Options{IdempotencyKey: ingest.VersionKey(c.ID, c.ETag), Time: c.Updated})`,
		},
		{
			ID: "SC403", Title: "idempotency key is constant",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "The log keeps one event a key, so every record after the first would be taken for a duplicate. " +
				"ingest.LatestKey with a constant is fine: it names the only entity of its kind, and its payloads are compared.",
			Bad:  `ingest.Options{IdempotencyKey: ingest.EventKey("invoice")}`,
			Good: `ingest.Options{IdempotencyKey: ingest.EventKey(invoice.ID)}`,
		},
		{
			ID: "SC404", Title: "idempotency key is new each time",
			Severity: catalog.SeverityError, Stage: StageFlow,
			Doc: "A page that is read twice gives the same keys, or its events are recorded twice. The current time, random numbers and random UUIDs differ each time. " +
				"A time that is cut to a day or an hour is fine.",
			Bad:  `ingest.Options{IdempotencyKey: ingest.VersionKey(c.ID, time.Now().String())}`,
			Good: `ingest.Options{IdempotencyKey: ingest.VersionKey(c.ID, c.UpdatedAt)}`,
		},
		{
			ID: "SC405", Title: "declared stream is never emitted to",
			Severity: catalog.SeverityWarning, Stage: StageRoute,
			Doc:  "The stream stays empty for ever. It is reported when every handler of the connector is in this package and the stream's variable is only listed and bound.",
			Bad:  `func (c *client) syncInvoices(…) { … ingest.Canonical(out, Customers, "invoice", …) }`,
			Good: `func (c *client) syncInvoices(…) { … ingest.Canonical(out, Invoices, "invoice", …) }`,
		},
		{
			ID: "SC408", Title: "sync route of one stream emits to another",
			Severity: catalog.SeverityWarning, Stage: StageRoute,
			Doc:  "The events are recorded, but the other stream's health, schedule and backfill do not know of them. Give it a route of its own.",
			Bad:  `framework.Sync(Customers, func(…) { … ingest.Canonical(out, Invoices, "invoice", …) })`,
			Good: `framework.Sync(Invoices, func(…) { … ingest.Canonical(out, Invoices, "invoice", …) })`,
		},
	}
}

func linkRules() []Rule {
	return []Rule{
		{
			ID: "SC501", Title: "two linked connectors share a key",
			Severity: catalog.SeverityError, Stage: StageLink,
			Doc: "A connection names its connector by the key, so one of the two could never be used. It is reported where they come together.",
			Bad: `import (
	_ "example.com/a/stripe" // Key: "stripe"
	_ "example.com/b/stripe" // Key: "stripe"
)`,
			Good: `import (
	_ "example.com/a/stripe" // Key: "stripe"
	_ "example.com/b/stripe" // Key: "stripe_b"
)`,
		},
		{
			ID: "SC502", Title: "two endpoints of one connector share a path",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "The path is the last part of the address, so one of the two could never be reached.",
			Bad: `Inbox  = catalog.Receive("acme", spec)
Alerts = catalog.Receive("acme", spec)`,
			Good: `Inbox  = catalog.Receive("acme", spec)
Alerts = catalog.Receive("acme-alerts", spec)`,
		},
		{
			ID: "SC504", Title: "generated catalog is missing or out of date",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "catalog_gen.go carries the descriptions of a connector into the program, and its digest says which declarations they belong to. " +
				"Run go generate after every change of a declaration or its comment. A connector with Dynamic: true may do without.",
			Bad:  `var Connector = catalog.Connector{Key: "stripe", Streams: streams} // no catalog_gen.go`,
			Good: `//go:generate go tool catalogcheck -write .`,
		},
	}
}

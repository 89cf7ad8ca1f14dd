package catalogcheck

import "github.com/weirhq/weir/catalog"

// layoutRules are about where the parts of a connector are.
func layoutRules() []Rule {
	return []Rule{
		{
			ID: "SC109", Title: "catalog, routes and emissions are in different packages",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc: "A catalog is held against the code beside it. What another package declares, opens or emits cannot be, and would drift. " +
				"Types, payloads, clients, and helpers that are given their stream as a parameter may be anywhere.",
			Bad:  `var Connector = catalog.Connector{Key: "acme", Streams: []catalog.Stream{streams.Customers}}`,
			Good: `var Connector = catalog.Connector{Key: "acme", Streams: []catalog.Stream{Customers}} // of streams.Customer records`,
		},
	}
}

// handlerRules are about what a handler does with its request and its context.
func handlerRules() []Rule {
	return []Rule{
		{
			ID: "SC208", Title: "page asks for the next one with the cursor that it got",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "The same page comes again, and the run ends with \"cursor did not advance\". It is reported where HasMore is the constant true " +
				"and Cursor is the request's own, unchanged.",
			Bad:  `return framework.SyncResult[cursor]{Cursor: in.Cursor, HasMore: true}, nil`,
			Good: `return framework.SyncResult[cursor]{Cursor: cursor{Page: in.Cursor.Page + 1}, HasMore: true}, nil`,
		},
		{
			ID: "SC209", Title: "handler does not hand on its context",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "A handler is told to stop by its context: at its deadline, when a run is cancelled, and when the process ends. " +
				"A request without it goes on, and the handler is left behind. What runs in a defer, to clean up, may have a context of its own.",
			Bad:  `request, err := http.NewRequest(http.MethodGet, url, http.NoBody)`,
			Good: `request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)`,
		},
		{
			ID: "SC308", Title: "body is decoded before the delivery is verified",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "There is a way through the handler of an AuthCustom endpoint on which the body is decoded though Verify was not called, or failed: " +
				"whoever finds the address may feed the decoder. Verify first. Reading the body twice is no fault here: it is bytes, and not a stream.",
			Bad: `var e event
if err := d.Decode(&e); err != nil { return err }
if err := d.Verify(ctx); err != nil { return err }`,
			Good: `if err := d.Verify(ctx); err != nil { return err }
var e event
if err := d.Decode(&e); err != nil { return err }`,
		},
		{
			ID: "SC409", Title: "connections share state, or a goroutine is nobody's",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "Two connections of one connector run side by side with different secrets, and must not meet in a package-level variable. " +
				"A panic in a bare goroutine ends the whole process; framework.Go contains it. " +
				"A variable that init or a sync.Once fills is fine, and so is a goroutine that no handler starts.",
			Bad: `var cache = map[string]Customer{}
func (c *client) sync(…) { cache[id] = customer; go c.warm() }`,
			Good: `type client struct{ cache map[string]Customer } // made by open
wait := framework.Go(ctx, c.warm)`,
		},
	}
}

// forgettingRules are about errors and records that are lost on the way.
func forgettingRules() []Rule {
	return []Rule{
		{
			ID: "SC406", Title: "error of an emission is dropped or only logged",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "The page or delivery fails all the same, because the buffer remembers: nothing is lost. But what comes after the emission runs for nothing, " +
				"and the error that the operator sees is not the author's. Calls of functions of the package that emit count as emissions. " +
				"A handler that counts or collects the error, or does not move its cursor, handles it.",
			Bad: `if err := ingest.Canonical(out, Customers, "customer", c, options); err != nil {
	log.Warn("not recorded", "err", err)
}`,
			Good: `if err := ingest.Canonical(out, Customers, "customer", c, options); err != nil {
	return framework.SyncResult[cursor]{}, err
}`,
		},
		{
			ID: "SC407", Title: "handler emits in a goroutine that it does not wait for",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "The buffer is sealed when the handler returns: what is emitted later is refused and counted, and the cursor has passed it. " +
				"Call the function that framework.Go returns, or the Wait of the group.",
			Bad: `framework.Go(ctx, func(ctx context.Context) error { return c.emitAll(ctx, out) })`,
			Good: `wait := framework.Go(ctx, func(ctx context.Context) error { return c.emitAll(ctx, out) })
if err := wait(); err != nil { return err }`,
		},
		{
			ID: "SC410", Title: "error makes no difference",
			Severity: catalog.SeverityError, Stage: StageFlow,
			Doc: "A page whose reading failed is taken for an empty one, and its cursor passes the records that were not read. " +
				"It is reported where the error of any call is kept in a variable that nobody looks at, or is looked at and nothing depends on it, " +
				"and where a call that reads from the provider, or a function of the package that can fail, is a statement of its own. " +
				"Assign to _ what may be lost.",
			Bad: `page, err := c.fetch(ctx, in.Cursor)
rows, err := page.rows() // and the error of fetch?
if err != nil { … }`,
			Good: `page, err := c.fetch(ctx, in.Cursor)
if err != nil { return framework.SyncResult[cursor]{}, err }
rows, err := page.rows()
if err != nil { … }`,
		},
		{
			ID: "SC411", Title: "error of reading is only logged",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "What could not be read is used as though it had been. Return the error: the page is asked for again. " +
				"A loop that leaves out one of several reads, and a branch that ends the page on its own, are not reported.",
			Bad: `page, err := framework.Fetch(c.http, request)
if err != nil { c.log.Warn("no page", "err", err) }
return c.emitAll(page, out)`,
			Good: `page, err := framework.Fetch(c.http, request)
if err != nil { return err }
return c.emitAll(page, out)`,
		},
		{
			ID: "SC412", Title: "record is read, but nothing was ever put into it",
			Severity: catalog.SeverityWarning, Stage: StageFlow,
			Doc: "The variable is declared and read, and nothing decodes into it: every record would be empty. " +
				"It is reported for records of package ingest, for structs with JSON names, lists of them, and buffers, where every use of the variable is in sight.",
			Bad: `var page struct { Rows []Row ` + "`json:\"rows\"`" + ` }
for _, row := range page.Rows { … }`,
			Good: `var page struct { Rows []Row ` + "`json:\"rows\"`" + ` }
if err := fetched.Decode(&page); err != nil { … }
for _, row := range page.Rows { … }`,
		},
	}
}

// mends says what weir check --fix does about findings of a rule.
var mends = map[string]string{
	"SC001": "deletes the comment",
	"SC102": "renames the key",
	"SC104": "writes a comment to be completed",
	"SC105": "lists the declaration, or removes the second entry",
	"SC113": "takes the nearest step that divides the field",
	"SC116": "writes the zone that the schedule has",
	"SC201": "adds a route and a function that still has to be written, in sync_<stream>.go",
	"SC209": "hands on the handler's context",
	"SC601": "--config weir.yaml puts the default",
	"SC302": "adds a route and a function that still has to be written, in receive_<path>.go",
	"SC303": "verifies at the start of the handler",
	"SC307": "compares with hmac.Equal",
	"SC504": "writes catalog_gen.go and catalog.lock.json",
	"SC505": "says RenamedFrom at the one stream that is new",
}

// repeats says where the running program finds the same again, under the same
// id, or why it cannot.
var repeats = map[string]string{
	"SC001": "-: comments are not in the program",
	"SC101": "-: a running program has only values; a computed key is one",
	"SC102": AtValidate, "SC103": AtValidate, "SC104": AtValidate,
	"SC105": "-: what is not listed is not known; what is listed twice is SC103",
	"SC106": "-: a stream does not know where it was made",
	"SC107": AtValidate, "SC108": AtValidate,
	"SC109": "-: packages are gone",
	"SC118": AtValidate,
	"SC110": AtValidate, "SC111": AtValidate, "SC112": AtValidate, "SC113": AtValidate, "SC114": AtValidate, "SC115": AtValidate, "SC116": AtValidate, "SC117": AtValidate,
	"SC201": AtOpen, "SC202": AtOpen, "SC203": AtOpen,
	"SC204": "-: how a route was registered is gone; one that is missing is SC201",
	"SC205": "-: it does not compile",
	"SC206": AtOpen,
	"SC207": "-: what a function reads is not known",
	"SC208": "-: a run ends with \"cursor did not advance\"",
	"SC209": "-: a handler that does not end is abandoned and counted",
	"SC210": AtOpen, "SC211": AtOpen,
	"SC301": AtValidate, "SC302": AtOpen,
	"SC303": "-: whether a handler verifies is not known before a delivery",
	"SC304": AtValidate,
	"SC305": "-: see SC303", "SC306": "-: see SC303", "SC307": "-: see SC303", "SC308": "-: see SC303",
	"SC309": AtOpen,
	"SC310": AtOpen,
	"SC401": AtEmission, "SC402": AtEmission,
	"SC403": "-: one emission does not know the others; they are counted as duplicates",
	"SC404": "-: see SC403",
	"SC405": "-: a stream may stay empty because nothing happened",
	"SC406": "-: the buffer is poisoned and the page fails",
	"SC407": "-: a late emission is refused and counted",
	"SC408": "-: an emission does not know its route",
	"SC409": "-: the state of a package is not known",
	"SC410": "-: an error that is dropped is gone", "SC411": "-: see SC410", "SC412": "-: see SC410",
	"SC501": AtStart, "SC502": AtValidate,
	"SC503": "-: what is not linked is not in the program",
	"SC504": AtValidate,
	"SC505": "-: a stream that is gone is not in the program", "SC506": AtOpen, "SC507": "-: see SC505", "SC508": "-: an action that is gone is not in the program",
	"SC601": AtSave, "SC602": AtSave, "SC603": AtSave, "SC604": AtSave, "SC605": AtSave,
}

// Where the running program repeats a rule.
const (
	// AtValidate is catalog.Validate, which the runtime asks when it starts.
	AtValidate = "catalog.Validate"
	// AtOpen is when a connection is opened.
	AtOpen = "opening a connection"
	// AtStart is when the runtime puts its connectors together.
	AtStart = "starting"
	// AtEmission is when an event is emitted.
	AtEmission = "emitting"
	// AtSave is when a connection is read from a file or comes in by the API.
	AtSave = "every save of a connection"
)

package catalogcheck

import "github.com/weirhq/weir/catalog"

// lockRule reports whether the rule is one of [StageLock].
func lockRule(id string) bool {
	rule, ok := RuleByID(id)
	return ok && rule.Stage == StageLock
}

func lockRules() []Rule {
	const accept = " The code is compared with catalog.lock.json beside connectors/all, and by weir catalog diff with the lock of another revision. " +
		"A change that is wanted is accepted with weir catalog accept and a reason, which stays in the lock."
	return []Rule{
		{
			ID: "SC503", Title: "connector is linked into no program",
			Severity: catalog.SeverityWarning, Stage: StageLock,
			Doc: "A connector that no program imports cannot be used by any connection. It is reported when the packages that are checked hold a program that links connectors, " +
				"and none of them links this one: a module that only offers connectors to others has no such program.",
			Bad:  `func main() { cli.Main(stripe.Plugin) } // and connectors/github?`,
			Good: `func main() { cli.Main(all.Plugins()...) }`,
		},
		{
			ID: "SC505", Title: "stream is removed or renamed without RenamedFrom",
			Severity: catalog.SeverityError, Stage: StageLock,
			Doc: "Connections have a checkpoint and events under the stream's key. Under another key they begin again, and record everything twice. " +
				"With RenamedFrom the stored stream gets the new key when a connection starts. A stream that is renamed again names its earlier keys in FormerKeys, " +
				"for stores that no version in between has opened." + accept,
			Bad:  `Clients = catalog.Poll[Client, cursor]("clients", catalog.PollSpec{Schedule: "@hourly"}) // was "customers"`,
			Good: `Clients = catalog.Poll[Client, cursor]("clients", catalog.PollSpec{RenamedFrom: "customers", FormerKeys: []string{"buyers"}, Schedule: "@hourly"})`,
		},
		{
			ID: "SC506", Title: "cursor type changed without a version and a migration",
			Severity: catalog.SeverityError, Stage: StageLock,
			Doc: "A cursor that was saved by another type is never guessed at: the stream stops until it is reset, and then reads everything again. " +
				"Raise CursorVersion, keep the old type under another name, and say with framework.FromVersion what becomes of its cursors." + accept,
			Bad: `type cursor struct{ After string } // was struct{ Page int }`,
			Good: `Orders = catalog.Poll[Order, cursor]("orders", catalog.PollSpec{Schedule: "@hourly", CursorVersion: 1})
…
framework.Sync(Orders, c.syncOrders, framework.FromVersion(0, func(old pageCursor) (cursor, error) { … }))`,
		},
		{
			ID: "SC507", Title: "mode, auth, ranges or identity changed without a reason",
			Severity: catalog.SeverityWarning, Stage: StageLock,
			Doc: "Nothing is lost in the store, but operators and receivers notice: another mode has other states, another Auth needs another secret in every connection, " +
				"a removed endpoint answers 404, a stream without Backfill refuses ranges, and another idempotency key records again what was recorded." + accept,
			Bad:  `Inbox = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthGitHub}) // was AuthStripe`,
			Good: `weir catalog accept acme/acme --reason "the provider signs like GitHub since March"`,
		},
		{
			ID: "SC508", Title: "action is removed or renamed",
			Severity: catalog.SeverityError, Stage: StageLock,
			Doc:  "Triggers name an action by its key. A configuration with a trigger of an action that is gone is refused, and whoever calls the trigger gets 404." + accept,
			Bad:  `Rebuild = catalog.Action[Range, Result]("rebuild") // was "reindex"`,
			Good: `Reindex = catalog.Action[Range, Result]("reindex")`,
		},
	}
}

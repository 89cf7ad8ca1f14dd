package catalogcheck

import "github.com/weirhq/weir/catalog"

// actionRules are about actions: what a connection can be asked to do.
func actionRules() []Rule {
	return []Rule{
		{
			ID: "SC118", Title: "bounds of an action are out of range",
			Severity: catalog.SeverityError, Stage: StageDeclaration,
			Doc:  "A run of an action ends at its Timeout, at most a day, and at most 1,000 of them go on at a time. Leave a bound out for its default.",
			Bad:  `Reindex = catalog.Action[Range, Result]("reindex", catalog.ActionSpec{Timeout: 48 * time.Hour})`,
			Good: `Reindex = catalog.Action[Range, Result]("reindex", catalog.ActionSpec{Timeout: 30 * time.Minute})`,
		},
		{
			ID: "SC210", Title: "declared action has no route",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc: "A trigger may name the action, and nothing would carry it out. The connection does not open. " +
				"Bind the action with framework.Action in what open returns, on every way out of it.",
			Bad:  `return framework.Routes{framework.Sync(Customers, c.syncCustomers)}, nil // and Reindex?`,
			Good: `return framework.Routes{framework.Sync(Customers, c.syncCustomers), framework.Action(Reindex, c.reindex)}, nil`,
		},
		{
			ID: "SC211", Title: "action route for an action outside of the catalog",
			Severity: catalog.SeverityError, Stage: StageRoute,
			Doc:  "No trigger can name what Connector.Actions does not list. List the action, or remove the route.",
			Bad:  `var Connector = catalog.Connector{Key: "acme"} // and framework.Action(Reindex, c.reindex) in open`,
			Good: `var Connector = catalog.Connector{Key: "acme", Actions: []catalog.Callable{Reindex}}`,
		},
	}
}

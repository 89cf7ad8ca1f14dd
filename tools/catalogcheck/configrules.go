package catalogcheck

import "github.com/weirhq/weir/catalog"

// configRules are kept by package config and by connectors, which know the values
// that a file or the API gives them; here they are explained.
func configRules() []Rule {
	return []Rule{
		{
			ID: "SC601", Title: "bound of a sink is out of range", Severity: catalog.SeverityError, Stage: StageConfig,
			Doc: "A request that nothing ends, or a batch that takes nothing, keeps a sink from ever going on. Every bound has a default, so leaving it out is fine; " +
				"a timeout of zero, a batch or a pool of less than one, and bounds above what Weir keeps to are refused. " +
				"A timeout may be longer than batch.timeout_ms: the one bounds a request, the other how long events wait for company, and one request in flight does not hold the next batch up from filling.",
			Bad: `config: {endpoint: "https://crm.example/in", timeout_seconds: 0, batch: {max_events: 0}}`, Good: `config: {endpoint: "https://crm.example/in", timeout_seconds: 30, batch: {max_events: 100}}`,
		},
		{
			ID: "SC602", Title: "sink subscribes to a stream that nobody declares", Severity: catalog.SeverityError, Stage: StageConfig,
			Doc: "The sink would wait for ever. A stream is named <connection>.<key>, or by its key alone where only one connection of the project has it; * and ? take several, also those that come later.",
			Bad: `streams: [pay.custommers]`, Good: `streams: [pay.customers]`,
		},
		{
			ID: "SC603", Title: "events go to a sink unprotected", Severity: catalog.SeverityWarning, Stage: StageConfig,
			Doc: "Plain http, or a certificate that nobody verifies, lets whoever is in between read and change every event, and read the credentials. " +
				"An address on this machine is no finding. Use https, and tls.ca for an authority of your own.",
			Bad: `config: {endpoint: "http://crm.example/in"}`, Good: `config: {endpoint: "https://crm.example/in"}`,
		},
		{
			ID: "SC604", Title: "trigger names what its project does not have", Severity: catalog.SeverityError, Stage: StageConfig,
			Doc: "A trigger starts an action of a connector, or one of sync, backfill, redeliver and ingest, with streams and sinks of its own project.",
			Bad: `config: {path: /rebuild, action: search.rebiuld, public: true}`, Good: `config: {path: /rebuild, action: search.rebuild, public: true}`,
		},
		{
			ID: "SC605", Title: "two triggers of a project have one path and method", Severity: catalog.SeverityError, Stage: StageConfig,
			Doc: "Only one of them could be reached. The method * is every one.",
			Bad: `- {name: one, type: trigger, config: {path: /rebuild, method: POST, …}}
- {name: two, type: trigger, config: {path: /rebuild, method: "*", …}}`,
			Good: `- {name: one, type: trigger, config: {path: /rebuild, method: POST, …}}
- {name: two, type: trigger, config: {path: /rebuild, method: GET, …}}`,
		},
	}
}

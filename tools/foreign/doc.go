// Package foreign holds the tests of Weir against software that others wrote: stripe-mock and
// Stripe's Go SDK, the webhook payloads that GitHub's people publish, a real browser. It is a
// module of its own (its go.mod replaces Weir by the checkout it lies in), so that none of these
// enters the module graph of somebody who writes a connector. Nothing imports it.
//
// # Running
//
// `make test` runs it after the root module; alone: `cd tools/foreign && go test ./...` after
// `make setup`. What a test needs from the machine it asks of package need, which skips with one
// line, or fails with CI=true:
//
//	need.Tool(t, "chromium", "chromium", "chromium-browser", "google-chrome")
//	need.Tool(t, "GitHub's payloads", "../node_modules/@octokit/webhooks-examples/api.github.com/index.json")
//
// # stripe-mock
//
// It is a library as well as a command, with Stripe's OpenAPI description and fixtures embedded:
// no network, no files. Package stripemock starts its server inside the test, on loopback and on
// a port the system chooses:
//
//	base := stripemock.Start(t) // "http://127.0.0.1:40123"
//
// A request needs an Authorization header with a key that begins with sk_test_, as Basic or
// Bearer. Every list answers has_more: false with one record, whatever limit and starting_after
// say, and nothing that is written is kept: a test of paging wraps the handler
// (stripemock.Handler) and pages the fixtures itself.
//
// As a process, for a look by hand, it needs both addresses: with -http-addr alone it also opens
// HTTPS on port 12112 of every interface.
//
//	go run github.com/stripe/stripe-mock -http-addr 127.0.0.1:0 -https-addr 127.0.0.1:0
//
// # GitHub's payloads
//
// package.json pins @octokit/webhooks-examples; `make setup` puts it into node_modules, which git
// ignores. The file api.github.com/index.json in it is an array of {"name": event, "examples":
// [payload, ...]}: 329 payloads of version 7.6.1. To change the version: `npm install
// @octokit/webhooks-examples@VERSION` here; .npmrc keeps the name of a registry out of the lock
// file, and a test in tools/walls sees to it.
//
// # Kafka Connect
//
// Package kafkaconnect runs the npm package kafka-connect-client against the Kafka Connect API of a
// real Weir.
//
// # Hosts of the checker
//
// Package hosts builds golangci-lint with the checker as golangci-lint custom does, and compares
// what it, go vet and the checker's own driver find (a long test); and it holds SARIF output to
// the schema that OASIS publishes.
//
// # Browser
//
// chromedp drives the chromium that need.Tool finds. As root, and in most containers, chromium
// starts only with its sandbox off: chromedp.NoSandbox, and the pages a test opens are ours.
package foreign

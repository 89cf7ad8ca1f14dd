// Package demo is a connector and its provider in one, so that everything can be
// seen to work without a network and without an account.
//
// # The provider
//
// A [Provider] is a small shop. [Provider.Step] creates, updates, reverts,
// deletes and re-creates customers and orders, the same ones for the same seed
// and clock. Its HTTP API lists them newest first by their last update, so
// objects move while they are read. [Serve] runs one on a loopback port with a
// step every two seconds; without it a Provider has no goroutines of its own.
//
// The two kinds of objects are deleted differently, as with real providers: a
// deleted customer stays in the list as a tombstone ("deleted": true), a
// deleted order vanishes, and only a webhook says so. The provider sends signed
// webhooks about orders (Standard Webhooks), on purpose some twice, some late
// and so out of order, and repeats each until it is taken.
//
// # The connector
//
// customers and orders are polled down to the watermark, which is the
// provider's as_of on the first page of the run and moves when the run is
// complete. An order's webhook goes to order_events, and what it says about the
// order to orders too; object id and version make the same key on both ways, so
// whichever comes first is recorded and the other is a duplicate.
package demo

// Package connectortest is what the tests of a connector import. It drives a
// connector through the same [framework.Binding] as the runtime does, and keeps
// what it emits by the same rules as a store, so that a test can hold the
// receiver's view against the provider's.
//
// A test serves the provider with net/http/httptest, opens the connector with
// [Open], reads a stream with [Run], commits the pages to a [Log], and compares
// [Log.State] with what the provider has:
//
//	b := connectortest.Open(t, acme.Plugin, settings, server.Client())
//	log := connectortest.NewLog()
//	for _, page := range connectortest.Run(t, b, connectortest.Sync{Stream: "customers"}) {
//		log.Commit(page.Emissions, page.At)
//	}
//	require.Equal(t, provider.Customers(), log.State("customers"))
//
// [RequireResumable] repeats that from every checkpoint, as after a crash
// before and after each commit, and fails when anything is lost or comes twice.
package connectortest

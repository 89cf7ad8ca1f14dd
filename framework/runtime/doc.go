// Package runtime wires a Weir together and runs it: it validates the linked
// catalogs, opens the store and the connections of a configuration, schedules
// their polls, receives their webhooks, serves the management API and the
// dashboard, and stops everything in the order that loses nothing.
//
// A start is refused as a whole, with everything that is wrong with it at once:
// findings of the catalogs under their rule ids, settings, secrets, and an
// address that would leave the management API open.
package runtime

// Package retention removes what a store need not keep any longer: the oldest
// events of a stream, old keys, runs, hourly counts and dead letters. It decides
// what goes; a [Backend] finds and removes it, at most [MaxRows] rows a
// transaction, beside the path of commits.
//
// A stream is only ever cut at its beginning: what is kept has no holes, and a
// reader that comes too late is told where the rest begins
// (ingest.TrimmedError). No event is removed that a reader still needs.
//
// # The window of keys
//
// The memory of keys outlives the events. Where a window is configured, it is
// walked through in the order of hashes, once a pass, and keys of events that
// were recorded before the window are dropped. Which those are follows from the
// hourly counts, without a time beside each of millions of keys. The key of an
// entity's newest version stays: a provider that lists an entity that has not
// changed for a year must not make an event of it every window.
package retention

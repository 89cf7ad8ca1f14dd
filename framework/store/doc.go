// Package store says what Weir keeps and how a backend must keep it. It holds
// the types only: packages sqlite and postgres keep them, package storetest is
// the suite that both pass, and the packages that use a store declare the
// interfaces they need.
//
// Everything is written in [Unit]s. A unit is atomic: the events of a page and
// its checkpoint, or the events of a delivery and its key, become visible
// together or not at all. Units that wait are committed together, in one
// transaction with one sync to disk; the failure of one never fails its
// neighbours. A unit is acknowledged only after it is durable.
//
// # What a commit does to an emission
//
// In the transaction the head rows of the streams are locked in the order of
// their ids, so sequences are gapless and in commit order. Then, for each
// emission in order:
//
//  1. Its key text is settled. A latest key (ingest.LatestKey) is a duplicate
//     when the entity's newest recorded version has the same payload hash; else
//     its text is made with the entity's revision + 1, or with the emission's
//     time when it is late.
//  2. When the key was recorded before in that stream of that connection, also
//     earlier in the same unit, it is a duplicate: counted, not appended. The
//     memory of keys outlives the events.
//  3. Else it gets the stream's next sequence and is appended. It is late when
//     its time is before that of the entity's newest recorded version; a late
//     event leaves the entity's row alone, any other becomes the newest version.
//
// A unit whose id is that of the saved checkpoint was committed before; it is
// answered with success and nothing of it is written again. Times are kept in
// UTC in microseconds.
//
// Totals, hourly counts and the run's counters move in the same transaction.
//
// # Identity and fencing
//
// Every row refers to a connection by its immutable id. A name that is used
// again after a deletion is a new connection with nothing in it. Every unit
// carries the epoch of the lease it was made under; a stale one is refused with
// [ErrFenced] and nothing of it is written.
package store

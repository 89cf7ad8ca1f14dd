// Package transfer moves a whole store from one place to another, also from one
// backend to the other: connections, streams, events, keys, checkpoints, runs,
// counts, stored deliveries, and the secret that the hashes are keyed with.
//
// The two schemas are read from the databases, not written down here: a table or
// column has the same name in both backends, so what a later version adds is
// moved too. Where the backends keep one thing in two ways, each translates
// between its own rows and the rows of this package; what is of one backend only
// (leases, segments) is left out there. A difference that neither has an answer
// to ends the move before anything is written.
//
// Everything is written in one piece: it appears in the target when all of it is
// there and was read again, or not at all. What was written is held against what
// was read by the number of rows and a digest of every table.
package transfer

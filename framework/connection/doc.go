// Package connection is the one resource behind every door: a connection as it is
// configured, with revisions of which one is deployed.
//
// A [Spec] is what an operator writes. It is read strictly ([Decode]), checked as a
// whole ([Desk.Validate]: every error at once, with its path), and kept as a
// revision whose secrets are sealed. What is read back shows *** in their place,
// and *** that is written back keeps the old one.
//
// A [Desk] carries out what operators ask, whichever door they came through: it
// makes revisions, deploys them, and tells the runtime. Every change is one
// transaction of the store, and happens only to the connection that was read.
package connection

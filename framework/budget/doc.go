// Package budget keeps the calls to a provider within the rate that it allows.
//
// A [Budget] belongs to one credential: every stream of a connection, and every
// connection that names the same budget, takes from it before each request. It
// knows two things. A declared [Rate] is held strictly: in no span of its length
// are there more calls. What the provider says of itself in its answers
// (Retry-After, the RateLimit fields of the IETF draft, X-RateLimit-*) is
// learnt, host by host, and obeyed until the moment at which it says to have
// forgotten.
//
// [Transport] puts a budget before an HTTP client. A request waits while its own
// deadline leaves room for the call, else it fails with
// framework.ErrRateLimited, which ends the page without calling it a failure.
// Calls of backfills ([Yielding]) leave a tenth of the budget to live polls.
//
// [Keeper] holds the budgets of a process and keeps their state in the store, so
// that a restart, or a move to another node, does not forget what was used. All
// runs of a connection are on one node, so its own budget is there too. A budget
// that several connections name is in the store where several nodes share that:
// every call is entered there before it is made ([store.Ledger]), so that all nodes
// together stay within the rate.
package budget

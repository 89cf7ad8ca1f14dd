// Package action runs actions and keeps their runs.
//
// The process that was asked carries a run out, whichever node has the lease of
// the connection: like a webhook, an action may come in anywhere. Its row names
// its owner, who shows every few seconds that it lives; a run whose owner is gone
// ends as interrupted, and what the owner still writes is refused.
//
// One goroutine writes what all runs have to say, in one transaction for as many
// as wait. Nobody is shown anything that is not durable, so whoever watches a run
// may go on at the same place on another node, or after a restart.
package action

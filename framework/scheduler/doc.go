// Package scheduler runs the polled streams of every connection when they are
// due, page by page, and records each page together with its checkpoint.
//
// [Scheduler.Add] gives it a stream and what the store knows of it. Waiting
// streams lie in one heap by their due time and cost no goroutine; one goroutine
// sleeps until the earliest is due. Due streams take turns, connection by
// connection and stream by stream, within two limits: runs in all, and runs of
// one connection. A run reads a few pages and goes to the back of the line, so
// that a long first sync does not hold up its neighbors.
//
// Runs that a dead process left going in the store are ended by whoever opens
// the store (store.Store's InterruptRuns), before Start.
//
// # A page
//
// A run reads the checkpoint from the store each time: it may have been reset
// since. A checkpoint whose cursor has another version or shape than today's
// code fails the run with framework.ErrCursorUnreadable, at every tick, until
// the stream is reset or the code restored; it never starts from the beginning.
// Then, for each page, the sync route is called with a deadline, and its events,
// the moved checkpoint and the run's progress are committed as one store.Unit.
// The checkpoint moves by compare-and-set: if somebody else has moved it, the
// run fails and the next one reads it again. The unit of the last page also ends
// the run and sets the stream's last success and its next due time.
//
// The next page is read while one is committed, one ahead, and thrown away
// unless the commit succeeds.
//
// A run whose only page brings no event and the cursor it was given leaves no run
// row and does not touch the checkpoint. Its success and the next due time are
// recorded within five seconds, for many streams at once. A run that an operator asked for, or that ends a row of
// failures, always leaves its row.
//
// A store that is busy, unavailable or slow does not fail a run. The page is
// kept and committed again under the same commit id, which the store takes for
// the same commit if the first try did succeed; the provider is not asked again.
// A store that says store.ErrFenced ends the work of that connection at once, and
// one that says store.ErrClosed ends everything.
//
// # When
//
// A new stream runs at once. Others run at the due time that the store has kept;
// if it went by while the process was down, one run makes up for all missed
// ticks, spread over the streams. A tick that comes while the stream still runs
// is skipped and counted. Ticks of "@every" count from the start of a run.
//
// Waits are kept on the monotonic clock. When the wall clock leaps forward, what
// is due by it runs; when it is set back, a wait still ends after its own
// length. A due time read from the store is held to the same length.
//
// # Failures
//
// A transient failure is tried again after a random wait that may grow to
// BackoffBase times two to the number of failures in a row, at most BackoffCap,
// but never later than the next tick. A provider's Retry-After is obeyed, also
// beyond the next tick, up to framework.MaxRetryAfter. Failures of the classes
// auth, permanent and bug wait for the next tick. The due time is stored with
// the failure. Handlers that are abandoned several times in a row quarantine
// their connection until [Scheduler.Resume] or a restart.
//
// A route that fails with framework.ErrRateLimited ends its run without a failure,
// until its wait is over.
//
// # Backfills
//
// A backfill reads a range of the past in a lane of its own, one page a turn,
// after all live streams that are due, see [Scheduler.Backfill].
package scheduler

// Package groupcommit is the writer that every backend of package store
// shares. It decides what a unit does; a backend only speaks its database's
// language through [Backend] and [Tx].
//
// # Flow
//
// [Engine.Commit] checks, encodes and hashes a unit in the caller's goroutine
// and queues it. One goroutine takes whatever waits, up to a batch, and commits
// it in one transaction with one sync to disk; while it does, the next batch
// gathers. An idle engine adds no wait.
//
// For a batch the engine
//
//  1. asks the backend what may refuse a unit ([Tx.Guard]): unknown connection,
//     stale epoch, moved checkpoint, known delivery. A refused unit gets its own
//     answer and leaves no trace;
//  2. locks the heads of the streams of all others ([Tx.LockHeads]);
//  3. looks up the entities and keys of all emissions, sorted ([Tx.Lookup]);
//  4. plans every unit in order in memory: key texts, duplicates, late events,
//     sequences, statuses, counts;
//  5. writes the sum of it ([Tx.Write]) and commits.
//
// # When something fails
//
//   - A transaction that fails for its content is rolled back and applied
//     again in halves, each below a savepoint of one transaction, until the
//     unit at fault stands alone. It gets the error, its neighbours commit.
//   - Deadlocks and serialization failures are tried again, unseen by callers.
//   - A backend that cannot be written answers [store.ErrUnavailable]. The next
//     batch tries again.
//   - A commit whose outcome is not known (an error from COMMIT itself) answers
//     nobody. The backend is reopened and asked for the batch's marker: if it is
//     there, the planned receipts are true; if not, the batch is applied again.
//   - A panic is an error of the batch, and so of the unit that causes it.
package groupcommit

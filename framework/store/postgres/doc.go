// Package postgres keeps a store in a PostgreSQL database (15 or later), through
// the driver jackc/pgx.
//
// # A batch
//
// One connection writes, from the one goroutine of package groupcommit. A batch
// takes three round trips: one locks and reads, one writes, one commits. Every
// statement covers the whole batch: parameters are arrays in binary, one a
// column, and unnest makes rows of them. Statements are neither prepared nor
// described and no setting outlives a transaction, so a pooler in transaction
// mode, such as PgBouncer, may stand between. Reads and changes that are no unit
// use a pool beside it; the lease has a connection of its own.
//
// # Tables
//
// Hot tables refer to connections and streams by numbers, and their keys begin
// with the connection's. There are no foreign keys. Keys and entities are
// partitioned by hash, 16 ways, and hold hashes only. Events are partitioned by
// segment: a number that the store raises every week, and that the writer reads
// below the lock of a stream's head, so it never falls along a stream. Retention
// drops whole segments. Time itself would not do as the key of partitions: the
// time of a unit comes from the caller, may step back, and would need a partition
// for every value it can take.
//
// # Durability
//
// Every transaction of the writer sets synchronous_commit itself and asks for
// the setting with its last statement. A connection that is lost during COMMIT
// leaves the outcome open. The next connection first writes to this process's
// row among the writers, which the open transaction holds locked until it has
// ended one way or the other, and then reads the marker that the transaction
// would have left there. Heads are locked in the order of their numbers;
// deadlocks, serialization failures and lost races are tried again.
//
// # Fencing
//
// One process holds a store, by a lease with an epoch that is renewed every five
// seconds and expires after fifteen, on the database's clock. The holder stops
// three seconds sooner by its own monotonic clock, counted from before the
// renewal was sent. Whatever a clock says, every transaction locks the lease
// (FOR KEY SHARE) and reads its epoch: a takeover (FOR UPDATE) waits for
// transactions under way and fences later ones; a renewal, which changes no key,
// waits for none.
//
// # Prepared for several nodes
//
// Leases have a shard, of which only 0 is used; a writer's marker is its own and
// not the lease's; two writers of the same streams are kept apart by the locks of
// the heads alone, and tests hold that. What is missing: a lease for each of 256
// shards and units grouped by shard.
package postgres

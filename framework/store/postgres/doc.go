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
// # Nodes
//
// Several processes share a store. Each has a row among the nodes with a heartbeat,
// on the database's clock, every two seconds; a row that is ten seconds old is
// removed by the others. Connections are spread over 256 shards, and each shard has
// an epoch and a node. With every heartbeat a node takes free shards up to its
// share, and marks those that it has too many of: the runtime ends their work and
// yields them. A node whose row is gone has lost all shards.
//
// A node believes in its leases until two seconds before they expire, by its own
// monotonic clock, counted from before the last heartbeat was sent. Whatever a clock
// says, a transaction locks the rows of the shards it writes for (FOR KEY SHARE) and
// finds them with this node and the unit's epoch, or the unit is fenced; a takeover
// (FOR UPDATE) comes before or after it.
package postgres

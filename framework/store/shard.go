package store

import "crypto/sha256"

// ShardCount is how many shards the connections are spread over.
const ShardCount = 256

// Shard returns the shard of a connection, from 0 to [ShardCount]-1. It never
// changes: ids are immutable.
func Shard(connectionID string) int {
	sum := sha256.Sum256([]byte(connectionID))
	return int(sum[0])
}

// ShardEpochs holds, for each shard, the epoch of the lease under which this
// process does the work of its connections, or 0 for a shard that it must not
// begin any work for.
type ShardEpochs [ShardCount]int64

// Of returns the entry of a connection's shard.
func (s *ShardEpochs) Of(connectionID string) int64 { return s[Shard(connectionID)] }

// ShardPreference is what a process says about shards of a store that it shares,
// where not every process can do the work of all connections. It does not keep or
// take what it refuses while there are others, and takes what it wants as soon as
// that is free, also beyond its share: it then gives up another one.
type ShardPreference struct{ Refused, Wanted [ShardCount]bool }

// NeedsLease reports whether only the process that has the lease of the
// connection's shard may commit u: it moves a checkpoint, writes a run or the
// due time of one, keeps state, says what a sink has done, or handles a stored delivery. A delivery as it
// is received, with its events and what they mean for the health of streams,
// needs no lease: any process may take it.
func (u *Unit) NeedsLease() bool {
	if u.Checkpoint != nil || u.Run != nil || u.Sink != nil || len(u.State) > 0 || u.Settle != "" || u.Keep != nil && u.Reserve == nil {
		return true
	}
	for i := range u.Streams {
		if u.Streams[i].NextRunAt != nil || u.Streams[i].Runs > 0 {
			return true
		}
	}
	return false
}

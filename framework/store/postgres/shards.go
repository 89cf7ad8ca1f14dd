package postgres

import (
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// shards is which leases this process holds, as far as it knows. The database
// decides; here is what it last said, and for how long that may be believed.
type shards struct {
	mu sync.Mutex
	// epochs of the leases, 0 for a shard of somebody else.
	epochs store.ShardEpochs
	// leaving are those that are to be given up when their work has ended.
	leaving [store.ShardCount]bool
	// preferred is what this process wants and does not want to have.
	preferred store.ShardPreference
	// fresh is false when this process was not heard of for so long that others
	// may have taken its shards.
	fresh bool
	// expiry ends fresh. It runs on the monotonic clock, counted from before the
	// last renewal was sent.
	expiry *time.Timer
	// changed is closed and replaced when the shards to work on change.
	changed chan struct{}
}

func newShards() *shards { return &shards{changed: make(chan struct{})} }

// epoch of a shard, and whether work may begin for it.
func (h *shards) epoch(shard int) (epoch int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh {
		return 0, false
	}
	return h.epochs[shard], h.epochs[shard] != 0 && !h.leaving[shard]
}

// working are the shards to work on.
func (h *shards) working() (held store.ShardEpochs, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.toWorkOn(), h.changed
}

func (h *shards) toWorkOn() (held store.ShardEpochs) {
	if !h.fresh {
		return held
	}
	for i, epoch := range h.epochs {
		if !h.leaving[i] {
			held[i] = epoch
		}
	}
	return held
}

// update changes the leases by f and says so when there is something to do.
func (h *shards) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, leaving := h.toWorkOn(), h.leaving
	f()
	if h.toWorkOn() != before || h.leaving != leaving {
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// renewed notes a heartbeat that was sent at the given time. A fifth of the
// lease's length is left to clocks that run at different speeds.
func (h *shards) renewed(sent time.Time, length time.Duration) {
	left := time.Until(sent.Add(length - length/margin))
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.expiry != nil {
		h.expiry.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		h.update(func() {
			if h.expiry == timer { // else a renewal came in between
				h.fresh = false
			}
		})
	})
	h.expiry = timer
}

// margin is the part of a lease's length that its holder does not use.
const margin = 5

// adopt takes over what the database says: the epochs of the shards that are
// this process's, of which it is to keep no more than quota. Alone, it keeps what it
// would rather not have. It returns how many it lacks, and what it may not take and
// should.
func (h *shards) adopt(epochs store.ShardEpochs, quota int, alone bool) (lacks int, refused, wanted []int) {
	h.update(func() {
		h.fresh = true
		p := h.preferred
		if alone {
			p.Refused = [store.ShardCount]bool{}
		}
		kept := 0
		for i, epoch := range epochs {
			if epoch != h.epochs[i] {
				h.leaving[i] = false
			}
			if p.Refused[i] {
				refused = append(refused, i)
				h.leaving[i] = epoch != 0
			} else if p.Wanted[i] {
				h.leaving[i] = false
				if epoch == 0 {
					wanted = append(wanted, i)
				}
			}
			if epoch != 0 && !h.leaving[i] {
				kept++
			}
		}
		h.epochs = epochs
		// The nodes that are left have more to do again.
		for i := 0; i < len(epochs) && kept < quota; i++ {
			if h.leaving[i] && !p.Refused[i] {
				h.leaving[i] = false
				kept++
			}
		}
		for i := len(epochs) - 1; i >= 0 && kept > quota; i-- {
			if epochs[i] != 0 && !h.leaving[i] && !p.Wanted[i] {
				h.leaving[i] = true
				kept--
			}
		}
		lacks = quota - kept
	})
	return lacks, refused, wanted
}

// prefer notes what this process wants to have, and reports whether that is new.
func (h *shards) prefer(p store.ShardPreference) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.preferred
	h.preferred = p
	return before != p
}

// gain adds shards that were taken.
func (h *shards) gain(taken map[int]int64) {
	h.update(func() {
		for shard, epoch := range taken {
			h.epochs[shard], h.leaving[shard] = epoch, false
		}
	})
}

// yield drops those of the shards that are leaving, and returns them.
func (h *shards) yield(list []int) (dropped []int) {
	h.update(func() {
		for _, shard := range list {
			if shard >= 0 && shard < store.ShardCount && h.leaving[shard] && h.epochs[shard] != 0 {
				h.epochs[shard] = 0
				dropped = append(dropped, shard)
			}
		}
	})
	return dropped
}

// end gives up everything.
func (h *shards) end() {
	h.mu.Lock()
	if h.expiry != nil {
		h.expiry.Stop()
		h.expiry = nil
	}
	h.mu.Unlock()
	h.update(func() { h.fresh = false })
}

// share is how many shards the node of the given rank among n keeps.
func share(rank, n int) int {
	quota := store.ShardCount / n
	if rank < store.ShardCount%n {
		quota++
	}
	return quota
}

package budget

import (
	"context"
	"encoding/json"
	"time"
)

// leastCovered is the shortest rate whose calls are stored before they are made:
// a process that died is not back sooner than what a shorter one remembers.
const leastCovered = 2 * time.Second

// advance is how many calls the store counts that were not made yet. Like the
// numbers of a sequence they are taken from the store some at a time, so that a
// process that dies forgets none that it has made, and few calls wait for the disk.
type advance struct {
	left int
	// part is the one to which the store counts them: calls of a later one are not
	// covered by it.
	part int64
	// short says that a call was taken that the store does not count.
	short bool
	// storing says that the store does not have it yet, and may never.
	storing bool
}

func (a *advance) take(part int64) {
	if a.left > 0 && a.part == part {
		a.left--
		return
	}
	a.short = true
}

// covered waits until the store counts every call that was taken.
func (b *Budget) covered(ctx context.Context) {
	b.mu.Lock()
	short := (b.ahead.short || b.ahead.storing) && b.cover != nil && b.rate.Per >= leastCovered
	b.mu.Unlock()
	if short {
		b.cover(ctx)
	}
}

// advanced returns the budget as it is stored with an advance, or nil when the
// store counts every call already.
func (b *Budget) advanced() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ahead.short || b.rate.IsZero() {
		return nil
	}
	sum := 0
	for _, n := range b.used {
		sum += n
	}
	b.ahead = advance{left: max(0, min(b.rate.Count/parts, b.rate.Count-sum)), part: b.part, storing: true}
	s := b.saved()
	s.Used[parts] += b.ahead.left
	return encode(s)
}

// stored says that the store counts what was advanced.
func (b *Budget) stored() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead.storing = false
}

// uncovered takes back what could not be stored.
func (b *Budget) uncovered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead, b.dirty = advance{short: true}, true
}

// cover stores a budget with an advance, at one of its connections: what they have
// stored is put together by [Keeper.Recall]. When the store is away, the call is
// made all the same: the run that wants it ends at its next commit.
func (k *Keeper) cover(ctx context.Context, b *shared) {
	b.alone(ctx, func() {
		k.keep(ctx, b, b.advanced(), true) // the one before may have done it
	})
}

// encode writes a budget. There is nothing in it that JSON cannot say.
func encode(s saved) []byte {
	value, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return value
}

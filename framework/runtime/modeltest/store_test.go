package modeltest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// fault is what becomes of a commit.
type fault string

const (
	faultNone fault = "none"
	// The unit is not written.
	faultRefused     fault = "refused"
	faultUnavailable fault = "unavailable"
	faultDiesBefore  fault = "process dies before the commit"
	// The unit is written and its answer is lost.
	faultAnswerLost fault = "answer lost"
	faultUncertain  fault = "unavailable after the commit"
	faultDiesAfter  fault = "process dies after the commit"
)

// errOutcome is no error that a store is known for.
var errOutcome = errors.New("the outcome of the commit is unknown")

func (f fault) written() bool {
	return f == faultAnswerLost || f == faultUncertain || f == faultDiesAfter
}

func (f fault) deadly() bool { return f == faultDiesBefore || f == faultDiesAfter }

func (f fault) err() error {
	switch f {
	case faultUnavailable, faultUncertain:
		return fmt.Errorf("%w: %s", store.ErrUnavailable, f)
	case faultDiesBefore, faultDiesAfter:
		return fmt.Errorf("%w: %s", store.ErrClosed, f)
	default:
		return fmt.Errorf("%w: %s", errOutcome, f)
	}
}

// flaky is a store of which one commit may fail. It keeps notes of what was
// truly written.
type flaky struct {
	*sqlite.Store

	seen   tally
	mu     sync.Mutex
	memory *memory
	// next strikes the first commit of its kind after skip others.
	next       fault
	deliveries bool
	skip       int
	struck     fault
	dead       bool
	// written and duplicate are about the delivery at work.
	written, duplicate bool
}

// arm sets the fault that strikes a page, or else a delivery.
func (f *flaky) arm(next fault, deliveries bool, skip int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.deliveries, f.skip, f.struck = next, deliveries, skip, faultNone
	f.written, f.duplicate = false, false
}

// isDead says that the process has died.
func (f *flaky) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *flaky) struckNow() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

func (f *flaky) strike(delivery bool) fault {
	if f.next == faultNone || f.next == "" || delivery != f.deliveries {
		return faultNone
	}
	if f.skip > 0 {
		f.skip--
		return faultNone
	}
	f.struck, f.next = f.next, faultNone
	f.seen[string(f.struck)]++
	f.dead = f.dead || f.struck.deadly()
	return f.struck
}

func (f *flaky) Commit(ctx context.Context, u store.Unit) (store.Receipt, error) {
	return f.commit(ctx, u, f.Store.Commit)
}

func (f *flaky) Offer(ctx context.Context, u store.Unit) (store.Receipt, error) {
	return f.commit(ctx, u, f.Store.Offer)
}

func (f *flaky) commit(ctx context.Context, u store.Unit, inner func(context.Context, store.Unit) (store.Receipt, error)) (store.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return store.Receipt{}, store.ErrClosed
	}
	delivery := u.Reserve != nil || u.Settle != "" || u.Keep != nil
	struck := f.strike(delivery)
	if struck != faultNone && !struck.written() {
		return store.Receipt{}, struck.err()
	}
	receipt, err := inner(ctx, u)
	if err == nil {
		f.memory.ledger(u.ConnectionID).note(u, receipt)
		f.count(u, receipt)
		if u.Reserve != nil {
			// A key alone is nothing: in these stories every webhook says something.
			f.written = f.written || !receipt.DuplicateDelivery && (len(u.Emissions) > 0 || u.Keep != nil)
			f.duplicate = f.duplicate || receipt.DuplicateDelivery
		}
	}
	if err == nil && struck != faultNone {
		return store.Receipt{}, struck.err()
	}
	return receipt, err
}

func (f *flaky) count(u store.Unit, receipt store.Receipt) {
	switch {
	case receipt.AlreadyCommitted:
		f.seen[seenRepeat]++
	case receipt.DuplicateDelivery:
		f.seen[seenDuplicate]++
	case u.Settle != "":
		f.seen[seenSettled]++
	case u.Keep != nil && u.Reserve != nil:
		f.seen[seenStored]++
	}
}

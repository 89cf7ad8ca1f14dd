package store

import (
	"context"
	"time"
)

// DeadLetters is the part of a [Store] for deliveries that were given up, or
// that were handled and are kept so that they can be replayed.
type DeadLetters interface {
	// StoredDelivery returns one stored delivery with its header and body. One
	// that was discarded is ErrNotFound, as one that was never there.
	StoredDelivery(ctx context.Context, connectionID, id string) (StoredDelivery, error)
	// Redeliver lets the selected deliveries wait again: the first one until now,
	// each further one by every longer, in the order of their ids. It changes at
	// most limit of them and returns how many; call it until that is less, with
	// the number of those changed before. Deliveries without a body are left out.
	Redeliver(ctx context.Context, r DeliveryRange, now time.Time, before int, every time.Duration, limit int) (int, error)
	// Discard erases header and body of the selected deliveries, at most limit
	// of them, and returns how many. Their rows stay, with the note, until expires.
	// One whose handler is at work, and fails, waits again whole.
	Discard(ctx context.Context, r DeliveryRange, note string, expires time.Time, limit int) (int, error)
	// ClampDeliveries begins the waits again that began after now, each with its
	// own length, and returns how many: the clock was set back since.
	ClampDeliveries(ctx context.Context, now time.Time) (int, error)
	// TrimDeliveries removes at most limit deliveries of a connection that have
	// expired at now, or are handled ones over the bounds, oldest first, and
	// returns how many.
	TrimDeliveries(ctx context.Context, connectionID string, now time.Time, bounds DeliveryBounds, limit int) (int, error)
}

// DeliveryRange selects stored deliveries of one connection.
type DeliveryRange struct {
	ConnectionID string
	// State is DeliveryDead or DeliveryKept, or with ID also DeliveryWaiting.
	State DeliveryState
	// ID selects one, "" any.
	ID string
	// Endpoint selects those of one endpoint, "" of any.
	Endpoint string
	// From and To bound the receipt: From <= receipt < To; zero for no bound.
	From, To time.Time
}

// Selected is what a backend compares with: the ending of the state, or -1 for
// one that waits.
func (r DeliveryRange) Selected() int64 {
	if r.State == DeliveryWaiting {
		return -1
	}
	return r.State.Ending()
}

// DeliveryBounds bound the handled deliveries that a connection keeps.
type DeliveryBounds struct {
	// Rows is how many, Bytes how large all of them may be.
	Rows, Bytes int64
}

// Endings of a delivery that does not wait, as backends write them.
const (
	EndingDead = iota
	EndingKept
	EndingDiscarded
)

// EndingOf is what a backend writes for a stored delivery.
func EndingOf(d StoredDelivery) int64 {
	if d.Kept {
		return EndingKept
	}
	return EndingDead
}

// StateOf names the state that a backend has read.
func StateOf(dead bool, ending int64) DeliveryState {
	switch {
	case !dead:
		return DeliveryWaiting
	case ending == EndingKept:
		return DeliveryKept
	case ending == EndingDiscarded:
		return DeliveryDiscarded
	default:
		return DeliveryDead
	}
}

// Ending is what a backend reads for a state other than DeliveryWaiting.
func (s DeliveryState) Ending() int64 {
	switch s {
	case DeliveryKept:
		return EndingKept
	case DeliveryDiscarded:
		return EndingDiscarded
	default:
		return EndingDead
	}
}

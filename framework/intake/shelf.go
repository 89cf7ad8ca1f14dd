package intake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// shelf bounds what waits or was given up, for each connection. Over a bound a
// delivery whose handler fails is refused with 503 rather than an older one
// dropped: that one was acknowledged, and this one is still its sender's. What
// the handler takes at once needs no place.
//
// Counts are those of the store, read at every look for due deliveries, and what
// was put since: several processes together may go over a bound by what they
// store in between.
type shelf struct {
	rows, bytes int64

	mu   sync.Mutex
	held map[string]store.DeliveryCount
}

func newShelf(rows, bytes int64) *shelf {
	return &shelf{rows: rows, bytes: bytes, held: map[string]store.DeliveryCount{}}
}

// put takes a place for a delivery, or reports that there is none.
func (s *shelf) put(connectionID string, bytes int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.held[connectionID]
	if c.Waiting+c.Dead+1 > s.rows || c.Bytes+bytes > s.bytes {
		return false
	}
	c.Waiting++
	c.Bytes += bytes
	s.held[connectionID] = c
	return true
}

// drop gives a place back.
func (s *shelf) drop(connectionID string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.held[connectionID]
	c.Waiting, c.Bytes = max(c.Waiting-1, 0), max(c.Bytes-bytes, 0)
	s.held[connectionID] = c
}

func (s *shelf) replace(counts []store.DeliveryCount) {
	held := make(map[string]store.DeliveryCount, len(counts))
	for _, c := range counts {
		held[c.ConnectionID] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// trimEvery is how often the handled deliveries of each connection are brought
// within their bounds, and trimRows how many are removed in one transaction.
const (
	trimEvery = time.Minute
	trimRows  = 500
)

// tidy counts what is stored, begins waits again that a step of the clock has
// stretched, and removes what is kept no longer.
func (h *Handler) tidy(ctx context.Context, now time.Time) error {
	counts, err := h.config.Store.DeliveryCounts(ctx, "")
	if err != nil {
		return fmt.Errorf("count stored deliveries: %w", err)
	}
	h.shelf.replace(counts)
	n, err := h.config.Store.ClampDeliveries(ctx, now)
	if err != nil {
		return err
	}
	if n > 0 {
		h.config.Log.WarnContext(ctx, "the clock was set back; stored webhooks wait as long as they would have", "deliveries", n)
	}
	if since := now.Sub(h.trimmed); since >= 0 && since < trimEvery {
		return nil
	}
	h.trimmed = now
	for _, id := range h.config.Targets.ConnectionIDs() {
		if _, mine := h.config.Store.Epoch(id); !mine {
			continue
		}
		for {
			n, err := h.config.Store.TrimDeliveries(ctx, id, now, store.DeliveryBounds{Rows: h.config.MaxKept, Bytes: h.config.MaxKeptBytes}, trimRows)
			if err != nil {
				return err
			}
			if n < trimRows {
				break
			}
		}
	}
	return nil
}

package dashboardtest

import (
	"cmp"
	"context"
	"slices"

	"github.com/weirhq/weir/framework/store"
)

// Keep stores a delivery whose handler failed.
func (o *Office) Keep(d store.DeliverySummary) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deliveries = append(o.deliveries, d)
	slices.SortFunc(o.deliveries, func(x, y store.DeliverySummary) int { return cmp.Compare(y.ID, x.ID) })
}

// Deliveries lists the stored deliveries of a connection, newest first.
func (o *Office) Deliveries(_ context.Context, connectionID string, state store.DeliveryState, before string, limit int) ([]store.DeliverySummary, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []store.DeliverySummary
	for _, d := range o.deliveries {
		if d.ConnectionID == connectionID && (state == "" || d.State == state) && (before == "" || d.ID < before) && len(out) < limit {
			out = append(out, d)
		}
	}
	return out, o.broken
}

// DeliveryCounts counts the stored deliveries.
func (o *Office) DeliveryCounts(_ context.Context, connectionID string) ([]store.DeliveryCount, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []store.DeliveryCount
	for _, c := range o.connections {
		n := store.DeliveryCount{ConnectionID: c.ID}
		for _, d := range o.deliveries {
			switch {
			case d.ConnectionID != c.ID:
			case d.State == store.DeliveryDead:
				n.Dead++
			default:
				n.Waiting++
			}
		}
		if n.Waiting+n.Dead > 0 && (connectionID == "" || connectionID == c.ID) {
			out = append(out, n)
		}
	}
	return out, o.broken
}

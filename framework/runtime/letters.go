package runtime

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
)

// letters is what an operator may do with deliveries.
type letters struct{ runtime *Runtime }

var _ api.Deliveries = letters{}

const (
	// changeRows is how many deliveries are changed in one transaction.
	changeRows = 1000
	// discardedAge is how long the row of a discarded delivery says why.
	discardedAge = 30 * 24 * time.Hour
)

// StoredDelivery returns one stored delivery.
func (l letters) StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error) {
	return l.runtime.store.StoredDelivery(ctx, connectionID, id)
}

// Redeliver lets the selected deliveries wait again, one every so often.
func (l letters) Redeliver(ctx context.Context, r store.DeliveryRange, every time.Duration) (total int, err error) {
	now := time.Now()
	for {
		n, err := l.runtime.store.Redeliver(ctx, r, now, total, every, changeRows)
		total += n
		if err != nil || n < changeRows {
			l.runtime.intake.Wake()
			return total, err
		}
	}
}

// Discard erases the selected deliveries.
func (l letters) Discard(ctx context.Context, r store.DeliveryRange, reason string) (total int, err error) {
	for {
		n, err := l.runtime.store.Discard(ctx, r, reason, time.Now().Add(discardedAge), changeRows)
		total += n
		if err != nil || n < changeRows {
			l.runtime.intake.Wake()
			return total, err
		}
	}
}

// Endpoints lists the webhook endpoints of a connection.
func (l letters) Endpoints(connectionID string) []string {
	c, ok := l.runtime.byID[connectionID]
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(c.endpoints))
}

// Report returns what this process knows of an endpoint.
func (l letters) Report(connectionID, endpoint string) (intake.Report, bool) {
	return l.runtime.intake.Report(connectionID, endpoint)
}

// ResumeEndpoint ends the quarantine of an endpoint.
func (l letters) ResumeEndpoint(connectionID, endpoint string) (bool, error) {
	return l.runtime.intake.Resume(connectionID, endpoint)
}

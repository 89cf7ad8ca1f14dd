package dashboardtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/weirhq/weir/framework/intake"
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

// StoredDelivery returns a delivery that was noted, with a body that looks like its
// id; dlv_1 is always there.
func (o *Office) StoredDelivery(_ context.Context, connectionID, id string) (store.StoredDelivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.deliveries {
		if d.ConnectionID == connectionID && d.ID == id && d.State != store.DeliveryDiscarded {
			return store.StoredDelivery{
				ID: d.ID, ConnectionID: d.ConnectionID, Endpoint: d.Endpoint, Key: d.Key, ReceivedAt: d.ReceivedAt, Attempts: d.Attempts,
				NextAttemptAt: d.NextAttemptAt, Dead: d.State == store.DeliveryDead, LastError: d.LastError,
				Kept: d.State == store.DeliveryKept, ExpiresAt: d.ExpiresAt,
				Header: []byte(cmp.Or(o.header, `{"X-Event":["ping"]}`)), Body: []byte(cmp.Or(o.body, `{"id":"`+d.ID+`"}`)),
			}, o.broken
		}
	}
	if id == "dlv_1" {
		return store.StoredDelivery{ID: id, ConnectionID: connectionID, Endpoint: "demo", Dead: true, Header: []byte("{}"), Body: []byte{0xff}}, o.broken
	}
	return store.StoredDelivery{}, store.ErrNotFound
}

// Write says what header (in JSON) and body stored deliveries have.
func (o *Office) Write(header, body string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.header, o.body = header, body
}

// Redeliver has the selected deliveries wait.
func (o *Office) Redeliver(_ context.Context, r store.DeliveryRange, every time.Duration) (int, error) {
	o.mu.Lock()
	o.pace = every
	o.mu.Unlock()
	return o.changeDeliveries(r, func(d *store.DeliverySummary) { d.State = store.DeliveryWaiting })
}

// Pace is the time between two deliveries of the last Redeliver.
func (o *Office) Pace() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pace
}

// Discard notes the reason for the selected deliveries.
func (o *Office) Discard(_ context.Context, r store.DeliveryRange, reason string) (int, error) {
	return o.changeDeliveries(r, func(d *store.DeliverySummary) { d.State, d.Note, d.BodyBytes = store.DeliveryDiscarded, reason, 0 })
}

// Erase erases one event, of whom it is.
func (o *Office) Erase(_ context.Context, _, entity string) (store.Erasure, error) {
	return store.NewErasure([]byte("office"), "", entity, time.Now())
}

// Erasures lists one erasure.
func (o *Office) Erasures(context.Context, string) ([]store.Erasure, error) {
	return []store.Erasure{{ID: "era_1"}}, o.broken
}

func (o *Office) changeDeliveries(r store.DeliveryRange, change func(*store.DeliverySummary)) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.deliveries {
		d := &o.deliveries[i]
		if d.ConnectionID == r.ConnectionID && d.State == r.State && (r.ID == "" || d.ID == r.ID) && (r.Endpoint == "" || d.Endpoint == r.Endpoint) {
			change(d)
			n++
		}
	}
	if r.ID == "dlv_1" {
		n = 1 // it is always there
	}
	return n, o.broken
}

// Endpoints lists the declared endpoints of a connection.
func (o *Office) Endpoints(connectionID string) (paths []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.manifests[connectionID].Endpoints {
		paths = append(paths, e.Path)
	}
	return paths
}

// SetReport says what is known of an endpoint.
func (o *Office) SetReport(connectionID, endpoint string, r intake.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reports[connectionID+"/"+endpoint] = r
}

// Report tells what SetReport said, or that nothing has come in.
func (o *Office) Report(_ context.Context, connectionID, endpoint string) (intake.Report, bool, error) {
	declared := slices.Contains(o.Endpoints(connectionID), endpoint)
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.reports[connectionID+"/"+endpoint]
	if !ok {
		r = intake.Report{Processes: 1, Answered: 1, MaxHandlers: 64}
	}
	return r, declared, o.broken
}

// ResumeEndpoint ends the quarantine that SetReport spoke of; the endpoint demo can
// always be resumed.
func (o *Office) ResumeEndpoint(_ context.Context, connectionID, endpoint string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.reports[connectionID+"/"+endpoint]
	resumed := r.Quarantined || endpoint == "demo"
	r.Quarantined = false
	o.reports[connectionID+"/"+endpoint] = r
	return resumed, o.broken
}

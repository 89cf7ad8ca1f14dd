package api

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// deliveryRow is a stored delivery. Its body and header are left out: they are
// whatever the sender wrote.
type deliveryRow struct {
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	// Key is the sender's id, as the handler gets it.
	Key        string       `json:"key"`
	ReceivedAt *health.Time `json:"received_at"`
	Attempts   int          `json:"attempts"`
	// NextAttemptAt is null for a dead letter.
	NextAttemptAt *health.Time        `json:"next_attempt_at"`
	State         store.DeliveryState `json:"state"`
	LastError     *string             `json:"last_error"`
	// ExpiresAt is null for a delivery that waits or was given up; Note says why
	// one was discarded.
	ExpiresAt *health.Time `json:"expires_at"`
	Note      *string      `json:"note"`
	BodyBytes int64        `json:"body_bytes"`
}

type deliveryList struct {
	Deliveries []deliveryRow `json:"deliveries"`
	Next       *string       `json:"next"`
}

var deliveryID = regexp.MustCompile(`^dlv_[0-9a-z]{1,60}$`)

// listDeliveries lists stored deliveries, newest first: those that wait or were
// given up, unless another state is asked for.
func (a *API) listDeliveries(r *http.Request) (reply, error) {
	q := newQuery(r)
	limit := q.limit()
	text, given := q.text("state")
	state := store.DeliveryState(text)
	states := []store.DeliveryState{store.DeliveryWaiting, store.DeliveryDead, store.DeliveryKept, store.DeliveryDiscarded}
	if given && !slices.Contains(states, state) {
		q.fault("state", "is %s; it must be %q, %q, %q or %q", shown(text), states[0], states[1], states[2], states[3])
	}
	before, given := q.text("before")
	if given && !deliveryID.MatchString(before) {
		q.fault("before", "is %s; it must be the id of a delivery, or \"next\" of the last answer", shown(before))
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	c, err := a.connection(r)
	if err != nil {
		return reply{}, err
	}
	list, err := a.cfg.Store.Deliveries(r.Context(), c.ID, state, before, limit+1)
	if err != nil {
		return reply{}, fmt.Errorf("list deliveries: %w", err)
	}
	out := deliveryList{Deliveries: []deliveryRow{}}
	if len(list) > limit {
		list = list[:limit]
		out.Next = &list[limit-1].ID
	}
	for _, d := range list {
		out.Deliveries = append(out.Deliveries, deliveryRow{
			ID: d.ID, Endpoint: d.Endpoint, Key: webhook.DeliveryID(d.Key), ReceivedAt: health.TimeOrNil(d.ReceivedAt), Attempts: d.Attempts,
			NextAttemptAt: health.TimeOrNil(d.NextAttemptAt), State: d.State, LastError: orNil(d.LastError), BodyBytes: d.BodyBytes,
			ExpiresAt: health.TimeOrNil(d.ExpiresAt), Note: orNil(d.Note),
		})
	}
	return ok(out)
}

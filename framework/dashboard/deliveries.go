package dashboard

import (
	"context"
	"fmt"
	"net/url"

	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// shownDeliveries is how many of the newest stored deliveries a page lists.
const shownDeliveries = 10

// deliveryLines are the stored deliveries of the connection of a webhook
// stream. Which stream a delivery is for, only its handler knows.
type deliveryLines struct {
	Waiting, Dead int64
	Lines         []deliveryLine
	Href          string
	// Bulk are there when something was given up.
	Bulk []bulkLine
}

type deliveryLine struct {
	store.DeliverySummary
	Href             string
	Received, NextAt *moment
	ErrorText        string
}

func (d *Dashboard) deliveries(ctx context.Context, t health.Target) (*deliveryLines, error) {
	counts, err := d.cfg.Store.DeliveryCounts(ctx, t.Connection.ID)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	list, err := d.cfg.Store.Deliveries(ctx, t.Connection.ID, "", "", shownDeliveries)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	out := &deliveryLines{
		Href: "/api/v1/projects/" + url.PathEscape(t.Connection.Project) + "/connections/" + url.PathEscape(t.Connection.ID) + "/deliveries",
	}
	for _, c := range counts {
		out.Waiting, out.Dead = c.Waiting, c.Dead
	}
	if out.Dead > 0 {
		out.Bulk = bulk(t, list)
	}
	for _, v := range list {
		out.Lines = append(out.Lines, deliveryLine{
			DeliverySummary: v, Href: deliveryPath(t.Connection, v.ID), Received: d.moment(health.TimeOrNil(v.ReceivedAt)), NextAt: d.due(health.TimeOrNil(v.NextAttemptAt)),
			ErrorText: visible(v.LastError),
		})
	}
	return out, nil
}

// waiting says what a connection has stored, on one line: "2 deliveries
// waiting, 1 given up".
func waiting(c store.DeliveryCount) string {
	noun := "deliveries"
	if c.Waiting == 1 || (c.Waiting == 0 && c.Dead == 1) {
		noun = "delivery"
	}
	switch {
	case c.Dead == 0:
		return thousands(c.Waiting) + " " + noun + " waiting"
	case c.Waiting == 0:
		return thousands(c.Dead) + " " + noun + " given up"
	default:
		return thousands(c.Waiting) + " " + noun + " waiting, " + thousands(c.Dead) + " given up"
	}
}

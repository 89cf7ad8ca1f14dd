package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
)

// CountOrders counts the orders of the shop by their status.
var CountOrders = catalog.Action[CountInput, Counts]("count_orders", catalog.ActionSpec{Timeout: 5 * time.Minute})

// CountInput is what to count.
type CountInput struct {
	// Status leaves out the orders of another status.
	Status string `json:"status" enum:"open,paid,shipped,returned" doc:"Only orders of this status; all without it."`
	// PauseMS is a rest after every ten orders, so that there is something to watch.
	PauseMS int64 `json:"pause_ms" default:"200" min:"0" max:"5000" doc:"A rest in milliseconds after every ten orders."`
}

// Counts is what was counted.
type Counts struct {
	Orders   int            `json:"orders"`
	ByStatus map[string]int `json:"by_status"`
}

// countStep is how many orders are counted between two reports of the progress.
const countStep = 10

// countOrders reads all orders and counts them.
func (c *client) countOrders(ctx context.Context, in CountInput, progress framework.Progress) (Counts, error) {
	counts := Counts{ByStatus: map[string]int{}}
	read, after := 0, ""
	for {
		page, err := fetchList[Order](ctx, c, "/v1/orders", after)
		if err != nil {
			return Counts{}, err
		}
		for _, r := range page.Data {
			if read++; in.Status == "" || r.Value.Status == in.Status {
				counts.Orders++
				counts.ByStatus[r.Value.Status]++
			}
			after = r.Value.ID
			if read%countStep != 0 {
				continue
			}
			// Nobody knows how many there are: an order is worth less the more there were.
			progress(100*read/(read+50), fmt.Sprintf("%d orders", read))
			if err := rest(ctx, time.Duration(in.PauseMS)*time.Millisecond); err != nil {
				return Counts{}, err
			}
		}
		if !page.HasMore {
			return counts, nil
		}
	}
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

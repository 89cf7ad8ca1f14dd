package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

// bulkLine is an endpoint of which everything that was given up can be settled at
// once. What its buttons do begins with Path.
type bulkLine struct{ Endpoint, Path string }

// bulk lists the endpoints of a connection, also those that are declared no more
// and of which something is listed.
func bulk(t health.Target, listed []store.DeliverySummary) (lines []bulkLine) {
	var paths []string
	for _, e := range t.Manifest.Endpoints {
		paths = append(paths, e.Path)
	}
	for _, v := range listed {
		if v.State == store.DeliveryDead && !slices.Contains(paths, v.Endpoint) {
			paths = append(paths, v.Endpoint)
		}
	}
	for _, path := range paths {
		lines = append(lines, bulkLine{path, endpointPath(t.Connection, path)})
	}
	return lines
}

func endpointPath(c store.Connection, path string) string {
	return "/endpoints/" + url.PathEscape(c.Project) + "/" + url.PathEscape(c.ID) + "/" + url.PathEscape(path)
}

// maxRate bounds how many deliveries a second are handed to a handler again.
const maxRate = 10_000

// redeliverAll has the handler called again for everything of an endpoint that was
// given up, so many a second as the form says.
func (d *Dashboard) redeliverAll(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseFloat(r.PostFormValue("rate"), 64)
	if err != nil || !(rate >= 0.001 && rate <= maxRate) {
		unprocessable(w, r, fmt.Sprintf("say how many deliveries a second are handed to the handler: 0.001 to %d", maxRate))
		return
	}
	d.changeAll(w, r, func(ctx context.Context, all store.DeliveryRange) (int, error) {
		return d.cfg.Deliveries.Redeliver(ctx, all, time.Duration(float64(time.Second)/rate))
	})
}

// discardAll erases everything of an endpoint that was given up.
func (d *Dashboard) discardAll(w http.ResponseWriter, r *http.Request) {
	reason, ok := reasonOf(w, r)
	if !ok {
		return
	}
	d.changeAll(w, r, func(ctx context.Context, all store.DeliveryRange) (int, error) {
		return d.cfg.Deliveries.Discard(ctx, all, reason)
	})
}

func (d *Dashboard) changeAll(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, all store.DeliveryRange) (int, error)) {
	c, err := d.connection(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	path := chi.URLParam(r, "path")
	n, err := do(r.Context(), store.DeliveryRange{ConnectionID: c.ID, Endpoint: path, State: store.DeliveryDead})
	if err == nil && n == 0 {
		err = &api.ConflictError{Err: errors.New("nothing is given up at this endpoint now")}
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.NotifyProject(c.Project)
	http.Redirect(w, r, d.webhookPage(c), http.StatusSeeOther)
}

package dashboard

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

const (
	// shownOctets is where a body that is no text is cut.
	shownOctets = 1 << 10
	// maxReason bounds the text of why a delivery was discarded, in bytes.
	maxReason = 500
)

// deliveryBody is a stored delivery as its page shows it.
type deliveryBody struct {
	store.StoredDelivery
	Connection store.Connection
	State      store.DeliveryState
	// Back is the page that lists it, Path its own.
	Back, Path             string
	KeyText, ErrorText     string
	Received, Next, Expiry *moment
	Headers                []headerLine
	BodyText               string
	// Octets says that the body is no text, Cut that not all of it is shown.
	Octets, Cut bool
	Size, Href  string
}

type headerLine struct{ Name, Value string }

// deliveryPath is the address of a delivery's page.
func deliveryPath(c store.Connection, id string) string {
	return "/deliveries/" + url.PathEscape(c.Project) + "/" + url.PathEscape(c.Name) + "/" + url.PathEscape(id)
}

func isWebhook(s catalog.StreamManifest) bool { return s.Mode == catalog.ModeWebhook }

// delivery shows a stored delivery with its header and body.
func (d *Dashboard) delivery(w http.ResponseWriter, r *http.Request) {
	c, stored, err := d.stored(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	body := deliveryBody{
		StoredDelivery: stored, Connection: c, State: stateOf(stored), Back: d.webhookPage(c), Path: deliveryPath(c, stored.ID),
		KeyText: visible(webhook.DeliveryID(stored.Key)), ErrorText: visible(stored.LastError),
		Received: d.moment(health.TimeOrNil(stored.ReceivedAt)), Next: d.due(health.TimeOrNil(stored.NextAttemptAt)),
		Expiry: d.moment(health.TimeOrNil(stored.ExpiresAt)), Headers: headerLines(stored.Header), Size: sizeWords(int64(len(stored.Body))),
		Href: "/api/v1/projects/" + url.PathEscape(c.Project) + "/connections/" + url.PathEscape(c.ID) + "/deliveries/" + url.PathEscape(stored.ID),
	}
	if utf8.Valid(stored.Body) {
		body.BodyText, body.Cut = pretty(stored.Body, shownPayload)
	} else {
		body.Octets, body.Cut = true, len(stored.Body) > shownOctets
		body.BodyText = hex.Dump(stored.Body[:min(len(stored.Body), shownOctets)])
	}
	body.Body = nil // which may be large; what is shown of it is its own
	d.render(w, r, http.StatusOK, "delivery.html", page{
		Title: "Delivery " + stored.ID, SignedIn: d.cfg.Sessions.NeedsSignIn(), Live: true, Body: body,
	})
}

func stateOf(s store.StoredDelivery) store.DeliveryState {
	return store.StateOf(s.Dead || s.Kept, store.EndingOf(s))
}

// stored reads the connection and the delivery that a path names.
func (d *Dashboard) stored(r *http.Request) (store.Connection, store.StoredDelivery, error) {
	c, err := d.connection(r)
	if err != nil {
		return c, store.StoredDelivery{}, err
	}
	stored, err := d.cfg.Deliveries.StoredDelivery(r.Context(), c.ID, chi.URLParam(r, "delivery"))
	if errors.Is(err, store.ErrNotFound) {
		err = &api.Problem{
			Status: http.StatusNotFound, Code: "unknown_delivery", Title: http.StatusText(http.StatusNotFound),
			Detail: "this delivery is not stored: it was handled since, or discarded, or its time to be kept has passed",
		}
	}
	return c, stored, err
}

// headerLines lists a stored header by name.
func headerLines(raw []byte) (lines []headerLine) {
	var header http.Header
	if err := json.Unmarshal(raw, &header); err != nil {
		return []headerLine{{"", visible(string(raw))}}
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			lines = append(lines, headerLine{visible(name), visible(value)})
		}
	}
	return lines
}

// redeliver has a delivery's handler called again.
func (d *Dashboard) redeliver(w http.ResponseWriter, r *http.Request) {
	d.change(w, r, func(ctx context.Context, one store.DeliveryRange) (int, error) {
		return d.cfg.Deliveries.Redeliver(ctx, one, 0)
	})
}

// discard erases a delivery, for the reason in the form.
func (d *Dashboard) discard(w http.ResponseWriter, r *http.Request) {
	reason, ok := reasonOf(w, r)
	if !ok {
		return
	}
	d.change(w, r, func(ctx context.Context, one store.DeliveryRange) (int, error) {
		return d.cfg.Deliveries.Discard(ctx, one, reason)
	})
}

// reasonOf reads why something is discarded, or answers that it must be said.
func reasonOf(w http.ResponseWriter, r *http.Request) (reason string, ok bool) {
	reason = strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" || len(reason) > maxReason || !utf8.ValidString(reason) {
		unprocessable(w, r, fmt.Sprintf("say in 1 to %d bytes why it is discarded", maxReason))
		return "", false
	}
	return reason, true
}

func unprocessable(w http.ResponseWriter, r *http.Request, detail string) {
	ErrorPage(w, r, http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity), detail)
}

// change does something to the delivery that a path names, and shows where it was
// listed: what becomes of it is seen there.
func (d *Dashboard) change(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, one store.DeliveryRange) (int, error)) {
	c, stored, err := d.stored(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	n, err := do(r.Context(), store.DeliveryRange{ConnectionID: c.ID, ID: stored.ID, State: stateOf(stored)})
	if err == nil && n == 0 {
		err = &api.ConflictError{Err: errors.New("the delivery has changed since the page was made; look at it again")}
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.cfg.Feed.NotifyProject(c.Project)
	http.Redirect(w, r, d.webhookPage(c), http.StatusSeeOther)
}
